"""Runs one attempt: a supervised process tree, or an action in this thread. Knows no database and decides no state.

The worker's side of `supervisor/`: one warm fork server for this process, one socket for each step. Every process
of a step starts here and nowhere else.
"""

import array
import atexit
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from orchestration.actions import registry
from orchestration.actions.base import Action, Cancelled, Context, InProcessAction, ProcessAction, Spawn
from orchestration.engine import apart, boxed, checking, folders
from orchestration.engine.attempt import Attempt, Chunk, Outcome
from orchestration.engine.supervisor import frames

SELF_FENCE_MARGIN_SECONDS = 10  # the tree is gone this long before the lease can be another's
FORK_SERVER = Path(__file__).parent / "supervisor" / "forkserver.py"
OPENER = Path(__file__).parents[1] / "secrets" / "opener.py"
IN_MEMORY = Path("/dev/shm")  # noqa: S108 - the one place where a value lies, and no disk is behind it
STEP_PATH = f"{Path(sys.executable).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
VANISHED = "The supervisor of this step vanished; the step may or may not have finished."
SWEEP_SECONDS = 5
OTHERS = 4096  # processes and threads of the worker's user besides those of a step
State = Literal["succeeded", "failed", "timed_out", "cancelled", "fenced", "unknown"]


class Control:
    """The `attempt.Control` of a real step: what the heartbeat says to it, from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self.cancelled, self.fenced = threading.Event(), threading.Event()

    def alive(self) -> None:
        self._send(frames.ALIVE)

    def cancel(self, reason: str) -> None:
        self.cancelled.set()
        self._send(frames.CANCEL, reason.encode())

    def fence(self) -> None:
        self.fenced.set()
        self.cancelled.set()
        self._send(frames.FENCE)

    def attach(self, channel: socket.socket | None) -> None:
        """Connect to a supervisor; what was said before it existed is said again."""
        with self._lock:
            self._socket = channel
        if channel is not None and self.fenced.is_set():
            self._send(frames.FENCE)
        elif channel is not None and self.cancelled.is_set():
            self._send(frames.CANCEL)

    def _send(self, kind: bytes, payload: bytes = b"") -> None:
        with self._lock:
            if self._socket is not None:
                try:
                    self._socket.sendall(frames.frame(kind, payload))
                except OSError:
                    self._socket = None  # the supervisor has ended; its outcome is on its way


def supervise(attempt: Attempt, *, on_log: Callable[[Chunk], None], control: Control) -> Outcome:
    """Run the attempt to its end, whatever that is. Never raises for what the step does."""
    action = registry.get(attempt.uses)
    if action is None:
        return Outcome("failed", reason=f"There is no action named {attempt.uses}; nothing was run.")
    if problem := apart.problem():
        return Outcome("failed", reason=problem)
    log = _Numbered(on_log)
    if attempt.check is not None:
        said = checking.read(_run(action, checking.asking(attempt), log.take, control))
        if said is not None:
            return said
    return _run(action, attempt, log.take, control)


def _run(action: Action, attempt: Attempt, on_log: Callable[[Chunk], None], control: Control) -> Outcome:
    if attempt.phase == checking.CHECK and attempt.check:
        env = action.spawn(attempt.with_).env if isinstance(action, ProcessAction) else {}
        return _in_processes(Spawn(tuple(attempt.check["argv"]), env), attempt, on_log, control)
    if isinstance(action, ProcessAction):
        return _in_processes(action.spawn(attempt.with_), attempt, on_log, control)
    if isinstance(action, InProcessAction):
        return _in_process(action, attempt, on_log, control)
    return Outcome("failed", reason=f"{attempt.uses} does nothing by itself; nothing was run.")


def _in_process(
    action: InProcessAction, attempt: Attempt, on_log: Callable[[Chunk], None], control: Control
) -> Outcome:
    written = _Writer(on_log)
    deadline = time.monotonic() + attempt.timeout_seconds
    context = Context(
        with_=attempt.with_,
        idempotency_key=attempt.idempotency_key,
        fence=f"{attempt.step_id}:{attempt.number}",
        cancelled=control.cancelled,
        deadline=deadline,
        say=written.say,
    )
    try:
        result = action.run(context)
    except Cancelled:
        late = time.monotonic() >= deadline
        state: State = "fenced" if control.fenced.is_set() else "timed_out" if late else "cancelled"
        return Outcome(state, reason=f"It was ended: {state.replace('_', ' ')}.", log_bytes=written.total)
    except Exception as error:  # noqa: BLE001 - a plug-in may raise anything; the step failed, the worker did not
        return Outcome("failed", reason=f"{type(error).__name__}: {error}"[:2000], log_bytes=written.total)
    state = "succeeded" if result.succeeded else "failed"
    return Outcome(state, reason=result.reason, outputs=result.outputs, log_bytes=written.total)


def _in_processes(
    spawn: Spawn, attempt: Attempt, on_log: Callable[[Chunk], None], control: Control
) -> Outcome:
    place = Path(tempfile.mkdtemp(prefix="countersign-step-"))
    secrets = IN_MEMORY / f"countersign-{boot_marker(attempt.boot_id)}-{attempt.step_id}-{attempt.number}"
    try:
        spec = _spec(spawn, attempt, place)
        if attempt.secrets:
            spec["env"]["STEP_SECRETS"] = str(secrets)
            spec["opener"] = _opener(attempt, place, secrets)
            spec["places"].append(str(secrets))
        spec["box"] = boxed.around(spec["places"], attempt.limits["memory"])
        outcome = _talk(fork_server().spawn(spec), on_log, control)
        if outcome.reason == VANISHED:
            _sweep(spec["env"]["STEP_FENCE"])
        return folders.collected(place, attempt, outcome)
    finally:
        shutil.rmtree(place, ignore_errors=True)
        shutil.rmtree(secrets, ignore_errors=True)  # again, should the supervisor have been killed


def _opener(attempt: Attempt, place: Path, directory: Path) -> dict[str, Any]:
    """The child that opens the secrets. What it is handed is sealed; this process sees no value, before or after."""
    if not IN_MEMORY.is_mount():
        raise OSError(f"{IN_MEMORY} is not in memory, so no secret is laid out")
    directory.mkdir(mode=0o700)
    given = place / "secrets.json"
    given.touch(mode=0o600)
    given.write_text(json.dumps({"directory": str(directory), "secrets": list(attempt.secrets)}))
    return {
        "argv": [sys.executable, "-I", str(OPENER), str(given)],
        "env": {"PATH": STEP_PATH, "LANG": "C.UTF-8", "COUNTERSIGN_BOOT": boot_marker(attempt.boot_id)},
        "directory": str(directory),
    }


def _spec(spawn: Spawn, attempt: Attempt, place: Path) -> dict[str, Any]:
    """All that the supervisor learns. The environment is made here, never inherited."""
    if spawn.given is not None:
        (place / "with.json").write_text(spawn.given)
    cwd = place / "work"
    for folder in (cwd, place / "tmp", place / "told"):
        folder.mkdir(mode=0o700)
    for name, text in attempt.files.items():
        path = cwd / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o700 if text.startswith("#!") else 0o600)
    laid = folders.lay_out(place, attempt)
    return {
        "argv": list(spawn.argv),
        "cwd": str(cwd),
        "env": {**spawn.env, **attempt.env, **_own_variables(attempt, cwd, place), **laid},
        "limits": _limits(attempt.limits),
        "bounds": {name: attempt.limits[name] for name in ("memory", "processes")},
        "uids": apart.uids(),
        "places": [str(place)],
        "success_codes": list(spawn.success_codes),
        "timeout_seconds": attempt.timeout_seconds,
        "grace_seconds": attempt.grace_seconds,
        "fence_seconds": max(
            attempt.lease_ttl_seconds - SELF_FENCE_MARGIN_SECONDS, attempt.lease_ttl_seconds / 3
        ),
    }


def _limits(limits: Mapping[str, int]) -> dict[str, int]:
    """What the kernel holds each process to. What a whole tree may use the supervisor counts."""
    found = {"CORE": 0, "NOFILE": limits["open_files"], "FSIZE": limits["file_size"]}
    found["DATA"] = 2 * limits["memory"]  # one that grows faster than it is looked at
    if "cpu_seconds" in limits:
        found["CPU"] = limits["cpu_seconds"]
    # Counted by user, and for root not at all: of its own the step has few, of the worker's there are others as well.
    others = 16 if apart.uids() is not None else OTHERS
    found["NPROC"] = limits["processes"] + limits["processes"] // 4 + others
    return found


def _own_variables(attempt: Attempt, cwd: Path, place: Path) -> dict[str, str]:
    return {
        "PATH": STEP_PATH,
        "LANG": "C.UTF-8",
        "HOME": str(cwd),
        "TMPDIR": str(place / "tmp"),
        "STEP": attempt.step_key,
        "STEP_ATTEMPT": str(attempt.number),
        "STEP_PHASE": attempt.phase,
        "STEP_FENCE": f"{attempt.step_id}:{attempt.number}",
        "STEP_TIMEOUT_SECONDS": f"{attempt.timeout_seconds:.0f}",
        "STEP_WITH": str(place / "with.json"),
        "STEP_OUTPUTS": str(place / "told" / "outputs.json"),
        "STEP_REASON": str(place / "told" / "reason.txt"),
        "IDEMPOTENCY_KEY": attempt.idempotency_key,
        "COUNTERSIGN_RUN": str(attempt.run_id),
        "COUNTERSIGN_BOOT": boot_marker(attempt.boot_id),
    }


def _talk(channel: socket.socket, on_log: Callable[[Chunk], None], control: Control) -> Outcome:
    """Listen to one supervisor until its outcome; when it vanishes without one, nobody knows what happened."""
    reader, seq = frames.Reader(), 0
    with channel:
        control.attach(channel)
        try:
            while data := channel.recv(1 << 18):
                for kind, payload in reader.feed(data):
                    if kind == frames.OUTCOME:
                        return Outcome(**json.loads(payload))
                    stream, text, dropped = frames.read_log(payload)
                    seq += 1
                    on_log(Chunk(seq, stream, text, dropped))
        except ConnectionError:
            pass  # the same as an end without an outcome
        finally:
            control.attach(None)
    return Outcome("unknown", reason=VANISHED)


class _Numbered:
    """The pieces of one attempt in one row of numbers, whatever ran in it."""

    def __init__(self, on_log: Callable[[Chunk], None]) -> None:
        self.on_log, self.seq = on_log, 0

    def take(self, chunk: Chunk) -> None:
        self.seq += 1
        self.on_log(replace(chunk, seq=self.seq))


class _Writer:
    """Lines that an in-process action says, as chunks."""

    def __init__(self, on_log: Callable[[Chunk], None]) -> None:
        self.on_log, self.seq, self.total = on_log, 0, 0

    def say(self, line: str) -> None:
        data = line.encode(errors="replace") + b"\n"
        self.seq += 1
        self.total += len(data)
        self.on_log(Chunk(self.seq, "stdout", data))


class ForkServer:
    """The warm process of this worker process."""

    def __init__(self) -> None:
        self.pid, self._lock = os.getpid(), threading.Lock()
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-E", str(FORK_SERVER), str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env={"PATH": STEP_PATH, "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
        )
        theirs.close()

    def spawn(self, spec: Mapping[str, Any]) -> socket.socket:
        """The channel to a new supervisor that runs `spec`."""
        mine, theirs = socket.socketpair()
        with theirs, self._lock:
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [theirs.fileno()]))
            self._requests.sendmsg([json.dumps(spec).encode()], [rights])
        return mine

    def is_alive(self) -> bool:
        return self.pid == os.getpid() and self.process.poll() is None

    def close(self) -> None:
        """Hang up; the server ends by itself. After a fork it belongs to the parent, which buries it."""
        self._requests.close()
        if self.pid == os.getpid():
            self.process.wait()


_server: ForkServer | None = None
_server_lock = threading.Lock()


def fork_server() -> ForkServer:
    """The fork server of this process; a new one after a fork or when it was killed."""
    global _server  # noqa: PLW0603 - one warm process for each worker process
    with _server_lock:
        if _server is None or not _server.is_alive():
            _close_fork_server()
            _server = ForkServer()
        return _server


@atexit.register
def _close_fork_server() -> None:
    if _server is not None:
        _server.close()


def boot_marker(boot_id: UUID) -> str:
    """`<boot id>:<pid>:<start time>` of this worker process: in the environment of all that it starts."""
    return f"{boot_id}:{os.getpid()}:{_start_time(os.getpid())}"


def sweep_orphans() -> int:
    """Kill what a dead worker left behind; pids are reused, so the start time must fit too. Returns how many."""
    swept = 0
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and (marker := _marker(folder)) and not _worker_lives(marker):
            try:
                os.kill(int(folder.name), 9)
                swept += 1
            except (ProcessLookupError, PermissionError):
                continue
    return swept


def sweep_secrets() -> int:
    """Take away what lies in memory for steps of a dead worker. Returns how many directories."""
    dead = [one for one in IN_MEMORY.glob("countersign-*:*:*") if not _worker_lives(_worker_of(one))]
    for folder in dead:
        shutil.rmtree(folder, ignore_errors=True)  # another user's stays: its files are not ours to remove
    return len(dead)


def _worker_of(folder: Path) -> str:
    """The marker of the worker in a directory's name, which goes on with the step and the attempt."""
    head, _, tail = folder.name.removeprefix("countersign-").rpartition(":")
    return f"{head}:{tail.partition('-')[0]}"


def _sweep(fence: str) -> None:
    """Kill what an attempt left whose supervisor was killed, in rounds: some of it may be making more."""
    mark, until = f"STEP_FENCE={fence}".encode(), time.monotonic() + SWEEP_SECONDS
    while (found := _marked(mark)) and time.monotonic() < until:
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, 9)
        time.sleep(0.02)


def _marked(mark: bytes) -> list[int]:
    folders = [folder for folder in Path("/proc").iterdir() if folder.name.isdigit()]
    return [int(folder.name) for folder in folders if mark in _environment(folder)]


def _marker(folder: Path) -> str:
    found = (one[17:].decode() for one in _environment(folder) if one.startswith(b"COUNTERSIGN_BOOT="))
    return next(found, "")


def _environment(folder: Path) -> list[bytes]:
    try:
        return (folder / "environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _worker_lives(marker: str) -> bool:
    parts = marker.rsplit(":", 2)
    return len(parts) == 3 and parts[1].isdigit() and _start_time(int(parts[1])) == parts[2]


def _start_time(pid: int) -> str:
    """Ticks since boot when `pid` started (proc(5), field 22); empty when there is no such process, or a dead one."""
    try:
        parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if parts[0] == "Z" else parts[19]
