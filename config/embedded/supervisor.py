"""Starts everything in order, keeps it running, stops it in reverse. What `manage.py up` becomes."""

import fcntl
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import IO

from config.databases import address
from config.embedded import postgres, valkey
from config.embedded.fork import Forked
from config.embedded.layout import Layout
from config.embedded.process import Child, kill_all, leftovers
from config.environment import ROOT, Environment

READY_SECONDS = 60
LOCK_SECONDS = 60  # longer than any stop takes
DEMO_OWNERS = (
    "Platform,CT-03=Security,CT-05=Security,CT-15=Security,CT-16=Security,CT-17=Security"  # of control tests
)
ASKED = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


@dataclass(frozen=True)
class Options:
    """How to run: `demo` seeds the demo bank and allows persona switches, `play` lets its people work for a while;
    `fast` is for tests, see postgres.FAST; `json` tells the address to a program."""

    host: str
    port: int
    demo: bool
    play: bool
    fast: bool
    json: bool


class Supervisor:
    """The children of one data directory."""

    def __init__(self, layout: Layout, options: Options, given: Environment) -> None:
        self.layout, self.options, self.given = layout, options, given
        self.children: list[Child] = []
        self.door: socket.socket
        os.environ["COUNTERSIGN_DATA_DIR"] = str(layout.data)
        os.environ.setdefault("COUNTERSIGN_RUN_DIR", str(layout.run))
        os.environ["COUNTERSIGN_DEMO"] = str(int(options.demo))
        if options.demo:
            os.environ.setdefault("COUNTERSIGN_CONTROL_OWNERS", DEMO_OWNERS)
        os.chdir(ROOT)

    @cached_property
    def product(self) -> ModuleType:
        """Django and all that stands on it, loaded when it is first needed: the servers start meanwhile."""
        from config.embedded import product

        product.load()
        return product

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
        self._once("migrate", "--verbosity", "0", owner=True)
        if not self.given.database_url:
            self._once("ledger", "--verbosity", "0", "roles", owner=True)
        self._once("policy", "first-start")
        self._seed()
        self._processes()
        self._announce()
        self._play()

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
            server = postgres.child(self.layout, env=dict(os.environ), **settings)
            waiting.append((server, lambda: postgres.is_ready(self.layout)))
        if not (self.given.broker_url and self.given.channel_url):
            server = valkey.child(self.layout, env=dict(os.environ))
            waiting.append((server, lambda: valkey.is_ready(self.layout)))
        for child, _ in waiting:
            self._bring_up(child)
        _ = self.product
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
        product, door = self.product, self.door.fileno()
        quiet = ["--loglevel", "warning"]
        alone = [
            "--without-mingle",
            "--without-gossip",
            "--without-heartbeat",
        ]  # workers meet in the database
        worker = ["worker", *quiet, *alone, "--concurrency", str(self.given.worker_processes)]
        beat = ["beat", *quiet, "--schedule", str(self.layout.data / "beat"), "--pidfile", ""]
        self._fork("signer", "manage.py signer", lambda: product.manage("signer"))
        _wait_for(self.children[-1], product.signer_answers)
        self._fork("sequencer", "manage.py sequencer", lambda: product.manage("sequencer"))
        self._fork(
            "worker", "celery worker", lambda: product.celery(*worker), side="worker", grace_seconds=40
        )
        self._fork("beat", "celery beat", lambda: product.celery(*beat), side="worker")
        self._fork("web", "uvicorn", lambda: product.web(door), side="web", fds=[door])
        _wait_for(self.children[-1], lambda: _answers(self.options.host, self.port))

    def _play(self) -> None:
        """After everything answers, so that nobody waits for it; a second start finds it played."""
        if self.options.demo and self.options.play and _has_command("demo"):
            self._fork(
                "demo",
                "manage.py demo play",
                lambda: self.product.manage("demo", "play"),
                side="web",
                once=True,
            )

    def _announce(self) -> None:
        self._write_table()
        if self.options.json:
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
            over = [child for child in self.children if child.is_over()]  # its pid may be another's soon
            self.children = [child for child in self.children if child not in over]
            revived = [child.name for child in self.children if child.revive()]
            if revived or over:
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

    def _fork(
        self,
        name: str,
        how: str,
        body: Callable[[], None],
        *,
        side: str = "",
        fds: Sequence[int] = (),
        grace_seconds: float = 10,
        once: bool = False,
    ) -> None:
        body = self._become(body, side=side, name=name)
        launch = Forked(title=f"countersign {name}: {how}", body=body, fds=fds)
        log = self.layout.logs / f"{name}.log"
        self._bring_up(Child(name=name, launch=launch, log=log, grace_seconds=grace_seconds, once=once))

    def _bring_up(self, child: Child) -> None:
        child.start()
        self.children.append(child)
        self._write_table()

    def _become(self, body: Callable[[], None], *, side: str = "", name: str = "") -> Callable[[], None]:
        """`body` as somebody: whose keys it signs with, and as whom it connects to the database."""
        embedded = address(self.layout.run, self.product.role_of(name))
        given = self.given.sequencer_database_url if name == "sequencer" else self.given.app_database_url
        database = (given or self.given.database_url) if self.given.database_url else embedded

        def act() -> None:
            self.product.become(side, database)
            body()

        return act

    def _once(self, *arguments: str, owner: bool = False) -> None:
        """One management command, to its end; as the owner of the tables, or with the application's rights."""

        def body() -> None:
            self.product.manage(*arguments)

        run = Forked(title="countersign manage.py", body=body if owner else self._become(body))
        if run().wait():
            raise RuntimeError(f"`manage.py {' '.join(arguments)}` failed; see above.")

    def _end_leftovers(self) -> None:
        kill_all(lambda: leftovers(self.layout.data))

    def _write_table(self) -> None:
        table = {child.name: child.handle.pid for child in self.children if child.handle}
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
        door = socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        why = os.strerror(error.errno or 0).lower()
        raise RuntimeError(
            f"{host}:{port} cannot be listened on ({why}). Set COUNTERSIGN_PORT to another."
        ) from None
    # Each connection inherits it. Without, the body of an answer waits 40 ms for a delayed acknowledgement of its head.
    door.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return door


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
