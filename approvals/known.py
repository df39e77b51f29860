"""What workers remember outside the database: the newest policy, the newest checkpoint of the log, and how critical
each place was when last seen.

One small file beside the workers' keys. It grows stricter by itself and weaker only by a governed act or a terminal,
so that nobody asks less of a worker by writing to the database. It must never be read or written by the web server.
"""

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings

from approvals import keys

NAME = "known.json"
POLICY, LOG = "policy", "log"


def policy() -> int:
    """The serial of the newest policy that any worker or terminal here has seen."""
    return int(_read().get(POLICY, 0))


def see_policy(serial: int) -> None:
    """A newer one judges from now on; an older one never again."""
    if serial > policy():
        with _held() as known:
            known[POLICY] = max(serial, known.get(POLICY, 0))


def log() -> tuple[int, bytes] | None:
    """Size and root of the newest log that any worker or terminal here has seen."""
    seen = _read().get(LOG)
    return (int(seen["size"]), bytes.fromhex(seen["root"])) if seen else None


def see_log(size: int, root: bytes) -> None:
    """A longer one, which was proved to begin with the one before."""
    with _held() as known:
        if size >= known.get(LOG, {"size": 0})["size"]:
            known[LOG] = {"size": size, "root": root.hex()}


def weaker(name: str, facts: Mapping[str, Any]) -> list[str]:
    """Which of these facts ask less than what is remembered about `environment:production`; none the first time."""
    known = _read().get(name, {})
    return [fact for fact in known if fact in facts and _is_weaker(facts[fact], known[fact])]


def see(name: str, facts: Mapping[str, Any]) -> None:
    """Remember what was seen, which `weaker` found nothing against."""
    if _read().get(name) != dict(facts):
        allow(name, facts)


def allow(name: str, facts: Mapping[str, Any]) -> None:
    """Remember this from now on, weaker or not: what a governed act, itself countersigned, has decided."""
    with _held() as known:
        known[name] = {**known.get(name, {}), **facts}


def _is_weaker(now: Any, then: Any) -> bool:
    """A higher tier is a less critical one; a protection that is gone; a text, an owner, that is another."""
    if isinstance(then, bool) or isinstance(now, bool):
        return then is True and now is not True
    if isinstance(then, int) and isinstance(now, int):
        return now > then
    return bool(now != then)


def _path() -> Path:
    if not keys.holds("trust"):
        raise keys.KeyNotHeld("What workers remember is not for the web server.")
    return Path(settings.KEY_DIR) / "worker" / NAME


def _read() -> dict[str, Any]:
    path = _path()
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


@contextmanager
def _held() -> Iterator[dict[str, Any]]:
    """The memory, to be changed by one process at a time and replaced as a whole."""
    path = _path()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = _read()
        yield known
        draft = path.with_suffix(".new")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(known, sort_keys=True, indent=1))
        draft.rename(path)
