"""Values in the words of the interface: time that passed, short digests, initials, lines of a log or a diff.

Pure functions; must never read a clock, a row or a request.
"""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

MINUTE, HOUR, DAY = 60, 3600, 86400
DIGEST = re.compile(r"^(?:(sha256):)?([0-9a-f]{16,})$")


def span(seconds: float) -> str:
    """A length of time in at most two units: 40 s, 9 m, 1 h 18 m, 3 d."""
    left = int(abs(seconds))
    if left < MINUTE:
        return f"{left} s"
    if left < HOUR:
        return f"{left // MINUTE} m"
    if left < DAY:
        hours, minutes = divmod(left // MINUTE, 60)
        return f"{hours} h {minutes} m" if minutes else f"{hours} h"
    return f"{left // DAY} d"


def short_span(seconds: float) -> str:
    """The same of what may take less than a second: 0.4 s, 40 s, 9 m."""
    if 0 < seconds < 0.05:
        return "under 0.1 s"
    return f"{seconds:.1f} s" if 0 <= seconds < 9.95 else span(seconds)


def relative(when: datetime, *, at: datetime) -> str:
    """A moment as seen from another one: `3 d ago`, `in 1 h 18 m`, `now`."""
    away = when - at
    if abs(away) < timedelta(seconds=2):
        return "now"
    words = span(away.total_seconds())
    return f"in {words}" if away > timedelta(0) else f"{words} ago"


def short_digest(digest: str) -> str:
    """`sha256:9f2c...1d7` from a full digest; anything else stays as it is."""
    found = DIGEST.match(digest)
    return f"{found[2][:6]}…{found[2][-4:]}" if found else digest


def initials(name: str) -> str:
    """Two letters for an avatar: first and last word of a name, or the first two letters of an account."""
    parts = [part for part in re.split(r"[\s@._-]+", name) if part]
    if not parts:
        return "?"
    return (parts[0][0] + parts[-1][0]).upper() if len(parts) > 1 else parts[0][:2].upper()


def diff_lines(text: str) -> Iterator[tuple[str, str]]:
    """Lines of a unified diff with the kind of each: add, del, at, ctx."""
    kinds = {"+": "add", "-": "del", "@": "at"}
    for line in text.splitlines():
        heading = line.startswith(("+++", "---", "diff ", "index "))
        yield "at" if heading else kinds.get(line[:1], "ctx"), line
