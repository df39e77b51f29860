"""The profile `bubblewrap`: a step's processes with namespaces of their own, on a system that they can only read.

A step then sees its own processes, its own folder, its own `/tmp` and its own secrets, and neither keys nor other
steps nor anybody's home. Its network is the machine's. It must never be less than the setting asked for: a worker
whose machine cannot make such a box takes no step.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings

NAME = "bubblewrap"
PROBE_SECONDS = 10
SCRATCH = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - where programs write by habit; each holds so little here:
SHARE = 4  # a quarter of the step's memory. $TMPDIR is on the disk
PRIVATE = (
    "/run",
    "/root",
    "/home",
    "/srv",
    "/mnt",
    "/media",
)  # sockets of the machine's servers, people's files
NAMESPACES = ("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")


def around(places: Sequence[str], memory: int) -> list[str]:
    """What stands before the step's own program, which sees these folders; nothing where no profile is asked for."""
    return _box(places, memory) if settings.STEP_PROFILE == NAME else []


def problem() -> str:
    """Why no step may start in this worker; empty when nothing stands against it."""
    return _probe() if settings.STEP_PROFILE == NAME else ""


@cache
def _probe() -> str:
    """Whether this machine makes such a box, by making one."""
    if not shutil.which("bwrap"):
        return "COUNTERSIGN_STEP_PROFILE needs the program bwrap (package bubblewrap); it is not here."
    said = ""
    try:
        line = [*_box([], 1 << 20), sys.executable, "-I", "-S", "-c", ""]
        made = subprocess.run(
            line, capture_output=True, timeout=PROBE_SECONDS, check=False, env={}, **_as_a_step()
        )
        said = "" if made.returncode == 0 else made.stderr.decode(errors="replace").strip() or "it failed"
    except (OSError, subprocess.TimeoutExpired) as error:
        said = str(error)
    return (
        f"COUNTERSIGN_STEP_PROFILE asks for bubblewrap, which this machine refuses: {said[:300]}"
        if said
        else ""
    )


def _as_a_step() -> dict[str, Any]:
    """The user that would ask for it: one of a step's own may be refused what root may."""
    if settings.STEP_UIDS is None or os.geteuid() != 0:
        return {}
    uid = settings.STEP_UIDS[0]
    return {"user": uid, "group": uid, "extra_groups": [], "cwd": "/"}


def _box(places: Sequence[str], memory: int) -> list[str]:
    return [shutil.which("bwrap") or "bwrap", *_words(places, memory), "--"]


def _words(places: Sequence[str], memory: int) -> Iterator[str]:
    """The later one wins: all of the machine, less what is hidden, and then what the step needs of that."""
    yield from (*NAMESPACES, "--die-with-parent", "--cap-drop", "ALL")
    yield from ("--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev")
    for scratch in SCRATCH:
        yield from ("--size", str(memory // SHARE), "--tmpfs", scratch)
    private = [path for path in map(Path, PRIVATE) if path.is_dir() and not path.is_symlink()]
    kept = list(_kept_from())
    for path in private:
        yield from ("--tmpfs", str(path))
    for path in _needed():
        yield from ("--ro-bind-try", str(path), str(path))
    for path in kept:
        yield from ("--tmpfs", str(path)) if path.is_dir() else ("--ro-bind-try", "/dev/null", str(path))
    for name, how in (("TERRAFORM_MIRROR", "--ro-bind-try"), ("GIT_ROOT", "--bind-try")):
        if shared := os.environ.get(f"COUNTERSIGN_{name}"):
            yield from (how, shared, shared)
    for place in places:
        yield from ("--bind", place, place)
    for path in (*private, *(path for path in kept if path.is_dir()), Path("/dev")):
        yield from ("--remount-ro", str(path))


def _needed() -> Iterator[Path]:
    """What lies at a hidden place on some machines and is no secret: Python, the product, how names are resolved."""
    yield from dict.fromkeys(Path(one).resolve() for one in (sys.prefix, sys.base_prefix, settings.BASE_DIR))
    yield Path("/etc/resolv.conf").resolve()


def _kept_from() -> Iterator[Path]:
    """The folders and files of the product's own: keys, sockets, data, and whatever a setting names that opens more."""
    files = [
        os.environ[name] for name in os.environ if name.startswith("COUNTERSIGN_") and name.endswith("_FILE")
    ]
    kept = (
        settings.DATA_DIR, settings.KEY_DIR, settings.RUN_DIR, settings.SECRETS_FOLDER,
        settings.VAULT_TOKEN_PATH, settings.VAULT_METADATA_TOKEN_PATH, *files,
    )  # fmt: skip
    for one in kept:
        if one and (path := Path(one).resolve()).exists():
            yield path
