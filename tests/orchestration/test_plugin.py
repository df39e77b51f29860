"""The example plug-in, a package outside the product: installed, found by its entry point, run by the real engine."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestration.actions import registry
from orchestration.definitions.source import BadDefinition
from orchestration.definitions.workflow import load
from orchestration.engine.nodes import Node
from orchestration.engine.work import work
from tests.orchestration.deeds import both
from tests.orchestration.world import step

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = ROOT / "examples/plugin"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder into which the package was installed as anybody would, but for the network."""
    place = tmp_path_factory.mktemp("plugin")
    source, target = place / "source", place / "target"
    subprocess.run(["cp", "-r", PLUGIN, source], check=True)  # a build leaves things beside its source
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--quiet", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", "install", *offline, "--target", target, source], check=True)
    return target


@pytest.fixture
def plugged(installed, monkeypatch):
    """The product with the plug-in, as after a start."""
    monkeypatch.syspath_prepend(installed)
    registry.known.cache_clear()
    yield registry.get("sqlite")
    registry.known.cache_clear()
    for name in [one for one in sys.modules if one.startswith("countersign_sqlite")]:
        del sys.modules[name]


@pytest.fixture
def database(tmp_path):
    with sqlite3.connect(tmp_path / "flags.db") as connection:
        connection.execute("CREATE TABLE flag (name, state)")
        connection.execute("INSERT INTO flag VALUES ('new', 'off')")
    return tmp_path / "flags.db"


def test_a_step_of_the_plug_in_is_run_by_the_engine(plugged, database, world):
    node = Node()
    node.register()
    given = {"database": str(database), "script": "flags.sql", "values": {"state": "'; DROP TABLE flag; --"}}
    files = {"flags.sql": "UPDATE flag SET state = :state WHERE name = 'new';"}
    told: dict[str, Any] = {"uses": "sqlite", "with": given, "files": files}
    run = world.run(step("set", **told))
    work(run.steps.get().pk, node=node)
    assert both(run) == ("succeeded", "succeeded")
    assert run.steps.get().outputs == {"statements": 1}
    with sqlite3.connect(database) as connection:
        assert connection.execute("SELECT state FROM flag").fetchall() == [("'; DROP TABLE flag; --",)]


WORKFLOW = """
apiVersion: countersign.dev/v1
kind: Workflow
metadata: {name: set-flag, title: Set a flag, owner: platform}
spec:
  summary: Set a flag
  inputs: {state: {type: string, title: State}}
  environments: [staging]
  steps:
    set: {uses: sqlite, with: {database: /var/lib/flags.db, script: flags.sql, values: {state: "{{inputs.state}}"}}}
"""


def test_a_definition_that_uses_it_is_checked_against_its_schema_and_its_files(plugged):
    assert load(WORKFLOW, {"flags.sql": "SELECT 1;"}).slug == "set-flag"
    with pytest.raises(BadDefinition, match=r"there is no flags\.sql beside the workflow"):
        load(WORKFLOW)
    with pytest.raises(BadDefinition, match=r"with\.database"):
        load(WORKFLOW.replace("/var/lib/", "var/"), {"flags.sql": "SELECT 1;"})


def test_without_it_there_is_no_such_action():
    with pytest.raises(BadDefinition, match="there is no action named sqlite"):
        load(WORKFLOW, {"flags.sql": "SELECT 1;"})


def test_it_cannot_take_the_name_of_a_built_in_action(installed, monkeypatch, tmp_path):
    named = installed / "countersign_sqlite-1.0.0.dist-info/entry_points.txt"
    taken = tmp_path / "other-1.0.0.dist-info"
    taken.mkdir()
    (taken / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0.0\n")
    (taken / "entry_points.txt").write_text(named.read_text().replace("sqlite = ", "command = "))
    monkeypatch.syspath_prepend(installed)
    monkeypatch.syspath_prepend(tmp_path)
    registry.known.cache_clear()
    assert type(registry.get("command")).__module__ == "orchestration.actions.command"
    registry.known.cache_clear()


def test_its_own_tests_pass(installed):
    quiet = ["-q", "-c", "/dev/null", "-p", "no:cacheprovider", "-p", "no:django", f"--rootdir={PLUGIN}"]
    env = {**os.environ, "PYTHONPATH": f"{installed}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *quiet, PLUGIN], env=env, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout
