"""Wake-ups to workers. Never carries authority; losing one costs seconds, never work.

A message is an id and a version of the message's own shape. It leaves on commit, by task name, from a
background thread: neither a person who approves nor a worker ever waits for a broker.
"""

from functools import partial
from uuid import UUID

from celery import current_app
from django.db import transaction

from orchestration.engine.failpoints import failpoint
from orchestration.mailbox import Mailbox

TASK = "orchestration.wake"
SETTLE = "orchestration.settle"
VERSION = 1  # of the message; a worker ignores versions it does not know


def wake(step_id: UUID) -> None:
    """Tell the workers, once this transaction has committed, that a step may be ready."""
    transaction.on_commit(partial(_wakes.post, step_id, None), robust=True)


def settle(plan_id: UUID) -> None:
    """Tell the workers, once this transaction has committed, that a plan found what it was to find."""
    transaction.on_commit(partial(_plans.post, plan_id, None), robust=True)


def _publish(task: str, ids: dict[UUID, None]) -> None:
    failpoint("dispatch.before_wake")
    with current_app.producer_pool.acquire(block=True, timeout=2) as producer:
        for one in ids:
            message = {"v": VERSION, "id": str(one)}
            current_app.send_task(task, kwargs=message, producer=producer, ignore_result=True)


_wakes: Mailbox[UUID, None] = Mailbox("wakes", partial(_publish, TASK))
_plans: Mailbox[UUID, None] = Mailbox("plans", partial(_publish, SETTLE))
