"""`trigger` against Airflow itself, as `make airflow` installs it: it takes minutes and is not part of `make test`."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from uuid import uuid4

import httpx
import psutil
import pytest

from orchestration.actions import egress
from orchestration.actions.base import Cancelled
from orchestration.actions.trigger.action import Trigger
from tests.orchestration.far import context

BIN = Path(__file__).resolve().parents[2] / ".venv/airflow/bin"
pytestmark = pytest.mark.skipif(
    "AIRFLOW" not in os.environ or not (BIN / "airflow").exists(),
    reason="*** AIRFLOW ITSELF IS LEFT OUT: `make airflow` proves the step against it ***",
)
DAG = """
import time
from airflow.sdk import dag, task

@dag(dag_id="deploy", schedule=None, catchup=False, is_paused_upon_creation=False)
def deploy():
    @task
    def work(**context):
        conf = context["dag_run"].conf or {}
        time.sleep(int(conf.get("seconds", 0)))
        if conf.get("fails"):
            raise RuntimeError("told to fail")
    work()

deploy()
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as held:
        return held.getsockname()[1]


@pytest.fixture(scope="module")
def airflow(tmp_path_factory):
    """Its own standalone: database, scheduler, DAG processor and API server."""
    home = tmp_path_factory.mktemp("airflow")
    (home / "dags").mkdir()
    (home / "dags/deploy.py").write_text(DAG)
    (home / "simple_auth_manager_passwords.json.generated").write_text(json.dumps({"robot": "s3cret-word"}))
    port = free_port()
    env = {
        "PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(home), "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "robot:admin",
        "AIRFLOW__API__PORT": str(port), "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
    }  # fmt: skip
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(BIN / "airflow"), "standalone"],
            env=env,
            cwd=home,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _wait(f"http://127.0.0.1:{port}", process, home / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        below = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        psutil.wait_procs(below, timeout=10)
        for one in below:
            if one.is_running():
                one.kill()
        process.kill()
        process.wait()


def _wait(url, process, log):
    """Until it knows the DAG."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and process.poll() is None:
        try:
            token = httpx.post(
                f"{url}/auth/token", json={"username": "robot", "password": "s3cret-word"}
            ).json()
            headers = {"Authorization": f"Bearer {token['access_token']}"}
            if httpx.get(f"{url}/api/v2/dags/deploy", headers=headers).status_code == 200:
                return
        except (httpx.HTTPError, ValueError, KeyError):
            pass
        time.sleep(1)
    raise RuntimeError(f"Airflow did not come up: {log.read_text()[-3000:]}")


@pytest.fixture
def step(airflow, monkeypatch, tmp_path):
    monkeypatch.setenv(egress.ALLOWED, "127.0.0.1")
    monkeypatch.setenv("STEP_SECRETS", str(tmp_path))
    (tmp_path / "WORD").write_text("s3cret-word")

    def make(key, **conf):
        given = {"url": airflow, "dag": "deploy", "user": "robot", "password": "WORD", "conf": conf}
        return context({"airflow": given}, key=key, seconds=180)

    return make


def test_a_run_of_a_dag_is_started_once_and_told_to_its_end(step):
    key = str(uuid4())
    made, lines = step(key, version="1.2.3")
    done = Trigger().run(made)
    assert (done.succeeded, done.outputs["id"]) == (True, key)
    assert lines[-1].startswith("Airflow: success")
    again, lines = step(key, version="1.2.3")
    assert Trigger().run(again).outputs == done.outputs
    assert "found the job" in lines[0]


def test_a_run_that_fails_over_there_fails_here(step):
    made, _ = step(str(uuid4()), fails=True)
    assert Trigger().run(made).outputs["state"] == "failed"


def test_a_stopped_run_ends_over_there(step):
    key = str(uuid4())
    made, lines = step(key, seconds=120)
    threading.Timer(8, made.cancelled.set).start()
    with pytest.raises(Cancelled):
        Trigger().run(made)
    assert "was asked to cancel" in lines[-1]
    after, _ = step(key, seconds=120)
    assert Trigger().run(after).outputs["state"] == "failed"
