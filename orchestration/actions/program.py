"""Runs a tool of the worker's machine inside the step's own supervised tree: argv lists, output told as it comes.

Whoever ends the step ends the tool with it. It must never be given a shell string.
"""

import os
import re
import shutil
import subprocess
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestration.actions.base import Cancelled, Context
from orchestration.actions.command import REFUSED

REASON_CHARACTERS = 500
TAIL_LINES = 200  # of what it said, from which a reason is found
VARIABLE = re.compile(REFUSED + r"[A-Z][A-Z0-9_]*$")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Unusable(Exception):
    """A tool that is not there, or that cannot be used so: the reason of the step."""


@dataclass(frozen=True)
class Ran:
    """How a tool ended: its exit code, the end of what it said, and what was captured."""

    code: int
    said: str
    printed: str = ""

    @property
    def reason(self) -> str:
        """Why, as the tool words it: from the last line that begins as an error does, or the last line at all."""
        lines = [line for one in COLOUR.sub("", self.said).splitlines() if (line := one.strip(" │╷╵"))]
        starts = [at for at, line in enumerate(lines) if line.lower().startswith("error")]
        told = " ".join(lines[starts[-1] :] if starts else lines[-1:])
        return told[:REASON_CHARACTERS] or f"Exit code {self.code}."

    def must(self, *codes: int) -> "Ran":
        """Itself when it ended with one of these codes, or with 0; Unusable with its reason when not."""
        if self.code not in {0, *codes}:
            raise Unusable(self.reason)
        return self


@dataclass(frozen=True)
class Program:
    """A tool as one step runs it: where it is, where it works, what it sees beside the step's own variables."""

    context: Context
    path: str
    folder: Path
    env: Mapping[str, str]

    def run(self, *arguments: str) -> Ran:
        """Run it to its end, each line told; Cancelled when the step was told to stop."""
        lines: deque[str] = deque(maxlen=TAIL_LINES)
        with self._start(arguments, stderr=subprocess.STDOUT) as process:
            for line in process.stdout or ():
                lines.append(line)
                self.context.say(line.rstrip("\n"))
        return self._ended(process.returncode, "".join(lines))

    def capture(self, *arguments: str) -> Ran:
        """Run it for what it prints; what it says beside that is told."""
        with self._start(arguments, stderr=subprocess.PIPE) as process:
            printed, said = process.communicate()
        for line in said.splitlines():
            self.context.say(line)
        return self._ended(process.returncode, said, printed)

    def _start(self, arguments: Sequence[str], *, stderr: int) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [self.path, *arguments],
            cwd=self.folder,
            env={**os.environ, **self.env},  # the step's own environment, made by its supervisor
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            encoding="utf-8",
            errors="replace",
        )

    def _ended(self, code: int, said: str, printed: str = "") -> Ran:
        if self.context.cancelled.is_set():
            raise Cancelled
        return Ran(code, said, printed)


def find(*names: str) -> str:
    """The first of these on the search path of steps; Unusable when there is none."""
    for name in names:
        if path := shutil.which(name):
            return path
    raise Unusable(f"There is no {' or '.join(names)} on the worker's PATH; nothing was run.")


def secret_variables(context: Context, *, but: str = "") -> dict[str, str]:
    """The step's secrets as variables of their names, for tools that take them so; never one that steers a program."""
    files = sorted(context.secrets.iterdir()) if context.secrets else []
    return {file.name: file.read_text() for file in files if VARIABLE.match(file.name) and file.name != but}
