"""Which items of each kind lie in a scope. A control test names its kind in the catalogue."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from audit.controls.catalogue import control
from audit.controls.facts import Facts
from audit.controls.items import Execution, Item, Thing, execution
from audit.controls.premises import CONTROL_ROOM, ITSELF
from audit.ledger.record import timestamp


@dataclass(frozen=True)
class Scope:
    """What is asked: a period `[start, end)` and one environment, or all."""

    start: datetime | None = None
    end: datetime | None = None
    environment: str = ""

    def holds(self, one: Item) -> bool:
        """What belongs to no environment belongs to all."""
        environment = one.about.get("environment")
        after = self.start is None or timestamp(self.start) <= one.time
        before = self.end is None or one.time < timestamp(self.end)
        return after and before and (environment is None or self.environment in ("", environment))

    def plain(self) -> dict[str, Any]:
        return {
            "from": timestamp(self.start) if self.start else None,
            "to": timestamp(self.end) if self.end else None,
            "environment": self.environment or None,
        }


class Population:
    """Everything in one scope, made once for all control tests."""

    def __init__(self, facts: Facts, scope: Scope) -> None:
        self.facts, self.scope = facts, scope
        self._made: dict[str, list[Item]] = {}

    def of(self, kind: str) -> list[Item]:
        """The items of this kind, in the order of the log."""
        if kind not in self._made:
            found = KINDS[kind](self) if kind in KINDS else STANDING[kind](self)
            chosen = filter(self.scope.holds, found) if kind in KINDS else found
            self._made[kind] = sorted(chosen, key=lambda one: (one.index, one.name))
        return self._made[kind]

    @property
    def as_of(self) -> str:
        """The end of the period, or the newest moment that the log knows: what stands is judged as it stood then."""
        end = timestamp(self.scope.end) if self.scope.end else self.facts.until
        return min(end, self.facts.until)

    @cached_property
    def executions(self) -> list[Execution]:
        """Every start in scope; what only reads is none."""
        started = (execution(start, self.facts) for start in self.facts.starts)
        return [one for one in started if self.scope.holds(one) and not one.only_planned]


def _executions(among: Population) -> Iterable[Item]:
    return among.executions


def _service_months(among: Population) -> Iterator[Item]:
    """Each service in each month in which something of it was executed."""
    found: dict[tuple[str, str], list[Execution]] = defaultdict(list)
    for one in among.executions:
        found[one.time[:7], one.request.get("service") or "unknown"].append(one)
    for (month, service), executed in found.items():
        first = executed[0]
        about = {"service": service}
        shown = {"service": service, "started_at": first.time}
        yield Thing("service_month", f"{service} in {month}", first.index, first.time, executed, about, shown)


def _checkpoints(among: Population) -> Iterator[Item]:
    for one in among.facts.log.sealed:
        yield Thing("checkpoint", str(one.seal.size), one.seal.size - 1, one.time, one)


def _stops(among: Population) -> Iterator[Item]:
    """Each start, each day on which there was one, and each time that the log stood still."""
    yield from among.executions
    days: dict[str, Execution] = {}
    for one in among.executions:
        days.setdefault(one.time[:10], one)
    for day, one in days.items():
        at = f"{day}T00:00:00.000000Z"
        yield Thing("day", f"the stop on {day}", one.index, one.time, at)
    most = control("CT-14").parameters["seconds"]
    for sealed in among.facts.log.sealed:
        if sealed.is_late(most):
            yield Thing(
                "standstill",
                f"until checkpoint {sealed.seal.size}",
                sealed.seal.size - 1,
                sealed.begun,
                sealed,
            )


def _leavers(among: Population) -> Iterator[Item]:
    people = among.facts.directory.people
    for told in among.facts.directory.leavers:
        about = {"person": people.get(told.stream)}
        yield Thing("leaver", told.stream, told.index, told.time, told, about)


def _acts(among: Population) -> Iterator[Item]:
    """About the product itself, so that an exception agreed to beforehand can be for its service."""
    for deed in among.facts.administration.deeds:
        told = deed.told
        yield Thing("act", f"{told.kind} {told.subject}", told.index, told.time, deed, {"service": ITSELF})


def _deployments(among: Population) -> Iterator[Item]:
    """Each observation, and each place where something was executed."""
    for (service, environment), some in among.facts.releases.observed.items():
        for told in some:
            about = {"service": service, "environment": environment}
            yield Thing(
                "deployment", f"{service} in {environment}", told.index, told.time, told, about, about
            )
    last = {(one.request.get("service"), one.environment): one for one in among.executions}
    for (service, environment), one in last.items():
        if environment != CONTROL_ROOM:
            about = {"service": service, "environment": environment}
            name = f"{service or 'unknown'} in {environment}, all in all"
            yield Thing("deployment", name, one.index, one.time, (service, environment), about, about)


def _teams(among: Population) -> Iterator[Item]:
    """Each team that there was at the end of the period."""
    for team, told in among.facts.directory.made.items():
        if told.time <= among.as_of:
            yield Thing("team", team, told.index, among.as_of)


def _kept(among: Population) -> Iterator[Item]:
    """The archive, and each execution with the signatures that it rested on."""
    yield from _archives(among)
    yield from (one for one in among.executions if one.counted)


def _archives(among: Population) -> Iterator[Item]:
    """The whole log, in the archive that has most of it."""
    places = [
        [told for told in some if told.time <= among.as_of] for some in among.facts.premises.archived.values()
    ]
    best = max(places, key=lambda some: max((told.data["size"] for told in some), default=0), default=[])
    began = next((one.begun for one in among.facts.log.sealed), "")
    if among.facts.until and began <= among.as_of:  # before its first entry there was nothing to keep
        name = best[0].data["place"] if best else "the whole log"
        yield Thing("archive", name, best[-1].index if best else 0, among.as_of, best)


# What is judged as it stood at the end of the period, whenever it began.
STANDING: dict[str, Callable[[Population], Iterable[Item]]] = {"team": _teams, "kept": _kept}
KINDS: dict[str, Callable[[Population], Iterable[Item]]] = {
    "execution": _executions,
    "service_month": _service_months,
    "checkpoint": _checkpoints,
    "stop": _stops,
    "leaver": _leavers,
    "act": _acts,
    "deployment": _deployments,
}
