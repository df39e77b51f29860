"""Starts everything in order, keeps it running, stops it in reverse. Run by `manage.py up`; imports no Django."""

import argparse
import fcntl
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from config.embedded import postgres, valkey
from config.embedded.layout import Layout
from config.embedded.process import MARKER, Child, kill_leftovers

ROOT = Path(__file__).resolve().parent.parent.parent
READY_SECONDS = 60
TICK_SECONDS = 0.2


class Supervisor:
    """The children of one data directory."""

    def __init__(self, layout: Layout, *, host: str, port: int, demo: bool, fast: bool) -> None:
        self.layout, self.host, self.port, self.demo, self.fast = layout, host, port, demo, fast
        self.children: list[Child] = []
        self.stopping = False
        self.env = {**os.environ, MARKER: str(layout.data), "COUNTERSIGN_DATA_DIR": str(layout.data)}
        self.env.setdefault("COUNTERSIGN_RUN_DIR", str(layout.run))
        self.env.setdefault("PYTHONUNBUFFERED", "1")
        if demo:
            self.env.setdefault("COUNTERSIGN_DEMO", "1")

    def run(self) -> int:
        """Until asked to stop. 0 after a stop, 1 when something could not be started."""
        self.layout.make()
        lock = self._lock()
        try:
            kill_leftovers(str(self.layout.data))
            self._servers()
            self._migrate()
            self._processes()
            self._announce()
            self._watch()
        except (RuntimeError, OSError) as error:
            print(f"\nNot started: {error}", file=sys.stderr)
            return 1
        finally:
            self.stop()
            lock.close()
        return 0

    def stop(self) -> None:
        """In reverse order of their start."""
        for child in reversed(self.children):
            child.stop()
        self.children.clear()
        kill_leftovers(str(self.layout.data))
        self.layout.table.unlink(missing_ok=True)

    def _lock(self) -> IO[str]:
        """One supervisor for one data directory; the kernel frees the lock when we die."""
        lock = (self.layout.data / "up.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SystemExit(f"Already running with {self.layout.data}; stop it there first.") from None
        return lock

    def _servers(self) -> None:
        """PostgreSQL and Valkey, each only where no server of one's own is named."""
        if not self._given("DATABASE_URL"):
            postgres.prepare(self.layout)
            postgres.clear_stale_lock(self.layout)
            options = (
                {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"} if self.fast else {}
            )
            child = self._child("postgres", postgres.argv(self.layout, **options), uid=self.layout.uid)
            child.stop_signal = signal.SIGINT  # fast shutdown: ends sessions, loses nothing
            self._start(child, lambda: postgres.is_ready(self.layout))
            postgres.create_database(self.layout)
        if not (self._given("BROKER_URL") and self._given("CHANNEL_URL")):
            child = self._child("valkey", valkey.argv(self.layout), uid=self.layout.uid)
            self._start(child, lambda: valkey.is_ready(self.layout))

    def _migrate(self) -> None:
        self._once("migrate", "--verbosity", "0")
        self._once("policy", "first-start")
        if self.demo:
            self._once("demo", "seed")

    def _processes(self) -> None:
        """The product's own processes; what they need runs by now."""
        manage = [sys.executable, str(ROOT / "manage.py")]
        python = [sys.executable, "-m"]
        web = [*python, "uvicorn", "config.asgi:application", "--host", self.host, "--port", str(self.port)]
        celery = [*python, "celery", "-A", "config.celery"]
        workers = self.env.get("COUNTERSIGN_WORKER_PROCESSES", "2")
        beat_file = str(self.layout.data / "beat")
        for name, argv in (
            ("sequencer", [*manage, "sequencer"]),
            ("worker", [*celery, "worker", "--loglevel", "warning", "--concurrency", workers]),
            ("beat", [*celery, "beat", "--loglevel", "warning", "--schedule", beat_file, "--pidfile", ""]),
            ("web", [*web, "--log-level", "warning", "--no-access-log", "--timeout-graceful-shutdown", "3"]),
        ):
            child = self._child(name, argv, uid=os.geteuid())
            child.grace_seconds = 40 if name == "worker" else 10
            child.start()
            self.children.append(child)
        self._wait_for(self.children[-1], self._answers)

    def _announce(self) -> None:
        self._write_table()
        print(json.dumps({"url": self.url}) if self.fast else f"\n  Countersign runs at {self.url}\n")
        if self.demo and not self.fast:
            self._once("demo", "people")
            print("  Nothing leaves this machine. Ctrl-C stops everything.\n")
        sys.stdout.flush()

    def _watch(self) -> None:
        """Bring back whatever dies, until a signal says stop."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._ask_to_stop)
        while not self.stopping:
            time.sleep(TICK_SECONDS)
            for child in self.children:
                if not child.is_alive() and child.name == "postgres":
                    postgres.clear_stale_lock(self.layout)
            revived = [child.name for child in self.children if child.revive()]
            if revived:
                self._write_table()

    def _ask_to_stop(self, *_: object) -> None:
        self.stopping = True

    @property
    def url(self) -> str:
        return (
            f"http://localhost:{self.port}/"
            if self.host == "127.0.0.1"
            else f"http://{self.host}:{self.port}/"
        )

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=2)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status < 500
        except OSError:
            return False
        finally:
            connection.close()

    def _given(self, name: str) -> bool:
        return bool(self.env.get(f"COUNTERSIGN_{name}") or self.env.get(name))

    def _child(self, name: str, argv: list[str], *, uid: int) -> Child:
        return Child(name=name, argv=argv, env=self.env, log=self.layout.logs / f"{name}.log", uid=uid)

    def _start(self, child: Child, ready: Callable[[], bool]) -> None:
        child.start()
        self.children.append(child)
        self._wait_for(child, ready)

    def _wait_for(self, child: Child, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not ready():
            if not child.is_alive() or time.monotonic() > deadline:
                tail = child.log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{child.name} did not come up. The end of {child.log}:\n{tail}")
            time.sleep(0.05)

    def _once(self, *arguments: str) -> None:
        """One management command, to its end."""
        argv = [sys.executable, str(ROOT / "manage.py"), *arguments]
        if subprocess.run(argv, env=self.env, check=False).returncode:
            raise RuntimeError(f"`manage.py {' '.join(arguments)}` failed; see above.")

    def _write_table(self) -> None:
        table = {child.name: child.popen.pid for child in self.children if child.popen}
        part = self.layout.table.with_suffix(".part")
        part.write_text(json.dumps({"supervisor": os.getpid(), "url": self.url, "pids": table}))
        part.rename(self.layout.table)


def main(arguments: list[str] | None = None) -> int:
    """`python -m config.embedded.supervisor`: what `manage.py up` becomes."""
    parser = argparse.ArgumentParser(prog="up", description="Run everything on this machine.")
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("COUNTERSIGN_DATA_DIR", ROOT / ".data"))
    )
    parser.add_argument("--host", default=os.environ.get("COUNTERSIGN_HOST", "127.0.0.1"))
    parser.add_argument("--port", type=int, default=int(os.environ.get("COUNTERSIGN_PORT", "8000")))
    parser.add_argument("--demo", action="store_true", help="seed the demo bank and allow persona switches")
    parser.add_argument(
        "--fast", action="store_true", help="for tests: PostgreSQL without fsync, one JSON line"
    )
    given = parser.parse_args(arguments)
    layout = Layout(given.data.resolve())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    supervisor = Supervisor(layout, host=given.host, port=given.port, demo=given.demo, fast=given.fast)
    try:
        return supervisor.run()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
