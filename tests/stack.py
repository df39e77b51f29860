"""The whole product as real processes, for browser and fault tests: `manage.py up` with a data directory of its own."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from urllib.request import urlopen

import psycopg

from config.embedded.layout import Layout
from config.embedded.process import leftovers

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 120  # a first start seeds the demo bank
ANNOUNCED = re.compile(rb'\{"url".*\}\n')


class Stack:
    """Starts, kills and stops; reads the database directly, as a witness beside the product's own tables."""

    def __init__(
        self,
        *,
        demo: bool = True,
        play: bool = False,
        durable: bool = False,
        env: dict[str, str] | None = None,
        home: Path | None = None,
        port: int = 0,
        user: int | None = None,
        python: str = sys.executable,
    ) -> None:
        self.home = home or Path(tempfile.mkdtemp(prefix="countersign-stack-"))
        self.port, self.demo, self.durable, self.env = port, demo, durable, env or {}
        self.play = play
        self.user, self.python = user, python
        self.layout = Layout(self.home)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def start(self) -> "Stack":
        """Up and answering; RuntimeError with the output when it did not come up."""
        self._forget()
        kept = {key: value for key, value in os.environ.items() if not key.startswith("COUNTERSIGN_")}
        argv = [self.python, "-m", "config.embedded", "--json", f"--data={self.home}"]
        argv += [
            f"--port={self.port}",
            *(["--demo"] if self.demo else []),
            *(["--play"] if self.play else []),
            *([] if self.durable else ["--fast"]),
        ]
        # A file, not a pipe: nobody would read on, and what `up` forks holds a pipe open beyond its end.
        self.output = tempfile.TemporaryFile()  # noqa: SIM115 - read as long as the process lives
        self.process = subprocess.Popen(
            argv,
            env={**kept, **self.env},
            cwd=ROOT,
            user=self.user,
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=subprocess.STDOUT,
        )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            if told := ANNOUNCED.search(self.said()):
                self.port = urlsplit(json.loads(told[0])["url"]).port or 0
                return self
            time.sleep(0.05)
        said = self.said().decode(errors="replace")
        self.stop()
        raise RuntimeError(f"the stack did not come up:\n{said}{self.logs()}")

    def said(self) -> bytes:
        """What `up` itself printed since its start."""
        return os.pread(self.output.fileno(), 1_000_000, 0)

    def stop(self) -> int | None:
        """As a person does it: Ctrl-C, and nothing is left. The exit code, where it ran."""
        code = None
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = self.process.wait(90)
            self.process.kill()
            self._forget()
        return code

    def answers(self) -> bool:
        """Whether the web process does."""
        with contextlib.suppress(OSError), urlopen(f"{self.url}/healthz", timeout=5) as response:  # noqa: S310
            return bool(response.status == 200)
        return False

    def _forget(self) -> None:
        if self.process is not None:
            self.process.wait()
            self.output.close()
            self.process = None

    def remove(self) -> None:
        shutil.rmtree(self.home, ignore_errors=True)

    def pids(self) -> dict[str, int]:
        """By name, of what runs now."""
        pids: dict[str, int] = json.loads(self.layout.table.read_text())["pids"]
        return pids

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to one child (or `supervisor`) and tell its pid."""
        pid = (
            json.loads(self.layout.table.read_text())["supervisor"]
            if name == "supervisor"
            else self.pids()[name]
        )
        os.kill(pid, number)
        return int(pid)

    def alive(self) -> list[int]:
        """Pids of everything that belongs to this stack."""
        return leftovers(self.home)

    def database(self, name: str = "countersign") -> str:
        """The address of a database of this stack; of the one that it was given, if it was."""
        if given := self.env.get("COUNTERSIGN_DATABASE_URL"):
            return given
        return f"postgresql://countersign@/{name}?host={quote(str(self.layout.run), safe='')}"

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows, if it asks for any, on a connection of its own."""
        with psycopg.connect(self.database(), autocommit=True) as connection:
            cursor = connection.execute(sql.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def logs(self) -> str:
        """The end of every child's output."""
        files = sorted(self.layout.logs.glob("*.log"))
        return "\n".join(f"--- {file.name}\n{file.read_text(errors='replace')[-1500:]}" for file in files)


def wait_for(question: Callable[[], Any], *, seconds: float = 30, what: str = "it") -> Any:
    """The first true answer; AssertionError when none came in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(psycopg.OperationalError, FileNotFoundError):
            if answer := question():
                return answer
        time.sleep(0.1)
    raise AssertionError(f"{what} did not happen within {seconds} s")


@contextlib.contextmanager
def running(**options: Any) -> Iterator[Stack]:
    """A stack for the length of a block, gone after it."""
    stack = Stack(**options)
    try:
        yield stack.start()
    finally:
        stack.stop()
        stack.remove()
