"""Group X, as far as it is about secrets: whatever a step does with one, it stands nowhere afterwards.

What is about doors and sizes is in test_group_x_doors.py, the rest beside what it is about, by number.
"""

import json
import logging
from pathlib import Path

import pytest
import redis
from django.conf import settings
from django.db import connection
from psycopg import sql

from orchestration.engine.supervisor.redact import forms
from orchestration.models import Run, Step
from tests.abuse.attack import ECHO, Case, printed, work
from tests.abuse.test_group_a import SECRET, publish

CANARY = "c4n4ry Zq8'v\"T$x/%7\\&<ü>=ok+w\nsecond-Line-0f-it"
LEAK = Path("tests/leak.py").read_text()
STEPS = """
    outputs:
      uses: command
      with: {argv: [./leak.py, outputs], env: {V: "{{inputs.version}}"}}
      secrets: {CANARY: payments/db-password}
    fail:
      needs: [outputs]
      uses: command
      with: {argv: [./leak.py, fail]}
      secrets: {CANARY: payments/db-password}
      effect: idempotent
      retries: 1
"""
PATTERNS = {one for one in forms(CANARY.encode()) if len(one) >= 8}


@pytest.fixture
def case(transactional_db, caplog):
    """A run whose three steps do everything with it, at the most talkative level of our own log."""
    caplog.set_level(logging.DEBUG)
    case = Case()
    mara = case.at["mara"]
    key = mara.post("secrets/", SECRET).json()["id"]
    mara.post(f"secrets/{key}/versions/", {"value": CANARY})
    publish(case, ECHO[: ECHO.index("    say:")] + STEPS, {"leak.py": LEAK})
    case.approved()
    for _ in range(3):
        work()
    return case


def leaks(*texts):
    """Which forms of it stand in any of these."""
    found = set()
    for text in texts:
        data = text if isinstance(text, bytes) else text.encode()
        found |= {one for one in PATTERNS if one in data}
    return found


def rows():
    """Every row of every table, as text; bytes as hex, which is one of the forms."""
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(table)))
            yield from (f"{table} {one[0]}" for one in cursor.fetchall())


def test_x10_x11_a_canary_in_every_form_stands_nowhere_that_anybody_can_read(case, caplog):
    crashed, failed = Step.objects.get(key="fail").attempts.all()
    assert (crashed.reason, failed.reason) == ("Exit code 1.", "The password *** was not taken: ***.")
    assert "***" in printed()
    assert "cannot sign in with ***" in printed()
    assert leaks(printed()) == set()
    assert leaks(*rows()) == set()
    assert leaks(caplog.text) == set()
    assert leaks(*answers(case)) == set()
    assert leaks(*kept_by_valkey()) == set()
    assert not [
        one for step in Step.objects.all() for one in Path("/dev/shm").glob(f"countersign-*-{step.pk}-*")
    ]
    assert leaks(*(path.read_bytes() for path in Path(settings.DATA_DIR).rglob("*.log"))) == set()


def answers(case):
    """What the doors say to those who may see most."""
    made = Run.objects.get()
    run, change = made.key, made.change.key
    for path in (f"/runs/{run}/", f"/changes/{change}/", "/secrets/", "/inbox/", "/audit/", "/runs/",
                 *(f"/runs/{run}/steps/{key}/log.txt" for key in ("outputs", "fail"))):  # fmt: skip
        answer = case.at["sam"].client.get(path)
        assert answer.status_code in {200, 302}, path
        yield b"".join(answer.streaming_content) if answer.streaming else answer.content
    for path in (f"runs/{run}/", f"runs/{run}/steps/", f"runs/{run}/events", f"changes/{change}/", "secrets/",
                 f"changes/{change}/timeline/", f"runs/{run}/steps/fail/log"):  # fmt: skip
        answer = case.at["jonas"].get(path)
        assert answer.status_code == 200, path
        yield answer.content


def kept_by_valkey():
    place = settings.BROKER_URL.removeprefix("redis+socket://").partition("?")[0]
    for number in (0, 1):
        with redis.Redis(unix_socket_path=place, db=number) as client:
            for key in client.scan_iter():
                yield key
                yield client.dump(key) or b""


def test_x11_it_is_in_no_argument_and_no_environment_while_the_step_runs(case):
    told = Step.objects.get(key="outputs").outputs
    assert (told["others"], told["lying"], told["core"]) == (0, 0, 0)
    assert (told["folder"], told["file"]) == ("0o40700", "0o100400")
    assert told["***"] == "as a name"
    assert leaks(json.dumps(told)) == set()


def test_x12_a_step_is_given_no_credential_of_the_worker_and_no_open_file(case):
    told = Step.objects.get(key="outputs").outputs
    names = set(told["names"].split())
    assert "STEP_SECRETS" in names
    assert not {one for one in names if one.startswith("COUNTERSIGN_")} - {
        "COUNTERSIGN_RUN",
        "COUNTERSIGN_BOOT",
    }
    assert not {one for one in names if "KEY" in one} - {"IDEMPOTENCY_KEY"}
    assert told["open"] == 3  # its own input, output and errors
