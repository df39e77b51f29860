"""`trigger`: starts one job in another orchestrator, says each change of its state, and ends as it ends.

The key of the step goes along, so that another attempt finds the job that an earlier one started. When the run is
stopped, the job is asked to stop.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

from orchestration.actions import egress, web
from orchestration.actions.base import Cancelled, ChildAction, Context, Effect, Failed, Result
from orchestration.actions.trigger.airflow import Airflow
from orchestration.actions.trigger.argo import Argo
from orchestration.actions.trigger.awx import Awx
from orchestration.actions.trigger.far import Doubtful, briefly
from orchestration.actions.trigger.github import GitHub
from orchestration.actions.trigger.gitlab import GitLab
from orchestration.actions.trigger.jenkins import Jenkins
from orchestration.actions.trigger.orchestrator import ENDED, Handle, Look, Orchestrator

KINDS: dict[str, type[Orchestrator]] = {
    kind.name: kind for kind in (GitHub, GitLab, Jenkins, Awx, Airflow, Argo)
}
FIRST_LOOK_SECONDS, LONGEST_LOOK_SECONDS, SLOWER = 2.0, 30.0, 1.5
CANCEL_SECONDS = 7.0  # below the grace that the supervisor gives
MISSHAPEN = (web.NotUnderstood, KeyError, TypeError, ValueError, AttributeError, IndexError)
SEARCHES, SEARCH_SECONDS = 5, 3.0  # for a job whose start was not answered


class Trigger(ChildAction):
    name = "trigger"
    summary = "Starts a job in another orchestrator and waits until it has ended."
    inherits = egress.INHERITS
    checks = True
    schema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
        "properties": {name: kind.schema for name, kind in KINDS.items()},
    }

    def effect_of(self, with_: Mapping[str, Any]) -> Effect:
        [(name, given)] = with_.items()
        return KINDS[name].effect if KINDS[name].finds(given) else "at_most_once"

    def check(self, context: Context) -> Result:
        """What became of the job of an earlier attempt. One that goes on, or is not there, is for the run: it finds it
        and stays with it, or starts it."""
        [(name, given)] = context.with_.items()
        there = KINDS[name](given, context)
        found = _found(there, context)
        if found is None:
            return Result(
                succeeded=False, reason=f"{there.title} has no job that was started under this key."
            )
        with _understood(there):
            seen = there.look(found)
        if seen.state in ENDED:
            return _result(there, seen)
        return Result(succeeded=False, reason=f"{there.title} is still at it: {seen.handle.link}")

    def run(self, context: Context) -> Result:
        [(name, given)] = context.with_.items()
        there = KINDS[name](given, context)
        handle: Handle | None = None
        try:
            handle = _job(there, context)
            return _wait(there, handle, context)
        except Cancelled:
            _cancel(there, handle, context)
            raise


def _job(there: Orchestrator, context: Context) -> Handle:
    """The job of this step: what an earlier attempt started, or a new one."""
    found = _found(there, context)
    if found is not None:
        context.say(f"{there.title}: found the job that was started under this key: {found.link}")
        return found
    try:
        return there.start(context.idempotency_key)
    except MISSHAPEN as error:
        doubt = Doubtful(f"{there.title} answered what is not understood ({type(error).__name__}).")
        return _searched(there, context, doubt)
    except Doubtful as doubt:
        return _searched(there, context, doubt)


def _found(there: Orchestrator, context: Context) -> Handle | None:
    if not there.finds(there.given):
        return None
    with _understood(there):
        return there.find(context.idempotency_key)


def _searched(there: Orchestrator, context: Context, doubt: Doubtful) -> Handle:
    """It may have been taken although nobody said so; a second one is never started."""
    context.say(f"{doubt} Looking whether a job was started.")
    for _ in range(SEARCHES if there.finds(there.given) else 0):
        context.pause(SEARCH_SECONDS)
        if (found := _found(there, context)) is not None:
            return found
    raise Failed(f"{doubt} No job was found under the key of this step; look there before it is repeated.")


@contextmanager
def _understood(there: Orchestrator) -> Iterator[None]:
    """JSON of another shape than the protocol's ends in words."""
    try:
        yield
    except web.NotUnderstood:
        raise
    except MISSHAPEN as error:
        words = f"{there.title} answered what is not understood ({type(error).__name__})."
        raise web.NotUnderstood(words) from None


def _wait(there: Orchestrator, handle: Handle, context: Context) -> Result:
    pause, before = FIRST_LOOK_SECONDS, ""
    while True:
        try:
            with _understood(there):
                seen = there.look(handle)
        except Failed as error:
            raise Failed(f"{error} The job may still be running: {handle.link}") from None
        handle = seen.handle
        if seen.word != before:
            context.say(f"{there.title}: {seen.word} {handle.link}")
            before, pause = seen.word, FIRST_LOOK_SECONDS
        if seen.state in ENDED:
            return _result(there, seen)
        context.pause(pause)
        pause = min(pause * SLOWER, LONGEST_LOOK_SECONDS)


def _result(there: Orchestrator, seen: Look) -> Result:
    outputs = {"id": seen.handle.id, "link": seen.handle.link, "state": seen.state}
    if seen.state == "succeeded":
        return Result(succeeded=True, outputs=outputs)
    words = f"{there.title} ended the job as {seen.word}: {seen.handle.link}"
    return Result(succeeded=False, reason=words, outputs=outputs)


def _cancel(there: Orchestrator, handle: Handle | None, context: Context) -> None:
    """In the moments that are left: the job, too, is asked to stop. What cannot be asked is told."""
    there.far = there.far.within(briefly(context, CANCEL_SECONDS))
    try:
        handle = handle or _found(there, context)
        if handle is not None:
            with _understood(there):
                there.cancel(handle)
            context.say(f"{there.title} was asked to cancel {handle.link}")
        else:
            context.say(f"{there.title} has no job of this step, as far as can be told.")
    except (Failed, Cancelled) as error:
        link = f" {handle.link}" if handle else ""
        context.say(f"{there.title} could not be asked to cancel{link}; look there. {error}")
