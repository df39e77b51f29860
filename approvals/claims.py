"""Claims and hand-overs: who looks at a stage now, and who asked whom to do it.

Runs in the caller's transaction. Hints among people: it must never keep anybody from deciding, nor let anybody decide
who could not before.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from accounts.acting import Acting
from accounts.models import User
from approvals import chain as chains
from approvals import eligibility
from approvals.clock import database_time
from approvals.models import Chain, Claim, HandOver, Stage
from approvals.seats import Seat
from audit.ledger.entry import Actor
from audit.ledger.record import record, timestamp
from audit.refusals import Invalid, NotAllowed, Refusal

LASTS = timedelta(minutes=30)
MAX_WORDS = 1000
_END = """
    UPDATE approvals_claim SET until = clock_timestamp()
     WHERE user_id = %s AND until > clock_timestamp()
       AND stage_id IN (SELECT id FROM approvals_stage WHERE chain_id = %s)
"""


class NotYourTurn(Refusal):
    """The stage does not ask this person now."""

    code = "not_your_turn"


def claim(chain: Chain, stage: UUID, *, by: Acting) -> Claim:
    """Say that one is reviewing; saying it again makes it last anew."""
    asked = _open_to(chain, stage, by)
    until = database_time() + LASTS
    made, _ = Claim.objects.update_or_create(stage=asked, user=by.user, defaults={"until": until})
    _record("stage.claimed", asked, by=by.actor, until=timestamp(until))
    return made


def release(chain: Chain, *, by: Acting) -> None:
    """Say that one is not, or no longer; without a claim nothing happens."""
    for one in current(chain):
        if one.user_id == by.user.pk:
            _end(chain, by.user)
            _record("stage.released", one.stage, by=by.actor)


def decided(chain: Chain, *, by: Acting) -> None:
    """A decision ends the claims of whoever made it; its own entry says so."""
    _end(chain, by.user)


def current(chain: Chain, *, at: datetime | None = None) -> list[Claim]:
    """Who is reviewing now."""
    standing = Claim.objects.filter(stage__chain=chain, until__gt=at or database_time(), user__is_active=True)
    return list(standing.select_related("user", "stage"))


def hand_over(chain: Chain, stage: UUID, *, to: User, note: str, by: Acting) -> HandOver:
    """Ask a colleague, who may decide this stage as well, to do it."""
    asked = _open_to(chain, stage, by)
    if len(note) > MAX_WORDS:
        detail = f"A note has at most {MAX_WORDS} characters."
        raise Invalid(f"Nothing was handed over. {detail}", errors=[{"pointer": "/note", "detail": detail}])
    if to.person_id == by.user.person_id or not _may(chain, asked, to):
        raise Invalid(
            f"Nothing was handed over: {to.name} cannot decide this stage now.",
            errors=[{"pointer": "/to", "detail": "Choose somebody else who may decide it."}],
        )
    _end(chain, by.user)
    made = HandOver.objects.create(
        stage=asked, giver=by.user, taker=to, note=note.strip(), at=database_time()
    )
    _record("stage.handed_over", asked, by=by.actor, to_account=str(to.pk), to_person=str(to.person_id))
    return made


def colleagues(chain: Chain, stage: Stage, user: User) -> list[Seat]:
    """To whom this person could hand the stage over."""
    people = eligibility.people(stage, conflicted=chain.barred)
    said = frozenset[UUID]().union(
        *(chains.persons(one) for one in chain.sign_offs.filter(stage=stage, withdrawn_at=None))
    )
    return [one for one in people if one.person != user.person_id and not one.persons & said]


def _open_to(chain: Chain, stage: UUID, by: Acting) -> Stage:
    """The stage, if it asks this person now."""
    if by.auth != "session" or by.user.kind != User.Kind.PERSON:
        raise NotAllowed("Only a person in a browser reviews; nothing was done.")
    found = next((one for one in chains.progress(chain) if one.stage.pk == stage), None)
    if found is None or not found.open or not _may(chain, found.stage, by.user):
        raise NotYourTurn("This stage does not ask you now, or you have decided it; nothing was done.")
    return found.stage


def _may(chain: Chain, stage: Stage, user: User) -> bool:
    places = eligibility.places(stage, conflicted=chain.barred, only=[user.pk])
    given, stages = chains.given(chain), list(chain.stages.all())
    return chains.free(places, stage.pk, stages=stages, given=given) is not None


def _end(chain: Chain, user: User) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_END, [user.pk, chain.pk])


def _record(kind: str, stage: Stage, *, by: Actor, **data: Any) -> None:
    record(
        kind, of=None, subject=stage.chain.subject, actor=by, chain=str(stage.chain_id), stage=str(stage.pk),
        stage_name=stage.name, **data,
    )  # fmt: skip
