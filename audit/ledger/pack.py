"""A zip in one form: members as they are, one after the other, no time, no extras. What verify.py expects to the byte.

Stored and not packed, so that nobody who opens one can be made to unpack more than there is.
"""

import zipfile
from collections.abc import Iterable
from typing import IO

MODE = 0o100644 << 16
MOST = 2**31 - 2**20  # bytes of a file: beyond, a zip needs a second form


def write(file: IO[bytes], members: Iterable[tuple[str, Iterable[bytes]]]) -> None:
    """Write the members in this order; each comes in pieces, and none is held as a whole."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, pieces in members:
            about = zipfile.ZipInfo(name)
            about.create_system, about.external_attr = 3, MODE
            with archive.open(about, "w") as member:
                for piece in pieces:
                    member.write(piece)
