"""The tables of a report, whichever file they go into: population, results, exceptions. No cell acts as a formula."""

from collections.abc import Iterator, Mapping
from typing import Any

from audit.reports.material import Material

Row = list[object]
RESULTS = ("control", "version", "no", "result", "reason", "words", "deviation")
FIRST = (
    "no",
    "kind",
    "item",
    "at",
    "index",
)  # of the columns of a population; the others as the rows have them


def population(material: Material) -> Iterator[Row]:
    """The header, then each item once."""
    had = dict.fromkeys(name for item in material.items for name in item)
    columns = [*(name for name in FIRST if name in had), *(name for name in had if name not in FIRST)]
    yield list(columns)
    for item in material.items:
        yield [cell(item.get(name)) for name in columns]


def results(material: Material) -> Iterator[Row]:
    """The header, then what each test found about each item."""
    yield list(RESULTS)
    yield from map(_result, material.results())


def exceptions(material: Material) -> Iterator[Row]:
    """The header, then what failed, could not be told or was excused."""
    yield list(RESULTS)
    yield from map(_result, material.exceptions())


def cell(value: Any) -> object:
    """Several values of one cell stand side by side."""
    if isinstance(value, list | tuple):
        return " ".join(str(cell(one)) for one in value)
    return value


def flat(told: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, object]]:
    """A manifest as pairs of a name and a value."""
    for name, value in told.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{before}{name}.")
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            for place, one in enumerate(value, start=1):
                yield from flat(one, f"{before}{name}.{place}.")
        else:
            yield f"{before}{name}", cell(value)


def _result(found: tuple[Any, int, Mapping[str, Any]]) -> Row:
    control, number, row = found
    return [control.id, control.version, number, *(row.get(name) for name in RESULTS[3:])]
