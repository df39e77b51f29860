"""What a step leaves in its files, read with suspicion: a plain file of its own, no link, no pipe, and only so much.

Whoever reads may be root, and the step is not: a link must never make it read what the step could not.
"""

import json
import os
import stat
from typing import Any

OUTPUTS_BYTES = 64 << 10
REASON_BYTES = 64 << 10  # masked as a whole, then cut


class Unfit(Exception):
    """It is no plain file."""


def read(path: str, most: int) -> bytes | None:
    """Up to `most` bytes; None where there is nothing."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError:
        raise Unfit from None
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            raise Unfit
        return os.read(handle, most)
    finally:
        os.close(handle)


def reason(path: str) -> str:
    """The sentence that the step left in $STEP_REASON, if it left one."""
    try:
        return (read(path, REASON_BYTES) or b"").decode(errors="replace").strip()
    except Unfit:
        return ""


def outputs(path: str) -> tuple[dict[str, Any], str]:
    """What the step wrote to $STEP_OUTPUTS, one flat JSON object; or what is wrong with it."""
    try:
        data = read(path, OUTPUTS_BYTES + 1)
    except Unfit:
        return {}, "The step's outputs are no plain file."
    if data is None:
        return {}, ""
    if len(data) > OUTPUTS_BYTES:
        return {}, f"The step wrote more than {OUTPUTS_BYTES} bytes of outputs."
    try:
        value = json.loads(data)
    except ValueError:
        return {}, "The step wrote outputs that are not JSON."
    if not isinstance(value, dict) or not all(isinstance(one, str | int | bool) for one in value.values()):
        return {}, "The step's outputs must be one flat object of text and whole numbers."
    return value, ""
