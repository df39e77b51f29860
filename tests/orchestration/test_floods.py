"""A step that prints far more than anybody keeps: bounded memory, a counted gap, and never a step that waits."""

import re
import threading
import time
from contextlib import ExitStack, contextmanager

import psutil
import pytest
from django.db import connection

from audit.canonical import parse
from audit.models import Entry
from orchestration.engine import failpoints
from orchestration.engine import logs as writing
from orchestration.engine.nodes import Node
from orchestration.engine.supervise import fork_server
from orchestration.engine.work import work
from orchestration.logs import reading, verify
from orchestration.models import LogChunk, Step, StepAttempt
from tests.orchestration.deeds import both
from tests.orchestration.test_work import command

MIB = 1 << 20
BYTES = 100_000_000
FLOODS = {
    "one line": f"head -c {BYTES} /dev/zero | tr '\\0' x",
    "small lines": f"yes abcdefghi | head -c {BYTES}",
    "binary": f"head -c {BYTES // 3} /dev/urandom",
}


@pytest.fixture
def node(world):
    one = Node()
    one.register()
    yield one
    one.stop()


@contextmanager
def watched():
    """The most that this worker, and its supervisors, have grown by within the block, in MiB."""
    fork_server()
    me, over, grown = psutil.Process(), threading.Event(), {"worker": 0.0, "supervisor": 0.0}
    began = me.memory_info().rss
    first = psutil.Process(fork_server().process.pid)
    base = first.memory_info().rss

    def look():
        while not over.wait(0.02):
            grown["worker"] = max(grown["worker"], (me.memory_info().rss - began) / MIB)
            for child in first.children():
                try:
                    grown["supervisor"] = max(grown["supervisor"], (child.memory_info().rss - base) / MIB)
                except psutil.NoSuchProcess:
                    continue

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield grown
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("kind", FLOODS)
def test_f22_a_flood_ends_well_within_its_bounds_and_every_byte_is_accounted_for(world, node, client, kind):
    run = world.run(command("a", "/bin/sh", "-c", FLOODS[kind]))
    with watched() as grown:
        work(run.steps.get().pk, node=node)
    attempt = StepAttempt.objects.get()
    kept = sum(len(data or b"") for data in LogChunk.objects.values_list("data", flat=True))
    total = BYTES // 3 if kind == "binary" else BYTES
    assert both(run) == ("succeeded", "succeeded")
    assert kept <= 21 * MIB
    assert kept + attempt.dropped_bytes == total
    marks = re.findall(rb"\[(\d+) bytes were left out here\]\n", b"".join(reading.text(Step.objects.get())))
    assert sum(map(int, marks)) == attempt.dropped_bytes
    assert attempt.log_lost == 0
    assert list(verify.faults()) == []
    assert grown["worker"] < 120, grown
    assert grown["supervisor"] < 40, grown
    client.force_login(world.requester)
    client.get("/runs/")  # what a first page costs is not of the log
    began = time.thread_time()
    page = client.get(f"/runs/{run.key}/?step=a")
    first = client.get(f"/runs/{run.key}/steps/a/log/?first={max(1, attempt.log_lines - 400)}")
    assert (page.status_code, first.status_code) == (200, 200)
    assert time.thread_time() - began < 2


# --- a database without room for logs -------------------------------------------------------------------------


@contextmanager
def no_room(condition="true"):
    """The database refuses rows of logs, as it does on a full disk, and takes everything else."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE OR REPLACE FUNCTION test_no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$;"
            " CREATE TRIGGER test_no_room BEFORE INSERT ON orchestration_logchunk FOR EACH ROW"
            f" WHEN ({condition}) EXECUTE FUNCTION test_no_room()"
        )
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION IF EXISTS test_no_room CASCADE")


def test_f26_log_a_full_disk_costs_the_log_and_not_the_step(world, node, client, caplog):
    run = world.run(
        command("a", "/bin/sh", "-c", "echo one; sleep 0.6; echo two; echo done > done; cat done")
    )
    with no_room("NEW.seq > 1"):
        work(run.steps.get().pk, node=node)
    assert both(run) == ("succeeded", "succeeded")
    attempt = StepAttempt.objects.get()
    assert b"".join(reading.text(Step.objects.get())) == b"one\n"
    assert (attempt.log_lost, attempt.dropped_bytes, attempt.exit_code) == (9, 9, 0)
    told = parse(bytes(Entry.objects.get(kind="step.succeeded").body))["data"]["log"]
    assert (told["bytes"], told["dropped"], told["lost"], told["root"]) == (4, 9, 9, attempt.log_root)
    assert "is lost" in caplog.text
    client.force_login(world.requester)
    page = client.get(f"/runs/{run.key}/?step=a").content.decode()
    assert "Truncated: storage." in page
    assert "did not take 9 bytes" in page
    assert list(verify.faults()) == []


def test_f26_log_a_disk_that_has_room_again_gets_what_was_kept_meanwhile_and_the_rest_is_counted(
    world, node, monkeypatch
):
    monkeypatch.setattr(writing, "PENDING_BYTES", 1000)
    script = "yes 123456789 | head -c 900; sleep 0.4; yes 123456789 | head -c 900; sleep 0.4; echo end"
    run = world.run(command("a", "/bin/sh", "-c", script))
    with ExitStack() as refused:
        refused.enter_context(no_room())
        failpoints.at("complete.before", refused.close)
        try:
            work(run.steps.get().pk, node=node)
        finally:
            failpoints.at("complete.before", None)
    assert both(run) == ("succeeded", "succeeded")
    attempt, text = StepAttempt.objects.get(), b"".join(reading.text(Step.objects.get()))
    assert text.startswith(b"123456789\n" * 90)
    assert b"[900 bytes were left out here]\nend\n" in text
    assert (attempt.log_lost, attempt.dropped_bytes) == (900, 900)
    assert list(verify.faults()) == []
