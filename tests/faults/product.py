"""What tests ask of a stack: the product's own commands, approved runs, and steps that leave a trace outside it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import psutil

from orchestration.engine.failpoints import VARIABLE
from tests.stack import ROOT, Stack, wait_for


def environment(stack: Stack) -> dict[str, str]:
    """Of a process that shall use the servers and keys of this stack."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("COUNTERSIGN_")}
    home = {"COUNTERSIGN_DATA_DIR": str(stack.home), "COUNTERSIGN_RUN_DIR": str(stack.layout.run)}
    servers = {name: value for name, value in stack.env.items() if name.endswith("_URL")}
    return {**kept, **home, **servers, "DJANGO_SETTINGS_MODULE": "config.settings"}


def manage(stack: Stack, *arguments: str) -> tuple[int, str, str]:
    """Exit code, output and errors of one command."""
    command = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(
        command, env=environment(stack), cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def shell(key: str, script: str, **more: Any) -> dict[str, Any]:
    """A step that runs a script of the shell."""
    return {"key": key, "uses": "command", "with": {"argv": ["/bin/sh", "-c", script]}, **more}


def telling(key: str, witness: Path, seconds: float, **more: Any) -> dict[str, Any]:
    """A step that leaves a trace outside the product."""
    said = f'echo "begin $STEP_ATTEMPT" >> {witness}; sleep {seconds}; echo "end $STEP_ATTEMPT" >> {witness}'
    return shell(key, said, **more)


def ticking(key: str, witness: Path, seconds: float, **more: Any) -> dict[str, Any]:
    """A step that writes the number of its attempt every few milliseconds: two at once would be seen to mix."""
    said = f"for i in $(seq {int(seconds * 20)}); do echo $STEP_ATTEMPT >> {witness}; sleep 0.05; done"
    return shell(key, f"{said}; echo end $STEP_ATTEMPT >> {witness}", **more)


class NotDone(Exception):
    """The database was away, and nobody knows how much of it was done."""


class Asker:
    """A process that does inside a stack what people do there; the answer comes when it has committed."""

    def __init__(self, stack: Stack, **env: str) -> None:
        argv, pipe = [sys.executable, "-m", "tests.faults.ask"], subprocess.PIPE
        given = {**environment(stack), **env}
        self.process = subprocess.Popen(argv, env=given, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)

    def do(self, what: str, **more: Any) -> Any:
        into, out = self.process.stdin, self.process.stdout
        assert into is not None
        assert out is not None
        into.write(json.dumps({"do": what, **more}) + "\n")
        into.flush()
        answer = json.loads(out.readline())
        if "error" in answer:
            raise NotDone(answer["error"])
        return answer

    def __call__(self, *steps: dict[str, Any], count: int = 1, **says: Any) -> Any:
        """The ids of as many approved runs of these steps, and how long the slowest took to be asked for."""
        return self.do("run", steps=steps, count=count, says=says)

    def people(self, witness: Path) -> dict[str, str]:
        """The cookies of three people who ask for changes and approve them; what runs writes to the witness."""
        found: dict[str, str] = self.do("people", witness=str(witness))
        return found

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@contextlib.contextmanager
def asking(stack: Stack, **env: str) -> Iterator[Asker]:
    asker = Asker(stack, **env)
    try:
        yield asker
    finally:
        asker.close()


# --- what is broken -----------------------------------------------------------------------------------------


def arm(stack: Stack, place: str, pid: int | None = None) -> Path:
    """Let one process end at a place of the code, as a lost machine would; the file is gone once it has."""
    asked = Path(stack.env[VARIABLE]) / (f"{place}.{pid}" if pid else place)
    asked.touch()
    return asked


def kill_workers(stack: Stack) -> None:
    """The whole worker at once, as a machine that loses power; what its steps left is the kernel's to end."""
    tell(family(stack, "worker"), signal.SIGKILL)


@contextlib.contextmanager
def without(stack: Stack, name: str) -> Iterator[None]:
    """One of the children is dead for the length of a block: whoever would bring it back is made to wait."""
    supervisor = stack.kill("supervisor", signal.SIGSTOP)
    try:
        stack.kill(name)
        yield
    finally:
        os.kill(supervisor, signal.SIGCONT)


@contextlib.contextmanager
def stopped(*pids: int) -> Iterator[None]:
    """These processes stand still for the length of a block."""
    tell(pids, signal.SIGSTOP)
    try:
        yield
    finally:
        tell(pids, signal.SIGCONT)


def tell(pids: Iterable[int], number: signal.Signals) -> None:
    """A signal to each of them that is still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def family(stack: Stack, name: str) -> list[int]:
    """The pids of a child and of all below it."""
    main = psutil.Process(stack.pids()[name])
    return [main.pid, *(one.pid for one in main.children(recursive=True))]


# --- what is waited for -------------------------------------------------------------------------------------


def state(stack: Stack, run: str) -> Any:
    return stack.query("SELECT state FROM orchestration_run WHERE id = %s", run)[0][0]


def ends(stack: Stack, run: str, wanted: str = "succeeded", *, seconds: float = 60) -> None:
    wait_for(lambda: state(stack, run) == wanted, seconds=seconds, what=f"run {run} {wanted}\n{stack.logs()}")


def all_end(stack: Stack, runs: list[str], *, seconds: float = 60) -> None:
    """Until each of them has succeeded."""
    left = "SELECT count(*) FROM orchestration_run WHERE id = ANY(%s::uuid[]) AND state <> 'succeeded'"
    wait_for(
        lambda: stack.query(left, runs) == [(0,)], seconds=seconds, what=f"the end of all\n{stack.logs()}"
    )


def attempts(stack: Stack, run: str) -> list[tuple[int, str]]:
    """Number and outcome of each attempt of a run."""
    rows = stack.query(
        "SELECT a.number, a.outcome FROM orchestration_stepattempt a JOIN orchestration_step s ON s.id = a.step_id"
        " WHERE s.run_id = %s ORDER BY s.position, a.number",
        run,
    )
    return [(number, outcome) for number, outcome in rows]


def lines(witness: Path) -> list[str]:
    return witness.read_text().splitlines() if witness.exists() else []
