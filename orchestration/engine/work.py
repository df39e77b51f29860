"""One step from claim to completion, then the next of the same run. The ifs of the engine stand here."""

import logging
from uuid import UUID

import psycopg
from django.db import Error, connection

from approvals import sealing
from audit.refusals import Refusal
from orchestration.engine import dispatch
from orchestration.engine.attempt import Outcome
from orchestration.engine.claim import Claimed, claim
from orchestration.engine.complete import complete
from orchestration.engine.logs import Log
from orchestration.engine.nodes import Node
from orchestration.engine.supervise import Control, supervise

_log = logging.getLogger(__name__)
COMPLETION_TRIES = 30  # one a second: a database that restarts must not cost the outcome
COMPLETION_PAUSE_SECONDS = 1.0
UNSEALED = (
    "No signed checkpoint covers its permit, as policy demands here, so nothing was run. Is the sequencer up?"
)


def work(step_id: UUID, *, node: Node) -> None:
    """Run this step if it may run now, and go on with what becomes ready: no message in between."""
    following: UUID | None = step_id
    while following is not None and node.may_claim:
        following = _step(following, node=node)
    if following is not None:
        dispatch.wake(following)  # this worker drains; another goes on


def _step(step_id: UUID, *, node: Node) -> UUID | None:
    claimed = _claim(step_id, node=node)
    if claimed is None:  # another worker has it, the gate holds it, or it is not ready: nothing to do here
        return None
    log, control = Log(claimed.attempt, claimed.attempt_id), Control()
    with node.holding(claimed.attempt, control):
        outcome = _supervise(claimed, log=log, control=control)
        return _complete(claimed, outcome, log=log, node=node)


def _supervise(claimed: Claimed, *, log: Log, control: Control) -> Outcome:
    """What a step does never raises; what this machine lacks (memory, disk, descriptors) may."""
    try:
        return _unsealed(claimed) or supervise(claimed.attempt, on_log=log.take, control=control)
    except Exception as error:  # noqa: BLE001 - how the step ended is not known, and that is told
        _log.exception("step %s was not supervised to its end", claimed.step_id)
        return Outcome("unknown", reason=f"The worker failed: {type(error).__name__}: {error}"[:2000])


def _unsealed(claimed: Claimed) -> Outcome | None:
    """Why nothing is run of what is held already: its permit is not in a log that workers accept."""
    try:
        if claimed.sealed_permit is None or sealing.permit_is_sealed(claimed.sealed_permit):
            return None
    except (Refusal, Error, psycopg.Error) as error:
        connection.close()
        return Outcome("failed", reason=f"{UNSEALED} {error}"[:2000])
    return Outcome("failed", reason=UNSEALED)


def _claim(step_id: UUID, *, node: Node) -> Claimed | None:
    try:
        return claim(step_id, boot_id=node.boot_id)
    except (Error, psycopg.Error) as error:
        # Whether the commit happened is not known, so nothing is started; a lease that was written lapses.
        _log.warning("step %s was not claimed: %s", step_id, error)
        connection.close()
        return None


def _complete(claimed: Claimed, outcome: Outcome, *, log: Log, node: Node) -> UUID | None:
    """Written even if the database restarts meanwhile; longer than that, the lease lapses and is dealt with."""
    for _ in range(COMPLETION_TRIES):
        try:
            return complete(claimed, outcome, log=log)
        except (Error, psycopg.Error) as error:
            _log.warning("step %s is not completed yet: %s", claimed.step_id, error)
            connection.close()
            node.wait(COMPLETION_PAUSE_SECONDS)
    return None
