"""Logs as a worker writes them: pieces of a held step, stored by the engine's own writer."""

from collections.abc import Iterable
from typing import Any

from orchestration.engine.attempt import Chunk, Outcome
from orchestration.engine.claim import Claimed
from orchestration.engine.complete import complete
from orchestration.engine.logs import Log
from orchestration.models import Step
from tests.orchestration.deeds import holding
from tests.orchestration.world import World, step

Piece = tuple[str, bytes, int]  # stream, data, bytes left out before it


def printing(held: Claimed, pieces: Iterable[Piece]) -> Log:
    """The log of an attempt that has printed this, stored."""
    log = Log(held.attempt, held.attempt_id)
    for seq, (stream, data, dropped) in enumerate(pieces, start=1):
        log.take(Chunk(seq, stream, data, dropped))
        log.store()
    return log


def printed(world: World, *attempts: Iterable[Piece], state: Any = "succeeded") -> Step:
    """A step that ended after it printed this, in as many attempts; all but the last failed."""
    one = world.run(step("a", effect="idempotent", retries=len(attempts) - 1)).steps.get()
    for number, pieces in enumerate(attempts, start=1):
        Step.objects.filter(pk=one.pk, state="ready").update(not_before="2020-01-01T00:00:00Z")
        held = holding(one)
        log = printing(held, pieces)
        complete(held, Outcome(state if number == len(attempts) else "failed", exit_code=1), log=log)
    return Step.objects.get(pk=one.pk)


def out(*data: bytes) -> list[Piece]:
    return [("stdout", one, 0) for one in data]
