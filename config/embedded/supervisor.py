"""Starts everything in order, keeps it running, stops it in reverse. Run by `manage.py up`; imports no Django."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO

from config.embedded import postgres, valkey
from config.embedded.layout import Layout
from config.embedded.process import MARKER, Child, drop_to, kill_all, leftovers
from config.environment import ROOT, Environment

READY_SECONDS = 60
LOCK_SECONDS = 60  # longer than any stop takes
ASKED = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


@dataclass(frozen=True)
class Options:
    """How to run: `demo` seeds the demo bank and allows persona switches; `fast` is for tests, see postgres.FAST."""

    host: str
    port: int
    demo: bool
    fast: bool


class Supervisor:
    """The children of one data directory."""

    def __init__(self, layout: Layout, options: Options, given: Environment) -> None:
        self.layout, self.options, self.given = layout, options, given
        self.children: list[Child] = []
        self.door: socket.socket
        self.env = {**os.environ, MARKER: str(layout.data), "COUNTERSIGN_DATA_DIR": str(layout.data)}
        self.env.setdefault("COUNTERSIGN_RUN_DIR", str(layout.run))
        self.env.setdefault("PYTHONUNBUFFERED", "1")
        if options.demo:
            self.env.setdefault("COUNTERSIGN_DEMO", "1")

    def run(self) -> None:
        """Until asked to stop; RuntimeError or OSError when something could not be started."""
        self.layout.make()
        with _lock(self.layout):
            try:
                self._start()
                self._watch()
            finally:
                self._stop()

    def _start(self) -> None:
        self.door = _listen(self.options.host, self.options.port)
        self._end_leftovers()
        self._servers()
        self._once("migrate", "--verbosity", "0")
        self._once("policy", "first-start")
        self._seed()
        self._processes()
        self._announce()

    def _stop(self) -> None:
        """In reverse order of their start. A second Ctrl-C does not leave half of them behind."""
        for number in ASKED:
            signal.signal(number, signal.SIG_IGN)
        self.layout.table.unlink(missing_ok=True)
        for child in reversed(self.children):
            child.stop()
        self.children.clear()
        self._end_leftovers()

    def _servers(self) -> None:
        """PostgreSQL and Valkey, each only where no server of one's own is named."""
        waiting: list[tuple[Child, Callable[[], bool]]] = []
        if not self.given.database_url:
            postgres.prepare(self.layout)
            settings = postgres.FAST if self.options.fast else {}
            server = postgres.child(self.layout, env=self.env, **settings)
            waiting.append((server, lambda: postgres.is_ready(self.layout)))
        if not (self.given.broker_url and self.given.channel_url):
            server = valkey.child(self.layout, env=self.env)
            waiting.append((server, lambda: valkey.is_ready(self.layout)))
        for child, _ in waiting:
            self._bring_up(child)
        for child, ready in waiting:
            _wait_for(child, ready)
        if not self.given.database_url:
            postgres.create_database(self.layout)

    def _seed(self) -> None:
        """The demo bank, at the first start; again if that was killed half-way, which the command must bear."""
        if self.options.demo and _has_command("demo") and not self.layout.seeded.exists():
            self._once("demo", "seed")
            self.layout.seeded.touch()

    def _processes(self) -> None:
        """The product's own processes; what they need runs by now."""
        manage = [sys.executable, str(ROOT / "manage.py")]
        celery = [sys.executable, "-m", "celery", "-A", "config.celery"]
        quiet = ["--loglevel", "warning"]
        workers = str(self.given.worker_processes)
        schedule = ["--schedule", str(self.layout.data / "beat"), "--pidfile", ""]
        web = [sys.executable, "-m", "uvicorn", "config.asgi:application", "--fd", str(self.door.fileno())]
        web += ["--log-level", "warning", "--no-access-log", "--timeout-graceful-shutdown", "3"]
        self._bring_up(self._child("sequencer", [*manage, "sequencer"]))
        self._bring_up(self._child("worker", [*celery, "worker", *quiet, "--concurrency", workers], grace=40))
        self._bring_up(self._child("beat", [*celery, "beat", *quiet, *schedule]))
        self._bring_up(self._child("web", web, fds=[self.door.fileno()]))
        _wait_for(self.children[-1], lambda: _answers(self.options.host, self.port))

    def _announce(self) -> None:
        self._write_table()
        if self.options.fast:
            print(json.dumps({"url": self.url}), flush=True)
            return
        print(f"\n  Countersign runs at {self.url}\n", flush=True)
        if self.options.demo and _has_command("demo"):
            self._once("demo", "people")
        print("  Nothing leaves this machine. Ctrl-C stops everything.\n", flush=True)

    def _watch(self) -> None:
        """Bring back whatever dies, until a signal says stop. Sleeps until the kernel has news."""
        news = ASKED | {signal.SIGCHLD}
        signal.pthread_sigmask(signal.SIG_BLOCK, news)
        pause = 0.0  # whoever died before we listened is found at once
        while True:
            seen = signal.sigtimedwait(news, pause)
            if seen and seen.si_signo in ASKED:
                break
            revived = [child.name for child in self.children if child.revive()]
            if revived:
                self._write_table()
            dues = [child.due for child in self.children if child.due is not None]
            pause = max(0.0, min(dues) - time.monotonic()) if dues else 3600
        print("\n  Stopping.", flush=True)

    @property
    def port(self) -> int:
        """The one asked for, or the free one we got for 0."""
        return int(self.door.getsockname()[1])

    @property
    def url(self) -> str:
        host = "localhost" if self.options.host == "127.0.0.1" else self.options.host
        return f"http://{host}:{self.port}/"

    def _child(self, name: str, argv: list[str], *, grace: float = 10, fds: list[int] | None = None) -> Child:
        log = self.layout.logs / f"{name}.log"
        child = Child(name=name, argv=argv, env=self.env, log=log, uid=os.geteuid(), cwd=ROOT, fds=fds or [])
        child.grace_seconds = grace
        return child

    def _bring_up(self, child: Child) -> None:
        child.start()
        self.children.append(child)
        self._write_table()

    def _once(self, *arguments: str) -> None:
        """One management command, to its end."""
        argv = [sys.executable, str(ROOT / "manage.py"), *arguments]
        done = subprocess.run(argv, env=self.env, cwd=ROOT, preexec_fn=drop_to(os.geteuid()), check=False)
        if done.returncode:
            raise RuntimeError(f"`manage.py {' '.join(arguments)}` failed; see above.")

    def _end_leftovers(self) -> None:
        kill_all(lambda: leftovers(self.layout.data))

    def _write_table(self) -> None:
        table = {child.name: child.popen.pid for child in self.children if child.popen}
        part = self.layout.table.with_suffix(".part")
        part.write_text(json.dumps({"supervisor": os.getpid(), "url": self.url, "pids": table}))
        part.rename(self.layout.table)


def _lock(layout: Layout) -> IO[str]:
    """One supervisor for one data directory; the kernel frees the lock when we die. One that stops is waited for."""
    lock = (layout.data / "up.lock").open("w")
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if layout.table.exists() or time.monotonic() > deadline:
                raise SystemExit(f"Already running with {layout.data}; stop it there first.") from None
            time.sleep(0.2)
        else:
            return lock


def _listen(host: str, port: int) -> socket.socket:
    """The door is ours, not the web process's: while that one restarts, callers wait instead of being refused."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        why = os.strerror(error.errno or 0).lower()
        raise RuntimeError(
            f"{host}:{port} cannot be listened on ({why}). Set COUNTERSIGN_PORT to another."
        ) from None


def _answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=2) as client:
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return client.recv(12) == b"HTTP/1.1 200"
    except OSError:
        return False


def _wait_for(child: Child, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not ready():
        if not child.is_alive() or time.monotonic() > deadline:
            tail = child.log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{child.name} did not come up. The end of {child.log}:\n{tail}")
        time.sleep(0.05)


def _has_command(name: str) -> bool:
    return any(ROOT.glob(f"*/management/commands/{name}.py"))
