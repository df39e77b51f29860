"""A step of an action that runs a real tool, with its phase, its artifacts, its plans and its secrets.

The tools are those of the machine; where it has none, those that `make tools` puts beside the environment.
"""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from orchestration.definitions import summary
from orchestration.engine import supervise
from tests.orchestration.test_supervise import Watched

PATH = f"{supervise.STEP_PATH}:{Path(__file__).resolve().parents[2]}/.venv/tools/bin"


def needs(*names):
    """A mark for tests of a tool of one of these names."""
    there = any(shutil.which(name, path=PATH) for name in names)
    return pytest.mark.skipif(not there, reason=f"NO {names[0].upper()} ON THIS MACHINE: run `make tools`")


class Tool(Watched):
    """One attempt; `place` keeps what the product would keep beside it."""

    def __init__(self, uses, with_, place: Path, *, files=None, phase="apply", secrets=None, seconds=120):
        super().__init__(with_, uses=uses, files=files, timeout_seconds=seconds, lease_ttl_seconds=600)
        self.artifacts, self.plans = place / "artifacts", place / "plans"
        for folder in (self.artifacts, self.plans):
            folder.mkdir(exist_ok=True)
        kept = {
            one.name: {file.name: file.read_bytes() for file in one.iterdir()} for one in self.plans.iterdir()
        }
        env = {}
        if secrets:
            env["STEP_SECRETS"] = str(place / "secrets")
            (place / "secrets").mkdir(mode=0o700, exist_ok=True)
            for name, text in secrets.items():
                (place / "secrets" / name).write_text(text)
        self.attempt = replace(self.attempt, env=env, phase=phase, plans=kept)

    def run(self):
        """Its outcome; what it left as a plan is kept beside the others of its kind."""
        outcome = super().run()
        for name, data in outcome.artifacts.items():
            (self.artifacts / name).write_bytes(data)
        return outcome

    def artifact(self, name):
        return json.loads((self.artifacts / name).read_text("utf-8"))

    @property
    def plain(self):
        """What it said, as one line without colours and frames."""
        return " ".join(re.sub(r"\x1b\[[0-9;]*m|[│╷╵]", " ", self.text).split())

    @property
    def changes(self):
        """What the summary of the plan tells."""
        assert summary.read((self.artifacts / "summary.json").read_bytes()) is not None  # it fits the schema
        return self.artifact("summary.json")["changes"]


# What a person may type to make a program do something else. Each is one value, whatever is in it.
HOSTILE = [
    *("; id", "& id", "&& id", "| id", "|| id", "> /tmp/x", "< /etc/passwd", "a;id", "a\nid", "a\rid", "a\tid"),
    *("$(id)", "${HOME}", "$HOME", "`id`", "$((7*7))", "$'\\x41'", "!!", "~", "~root", "*", "?", "[a-z]*"),
    *("-oProxyCommand=id", "--help", "-h", "--", "-", "-e", "--version", "-c id", "--eval=id", "-var=a=b"),
    *("{{7*7}}", "{{ 7*7 }}", "{% for a in b %}", "{{ lookup('pipe', 'id') }}", "{# a #}", "{{ item }}", "{{"),
    *("#{7*7}", "${7*7}", "<%= 7*7 %>", "{x.__class__}", "{0.__init__}", "%n", "%s%s%s", "%(a)s", "%{a}"),
    *("'", '"', "\\", "'; id; '", '"; id; "', "\\\"$(id)", "@/etc/passwd", "file:///etc/passwd", "../../etc"),
    *("!unsafe a", "!!python/object:os.system", "&a *a", "a: b", "- a", "[1, 2]", "null", "yes", "0x1F", "1e3"),
    *("ü\u202ex", "\u2028", "\x7f", "😀", " ", "", "a" * 4096, "[[ a ]]", "terraform.workspace", "${file(\"a\")}"),
]  # fmt: skip
