"""What held beside the changes: which policy was in force, where the environments stand, where the log is kept."""

from collections import defaultdict
from dataclasses import dataclass, field

from audit.controls.told import Told

CONTROL_ROOM = "control-room"  # the environment of governed acts
ITSELF = "countersign"  # and their service


def _lists() -> dict[str, list[Told]]:
    return defaultdict(list)


@dataclass
class Premises:
    """What the ledger says about policy and places."""

    decisions: dict[str, Told] = field(default_factory=dict)  # of policy, by id
    bundles: dict[str, list[Told]] = field(default_factory=_lists)  # activated and retired, by digest
    environments: dict[str, list[Told]] = field(default_factory=_lists)
    owners: dict[str, str] = field(default_factory=dict)  # of services: the team that answers for one now
    stamped: dict[int, Told] = field(default_factory=dict)  # checkpoints that an authority has seen, by size
    alarms: list[Told] = field(default_factory=list)  # that the log stands still
    probes: list[Told] = field(default_factory=list)  # of whether nothing starts then
    archived: dict[str, list[Told]] = field(default_factory=_lists)  # pieces of the log, by place
    checked: list[Told] = field(default_factory=list)  # archives that were restored

    def add(self, told: Told) -> None:
        """Take one entry in, in the order of the log."""
        match told.kind:
            case "policy.decided":
                self.decisions.setdefault(told.data["decision"], told)
            case "bundle.activated" | "bundle.retired":
                self.bundles[told.data["bundle"]].append(told)
            case "environment.created" | "environment.edited":
                self.environments[told.subject.removeprefix("environment:")].append(told)
            case "service.created" | "service.edited" if "owner" in told.data:
                self.owners[told.subject.removeprefix("service:")] = told.data["owner"]
            case "checkpoint.timestamped":
                self.stamped.setdefault(told.data["size"], told)
            case "ledger.behind":
                self.alarms.append(told)
            case "gate.probed":
                self.probes.append(told)
            case "archive.written":
                self.archived[told.data["place"]].append(told)
            case "archive.checked":
                self.checked.append(told)

    def stage_before(self, environment: str, index: int) -> str | None:
        """The environment just before this one in the order of promotion; empty before the first, None if unknown."""
        positions = {
            name: told.data["position"]
            for name, some in self.environments.items()
            if name != CONTROL_ROOM
            for told in some
            if told.index < index and "position" in told.data
        }
        if environment not in positions:
            return None
        before = [name for name, at in positions.items() if at < positions[environment]]
        return max(before, key=lambda name: (positions[name], name), default="")

    def stamped_between(self, size: int, due: str) -> bool:
        """Whether an authority was shown the log of this size, or a longer one, by then."""
        return any(size <= one and told.time <= due for one, told in self.stamped.items())

    def in_force(self, bundle: str, index: int) -> bool:
        """Whether this policy judged at a place in the log."""
        earlier = [told for told in self.bundles[bundle] if told.index < index]
        return bool(earlier) and earlier[-1].kind == "bundle.activated"
