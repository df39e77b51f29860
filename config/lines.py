"""The form of our own log: one record, one line, whatever a request or a program has put into it.

Controls are written out, so that nobody forges a line, colours a terminal or hides what stands there; what follows a
record (a traceback) is set in.
"""

import logging
import re
from types import TracebackType

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff]")
Exc = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class Line(logging.Formatter):
    """For LOGGING."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        return written_out(super().formatMessage(record))

    def formatException(self, ei: Exc) -> str:  # noqa: N802 - as above
        return _set_in(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802 - as above
        return _set_in(super().formatStack(stack_info))


def written_out(text: str) -> str:
    """The same without a control: `\\x1b` for an escape."""
    return CONTROL.sub(lambda found: repr(found[0])[1:-1], text)


def _set_in(text: str) -> str:
    return "\n".join(f"    {written_out(line)}" for line in text.splitlines())
