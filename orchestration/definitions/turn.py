"""What a definition says of a run's turn: the lock under which it runs alone, and how soon it goes. Pure.

It is resolved before the digest is made, so it is signed like everything else. Nothing but the bytes counts.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from orchestration.definitions.inputs import InputsInvalid
from orchestration.definitions.substitution import substitute
from orchestration.models import Plan, Revision

MAX_LOCK = 200
# What a priority is worth: it goes before whatever has not waited so much longer. Nobody waits for ever.
HEAD_START = {"high": timedelta(hours=1), "normal": timedelta(0), "low": timedelta(hours=-1)}
RUNNER = 2  # a worker of an earlier release would pass over all this, and so leaves it alone
EMERGENCY = timedelta(days=365)


class Turn(NamedTuple):
    """As the signed bytes tell it; an empty lock is none."""

    lock: str = ""
    head_start: timedelta = HEAD_START["normal"]
    pool: tuple[str, ...] = ()
    runner: int = 1
    environment: str = ""


def signed(spec: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Its parts of the document: only what the definition names, so that older digests stay what they are."""
    lock = str(substitute(spec.get("lock", ""), known)).strip()
    if len(lock) > MAX_LOCK:
        raise InputsInvalid(
            f"Nothing was sent: with these inputs its lock is longer than {MAX_LOCK} characters."
        )
    said = {"lock": lock, "priority": spec.get("priority"), "pool": sorted(spec.get("pool", []))}
    named = {name: value for name, value in said.items() if value}
    return {**named, "runner": RUNNER} if named else {}


def kept(document: Mapping[str, Any]) -> dict[str, Any]:
    """The same parts of what was signed already: what rolls a change back waits its turn like the change itself."""
    return {name: document[name] for name in ("lock", "priority", "pool", "runner") if name in document}


def of(source: Revision | Plan) -> Turn:
    """What makes a plan only reads, so it waits for no lock."""
    said = read(source.content)
    return said._replace(lock="") if isinstance(source, Plan) else said


def read(document: Mapping[str, Any]) -> Turn:
    """From the document. An emergency goes before all that is none."""
    head_start = EMERGENCY if document.get("emergency") else HEAD_START[document.get("priority", "normal")]
    return Turn(
        lock=str(document.get("lock", "")),
        head_start=head_start,
        pool=tuple(document.get("pool", ())),
        runner=int(document.get("runner", 1)),
        environment=str(document["environment"]["slug"]),
    )
