"""The period that somebody asks a report or a bundle about."""

from collections.abc import Mapping
from datetime import UTC, datetime

from audit.refusals import Invalid


def period(asked: Mapping[str, str], *, undone: str) -> tuple[datetime | None, datetime | None]:
    """`[from, to)`, either end open where none is given; Invalid, which begins with what was not done."""
    start, end = (_moment(asked.get(name, ""), name, undone) for name in ("from", "to"))
    if start and end and end <= start:
        raise _fault(undone, "to", "The period ends before it begins.")
    return start, end


def _moment(text: str, name: str, undone: str) -> datetime | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
        at.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise _fault(undone, name, f"{text!a:.40} is not a day like 2026-09-01.") from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _fault(undone: str, name: str, words: str) -> Invalid:
    return Invalid(f"{undone}: {words}", errors=[{"pointer": f"/{name}", "detail": words}])
