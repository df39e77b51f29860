"""Acts about time: a freeze that holds less, a window that opens more."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID

from accounts.models import User
from approvals import exempt, periods, plans
from approvals.models import Freeze, Window
from approvals.plans import Plan
from audit.ledger.entry import Actor
from audit.refusals import Invalid, NotFound
from orchestration import calendar, upcoming
from orchestration.asking import BEFORE_START
from orchestration.governed.act import Act, Faults, Given, chosen, requested_by
from orchestration.models import Change


def text(title: str, description: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "title": title, "description": description, "maxLength": 2000, **more}


NAME = text("Name", "Whoever waits for it reads this", maxLength=plans.MAX_NAME)
FOR = text("What it is for", "One sentence")
TIMES: dict[str, dict[str, Any]] = {
    "environments": text("Environments", "Names with spaces between them, or * for all"),
    "services": text("Services", "Only these; empty: all", default=""),
    "workflows": text("Workflows", "Only these; empty: all", default=""),
    "zone": text("Time zone", "Like Europe/Zurich", maxLength=64),
    "starts_at": text("First start", "As a clock there reads it: 2026-12-18T16:00", maxLength=20),
    "ends_at": text("First end", "2026-12-21T06:00", maxLength=20),
    "recurrence": text("Recurrence", "FREQ=WEEKLY;UNTIL=20271231; empty: once", default="", maxLength=200),
    "exceptions": text("Not on these days", "2026-12-25 2027-01-01", default=""),
}
FREEZE = chosen("Freeze", "freezes")
WINDOW = chosen("Window", "windows")


class PeriodAct(Act):
    """What the five have in common: the row by its key, the plan in the inputs."""

    kind: ClassVar[type[Freeze] | type[Window]]

    @property
    def what(self) -> str:
        return self.kind.__name__.lower()

    def row(self, given: Given) -> Any:
        return periods.by_key(self.kind, given[self.what])

    def plan(self, given: Given) -> Plan:
        """As it would be written; Invalid when it could hold nothing."""
        named = {"name": self.row(given).name, "reason": "As the change says."} if self.what in given else {}
        plan = plans.read({**given, **named}, what=self.what)
        calendar.check(self.kind, plan)
        return plan

    def tell(self, row: Freeze | Window, *, by: Actor) -> None:
        """Whoever's change it holds up; in the name of whoever asked for the act."""
        if not (isinstance(row, Freeze) and row.lifted_at is not None):
            calendar.tell(row, author=requested_by(by).requester, by=by)

    def found(self, question: Callable[[Given], Any], given: Given) -> Faults:
        """Why the question cannot be answered, by input."""
        try:
            question(given)
        except NotFound as missing:
            return {self.what: str(missing)}
        except Invalid as wrong:
            return {one["pointer"].split("/")[1]: one["detail"] for one in wrong.errors}
        return {}


class Lift(PeriodAct):
    """It holds no more; done already when it is not found among those that stand."""

    def faults(self, given: Given) -> Faults:
        return self.found(self.row, given)

    def holds(self, given: Given) -> bool:
        return bool(self.found(self.row, given))

    def perform(self, given: Given, prepared: Any, *, by: Actor) -> None:
        self.tell(periods.lift(self.row(given), reason=by.id, by=by), by=by)


class Edit(PeriodAct):
    """It says something else from now on."""

    def faults(self, given: Given) -> Faults:
        return self.found(self.plan, given)

    def holds(self, given: Given) -> bool:
        return not self.found(self.plan, given) and periods.says(self.row(given), self.plan(given))

    def perform(self, given: Given, prepared: Any, *, by: Actor) -> None:
        self.tell(periods.edit(self.row(given), self.plan(given), by=by), by=by)


class LiftFreeze(Lift):
    name = "freeze.lift"
    title = "Lift a freeze"
    summary = "Lift the freeze {{inputs.freeze}}"
    description = "Changes that waited for its end may start at once."
    inputs: ClassVar = {"freeze": FREEZE}
    kind = Freeze


class EditFreeze(Edit):
    name = "freeze.edit"
    title = "Make a freeze shorter or narrower"
    summary = "Change when and where the freeze {{inputs.freeze}} holds"
    description = "Only what is said here holds from then on. A freeze that gets longer needs no approval."
    inputs: ClassVar = {"freeze": FREEZE, **TIMES}
    kind = Freeze


class ExceptFromFreeze(PeriodAct):
    name = "freeze.except"
    title = "Let one change start through a freeze"
    summary = "Let {{inputs.change}} start through the freeze {{inputs.freeze}} until {{inputs.until}} UTC"
    description = (
        "The freeze holds for everything else. Exactly this revision may start; an edit of the change ends it. Whoever"
        " requested or wrote the change never agrees to its exception."
    )
    inputs: ClassVar = {
        "freeze": FREEZE,
        "change": {
            "type": "string",
            "title": "Change and revision",
            "description": "Its key, a slash, and the revision that may start",
            "pattern": "^CHG-[0-9]{1,15}/[0-9]{1,6}$",
            "maxLength": 40,
            "examples": ["CHG-12/2"],
        },
        "until": {
            "type": "string",
            "title": "Until",
            "description": "UTC, at most 7 days from now: 2026-12-18T16:00",
            "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}$",
            "maxLength": 16,
        },
        "why": {**FOR, "title": "Why it cannot wait", "minLength": 1},
    }
    kind = Freeze

    def faults(self, given: Given) -> Faults:
        found = self.found(self.row, given)
        if found:
            return found
        change = _change(given)
        if change is None:
            return {"change": "There is no such change that has not started, or it has another revision now."}
        if not periods.concerns(self.row(given), upcoming.place(change)):
            return {"change": "The freeze does not concern it."}
        until = _until(given)
        problem = exempt.end_fault(until) if until else "There is no such time."
        return {"until": problem} if problem else {}

    def concerns(self, given: Given) -> frozenset[UUID]:
        change = _change(given)
        if change is None or change.revision is None:
            return frozenset()
        persons = change.revision.chain.barred
        return frozenset(User.objects.filter(person__in=persons).values_list("pk", flat=True))

    def holds(self, given: Given) -> bool:
        change = _change(given)
        digest = change.revision.digest if change and change.revision else ""
        until = _until(given)
        if until is None or self.found(self.row, given):
            return False
        return exempt.standing().filter(subject=digest, ends_at=until, freeze=self.row(given)).exists()

    def perform(self, given: Given, prepared: Any, *, by: Actor) -> None:
        problems, change, until = self.faults(given), _change(given), _until(given)
        if problems or change is None or change.revision is None or until is None:
            raise Invalid(f"Nothing was let through. {next(iter(problems.values()), '')}")
        named, digest = given["change"], change.revision.digest
        exempt.grant(self.row(given), subject=digest, named=named, until=until, reason=given["why"], by=by)


def _change(given: Given) -> Change | None:
    """The change, while this revision is its newest and has not started."""
    key, _, number = given["change"].partition("/")
    rows = Change.objects.filter(number=int(key.removeprefix("CHG-")), revision__number=int(number))
    found = rows.filter(state__in=BEFORE_START, kind=Change.Kind.NORMAL)
    return found.select_related("revision__chain", "environment", "service", "workflow").first()


def _until(given: Given) -> datetime | None:
    try:
        return datetime.fromisoformat(given["until"]).replace(tzinfo=UTC)
    except ValueError:
        return None


class CreateWindow(PeriodAct):
    name = "window.create"
    title = "Add a window"
    summary = "Let changes in {{inputs.environments}} start in the window {{inputs.name}} too"
    description = (
        "Where windows stand, changes start only inside one; another one lets them start at more times."
    )
    inputs: ClassVar = {"name": NAME, "reason": FOR, **TIMES}
    kind = Window

    def faults(self, given: Given) -> Faults:
        return self.found(self.plan, given)

    def holds(self, given: Given) -> bool:
        plan = self.plan(given)
        return any(periods.says(one, plan) for one in periods.standing(Window).filter(name=plan.name.strip()))

    def perform(self, given: Given, prepared: Any, *, by: Actor) -> None:
        self.tell(periods.create(Window, self.plan(given), by=by), by=by)


class EditWindow(Edit):
    name = "window.edit"
    title = "Make a window longer or wider"
    summary = "Change when and where the window {{inputs.window}} opens"
    description = "Only what is said here holds from then on. A window that gets shorter needs no approval."
    inputs: ClassVar = {"window": WINDOW, **TIMES}
    kind = Window


class LiftWindow(Lift):
    name = "window.lift"
    title = "Lift a window"
    summary = "Lift the window {{inputs.window}}"
    description = "Where the last one of a scope goes, its changes may start at any time."
    inputs: ClassVar = {"window": WINDOW}
    kind = Window
