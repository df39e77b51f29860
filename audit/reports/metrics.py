"""Measures of delivery and of agreeing, from the ledger alone. Pure: facts and a scope in, numbers out.

The names are those of DORA's guide; each is told with how many it was taken over, and a rate over fewer than ten is
not told. Commits are not in the ledger, so what would be their lead time is told as time from request to production.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import Any

from audit.controls.evaluate import Scope
from audit.controls.facts import Facts
from audit.controls.told import Told
from audit.ledger.record import timestamp

FEW = 10  # below, a rate says more about chance than about anybody
SOON = timedelta(hours=24)  # within which an emergency is said to follow from a deployment
DAY = 86400.0
ENDS = {"change.succeeded": True, "change.failed": False}


@dataclass(frozen=True)
class Deployment:
    """A change that ended in an environment: whether it succeeded, and what it answered to."""

    change: str
    service: str
    environment: str
    good: bool
    asked_at: datetime
    ended_at: datetime
    emergency: bool
    rolls_back: str


@dataclass(frozen=True)
class Agreed:
    """A change that was submitted and then had its whole chain."""

    change: str
    service: str
    asked_at: datetime
    agreed_at: datetime

    @property
    def seconds(self) -> float:
        return (self.agreed_at - self.asked_at).total_seconds()


@dataclass(frozen=True)
class Waits:
    """A change that waits: for which stage, and since when."""

    change: str
    service: str
    environment: str
    stage: str
    since: datetime


@dataclass(frozen=True)
class Delivery:
    """DORA's five of one service. None where there is nothing, or too little, to tell."""

    service: str
    deployments: int
    days: float
    per_week: float
    gap: float | None  # seconds, median
    lead: float | None  # seconds from request to production, median
    lead_90: float | None
    fail_rate: float | None
    failed: int
    recovery: float | None  # seconds, median
    rework_rate: float | None
    rework: int


def deployments(facts: Facts, scope: Scope) -> list[Deployment]:
    """Each change that ended within the scope, once, in the order of their ends."""
    return sorted(_ended(facts, scope), key=lambda one: one.ended_at)


def _ended(facts: Facts, scope: Scope) -> Iterator[Deployment]:
    for change, told in list(facts.states.items()):
        ends = [one for one in told if one.kind in ENDS]
        asked = facts.revisions.get(change)
        if not ends or not asked:
            continue
        last, request = ends[-1], asked[-1].data
        if _within(last, scope) and scope.environment in ("", request["environment"]):
            yield Deployment(
                change, str(request["service"]), str(request["environment"]), ENDS[last.kind], at(asked[0]), at(last),
                request.get("incident") is not None, str(request.get("rolls_back") or ""),
            )  # fmt: skip


def agreed(facts: Facts, scope: Scope) -> list[Agreed]:
    """Each change whose chain was complete within the scope: from its last revision to its approval."""
    found = []
    for change, told in list(facts.states.items()):
        done = next((one for one in reversed(told) if one.kind == "change.approved"), None)
        asked = facts.newest(change, done.index) if done else None
        if done and asked and _within(done, scope) and scope.environment in ("", asked.data["environment"]):
            found.append(Agreed(change, str(asked.data["service"]), at(asked), at(done)))
    return sorted(found, key=lambda one: one.agreed_at)


def waiting(facts: Facts) -> list[Waits]:
    """What waited for people when the newest entry was written, the oldest first."""
    found = [
        Waits(change, *_where(facts, change), _stage(facts, change), at(told[-1]))
        for change, told in list(facts.states.items())
        if told and told[-1].kind == "change.waiting"
    ]
    return sorted(found, key=lambda one: one.since)


def _where(facts: Facts, change: str) -> tuple[str, str]:
    """The service and the environment of what was asked last."""
    asked = facts.revisions.get(change)
    return (str(asked[-1].data["service"]), str(asked[-1].data["environment"])) if asked else ("", "")


def _stage(facts: Facts, change: str) -> str:
    """The first stage of its chain without its quorum."""
    asked = facts.revisions.get(change)
    chain = facts.chains.get(asked[-1].data["chain"] or "") if asked else None
    if chain is None or asked is None:
        return "no chain"
    given = facts.sign_offs.get(chain.data["chain"], [])
    for stage in sorted(chain.data["stages"], key=lambda one: int(one["order"])):
        people = {
            one.person
            for one in given
            if one.withdrawn is None
            and one.given.data["stage"] == stage["stage"]
            and one.approves(asked[-1].data["digest"], chain.data["digest"])
        }
        if len(people) < stage["quorum"]:
            return str(stage["name"])
    return "nobody"


def decisions(
    facts: Facts, scope: Scope, holds: Callable[[str], bool] = lambda _: True
) -> dict[str, dict[str, int]]:
    """For each stage, how many decisions of each kind were given within the scope, of the services that it `holds`."""
    about = {asked.data.get("chain"): asked.data for some in list(facts.revisions.values()) for asked in some}
    found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for one in facts.given.values():
        data, asked = one.given.data, about.get(one.given.data["chain"])
        elsewhere = asked is None or scope.environment not in ("", asked["environment"])
        if _within(one.given, scope) and not (scope.environment and elsewhere) and holds(_service(asked)):
            found[str(data.get("stage_name") or data["stage"])][str(data["decision"])] += 1
    return {stage: dict(found[stage]) for stage in sorted(found)}


def _service(asked: Mapping[str, Any] | None) -> str:
    return str(asked["service"]) if asked else ""


def exceptions(facts: Facts, months: Iterable[datetime]) -> dict[datetime, int]:
    """How many exceptions stood at some moment of each month."""
    spans = [_stood(told, facts) for told in facts.exceptions.values()]
    return {month: sum(start < after(month) and end > month for start, end in spans) for month in months}


def _stood(told: Told, facts: Facts) -> tuple[datetime, datetime]:
    early = facts.ended.get(told.data["exception"])
    end = datetime.fromisoformat(told.data["ends_at"])
    return at(told), min(end, at(early)) if early else end


def delivery(found: Sequence[Deployment], days: float) -> list[Delivery]:
    """DORA's five for each service; services are never blended, and nobody is ranked."""
    by_service = defaultdict(list)
    for one in found:
        by_service[one.service].append(one)
    return [_of_service(name, by_service[name], days) for name in sorted(by_service)]


def _of_service(service: str, found: list[Deployment], days: float) -> Delivery:
    good = [one for one in found if one.good]
    gaps = [(later.ended_at - one.ended_at).total_seconds() for one, later in pairwise(good)]
    leads = [(one.ended_at - one.asked_at).total_seconds() for one in good]
    around = _Around(found)
    failed = [one for one in found if around.intervened(one)]
    recovered = [seconds for one in failed if (seconds := around.recovery(one)) is not None]
    rework = sum(one.emergency for one in found)
    enough = len(found) >= FEW
    return Delivery(
        service, len(found), days, len(good) / days * 7, _median(gaps), _median(leads), percentile(leads, 90),
        len(failed) / len(found) if enough else None, len(failed), _median(recovered),
        rework / len(found) if enough else None, rework,
    )  # fmt: skip


class _Around:
    """What else happened in the environments of one service; `found` is in the order of the ends."""

    def __init__(self, found: Sequence[Deployment]) -> None:
        self.rolled_back = {one.rolls_back for one in found}
        self.emergencies, self.good = _ends(found, "emergency"), _ends(found, "good")

    def intervened(self, one: Deployment) -> bool:
        """It failed, it was rolled back, or an emergency followed in the same place within a day."""
        if not one.good or one.change in self.rolled_back:
            return True
        following = _next(self.emergencies[one.environment], one.ended_at)
        return following is not None and following - one.ended_at <= SOON

    def recovery(self, one: Deployment) -> float | None:
        """Seconds to the end of the next one that succeeded in the same place."""
        following = _next(self.good[one.environment], one.ended_at)
        return (following - one.ended_at).total_seconds() if following else None


def _ends(found: Sequence[Deployment], which: str) -> dict[str, list[datetime]]:
    ends: dict[str, list[datetime]] = defaultdict(list)
    for one in found:
        if getattr(one, which):
            ends[one.environment].append(one.ended_at)
    return ends


def _next(ends: Sequence[datetime], moment: datetime) -> datetime | None:
    place = bisect_right(ends, moment)
    return ends[place] if place < len(ends) else None


def days_of(scope: Scope, found: Sequence[Deployment]) -> float:
    """The length of the window: as asked, else from the first to the last; at least a day."""
    start = scope.start or (found[0].ended_at if found else None)
    end = scope.end or (found[-1].ended_at if found else None)
    return max(1.0, (end - start).total_seconds() / DAY) if start and end else 1.0


def percentile(values: Sequence[float], percent: int) -> float | None:
    """The nearest rank; nothing of nothing."""
    ranked = sorted(values)
    return ranked[max(0, -(-len(ranked) * percent // 100) - 1)] if ranked else None


def week(moment: datetime) -> datetime:
    """The Monday, 00:00 UTC, of its week."""
    start = day(moment)
    return start - timedelta(days=start.weekday())


def day(moment: datetime) -> datetime:
    """Its 00:00 UTC."""
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def month(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def quarter(moment: datetime) -> datetime:
    """The first day of its quarter."""
    start = month(moment)
    return start.replace(month=start.month - (start.month - 1) % 3)


def after(start: datetime) -> datetime:
    """The first of the next month."""
    return month(start + timedelta(days=32))


def at(told: Told) -> datetime:
    return datetime.fromisoformat(told.time)


def _within(told: Told, scope: Scope) -> bool:
    since = scope.start is None or timestamp(scope.start) <= told.time
    return since and (scope.end is None or told.time < timestamp(scope.end))


def _median(values: Sequence[float]) -> float | None:
    return median(values) if values else None
