"""`govern`: the action that performs a governed act, in the worker, under the fence of its attempt."""

from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar
from uuid import UUID

from django.db import transaction

from audit.ledger.entry import system
from audit.refusals import NotAllowed, Refusal
from orchestration.actions.base import Cancelled, Context, Effect, InProcessAction, Result
from orchestration.governed import (
    destinations,
    exceptions,
    passkeys,
    people,
    places,
    policy,
    privacy,
    secrets,
    switches,
    times,
)
from orchestration.governed.act import Act, Given
from orchestration.models import CONTROL_ROOM, Step

ACTS: tuple[type[Act], ...] = (
    people.StartMembership,
    people.EndMembership,
    people.Grant,
    people.Revoke,
    people.MakeAdmin,
    people.WidenScopes,
    places.EnvironmentTier,
    places.EnvironmentUnprotect,
    places.ServiceTier,
    places.ServiceOwner,
    passkeys.EnrolPasskey,
    times.LiftFreeze,
    times.EditFreeze,
    times.ExceptFromFreeze,
    times.CreateWindow,
    times.EditWindow,
    times.LiftWindow,
    switches.LiftKillSwitch,
    exceptions.GrantException,
    policy.ActivatePolicy,
    secrets.EditScope,
    secrets.Register,
    destinations.Create,
    destinations.Edit,
    destinations.End,
    privacy.EraseTexts,
    privacy.EraseName,
)


@cache
def acts() -> dict[str, Act]:
    """Every governed act by its name."""
    return {one.name: one() for one in ACTS}


class Govern(InProcessAction):
    """Ours alone: it writes to the database, through the same writers as every door."""

    name = "govern"
    summary = "Performs one governed act: an edit of who may do what, of a protection, or of policy."
    effect: ClassVar[Effect] = "idempotent"
    environments = frozenset({CONTROL_ROOM})
    schema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "required": ["act"],
        "properties": {"act": {"enum": [one.name for one in ACTS]}},
        "additionalProperties": {"type": ["string", "integer", "boolean"]},
    }

    def faults(self, with_: Mapping[str, Any]) -> dict[str, str]:
        act, given = _read(with_)
        if set(given) != set(act.inputs):
            return {"act": f"{act.name} takes {', '.join(act.inputs)}."}
        return act.faults(given)

    def concerns(self, with_: Mapping[str, Any]) -> frozenset[UUID]:
        act, given = _read(with_)
        return act.concerns(given)

    def run(self, context: Context) -> Result:
        act, given = _read(context.with_)
        try:
            prepared = act.prepare(given)
            with transaction.atomic():
                change = _hold(context)
                if act.holds(given):
                    return Result(succeeded=True, reason="It was so already; nothing was changed.")
                act.perform(given, prepared, by=system(f"change:{change}"))
        except Refusal as refusal:
            return Result(succeeded=False, reason=str(refusal))
        context.say(f"{act.title}: done.")
        return Result(succeeded=True)


def _read(with_: Mapping[str, Any]) -> tuple[Act, Given]:
    return acts()[with_["act"]], {name: value for name, value in with_.items() if name != "act"}


def _hold(context: Context) -> str:
    """The key of the change this attempt belongs to, its step locked: an attempt that lost its lease does nothing."""
    step_id, _, number = context.fence.partition(":")
    rows = Step.objects.select_related("run__change__environment").select_for_update(
        no_key=True, of=("self",)
    )
    step = rows.filter(pk=step_id, attempt=int(number), state=Step.State.RUNNING).first()
    if step is None:
        raise Cancelled
    if step.run.change.environment.slug != CONTROL_ROOM:
        raise NotAllowed(f"Governed acts happen in {CONTROL_ROOM} only; nothing was done.")
    return step.run.change.key
