"""Obligations: opened with a chain or an approval with a condition, closed by a person who says what was done.

Runs in the caller's transaction. It must never close one for the side that owes it, nor hold back a run: the permit
names what was open when the run started, and the change shows it until it is closed.
"""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import F

from accounts.acting import Acting
from accounts.models import User
from approvals import eligibility
from approvals.clock import database_time
from approvals.models import Chain, Obligation, SignOff
from audit.ledger.entry import Actor, system
from audit.ledger.personal import Erasable
from audit.ledger.record import record
from audit.refusals import Invalid, NotAllowed, NotFound, Refusal

POLICY = system("system:policy")
MAX_WORDS = 4000


class ObligationClosed(Refusal):
    """The obligation is closed, or nobody owes it any more."""

    code = "obligation_closed"


class OwnObligation(NotAllowed):
    """Whoever owes it does not say that it is met."""

    code = "own_obligation"


def open_by_policy(chain: Chain, notes: Iterable[Mapping[str, Any]], *, at: datetime) -> None:
    """One for each that the decision names."""
    for note in notes:
        _open(Obligation(chain=chain, rule=note["rule"], text=note["message"], opened_at=at), by=POLICY)


def open_by_condition(sign_off: SignOff, *, by: Actor) -> None:
    """The condition of an approval."""
    _open(
        Obligation(
            chain=sign_off.chain, sign_off=sign_off, text=sign_off.condition, opened_at=sign_off.given_at
        ),
        by=by,
    )


def close(chain: Chain, obligation: UUID, *, note: str, by: Acting) -> Obligation:
    """Say that it is met, and how one knows."""
    row = chain.obligations.select_related("sign_off", "chain").filter(pk=obligation).first()
    if row is None:
        raise NotFound("There is no such obligation.")
    _check_closer(row, by)
    _check_note(note)
    _check_owed(row)
    known = Obligation.objects.filter(pk=row.pk, version=row.version, closed_at=None)
    if not known.update(
        closed_at=database_time(), closed_by=by.user, note=note.strip(), version=F("version") + 1
    ):
        raise ObligationClosed("Somebody closed this obligation at the same moment; nothing was done.")
    row.refresh_from_db()
    _record("obligation.closed", row, by=by.actor, person=str(by.user.person_id), note=Erasable(row.note))
    return row


def may_close(row: Obligation, user: User) -> bool:
    """Whoever set it, or somebody who may decide a stage of its chain now; never who owes it, nor their deputy."""
    if not user.is_active or _owes(row, user):
        return False
    if row.sign_off is not None and row.sign_off.person_id == user.person_id:
        return True
    return any(
        eligibility.may_decide(stage, user, conflicted=row.chain.barred) for stage in row.chain.stages.all()
    )


def _check_closer(row: Obligation, by: Acting) -> None:
    if by.auth != "session" or by.user.kind != User.Kind.PERSON:
        raise NotAllowed("An obligation is closed by a person in a browser; nothing was done.")
    if _owes(row, by.user):
        raise OwnObligation(
            "You requested this change, wrote a part of it, or stand in for somebody who did, so someone else must say"
            " that the obligation is met."
        )
    if not may_close(row, by.user):
        raise NotAllowed(
            "This obligation is closed by whoever set it, or by somebody who may decide on this change. Nothing was"
            " done."
        )


def _owes(row: Obligation, user: User) -> bool:
    return user.person_id in eligibility.in_conflict(row.chain.conflicted)


def _check_note(note: str) -> None:
    detail = "" if note.strip() else "Write how you know that it is met."
    if len(note) > MAX_WORDS:
        detail = f"A note has at most {MAX_WORDS} characters."
    if detail:
        raise Invalid(f"Nothing was done. {detail}", errors=[{"pointer": "/note", "detail": detail}])


def _check_owed(row: Obligation) -> None:
    if row.state == "closed":
        raise ObligationClosed("This obligation is closed already; nothing was done.")
    if row.state == "void":
        raise ObligationClosed(
            "Nobody owes this any more: the change was edited or closed, or the approval was withdrawn."
        )


def _open(row: Obligation, *, by: Actor) -> None:
    row.save(force_insert=True)
    _record("obligation.opened", row, by=by)


def _record(kind: str, row: Obligation, *, by: Actor, **data: Any) -> None:
    record(
        kind, of=row, subject=row.chain.subject, actor=by, chain=str(row.chain_id), obligation=str(row.pk),
        rule=row.rule, sign_off=str(row.sign_off_id) if row.sign_off_id else None, text_digest=_hash(row.text), **data,
    )  # fmt: skip


def _hash(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
