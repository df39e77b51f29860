"""The proof of an entry and the state of the log, in sentences first. Says what was checked and what was not."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from audit.canonical import NotCanonical, parse
from audit.ledger import backwards, checkpoint, examined, freshness, proofs
from audit.ledger.note import BadNote, Verifier
from audit.ledger.proofs import NotYetSealed, Proof, ProofDoesNotHold
from audit.ledger.record import timestamp
from audit.models import Checkpoint, Leaf
from audit.templatetags.words import span

LATE_SECONDS = 60.0  # the longest that an entry should wait for its checkpoint


@dataclass(frozen=True)
class Strip:
    """The state of the log for the head of a page."""

    state: str
    title: str
    text: str


def strip() -> Strip:
    """Look at the newest checkpoint: its signature, that the log only grew to it, and what waits."""
    newest, waiting = checkpoint.latest(), freshness.lag()
    if newest is None:
        return Strip("waiting", "Nothing is signed yet", f"{entries(waiting.pending)} without a checkpoint.")
    bad = fault(newest)
    if bad:
        return Strip("not_verified", "The log does not verify", f"{bad} Run: manage.py ledger verify")
    last = examined.newest()
    if last is not None and last.first:
        return Strip("not_verified", "The log was altered", f"{last.first} Run: manage.py ledger verify")
    if (back := backwards.behind()) is not None:
        return Strip(
            "waiting", "The database's clock went back", f"The log shows a time that is {back} ahead of it."
        )
    text = (
        f"Checkpoint of {entries(newest.size)}, signed {utc(newest)}, {_age(newest)} ago: its signature holds, the log"
        " only grew. Looked at by this server just now."
    )
    if waiting.oldest_seconds > LATE_SECONDS:
        late = f"{entries(waiting.pending)} wait, the oldest for {waiting.oldest_seconds:.0f} s. Is the sequencer up?"
        return Strip("waiting", f"Verified to entry {newest.size - 1}, but behind", f"{text} {late}")
    return Strip("verified", f"Verified to entry {newest.size - 1}", f"{text} {_waiting(waiting.pending)}")


def _age(newest: Checkpoint) -> str:
    return span((timezone.now() - newest.created_at).total_seconds())


def fault(newest: Checkpoint) -> str:
    """What is wrong with the newest checkpoint, or with how the log grew to it; empty when nothing is."""
    return _fault(lambda: _check_growth(newest))


def of_leaf(leaf: Leaf) -> dict[str, Any]:
    """What components/proof.html shows for this entry."""
    try:
        proof = proofs.of_entry(leaf.entry)
    except NotYetSealed as wait:
        return {"state": "waiting", "title": "Not sealed yet", "sentences": [str(wait)]}
    except ProofDoesNotHold as bad:
        return _refuted(leaf.index, f"What is stored was altered: {bad}.")
    wrong = _fault(lambda: _check_entry(leaf, proof))
    return _refuted(leaf.index, wrong) if wrong else _proved(proof, checkpoint.verifier())


def _proved(proof: Proof, key: Verifier) -> dict[str, Any]:
    signed, index = proof.checkpoint, proof.index
    first = Checkpoint.objects.order_by("size").values_list("size", flat=True)[0]
    names = f"entry-{index}.json entry-{index}.tlog-proof"
    return {
        "state": "verified",
        "title": f"Verified: entry {index} is in the log and unchanged",
        "sentences": [
            "Its bytes are those that were sealed: their hash is the leaf at this place.",
            f"It is included in the checkpoint of {entries(signed.size)}, signed {utc(signed)} by {key.name}.",
            f"The log has only grown since its first checkpoint, of {entries(first)}.",
        ],
        "rows": [
            ("Leaf", proof.leaf.hex()),
            *((f"Node {number}", node.hex()) for number, node in enumerate(proof.path, start=1)),
            ("Root", bytes(signed.root).hex()),
            ("Key", str(key)),
        ],
        "command": f"python3 countersign-verify.py proof {names} --key '{key}'",
        "url": f"/audit/{index}/proof",
    }


def _refuted(index: int, fault: str) -> dict[str, Any]:
    return {
        "state": "not_verified",
        "title": f"Not verified: entry {index} does not fit the signed log",
        "sentences": [fault, "Keep this database as it is and run: manage.py ledger verify"],
    }


def _check_entry(leaf: Leaf, proof: Proof) -> None:
    said = parse(bytes(leaf.entry.body))
    entry = leaf.entry
    shown = (str(entry.pk), entry.kind, entry.subject, entry.actor, timestamp(entry.occurred_at))
    found_by = (str(leaf.entry_id), leaf.kind, leaf.subject, leaf.actor, timestamp(leaf.occurred_at))
    if (
        not shown
        == found_by
        == (said["id"], said["type"], said["subject"], said["actor"]["id"], said["time"])
    ):
        raise ProofDoesNotHold("it is listed otherwise than its sealed bytes say")
    _check_growth(proof.checkpoint)


def _check_growth(newest: Checkpoint) -> None:
    signed = checkpoint.read(newest.note, checkpoint.keys())
    if (signed.size, signed.root) != (newest.size, bytes(newest.root)):
        raise ProofDoesNotHold(f"checkpoint {newest.size} is stored otherwise than it was signed")
    proofs.consistency(Checkpoint.objects.order_by("size")[0], newest)


def _fault(check: Callable[[], None]) -> str:
    """What a check found, as a sentence; empty when everything held."""
    try:
        check()
    except (ProofDoesNotHold, BadNote, NotCanonical, LookupError, FileNotFoundError) as bad:
        return f"{str(bad)[:1].upper()}{str(bad)[1:]}."
    return ""


def utc(signed: Checkpoint) -> str:
    """When it was signed."""
    return f"{signed.created_at:%Y-%m-%d %H:%M:%S} UTC"


def entries(count: int) -> str:
    """So many, in words."""
    return f"{count} entr{'y' if count == 1 else 'ies'}"


def _waiting(count: int) -> str:
    return f"{entries(count)} wait for the next." if count else "Nothing waits."
