"""The tables are what the models say."""

import subprocess
import sys

from tests.stack import ROOT


def test_no_model_is_without_its_migration():
    """In a process of its own: here other tests may have declared models."""
    command = [sys.executable, "manage.py", "makemigrations", "--check", "--dry-run"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "No changes detected\n"), done.stderr
