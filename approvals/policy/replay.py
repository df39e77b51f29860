"""What a candidate would have decided: recorded inputs judged again, each beside what was decided then.

Reads the record, stores nothing and decides nothing. An input is judged as it was recorded, with the time it names;
who is in which team today plays no part.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from itertools import count, islice
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.db.models.functions import Now

from approvals.models import Decision
from approvals.policy import contract, lint, pool
from approvals.policy.bundles import Candidate
from approvals.policy.engine import PolicyRefused, PolicyUnavailable

BATCH = 50  # decisions handed to the pool at a time: what a cancel waits for
STOPPED = 20  # evaluations; a candidate that is stopped more often has nothing to show
ROWS = 10_000  # differences that are kept
LISTED = 50  # of them in Markdown
KEPT = ("order", "stage", "quorum", "signature")


class Kind(StrEnum):
    """What became of one decision."""

    SAME = "same"  # the same people are asked, and the same is refused
    NEWLY_BLOCKED = "newly_blocked"  # was allowed; is denied, or gets no usable answer
    NEWLY_NEEDS_APPROVAL = "newly_needs_approval"  # a team is asked that was not, or more of one
    NEWLY_ALLOWED = "newly_allowed"  # was denied, and is not
    CHANGED = "changed"  # fewer are asked, or in another order


@dataclass(frozen=True)
class Judged:
    """One recorded decision and what the candidate says to the same input."""

    decision: str
    subject: str  # CHG-12, or `preview`
    kind: Kind
    before: Mapping[str, Any]
    after: Mapping[str, Any] | None  # None: no usable answer
    reason: str  # why there is none
    protected: bool  # whether it is about an environment that is

    @property
    def risky(self) -> bool:
        """Newly allowed where it matters."""
        return self.kind == Kind.NEWLY_ALLOWED and self.protected


@dataclass
class Tally:
    """The numbers of a replay: how many of each kind, and the sign-offs that each team is asked for more or less."""

    kinds: Counter[Kind] = field(default_factory=Counter)
    load: Counter[str] = field(default_factory=Counter)

    def add(self, one: Judged) -> None:
        self.kinds[one.kind] += 1
        self.load.update(asked(one.after or {}))
        self.load.subtract(asked(one.before))

    @property
    def total(self) -> int:
        return sum(self.kinds.values())

    @property
    def differs(self) -> int:
        return self.total - self.kinds[Kind.SAME]


def recorded(days: int) -> QuerySet[Decision]:
    """What was decided about changes in the last days, oldest first."""
    since = Now() - timedelta(days=days)
    return Decision.objects.filter(decided_at__gte=since).order_by("decided_at", "pk")


def replay(candidate: Candidate, decisions: Iterable[Decision]) -> Iterator[list[Judged]]:
    """Judge each again, in batches, with every process of the pool."""
    places = lint.places(candidate.rules)
    waiting, stopped = iter(decisions), count(1)
    with ThreadPoolExecutor(settings.POLICY_PROCESSES, thread_name_prefix="replay") as threads:
        while batch := list(islice(waiting, BATCH)):
            yield list(threads.map(lambda one: _judge(candidate, places, one, stopped), batch))


def compare(before: Mapping[str, Any], after: Mapping[str, Any] | None) -> Kind:
    """What is different between two answers; None is no answer, which blocks."""
    was, now = bool(before["deny"]), after is None or bool(after["deny"])
    if was != now:
        return Kind.NEWLY_BLOCKED if now else Kind.NEWLY_ALLOWED
    if after is None or now:
        return Kind.SAME
    if asked(after) - asked(before):
        return Kind.NEWLY_NEEDS_APPROVAL
    return Kind.SAME if _demands(before) == _demands(after) else Kind.CHANGED


def asked(answer: Mapping[str, Any]) -> Counter[str]:
    """Sign-offs by team that an answer asks for; a denied change asks nobody."""
    found: Counter[str] = Counter()
    for stage in () if answer.get("deny") else answer.get("require", ()):
        for name in (*stage["teams"], *(f"account {one}" for one in stage.get("users", ()))):
            found[name] += stage["quorum"]
    return found


def _demands(answer: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """What a chain is made of, apart from which rule asked for it."""
    return sorted(
        (
            one["order"],
            one["stage"],
            one["quorum"],
            sorted(one["teams"]),
            sorted(one.get("users", ())),
            one["signature"],
        )
        for one in answer["require"]
    )


def _judge(
    candidate: Candidate, places: Mapping[str, str], decision: Decision, stopped: Iterator[int]
) -> Judged:
    after, reason = None, ""
    try:
        answer = pool.trial().evaluate(candidate.digest, candidate.sources, decision.input)
        after = contract.check_output(answer, facts=decision.input, places=places)
    except PolicyRefused as refused:
        reason = str(refused)
    except PolicyUnavailable as failed:
        reason = str(failed)
        if next(stopped) > STOPPED:
            said = f"The candidate was stopped {STOPPED} times without an answer, so no more is asked of it. {reason}"
            raise PolicyRefused(said) from failed
    return Judged(
        decision=str(decision.pk),
        subject=decision.input["change"]["id"],
        kind=compare(decision.output, after),
        before=decision.output,
        after=after,
        reason=reason,
        protected=decision.input["environment"]["protected"],
    )


def markdown(
    tally: Tally, differing: Iterable[tuple[str, str, str]], *, span: str, risky: int, name: str = ""
) -> str:
    """For a pull request: the numbers, what is newly allowed where it matters, the load, the first rows."""
    lines = [f"### {tally.total} decisions of {span}, judged again{f': {name}' if name else ''}", ""]
    if risky:
        lines += [f"**{risky} of the newly allowed are in protected environments.**", ""]
    lines += ["| | decisions |", "|---|---|"]
    lines += [f"| {kind.replace('_', ' ')} | {tally.kinds[kind]} |" for kind in Kind]
    load = [f"| {team} | {more:+} |" for team, more in sorted(tally.load.items()) if more]
    if load:
        lines += ["", "| team | sign-offs, more or less |", "|---|---|", *load]
    shown = [
        f"- {subject}: {kind.replace('_', ' ')}. {' '.join(said.split())}"
        for subject, kind, said in islice(differing, LISTED)
    ]
    return "\n".join([*lines, *(["", *shown] if shown else [])])


def words(one: Judged) -> str:
    """`Service owner, Security → Service owner`."""
    return f"{named(one.before)} → {one.reason or named(one.after or {})}"


def named(answer: Mapping[str, Any]) -> str:
    """Whom an answer asks, or what denies."""
    if answer.get("deny"):
        return f"denied by {answer['deny'][0]['rule']}"
    return ", ".join(f"{one['stage']} ({one['quorum']})" for one in answer.get("require", ())) or "nobody"
