"""Whether what is asked makes sense, before policy hears of it: its words, its times, and that something would run.

It must never look at who asks, nor store anything.
"""

from datetime import datetime
from typing import Any

from approvals.clock import database_time
from approvals.emergency import lifetime
from approvals.models import Decision
from audit.refusals import Invalid
from orchestration import emergency as emergencies
from orchestration.definitions.conditions import Undecided
from orchestration.definitions.digest import Emergency
from orchestration.definitions.repeats import Window
from orchestration.definitions.source import CONTROL
from orchestration.draft import Draft
from orchestration.engine.flow import first, foreseen

TEXT_MAX = 4000


def begins(draft: Draft, steps: list[dict[str, Any]]) -> None:
    """Conditions over inputs alone are decided now; where no step would run, nothing is asked of anybody."""
    places = {"service": {"slug": draft.service.slug}, "environment": {"slug": draft.environment.slug}}
    would = {"steps": steps, "inputs": draft.inputs, **places}
    try:
        foreseen(would)
        begins = first(would)
        said = "" if begins.run is None else begins.reason or "every step is passed over by its own condition"
    except Undecided as fault:
        said = str(fault)
    if said:
        detail = f"With these inputs {said}."
        raise Invalid(f"Nothing was sent. {detail}", errors=[{"pointer": "/inputs", "detail": detail}])


def once(draft: Draft) -> None:
    if draft.has_plan and draft.repeats is not None:
        detail = "What is planned first happens once: what is found now is not what will be there next time."
        raise Invalid(f"Nothing was sent. {detail}", errors=[{"pointer": "/repeats", "detail": detail}])


def repeats(window: Window, *, once: bool) -> None:
    if window.repeats is not None and once:
        detail = "A governed act, an emergency or a rollback happens once."
        raise Invalid(f"Nothing was sent. {detail}", errors=[{"pointer": "/repeats", "detail": detail}])


def lasts(draft: Draft, decision: Decision) -> None:
    """Sign-offs that end before the last start may begin would never let it start."""
    ends = decision.decided_at + lifetime(decision.output["require"], emergency=draft.emergency is not None)
    said = f"The sign-offs would end at {ends:%d %B %Y %H:%M} UTC, before that."
    errors = []
    if draft.repeats is not None and draft.repeats.occurrences[-1].start >= ends:
        detail = f"{said} Let the last time be earlier, and ask again then."
        errors = [{"pointer": "/repeats/rule", "detail": detail}]
    elif draft.not_before is not None and draft.not_before >= ends:
        errors = [{"pointer": "/not_before", "detail": f"{said} Choose an earlier start."}]
    if errors:
        raise Invalid(f"Nothing was sent. {errors[0]['detail']}", errors=errors)


def words(
    reason: str, not_before: datetime | None, not_after: datetime | None, emergency: Emergency | None
) -> None:
    errors = emergencies.faults(emergency)
    if not reason.strip():
        errors.append(
            {"pointer": "/reason", "detail": "Say why now, and what could go wrong: reviewers read it first."}
        )
    if len(reason) > TEXT_MAX or CONTROL.search(reason):
        detail = f"A reason has at most {TEXT_MAX} characters and no control characters."
        errors.append({"pointer": "/reason", "detail": detail})
    if any(moment is not None and moment.tzinfo is None for moment in (not_before, not_after)):
        errors.append({"pointer": "/not_before", "detail": "Give the time with its offset from UTC."})
    elif not_after and not_after <= (not_before or database_time()):
        errors.append({"pointer": "/not_after", "detail": "The window ends before it begins."})
    elif not_after and not_after <= database_time():
        errors.append({"pointer": "/not_after", "detail": "The end of the window lies in the past."})
    if errors:
        raise Invalid(f"Nothing was sent. {errors[0]['detail']}", errors=errors)
