"""The control tests as people read them: versioned definitions, shipped as data, named by digest."""

from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path

import yaml

from audit.canonical import digest
from audit.refusals import NotFound

EXECUTION = "execution"
FILE = Path(__file__).with_name("catalogue.yaml")


@dataclass(frozen=True)
class Control:
    """One control test."""

    id: str
    version: int
    title: str
    statement: str
    test: str
    population: str
    references: tuple[str, ...]
    verified_by: str
    verified_on: str
    parameters: dict[str, int] = field(default_factory=dict)  # the numbers that it compares with
    kind: str = EXECUTION  # of the items of its population
    evidence: dict[int, tuple[str, ...]] = field(default_factory=dict)  # what a tier of environments needs

    @property
    def digest(self) -> str:
        """Of all that it says; what is as it is without saying so is left out."""
        usual = {"parameters": {}, "kind": EXECUTION, "evidence": {}}
        said = {name: value for name, value in asdict(self).items() if value != usual.get(name)}
        if self.evidence:
            said["evidence"] = {str(tier): list(kinds) for tier, kinds in self.evidence.items()}
        return digest("countersign/control/v1", said)


@cache
def controls() -> dict[str, Control]:
    """All control tests by id, in their order."""
    rows = yaml.safe_load(FILE.read_text("utf-8"))
    return {row["id"]: Control(**{**row, "references": tuple(row["references"])}) for row in rows}


def control(key: str) -> Control:
    """One of them; NotFound otherwise."""
    try:
        return controls()[key]
    except KeyError:
        raise NotFound("There is no such control test.") from None
