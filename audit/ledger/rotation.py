"""Another key for the log: both sign for a while, so that everybody can follow from the old one to the new one.

Each step is an entry, one key vouches in it for what it says of the other, and a checkpoint of both covers it
(`succession.py`). It may be ended at any moment and goes on when it is run again. The keys themselves are made and
destroyed by the signer.
"""

import time

from django.db import transaction

from audit.canonical import Json
from audit.ledger import checkpoint
from audit.ledger.entry import Actor
from audit.ledger.note import ADDED, RETIRED, Verifier
from audit.ledger.record import record
from audit.ledger.signer import Message, Term
from audit.models import Entry, Leaf
from audit.refusals import Refusal

SEALED_SECONDS = 15


class KeysStay(Refusal):
    """The keys of the log are as they were: the sentence says why."""

    code = "ledger_keys_stay"


def add(*, by: Actor) -> Verifier:
    """A second key, which signs beside the first from the next checkpoint on."""
    terms = _in_force()
    if len(terms) < 2:
        terms.append(Term(**_answer("add-key")))
    added = terms[-1]
    if _told(ADDED, added) is None:
        told: dict[str, Json] = {"key": added.key, "from": added.begin, "signature": _word(ADDED)}
        with transaction.atomic():
            record("key.added", of=None, subject="ledger", actor=by, **told)
    return added.verifier


def retire(*, by: Actor) -> Verifier:
    """The older key signs no more, once a checkpoint with its signature covers the entry that says so."""
    terms = _in_force()
    if len(terms) != 2:
        raise KeysStay(
            "No key was retired: the log signs with one. Give it a second one first: ledger rotate-key."
        )
    old = terms[0]
    if _told(RETIRED, old) is None:
        word = _word(RETIRED)
        with transaction.atomic():
            record("key.retired", of=None, subject="ledger", actor=by, key=old.key, signature=word)
    _await_seal(RETIRED, old)
    return Term(**_answer("retire-key")).verifier


def _word(kind: str) -> str:
    """The signature with which one key vouches for what is told of the other."""
    return str(_answer("vouch", kind=kind)["signature"])


def _await_seal(kind: str, term: Term) -> None:
    """Both signed a checkpoint that covers it."""
    entry = _told(kind, term)
    deadline = time.monotonic() + SEALED_SECONDS
    while time.monotonic() < deadline:
        newest, leaf = checkpoint.latest(), Leaf.objects.filter(entry=entry).first()
        if newest is not None and leaf is not None and leaf.index < newest.size:
            checkpoint.read(newest.note, [term.verifier])
            return
        pause()
    raise KeysStay(
        f"No key was retired: no checkpoint covered {kind} within {SEALED_SECONDS} s. Run it again."
    )


def pause() -> None:
    """Until the next look."""
    time.sleep(0.2)


def _in_force() -> list[Term]:
    terms = [Term(**one) for one in _answer("head")["keys"]]
    return [one for one in terms if one.end is None]


def _answer(what: str, **more: str) -> Message:
    try:
        told = checkpoint.ask({"do": what, **more})
    except checkpoint.SignerAway as away:
        raise KeysStay(f"The keys are as they were: {away}.") from away
    if "refused" in told:
        raise KeysStay(f"The keys are as they were: {told['refused']}.")
    return told


def _told(kind: str, term: Term) -> Entry | None:
    """The entry of this kind about this key; there are few."""
    entries = Entry.objects.filter(kind=kind, subject="ledger")
    return next((one for one in entries if f'"{term.key}"'.encode() in bytes(one.body)), None)
