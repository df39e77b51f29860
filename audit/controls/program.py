"""Which program computes the control tests: a definition says what is tested, its judge decides. Both may change."""

import hashlib
import inspect
from functools import cache
from pathlib import Path

from audit.controls.judgements import JUDGES

HERE = Path(__file__).parent


@cache
def digest() -> str:
    """SHA-256 over the names and the bytes of all files that take part, in the order of their names."""
    seen = hashlib.sha256()
    for file in sorted(one for one in HERE.rglob("*") if one.suffix in {".py", ".yaml"}):
        seen.update(f"{file.relative_to(HERE)}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return f"sha256:{seen.hexdigest()}"


def source(control: str) -> str:
    """Where the judge of a control test stands."""
    judge = JUDGES[control]
    file = Path(str(inspect.getsourcefile(judge)))
    return f"audit/controls/{file.relative_to(HERE)}, {judge.__name__}"
