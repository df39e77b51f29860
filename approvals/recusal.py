"""Recusals: a reviewer says that they have a conflict of interest, and no longer counts.

Runs in the caller's transaction, which holds the lock of the change; locks the chain itself. It must never let anybody
say it for somebody else, nor take it back.
"""

from collections.abc import Iterable
from uuid import UUID

from accounts.acting import Acting
from accounts.models import User
from approvals.clock import database_time
from approvals.models import Chain, Recusal
from audit.ledger.personal import Erasable
from audit.ledger.record import record
from audit.refusals import Invalid, MoveNotAllowed, NotAllowed, Refusal

MAX_WORDS = 1000


class AlreadyInConflict(Refusal):
    """The person never counts on this change as it is."""

    code = "already_in_conflict"


def declare(chain: Chain, *, reason: str, by: Acting) -> Recusal:
    """Store it. What the person signed before counts no more; who gave it takes it back (`signoffs.withdraw`)."""
    _check_person(by)
    _check_reason(reason)
    chain.refresh_from_db(from_queryset=Chain.objects.select_for_update(no_key=True))
    _check_chain(chain, by)
    made = Recusal(
        chain=chain, person_id=by.user.person_id, user=by.user, reason=reason.strip(), at=database_time()
    )
    made.save(force_insert=True)
    record(
        "chain.recused", of=made, subject=chain.subject, actor=by.actor, chain=str(chain.pk), digest=chain.digest,
        person=str(by.user.person_id), reason=Erasable(made.reason),
    )  # fmt: skip
    return made


def persons(chains: Iterable[UUID]) -> frozenset[UUID]:
    """Whoever recused themselves from one of these."""
    return frozenset(Recusal.objects.filter(chain__in=list(chains)).values_list("person_id", flat=True))


def _check_person(by: Acting) -> None:
    if by.auth != "session" or by.user.kind != User.Kind.PERSON:
        raise NotAllowed("A conflict of interest is said by a person in a browser; nothing was done.")


def _check_reason(reason: str) -> None:
    detail = "" if reason.strip() else "Say in a few words what the conflict is."
    if len(reason) > MAX_WORDS:
        detail = f"A reason has at most {MAX_WORDS} characters."
    if detail:
        raise Invalid(f"Nothing was done. {detail}", errors=[{"pointer": "/reason", "detail": detail}])


def _check_chain(chain: Chain, by: Acting) -> None:
    if by.user.person_id in chain.barred:
        raise AlreadyInConflict("You never count on this change as it is; nothing was done.")
    if chain.state not in {Chain.State.OPEN, Chain.State.COMPLETE}:
        raise MoveNotAllowed("Nobody is asked about this any more, so nothing was done.")
