"""One line of the table: what was measured, how much, of what. A control is a row too, and so is the ratio to it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Row:
    """`name` says what one unit is; `value` is in `unit`."""

    name: str
    value: float
    unit: str

    def told(self) -> dict[str, str | float]:
        return asdict(self)


def spread(name: str, seconds: Sequence[float]) -> list[Row]:
    """Median and 95th percentile of single waits."""
    ordered = sorted(seconds)
    return [
        Row(f"{name}, median", ordered[len(ordered) // 2] * 1000, "ms"),
        Row(f"{name}, 95th percentile", ordered[len(ordered) * 95 // 100] * 1000, "ms"),
    ]


def times(name: str, ours: float, control: float) -> Row:
    """How often the control fits into ours."""
    return Row(name, ours / control, "times")
