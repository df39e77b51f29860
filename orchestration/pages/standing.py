"""What holds a run up, in words: the lock that another run has, and whatever the gate last said."""

from typing import Any

from django.db.models.functions import Now

from orchestration import access, workers
from orchestration.engine import enrolled, queue
from orchestration.models import Run, Step


def context(user: Any, run: Run | None) -> dict[str, Any]:
    """`stand`: the lock with its holder and its queue; `held`: why steps that are ready do not start."""
    if run is None:
        return {"stand": None, "held": []}
    line = queue.line(run)
    waiting = line is not None and run in line.waiting
    return {"stand": _stand(user, run, line) if line else None, "held": [] if waiting else _held(run)}


def _stand(user: Any, run: Run, line: queue.Line) -> dict[str, Any]:
    """Of runs that this person may not see only the number is told."""
    others = {one.pk for one in [line.holder, *line.waiting] if one is not None}
    seen = set(access.visible_runs(user).filter(pk__in=others).values_list("pk", flat=True))
    holder = line.holder if line.holder and line.holder.pk != run.pk else None
    keys = [one.pk for one in line.waiting]
    return {
        "lock": line.lock,
        "holds": line.holder is not None and line.holder.pk == run.pk,
        "waits": run.pk in keys,
        "holder": holder if holder and holder.pk in seen else None,
        "hidden": holder is not None and holder.pk not in seen,
        "ahead": keys.index(run.pk) if run.pk in keys else 0,
        "waiting": [one for one in line.waiting if one.pk in seen],
        "unseen": sum(pk not in seen for pk in keys),
    }


def _held(run: Run) -> list[str]:
    ready = run.steps.filter(state=Step.State.READY).exclude(held_reason="").order_by("position")
    said = list(dict.fromkeys(ready.values_list("held_reason", flat=True)))[:5]
    return said or _nobody(run)


def _nobody(run: Run) -> list[str]:
    """That no worker is there which could take what is due."""
    due = run.steps.filter(state=Step.State.READY, not_before__lte=Now()).count()
    if not due or run.paused_at is not None:
        return []
    slug = run.change.environment.slug
    seen = enrolled.last_seen(slug, run.pool)
    why = workers.unserved(workers.Waiting(slug, run.pool, due, 0, 0, seen))
    return [why] if why else []
