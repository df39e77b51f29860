"""Secrets as files that the workers' machine holds: `FOLDER/payments/db-password/7`, the highest number the newest.

A version is a number with the file's time and size, so that a file that was overwritten is another version. To know
it takes a look at the folder, never at what is in the file: the web server needs no right to read one. Knows no Django.
"""

import os
from pathlib import Path

from orchestration.secrets.provider import MOST_BYTES, Gone, Unreachable


def current(folder: str, source: str) -> str:
    """The newest version."""
    numbers = [int(one.name) for one in _within(folder, source).iterdir() if one.name.isdecimal()]
    if not numbers:
        raise Gone("no file in its folder has a number for a name")
    return _version(max(numbers), (_within(folder, source) / str(max(numbers))).stat())


def value(given: dict[str, str]) -> bytes:
    """In the opener only: what stands in the file of this version."""
    number = given["version"].partition("-")[0]
    path = _within(given["folder"], given["source"]) / number
    try:
        with path.open("rb") as file:
            before = os.fstat(file.fileno())
            found = file.read(MOST_BYTES + 1)
            same = (
                _version(int(number), before)
                == given["version"]
                == _version(int(number), os.fstat(file.fileno()))
            )
    except FileNotFoundError:
        raise Gone(f"version {number} is no longer there") from None
    except PermissionError:
        raise Gone("this worker may not read its file") from None
    if not same:
        raise Gone(f"the file of version {number} was replaced since")
    return found


def _within(folder: str, source: str) -> Path:
    """The folder of one secret, never outside the one that the operator named."""
    root = Path(folder).resolve()
    if not folder or not root.is_dir():
        raise Unreachable("the folder of secrets is not there")
    place = (root / source).resolve()
    if not place.is_relative_to(root) or not place.is_dir():
        raise Gone("it has no folder")
    return place


def _version(number: int, seen: os.stat_result) -> str:
    return f"{number}-{seen.st_mtime_ns:x}-{seen.st_size:x}"
