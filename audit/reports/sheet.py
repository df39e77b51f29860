"""A CSV that proves its own completeness: rows, then one line with their number, the checkpoint and a digest.

A comment in a cell is written by whoever was refused, so a cell never begins as a formula.
"""

import csv
import hashlib
import io
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

FORMULA = (
    "=",
    "+",
    "-",
    "@",
    "\uff1d",
    "\uff0b",
    "\uff0d",
    "\uff20",
    "\t",
    "\r",
    "\n",
)  # full-width ones too
PIECE = 65_536  # bytes


@dataclass(frozen=True)
class Sheet:
    """A finished file: how many rows, and the SHA-256 of everything before its last line."""

    file: IO[bytes]
    count: int
    digest: str

    def pieces(self) -> Iterator[bytes]:
        """The file for a streaming answer; closed at the end."""
        return pieces(self.file)


def pieces(file: IO[bytes]) -> Iterator[bytes]:
    """A file without a name from its beginning; closed at the end."""
    with file:
        file.seek(0)
        while piece := file.read(PIECE):
            yield piece


def digest(file: IO[bytes]) -> str:
    """The SHA-256 of all of it."""
    file.seek(0)
    return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"  # type: ignore[arg-type]  # it is a real one


def write(
    header: Sequence[str], rows: Iterable[Sequence[object]], *, manifest: Mapping[str, object]
) -> Sheet:
    """Write the sheet into a file without a name; RFC 4180, UTF-8."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - Sheet.pieces closes it
    seen, count = hashlib.sha256(), 0
    _put(file, seen, header)
    for count, row in enumerate(rows, start=1):  # noqa: B007 - the last number is the count
        _put(file, seen, row)
    above = f"sha256:{seen.hexdigest()}"
    told = {**manifest, "rows": count, "digest_of_lines_above": above}
    file.write(line(["#manifest", json.dumps(told, sort_keys=True)]))
    return Sheet(file, count, above)


def _put(file: IO[bytes], seen: "hashlib._Hash", row: Sequence[object]) -> None:
    text = line(row)
    seen.update(text)
    file.write(text)


def line(row: Sequence[object]) -> bytes:
    """One row as it stands in the file."""
    text = io.StringIO()
    csv.writer(text).writerow([safe(cell) for cell in row])
    return text.getvalue().encode()


def safe(cell: object) -> str:
    """The cell as text that no spreadsheet executes."""
    text = "" if cell is None else str(cell)
    return f"'{text}" if text.startswith(FORMULA) else text
