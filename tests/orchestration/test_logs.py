"""A log is lines that never move: however it came in pieces, over all attempts, at any size."""

import random

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orchestration.engine import failpoints
from orchestration.engine import logs as writing
from orchestration.engine.attempt import Chunk
from orchestration.engine.logs import Log
from orchestration.engine.nodes import Node
from orchestration.engine.work import work
from orchestration.logs import reading
from orchestration.models import LogChunk, Step, StepAttempt
from tests.orchestration.deeds import both, holding
from tests.orchestration.printing import out, printed, printing
from tests.orchestration.test_work import command
from tests.orchestration.world import step


def lines(found):
    return [(one["line"], one["stream"], one["text"]) for one in found["results"]]


def pieces(seed):
    """Output as it may come: torn anywhere, in two streams, with bytes left out."""
    chance = random.Random(seed)  # noqa: S311 - not a secret
    words = [b"", b"a", b"bb\n", b"\n", b"c\nd", "ü\n".encode(), b"\r\n", b"x" * 40]
    for _ in range(40):
        data = b"".join(chance.choices(words, k=chance.randrange(1, 5)))
        yield chance.choice(["stdout", "stderr"]), data or b"z", chance.choice([0, 0, 0, 7])


@pytest.mark.parametrize("seed", range(4))
def test_every_window_is_what_the_text_has_at_those_lines(world, seed):
    one = printed(world, pieces(seed), pieces(seed + 100))
    text = b"".join(reading.text(one))
    known = reading.totals(one)
    expected = text.decode(errors="replace").split("\n")
    expected = expected[:-1] if text.endswith(b"\n") else expected
    assert (known.lines, known.bytes) == (len(expected), len(text))
    for first in range(1, known.lines + 1, 5):
        found = reading.window(one, first, 7)
        got = [(line["line"], line["text"]) for line in found["results"]]
        assert got == [(n, expected[n - 1]) for n in range(first, min(first + 7, known.lines + 1))]
        assert found["more"] is (first + 7 <= known.lines)


@pytest.mark.parametrize("seed", range(3))
def test_every_range_of_bytes_is_that_part_of_the_text(world, seed):
    one = printed(world, pieces(seed))
    text = b"".join(reading.text(one))
    for start in range(0, len(text), 13):
        assert b"".join(reading.text(one, start, start + 29)) == text[start : start + 29]


def test_what_one_stream_prints_never_ends_up_in_a_line_of_the_other(world):
    one = printed(world, [("stdout", b"half ", 0), ("stderr", b"no\n", 0), ("stdout", b"whole\nx", 12)])
    assert lines(reading.window(one, 1)) == [
        (1, "stdout", "half "),
        (2, "stderr", "no"),
        (3, "system", "[12 bytes were left out here]"),
        (4, "stdout", "whole"),
        (5, "stdout", "x"),
    ]


def test_the_lines_of_a_second_attempt_follow_those_of_the_first(world):
    one = printed(world, out(b"one\ntw"), out(), out(b"three\n", b"four\n"))
    assert [line[::2] for line in lines(reading.window(one, 2))] == [(2, "tw"), (3, "three"), (4, "four")]
    assert b"".join(reading.text(one)) == b"one\ntw\nthree\nfour\n"
    assert reading.last_lines(one, 2) == ["three", "four"]


def test_a_character_torn_over_two_pieces_is_whole_in_its_line(world):
    one = printed(world, out("grü".encode()[:-1], "grü".encode()[-1:] + b"n\n"))
    assert lines(reading.window(one, 1)) == [(1, "stdout", "grün")]


def test_a_very_long_line_is_shown_up_to_a_length_and_the_rest_counted(world):
    one = printed(world, out(*[b"x" * 50_000] * 5, b"\nnext\n"))
    first, following = reading.window(one, 1)["results"]
    assert (len(first["text"]), first["cut"]) == (reading.LINE_BYTES, 250_000 - reading.LINE_BYTES)
    assert (following["line"], following["text"]) == (2, "next")


def test_a_window_far_down_a_log_of_200_000_lines_is_found_by_an_index(world):
    block = b"".join(b"line number %06d\n" % n for n in range(1000))
    one = printed(world, out(*[block] * 200))
    with CaptureQueriesContext(
        connection,
    ) as asked:
        found = reading.window(one, 150_000, 500)
    assert (found["total"], found["results"][0]["text"]) == (200_000, "line number 000999")
    assert [line["line"] for line in found["results"]] == list(range(150_000, 150_500))
    assert len(asked) == 3
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        for query in asked.captured_queries[1:]:
            cursor.execute(f"EXPLAIN {query['sql']}")
            plan = " ".join(row[0] for row in cursor.fetchall())
            assert "log_chunk_by_line" in plan or "log_chunk_by_offset" in plan
        cursor.execute("RESET enable_seqscan")


def test_what_is_new_is_told_with_the_number_of_its_line(world):
    one = printed(world, out(b"one\ntwo\n", b"three\n"))
    first = reading.log_after(one, 0)
    assert [(one["line"], one["text"]) for one in first["results"]] == [(1, "one\ntwo\n"), (3, "three\n")]
    assert reading.log_after(one, first["results"][0]["seq"])["results"] == first["results"][1:]
    assert first["total"] == 3


# --- written once, whole, and by the holder alone -------------------------------------------------------------


def test_a_completion_that_is_rolled_back_keeps_the_log_for_the_next_try(world, monkeypatch):
    monkeypatch.setattr("orchestration.engine.work.COMPLETION_PAUSE_SECONDS", 0.01)
    node = Node()
    node.register()
    run = world.run(command("a", "/bin/echo", "kept"))
    broken: list[None] = []

    def break_once():
        if not broken:
            broken.append(connection.connection.close())

    failpoints.at("complete.before_commit", break_once)
    try:
        work(run.steps.get().pk, node=node)
    finally:
        failpoints.at("complete.before_commit", None)
    assert broken
    assert both(run) == ("succeeded", "succeeded")
    assert b"".join(reading.text(run.steps.get())) == b"kept\n"


def test_pieces_that_are_sent_again_are_stored_once_at_the_same_place(world):
    one = world.run(step("a")).steps.get()
    held = holding(one)
    log = printing(held, out(b"one\n", b"two"))
    before = list(LogChunk.objects.order_by("pk").values_list("seq", "first_line", "offset", "digest"))
    root = StepAttempt.objects.get().log_root
    again = Log(held.attempt, held.attempt_id)  # as a writer that never heard of its commit
    for seq, data in enumerate([b"one\n", b"two"], start=1):
        again.take(Chunk(seq, "stdout", data))
    again.store()
    assert (
        list(LogChunk.objects.order_by("pk").values_list("seq", "first_line", "offset", "digest")) == before
    )
    assert StepAttempt.objects.get().log_root == root
    assert log.finish() == again.finish()


def test_the_tail_of_a_flood_comes_at_once_and_none_of_it_is_lost(world):
    held = holding(world.run(step("a")).steps.get())
    log = Log(held.attempt, held.attempt_id)
    for seq in range(1, 161):
        log.take(Chunk(seq, "stdout", b"x" * 65_536))
    assert log.finish()["log"]
    assert b"".join(reading.text(Step.objects.get())) == b"x" * 160 * 65_536
    assert StepAttempt.objects.get().log_lost == 0


def test_what_does_not_fit_into_memory_is_counted_where_it_is_missing(world, monkeypatch):
    monkeypatch.setattr(writing, "PENDING_BYTES", 10)
    held = holding(world.run(step("a")).steps.get())
    log = Log(held.attempt, held.attempt_id)
    for seq, data in enumerate([b"12345678\n", b"lost\n", b"lost too\n"], start=1):
        log.take(Chunk(seq, "stdout", data))
    log.store()
    log.take(Chunk(4, "stdout", b"end\n", 3))
    log.finish()
    assert b"".join(reading.text(Step.objects.get())) == (
        b"12345678\n[14 bytes were left out here]\n[3 bytes were left out here]\nend\n"
    )
    attempt = StepAttempt.objects.get()
    assert (attempt.dropped_bytes, attempt.log_lost) == (17, 14)
