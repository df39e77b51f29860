"""`limits`: how much a step may use. What an author writes is signed, in plain numbers; the rest is the worker's. Pure.

It must never let a file ask for more than the installation allows.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings

UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
MIB = 1 << 20
OPEN_FILES, MOST_OPEN_FILES = 4096, 65_536
FILE_SIZE, MOST_FILE_SIZE = 10 << 30, 1 << 40
MOST_CPU_SECONDS = 7 * 24 * 3600
Limits = Mapping[str, int]


def usual() -> dict[str, int]:
    """What holds where the signed bytes say nothing. No limit of processor time: the step's timeout is one."""
    return {
        "memory": settings.STEP_MEMORY_MIB * MIB,
        "processes": settings.STEP_PROCESSES,
        "open_files": OPEN_FILES,
        "file_size": FILE_SIZE,
    }


def most() -> dict[str, int]:
    """What no file may exceed."""
    return {
        "memory": settings.STEP_MEMORY_MOST_MIB * MIB,
        "processes": settings.STEP_PROCESSES_MOST,
        "open_files": MOST_OPEN_FILES,
        "file_size": MOST_FILE_SIZE,
        "cpu_seconds": MOST_CPU_SECONDS,
    }


def merged(spec: Mapping[str, Any], step: Mapping[str, Any]) -> dict[str, Any]:
    """The step's own, over those of the workflow; as they were written."""
    return {**spec.get("limits", {}), **step.get("limits", {})}


def signed(spec: Mapping[str, Any], step: Mapping[str, Any]) -> dict[str, Any]:
    """What the document says: bytes and counts. Nothing where the author wrote nothing."""
    given = {name: number(value) for name, value in merged(spec, step).items()}
    return {"limits": given} if given else {}


def beyond(limits: Limits) -> Iterator[str]:
    """In words, what is more than this installation allows."""
    bounds = most()
    for name, value in limits.items():
        if value > bounds[name]:
            yield f"limits.{name} is {shown(name, value)}; at most {shown(name, bounds[name])} is allowed here"


def number(value: int | str) -> int:
    """`512MiB` as bytes; a count as it is."""
    return value if isinstance(value, int) else int(value[:-3]) * UNITS[value[-3:]]


def shown(name: str, value: int) -> str:
    """As a person writes it."""
    if name not in {"memory", "file_size"}:
        return str(value)
    unit = next((unit for unit in ("GiB", "MiB") if value % UNITS[unit] == 0), "KiB")
    return f"{value // UNITS[unit]}{unit}"
