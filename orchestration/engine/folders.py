"""The folders of one attempt: what a plan step leaves, and what an apply step finds. Files alone, no database.

Whatever a step leaves is bounded and taken as bytes: no link is followed, nothing that is no plain file is taken.
It must never hand a step other bytes than it was given for it.
"""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from orchestration.engine.attempt import Attempt, Files, Outcome

MAX_FILES, MAX_BYTES = 20, 10_000_000
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
LEFT, FOUND = "artifacts", "plans"  # beside the step's working directory


class Unfit(Exception):
    """What a plan step left cannot be kept; in words."""


def lay_out(place: Path, attempt: Attempt) -> dict[str, str]:
    """Make the folders; the variables that tell the step where they are."""
    if attempt.phase == "plan":
        (place / LEFT).mkdir(mode=0o700)
        return {"STEP_PHASE": attempt.phase, "STEP_ARTIFACTS": str(place / LEFT)}
    _write(place / FOUND, attempt.plans)
    return {"STEP_PHASE": attempt.phase, "STEP_PLANS": str(place / FOUND)}


def collected(place: Path, attempt: Attempt, outcome: Outcome) -> Outcome:
    """The outcome with what a plan step left; a step that left nothing to look at, or too much, has failed."""
    if attempt.phase != "plan" or outcome.state != "succeeded":
        return outcome
    try:
        left = dict(_left(place / LEFT))
    except Unfit as unfit:
        return replace(outcome, state="failed", reason=str(unfit), outputs={})
    return replace(outcome, artifacts=left)


def _write(folder: Path, files: Files) -> None:
    folder.mkdir(mode=0o700)
    for step, contents in files.items():
        (folder / step).mkdir(mode=0o700)
        for name, data in contents.items():
            path = folder / step / name
            path.write_bytes(data)
            path.chmod(0o400)


def _left(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Each file by its name, while together they stay within the limits. The step's tree has ended by now."""
    try:
        place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        raise Unfit("The plan step took its folder $STEP_ARTIFACTS away; nothing was kept.") from None
    try:
        yield from _each(place, sorted(os.listdir(place)))  # noqa: PTH208 - of the folder that was opened
    finally:
        os.close(place)


def _each(place: int, names: list[str]) -> Iterator[tuple[str, bytes]]:
    if not names:
        raise Unfit("The plan step left no file in $STEP_ARTIFACTS, so there is nothing to review.")
    if len(names) > MAX_FILES:
        raise Unfit(f"The plan step left {len(names)} files; at most {MAX_FILES} can be kept.")
    room = MAX_BYTES
    for name in names:
        if not NAME.fullmatch(name):
            raise Unfit(f"The plan step left a file named {name!a}; use letters, digits, dots, dashes.")
        data = _read(place, name, room)
        room -= len(data)
        yield name, data


def _read(place: int, name: str, room: int) -> bytes:
    try:
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=place)
    except OSError:
        raise Unfit(f"The plan step left {name}, which is no plain file.") from None
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:  # a second name may be that of another's file
        os.close(handle)
        raise Unfit(f"The plan step left {name}, which is no plain file.")
    with os.fdopen(handle, "rb") as file:
        data = file.read(room + 1)
    if len(data) > room:
        raise Unfit(f"The plan step left more than {MAX_BYTES} bytes; nothing of it was kept.")
    return data
