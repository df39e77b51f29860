"""The control tests as people read them: versioned definitions, shipped as data, named by digest."""

from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import yaml

from audit.canonical import digest
from audit.refusals import NotFound

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

    @property
    def digest(self) -> str:
        return digest("countersign/control/v1", asdict(self))


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
