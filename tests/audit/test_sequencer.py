"""The sequencer: every entry gets one place, in order, once; and a broken log is not continued."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import uuid4

import pytest
from django.conf import settings as django_settings
from django.db import connection

from audit.ledger import checkpoint, integrate, merkle, sequencer
from audit.ledger.freshness import lag
from audit.ledger.integrate import Broken, Waiting
from audit.ledger.note import BadNote
from audit.ledger.tiles import Edge
from audit.models import Checkpoint, Entry, Head, Leaf, Pending
from tests.audit import signing
from tests.audit.log import as_insider, newest, sequence, stream, write
from tests.stack import wait_for

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("own_key")]


def log_of_leaves():
    return [bytes(leaf) for leaf in Leaf.objects.order_by("index").values_list("leaf_hash", flat=True)]


def assert_whole():
    """Entries are leaves, indexes are contiguous, and each checkpoint is of the leaves before it."""
    assert not Pending.objects.exists()
    assert Leaf.objects.count() == Entry.objects.count()
    grown = merkle.Range()
    roots = [grown.root()]
    for leaf in log_of_leaves():
        grown.append(leaf)
        roots.append(grown.root())
    assert list(Leaf.objects.order_by("index").values_list("index", flat=True)) == list(range(grown.size))
    assert bytes(Head.objects.get().root) == roots[-1]
    for stored in Checkpoint.objects.all():
        assert bytes(stored.root) == roots[stored.size]


def test_every_entry_gets_one_place_and_the_head_is_signed():
    write(300)
    sequence()
    write(5)
    sequence()
    assert_whole()
    last = newest()
    assert checkpoint.read(last.note, checkpoint.keys()).size == last.size == 305
    assert lag().pending == 0


def test_the_versions_of_a_stream_are_placed_in_their_order():
    entries = stream(20)
    sequence()
    assert [entry.leaf.index for entry in entries] == sorted(entry.leaf.index for entry in entries)


def test_an_entry_waits_for_its_predecessor():
    first, second = stream(2)
    as_insider("DELETE FROM audit_pending WHERE entry_id = %s", first.pk)
    sequence()
    assert Pending.objects.get().entry_id == second.pk
    as_insider("INSERT INTO audit_pending VALUES (%s)", first.pk)
    sequence()
    assert first.leaf.index < second.leaf.index


def test_a_late_commit_is_not_lost():
    def commit_late(started, may_commit):
        from django.db import transaction

        with transaction.atomic():
            write(1)
            started.set()
            may_commit.wait(10)
        connection.close()

    started, may_commit = threading.Event(), threading.Event()
    thread = threading.Thread(target=commit_late, args=(started, may_commit))
    thread.start()
    started.wait(10)
    write(3)
    sequence()
    assert Leaf.objects.count() == 3
    may_commit.set()
    thread.join()
    sequence()
    assert_whole()


@pytest.mark.django_db(transaction=False)
def test_order_follows_time_but_never_breaks_a_stream():
    random = Random(7)  # noqa: S311
    at = datetime(2026, 1, 1, tzinfo=UTC)
    streams = [uuid4() for _ in range(5)]
    batch = [
        Waiting(uuid4(), stream, version, at + timedelta(seconds=random.randrange(100)), b"")
        for stream in streams
        for version in range(2, 9)
    ]
    sequenced = {(stream, 1) for stream in streams[1:]}
    placed = sequencer.ordered(batch, sequenced)
    assert {entry.stream for entry in placed} == set(streams[1:])
    for one in streams[1:]:
        assert [entry.version for entry in placed if entry.stream == one] == list(range(2, 9))


def test_checkpoints_keep_their_distance_and_the_leader_is_awake_when_one_is_due():
    leader = sequence()
    write(1)
    leader.integrate()
    assert leader.sign(now=100.0)
    write(1)
    leader.integrate()
    assert not leader.sign(now=100.7)
    assert leader.patience(now=100.7) == pytest.approx(0.1)
    assert leader.patience(now=102.0) == 0
    assert leader.sign(now=101.0)
    assert leader.patience(now=101.0) == sequencer.POLL_SECONDS
    assert not leader.sign(now=200.0), "nothing is new"


def test_an_idle_log_says_that_it_lives():
    leader = sequence()
    write(1)
    leader.step(now=100.0)
    leader.step(now=699.0)
    assert Entry.objects.filter(kind="ledger.beat").count() == 0
    leader.step(now=700.0)
    leader.step(now=701.0)
    assert Entry.objects.filter(kind="ledger.beat").count() == 1
    assert newest().size == 2


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE audit_head SET size = size - 1",
        r"UPDATE audit_head SET root = sha256('\x00')",
        "DELETE FROM audit_leaf WHERE index = 3",
        "DELETE FROM audit_tile WHERE level = 1",
        r"UPDATE audit_tile SET data = sha256('\x00') || substr(data, 33) WHERE index = 1",
        "DELETE FROM audit_tile; DELETE FROM audit_leaf; UPDATE audit_head SET size = 0, root = sha256('')",
        "UPDATE audit_checkpoint SET note = replace(note, '300', '299')",
    ],
)
def test_a_broken_log_is_not_continued(damage):
    write(300)
    sequence()
    as_insider(damage)
    with pytest.raises((Broken, BadNote)):
        sequencer.Sequencer.start(checkpoint.keeper().answer)


def test_an_entry_edited_before_it_has_its_place_stops_the_log():
    entry = write(1)[0]
    as_insider(r"UPDATE audit_entry SET body = body || '\x20' WHERE id = %s", entry.pk)
    with pytest.raises(Broken, match=str(entry.pk)):
        sequence()
    assert not Leaf.objects.exists()


def test_g01_two_sequencers_never_both_extend_the_log():
    one = sequence()
    other = sequence()
    write(1)
    one.integrate()
    write(1)
    with pytest.raises(Broken, match="another sequencer"):
        other.integrate()
    assert Pending.objects.count() == 1
    one.integrate()
    one.sign(now=time.monotonic())
    assert_whole()


def test_no_second_key_is_made_for_a_log_that_signed(settings, tmp_path):
    write(1)
    sequence()
    settings.KEY_DIR = tmp_path / "elsewhere"
    with pytest.raises(FileNotFoundError, match="copy the file"):
        sequence()
    shutil.copytree(tmp_path / "public", settings.KEY_DIR / "public")
    write(1)
    with pytest.raises(Broken, match="restore the key"):
        sequence()
    assert not list(settings.KEY_DIR.glob("signer/*.key"))


def test_g01_a_log_that_the_signer_refuses_is_not_signed_and_stops_the_sequencer():
    """The thief of the database, and of the web server's keys: all of it fits, and no signature is to be had."""
    keeper = checkpoint.keeper()
    write(5)
    sequence(keeper)
    as_insider("DELETE FROM audit_checkpoint")
    as_insider(r"UPDATE audit_entry SET body = body || '\x20'")
    rebuilt = Edge()
    bodies = Leaf.objects.order_by("index").values_list("entry__body", flat=True)
    tiles = rebuilt.extend(merkle.leaf_hash(bytes(body)) for body in bodies)
    as_insider(
        "UPDATE audit_leaf SET leaf_hash = sha256('\\x00'::bytea || body) FROM audit_entry e WHERE e.id = entry_id"
    )
    as_insider("UPDATE audit_tile SET data = %s", tiles[0, 0])
    as_insider("UPDATE audit_head SET root = %s", rebuilt.root())
    for more in (0, 3):
        write(more)
        with pytest.raises(Broken, match="does not begin with the 5 that were signed before"):
            sequence(keeper)
    assert not Checkpoint.objects.exists()


def test_g01_a_log_whose_end_was_cut_off_or_that_is_an_old_backup_is_not_signed():
    keeper = checkpoint.keeper()
    write(5)
    sequence(keeper)
    as_insider(
        "DELETE FROM audit_checkpoint; DELETE FROM audit_tile; DELETE FROM audit_leaf; DELETE FROM audit_head"
    )
    as_insider("INSERT INTO audit_pending SELECT id FROM audit_entry ORDER BY id LIMIT 3")
    with pytest.raises(Broken, match="has signed 5 entries, but the log has 3"):
        sequence(keeper)


def test_without_the_signer_entries_get_their_places_and_what_is_not_signed_counts_as_behind(
    settings, tmp_path
):
    settings.SIGNER_SOCKET = tmp_path / "signer.sock"
    leader = sequencer.Sequencer.start()
    write(3)
    as_insider("UPDATE audit_entry SET occurred_at = occurred_at - interval '90 s'")
    leader.step(now=100.0)
    assert (Leaf.objects.count(), Pending.objects.count(), Checkpoint.objects.count()) == (3, 0, 0)
    assert (lag().pending, lag().oldest_seconds > 89) == (3, True)
    with signing.running(tmp_path):
        leader.step(now=101.0)
    assert newest().size == 3
    assert (lag().pending, lag().oldest_seconds) == (0, 0)
    write(1)
    leader.step(now=102.0)
    with signing.running(tmp_path):
        leader.step(now=103.0)
    assert_whole()
    assert newest().size == 4


def test_a_signature_that_never_reached_the_database_is_asked_for_again():
    keeper = checkpoint.keeper()
    write(3)
    sequence(keeper)
    write(2)
    leader = sequencer.Sequencer.start(keeper.answer)
    leader.integrate()
    leader._note(5, leader.edge.root())
    del leader
    write(1)
    sequence(keeper)
    assert_whole()
    assert newest().size == keeper.memory.size == 6


def test_a_batch_that_fails_leaves_nothing_behind(monkeypatch):
    leader = sequence()
    write(2)
    with monkeypatch.context() as patched:
        patched.setattr(integrate, "SWAP", integrate.SWAP.replace("id = 1", "id = 2"))
        with pytest.raises(Broken):
            leader.integrate()
    assert Pending.objects.count() == 2
    leader.integrate()
    leader.sign(now=time.monotonic())
    assert_whole()


def start_process(tmp_path):
    name = connection.settings_dict["NAME"]
    url = django_settings.DATABASE_URL.replace("/countersign?", f"/{name}?")
    env = {
        **os.environ,
        "COUNTERSIGN_DATABASE_URL": url,
        "COUNTERSIGN_KEY_DIR": str(tmp_path),
        "COUNTERSIGN_SIGNER_SOCKET": str(tmp_path / "signer.sock"),
    }
    return subprocess.Popen([sys.executable, "manage.py", "sequencer"], env=env, stderr=subprocess.PIPE)


@pytest.fixture
def signer(tmp_path):
    with signing.running(tmp_path) as process:
        yield process


def _grown(size):
    """A question: more was placed than this, though writing goes on."""
    return lambda: write(20) and Leaf.objects.count() > size


@pytest.mark.faults
def test_a_sequencer_that_is_killed_again_and_again_loses_and_doubles_nothing(tmp_path, signer):
    random = Random(3)  # noqa: S311
    for _ in range(4):
        process = start_process(tmp_path)
        size = Leaf.objects.count()
        wait_for(_grown(size))
        deadline = time.monotonic() + random.random() * 0.3
        while time.monotonic() < deadline:
            write(20)
        process.kill()
        process.communicate()
    process = start_process(tmp_path)
    wait_for(lambda: not Pending.objects.exists())
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    process.communicate()
    assert_whole()
    assert newest().size == Leaf.objects.count()


@pytest.mark.faults
def test_a_sequencer_outlives_the_loss_of_its_connection(tmp_path, signer):
    process = start_process(tmp_path)
    write(1)
    wait_for(lambda: Leaf.objects.count() == 1)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
    write(1)
    wait_for(lambda: Leaf.objects.count() == 2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    process.communicate()
    assert_whole()
