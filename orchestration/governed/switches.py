"""The act about kill switches: whatever one person has stopped, others let start again."""

from typing import Any, ClassVar

from approvals import switches
from audit.ledger.entry import Actor
from audit.refusals import NotFound
from orchestration.governed.act import Act, Faults, Given, chosen


class LiftKillSwitch(Act):
    name = "kill_switch.lift"
    title = "Lift a kill switch"
    summary = "Let {{inputs.kill_switch}} start again"
    description = "What waited for it may start at once, if everything else still agrees."
    inputs: ClassVar = {"kill_switch": chosen("Kill switch", "kill_switches")}

    @property
    def slug(self) -> str:
        return "kill-switch-lift"

    def faults(self, given: Given) -> Faults:
        try:
            switches.by_key(given["kill_switch"])
        except NotFound as missing:
            return {"kill_switch": str(missing)}
        return {}

    def holds(self, given: Given) -> bool:
        return bool(self.faults(given))

    def perform(self, given: Given, prepared: Any, *, by: Actor) -> None:
        switches.lift(switches.by_key(given["kill_switch"]), by=by)
