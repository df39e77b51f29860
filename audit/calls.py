"""Calls to the workers, by the name of a task. One that is lost is made up for by the sweep of whoever called."""

from uuid import UUID

from celery import current_app


def send(task: str, key: UUID) -> None:
    """Ask for this row to be taken up. Waits two seconds for a broker, then gives up with an error of kombu's."""
    with current_app.producer_pool.acquire(block=True, timeout=2) as producer:
        current_app.send_task(
            task, kwargs={"id": str(key)}, producer=producer, retry=False, ignore_result=True
        )
