"""The chain of a log: its root stands in the entry of the attempt's end, and nothing can be changed behind it."""

import pytest
from django.core.management import call_command
from django.db.models import F

from audit.canonical import parse
from audit.ledger import checkpoint, examine
from audit.models import Entry
from orchestration.engine.attempt import Chunk
from orchestration.engine.logs import Log
from orchestration.engine.reconcile import reconcile
from orchestration.logs import chain, verify
from orchestration.models import LogChunk, StepAttempt
from tests.audit.log import sequence
from tests.orchestration.deeds import ended, holding, vanish
from tests.orchestration.printing import out, printed, printing
from tests.orchestration.world import step

PIECES = [("stdout", b"one\n", 0), ("stderr", b"two", 0), ("stdout", b"three\n", 5)]


def told(kind):
    return parse(bytes(Entry.objects.filter(kind=kind).latest("id").body))["data"]


def test_the_entry_of_the_end_tells_root_and_counts(world):
    printed(world, PIECES)
    digest = chain.start(StepAttempt.objects.get().pk)
    for seq, (stream, data, dropped) in enumerate(PIECES, start=1):
        digest = chain.link(digest, seq=seq, stream=stream, data=data, dropped=dropped)
    root = chain.root(digest)
    assert told("step.succeeded")["log"] == {"root": root, "chunks": 3, "bytes": 13, "dropped": 5}
    assert StepAttempt.objects.get().log_root == root


def test_a_step_that_printed_nothing_tells_no_root(world):
    held = holding(world.run(step("a")).steps.get())
    ended(held)
    assert "log" not in told("step.succeeded")
    assert list(verify.faults()) == []


def test_the_log_of_a_worker_that_vanished_is_closed_with_the_root_that_it_had(world):
    held = holding(world.run(step("a")).steps.get())
    log = printing(held, PIECES)
    vanish()
    assert reconcile()["reaped"] == 1
    log.take(Chunk(4, "stdout", b"too late\n"))
    log.store()
    assert told("step.unknown")["log"] == {
        "root": StepAttempt.objects.get().log_root, "chunks": 3, "bytes": 13, "dropped": 5,
    }  # fmt: skip
    assert LogChunk.objects.count() == 3
    assert list(verify.faults()) == []


def test_nothing_can_be_added_behind_the_end(world):
    held = holding(world.run(step("a")).steps.get())
    log = Log(held.attempt, held.attempt_id)
    ended(held)
    log.take(Chunk(1, "stdout", b"afterwards\n"))
    log.store()
    assert not LogChunk.objects.exists()


def test_x23_whatever_is_done_to_a_log_afterwards_is_found_and_its_piece_named(world):
    one = printed(world, out(b"first try\n"), PIECES)
    name = f"The log of {one.run.key}/a, attempt 2,"
    rows = LogChunk.objects.filter(attempt__number=2)
    kept = [(row.pk, dict(LogChunk.objects.filter(pk=row.pk).values().get())) for row in rows]
    assert list(verify.faults()) == []

    def found(act):
        act()
        try:
            return list(verify.faults())
        finally:
            for pk, columns in kept:
                LogChunk.objects.update_or_create(pk=pk, defaults=columns)

    altered = f"{name} was altered: piece 2 is not the one that was stored after piece 1."
    behind = altered.replace("piece 2", "piece 3").replace("piece 1.", "piece 2.")
    second = rows.filter(seq=2)
    assert found(lambda: second.update(data=b"too")) == [altered]
    assert found(lambda: second.update(stream="stdout")) == [altered]
    assert found(lambda: rows.filter(seq=3).update(dropped_bytes=0)) == [behind]
    assert "piece 3 is not the one that was stored after piece 1" in found(second.delete)[0]
    cut = f"{name} was altered: it ends after piece 2 with another root than the ledger tells."
    assert found(rows.filter(seq=3).delete) == [cut]
    assert found(lambda: rows.filter(seq=3).update(first_line=F("first_line") + 1)) == [
        f"{name} was moved: piece 3 stands at another line than it was stored at."
    ]
    assert found(rows.delete) == [cut.replace("piece 2", "piece 0")]
    assert list(verify.faults()) == []


def test_x23_who_makes_the_whole_chain_anew_is_found_by_the_root_in_the_ledger(world, capsys):
    one = printed(world, out(b"paid 100\n"))
    sequence()
    row = LogChunk.objects.get()
    digest = chain.link(chain.start(row.attempt_id), seq=1, stream="stdout", data=b"paid 999\n", dropped=0)
    LogChunk.objects.update(data=b"paid 999\n", digest=digest)
    StepAttempt.objects.update(log_root=chain.root(digest))
    sentence = (
        f"The log of {one.run.key}/a, attempt 1, was altered: it ends after piece 1 with another root than the"
        " ledger tells."
    )
    assert [finding.text for finding in examine.examine(checkpoint.keys()).findings] == [sentence]
    with pytest.raises(SystemExit):
        call_command("ledger", "verify")
    assert sentence in capsys.readouterr().out


def test_x23_an_attempt_that_was_taken_away_with_its_log_is_missed(world):
    one = printed(world, PIECES)
    LogChunk.objects.all().delete()
    StepAttempt.objects.all().delete()
    assert list(verify.faults()) == [
        f"The log of {one.run.key}/a, attempt 1, was taken away with its attempt."
    ]
