"""Synchronous mode: where policy demands it, nothing is answered or started before it stands in a signed log.

Whoever holds an entry back before it is sealed then only brings about that nothing happens: that the log is the one
of before is the witness's question. Waits, and must never wait in a transaction.
"""

import time
from collections.abc import Callable, Iterable
from uuid import UUID

from django.db import connection, transaction
from django.db.models import QuerySet

from approvals import witness
from approvals.closed import GateClosed, LedgerForked
from approvals.models import Permit, SignOff, Stage
from audit.canonical import parse
from audit.ledger import checkpoint, proofs
from audit.ledger.note import BadNote
from audit.ledger.proofs import NotYetSealed, ProofDoesNotHold
from audit.models import Entry
from audit.refusals import Refusal

ANSWER_SECONDS = 10.0  # how long a person waits for the answer
START_SECONDS = 3.0  # how long a worker waits before it asks the gate, which refuses what is still open
PERMIT_SECONDS = 30.0  # how long a worker that holds a step waits for its permit
POLL_SECONDS = 0.05
Place = tuple[UUID, int]  # a stream, and the version in it


class NotSealedYet(Refusal):
    """It is stored, and cannot be answered: no signed checkpoint covers it."""

    code = "not_sealed_yet"
    status = 503


class NotSealed(GateClosed):
    """Policy demands that an approval is sealed before anything starts, and it is not yet."""

    code, waits = "gate_not_sealed", True


def after_commit(rows: QuerySet[SignOff]) -> None:
    """Wait as `settle` does, once the transaction has committed that the caller is in: the answer follows."""
    transaction.on_commit(lambda: settle(rows))


def settle(rows: QuerySet[SignOff]) -> None:
    """Return once the newest entry of each of these is sealed, where its stage demands it; NotSealedYet otherwise."""
    settle_all([(one.pk, one.version) for one in rows.filter(stage__sealed=True)])


def settle_all(places: list[Place]) -> None:
    """The same of entries by their places."""
    if places and not _wait(lambda: all(map(_is_sealed, places)), ANSWER_SECONDS):
        raise NotSealedYet(
            "It is stored, but no signed checkpoint covers it yet, as policy demands here. Nothing starts before."
            " Reload in a moment; if this lasts, the sequencer is down."
        )


def wait_for(stages: Iterable[Stage]) -> None:
    """Before the gate is asked: give what was just signed off the moment that it takes to be sealed."""
    rows = SignOff.objects.filter(stage__in=[one for one in stages if one.sealed], withdrawn_at=None)
    places = [(one.pk, one.version) for one in rows]
    if places:
        _wait(lambda: all(map(_is_sealed, places)), START_SECONDS)


def check(key: str, stages: Iterable[Stage], counted: Iterable[SignOff]) -> bool:
    """The gate's question, once the witness believes the newest checkpoint: each such approval is under it.

    Answers whether any stage demands it.
    """
    demanding = {stage.pk: stage.name for stage in stages if stage.sealed}
    for one in counted:
        if one.approves and one.stage_id in demanding:
            if not _is_sealed((one.pk, one.version)):
                raise NotSealed(f"{demanding[one.stage_id]} of {key} is signed off, but not sealed yet.")
            _check_entry(one)
    return bool(demanding)


def permit_is_sealed(permit: UUID) -> bool:
    """Whether the entry of this permit is in the log that workers follow; waits for it."""
    found = _wait(lambda: _is_sealed((permit, 1)), PERMIT_SECONDS)
    witness.check()
    return found


def is_demanded(permit: Permit) -> bool:
    """Whether what this permit lets start waits until the permit itself is sealed."""
    return parse(bytes(permit.document)).get("sealed") is True


def _wait(holds: Callable[[], bool], seconds: float) -> bool:
    if connection.in_atomic_block:
        raise RuntimeError("what is not committed is never sealed: wait after the transaction")
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() >= until:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _is_sealed(place: Place) -> bool:
    """Whether the entry of this place is under the newest checkpoint, whose signature holds."""
    entry = Entry.objects.filter(stream=place[0], stream_version=place[1]).first()
    if entry is None:
        return False
    try:
        found = proofs.of_entry(entry)
        signed = checkpoint.read(found.checkpoint.note, checkpoint.keys())
    except NotYetSealed:
        return False
    except (ProofDoesNotHold, BadNote, LookupError, FileNotFoundError) as bad:
        raise LedgerForked(f"The log does not hold together, so nothing starts: {bad}.") from bad
    if (signed.size, signed.root) != (found.checkpoint.size, bytes(found.checkpoint.root)):
        raise LedgerForked("The newest checkpoint is stored otherwise than it was signed, so nothing starts.")
    return True


def _check_entry(one: SignOff) -> None:
    """What is sealed is this very sign-off: the log holds its signature."""
    body = Entry.objects.values_list("body", flat=True).get(stream=one.pk, stream_version=one.version)
    said = parse(bytes(body))
    if (said["type"], said["data"].get("signature")) != ("sign_off.given", one.signature):
        raise LedgerForked("The log tells of another sign-off than the one that counts, so nothing starts.")
