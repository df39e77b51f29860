"""What tests ask of a stack: the product's own commands, and steps that leave a trace outside it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.stack import ROOT, Stack


def environment(stack: Stack) -> dict[str, str]:
    """Of a process that shall use the servers and keys of this stack."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("COUNTERSIGN_")}
    home = {"COUNTERSIGN_DATA_DIR": str(stack.home), "COUNTERSIGN_RUN_DIR": str(stack.layout.run)}
    given = {key: value for key, value in stack.env.items() if key == "COUNTERSIGN_BROKER_URL"}
    return {**kept, **home, **given, "DJANGO_SETTINGS_MODULE": "config.settings"}


def manage(stack: Stack, *arguments: str) -> tuple[int, str, str]:
    """Exit code, output and errors of one command."""
    command = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(
        command, env=environment(stack), cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def telling(key: str, witness: Path, seconds: float, **more: Any) -> dict[str, Any]:
    """A step that leaves a trace outside the product."""
    said = f'echo "begin $STEP_ATTEMPT" >> {witness}; sleep {seconds}; echo "end $STEP_ATTEMPT" >> {witness}'
    return {"key": key, "uses": "command", "with": {"argv": ["/bin/sh", "-c", said]}, **more}
