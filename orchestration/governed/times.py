"""Acts about time: a freeze that holds less, a window that opens more."""

from collections.abc import Callable
from typing import Any, ClassVar

from approvals import periods, plans
from approvals.models import Freeze, Window
from approvals.plans import Plan
from audit.ledger.entry import Actor
from audit.refusals import Invalid, NotFound
from orchestration import calendar
from orchestration.governed.act import Act, Faults, Given, chosen, requested_by


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
