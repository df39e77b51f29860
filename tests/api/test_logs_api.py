"""A log over HTTP: windows of lines, a search over all of it, its text whole and in ranges; who may see it."""

import contextlib
import time
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient

from audit.refusals import Invalid
from audit.templatetags import terminal
from orchestration.engine.supervisor.redact import Redactor
from orchestration.logs import searching
from tests.orchestration.deeds import holding
from tests.orchestration.printing import out, printed, printing
from tests.orchestration.world import World, step

WORDS = [
    b"starting\n",
    b"\x1b[31mERR\x1b[1mOR\x1b[0m: disk\n",
    "größer\n".encode(),
    b"error again\n",
    b"done",
]
TEXT = b"".join(WORDS)


@pytest.fixture
def world(transactional_db):
    return World()


@pytest.fixture
def at(world, client):
    """The requester at the API, and the address of the log of a step that printed this."""
    client.force_login(world.requester)
    one = printed(world, out(*WORDS))
    return f"/api/v1/runs/{one.run.key}/steps/a/log"


def test_whole_lines_are_told_from_a_number_on_and_pieces_behind_one(client, at):
    page = client.get(f"{at}?first=2&count=2").json()
    assert [(one["line"], one["text"]) for one in page["results"]] == [
        (2, "\x1b[31mERR\x1b[1mOR\x1b[0m: disk"), (3, "größer"),
    ]  # fmt: skip
    assert (page["total"], page["more"], page["ended"]) == (5, True, True)
    pieces = client.get(f"{at}?after=0").json()
    assert [one["line"] for one in pieces["results"]] == [1, 2, 3, 4, 5]
    assert client.get(f"{at}?first=6").json()["results"] == []
    for wrong in ("first=-1", "first=x", "first=9" * 9, "after=1e3"):
        assert client.get(f"{at}?{wrong}").status_code == 422, wrong


# --- search ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "lines"),
    [("q=error", [2, 4]), ("q=error&case=true", [4]), ("q=ERROR&case=true", [2]), ("q=GRÖSSER", []),
     ("q=GRÖßER", [3]), ("q=^e.*n$&regex=true", [4]), ("q=^e.*n$", []), ("q=d[io]&regex=true", [2, 5]),
     ("q=error&first=3", [4]), ("q=e&last=3", [2, 3]), ("q=disk\\s*gr&regex=true", [])],
)  # fmt: skip
def test_what_is_looked_for_is_what_the_page_shows(client, at, query, lines):
    found = client.get(f"{at}/search?{query}").json()
    assert found["results"] == lines
    assert found["complete"] is True


def test_it_counts_all_and_says_how_many_come_before(client, at):
    found = client.get(f"{at}/search?q=e&first=4").json()
    assert (found["results"], found["before"], found["count"], found["more"]) == ([4, 5], 2, 4, False)


@pytest.mark.parametrize("query", ["", "q=", "q=(&regex=true", "q=a*&regex=true", f"q={'x' * 501}",
                                   "q=(?=a)&regex=true", "q=(a{1000}){1000}&regex=true"])  # fmt: skip
def test_what_cannot_be_looked_for_is_refused_in_words(client, at, query):
    refused = client.get(f"{at}/search?{query}")
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/q")
    assert "Nothing was searched." in refused.json()["detail"]


def test_a_search_tells_at_most_a_thousand_and_goes_on_from_there(world):
    one = printed(world, out(b"hit\n" * 2500))
    first = searching.search(one, "hit")
    assert (len(first["results"]), first["count"], first["more"]) == (1000, 2500, True)
    assert searching.search(one, "hit", first=2001)["results"] == list(range(2001, 2501))
    last = searching.search(one, "hit", last=1500)
    assert (last["results"][0], last["results"][-1], last["before"]) == (501, 1500, 500)


def test_a_search_whose_time_is_over_says_up_to_where_it_looked(world, monkeypatch):
    one = printed(world, out(*[b"line\n" * 1000] * 3))
    monkeypatch.setattr(searching, "SECONDS", 0)
    found = searching.search(one, "line")
    assert (found["complete"], found["searched"], found["count"]) == (False, 1000, 1000)


# --- the text -------------------------------------------------------------------------------------------------


def body(answer):
    return b"".join(answer.streaming_content)


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [("bytes=0-0", 0, 1), ("bytes=3-8", 3, 9), ("bytes=10-", 10, len(TEXT)), ("bytes=-7", len(TEXT) - 7, len(TEXT)),
     ("bytes=5-9999", 5, len(TEXT)), ("bytes=-9999", 0, len(TEXT))],
)  # fmt: skip
def test_a_range_of_the_text_is_exactly_those_bytes(client, at, asked, start, stop):
    answer = client.get(f"{at}.txt", headers={"Range": asked})
    assert (answer.status_code, body(answer)) == (206, TEXT[start:stop])
    assert answer["Content-Range"] == f"bytes {start}-{stop - 1}/{len(TEXT)}"
    assert answer["Content-Length"] == str(stop - start)


@pytest.mark.parametrize("asked", ["bytes=41-", "bytes=99-100", "bytes=-0"])
def test_a_range_behind_the_end_is_refused_with_the_length(client, at, asked):
    answer = client.get(f"{at}.txt", headers={"Range": asked.replace("41", str(len(TEXT)))})
    assert (answer.status_code, answer["Content-Range"]) == (416, f"bytes */{len(TEXT)}")


@pytest.mark.parametrize(
    "asked", ["bytes=5-2", "lines=1-2", "bytes=0-1,3-4", "bytes=", "bytes=a-b", f"bytes={'9' * 30}-"]
)
def test_what_is_no_single_range_of_bytes_is_answered_with_the_whole(client, at, asked):
    answer = client.get(f"{at}.txt", headers={"Range": asked})
    assert (answer.status_code, body(answer)) == (200, TEXT)
    assert answer["Accept-Ranges"] == "bytes"
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer["Content-Disposition"].startswith("attachment;")


def test_a_range_of_another_text_than_one_has_begun_with_is_the_whole(client, at):
    tag = client.get(f"{at}.txt")["ETag"]
    for given, status in ((tag, 206), ('"other"', 200)):
        answer = client.get(f"{at}.txt", headers={"Range": "bytes=2-", "If-Range": given})
        assert answer.status_code == status
    assert client.get(f"{at}.txt", headers={"If-None-Match": tag}).status_code == 304


def test_a_log_that_still_grows_has_no_tag(world, client):
    run = world.run(step("a"))
    printing(holding(run.steps.get()), out(b"under way\n"))
    client.force_login(world.requester)
    answer = client.get(f"/runs/{run.key}/steps/a/log.txt", headers={"Range": "bytes=6-", "If-Range": '"x"'})
    assert (answer.status_code, "ETag" in answer, body(answer)) == (200, False, b"under way\n")
    head = client.head(f"/runs/{run.key}/steps/a/log.txt")
    assert (head["Content-Length"], body(head)) == ("10", b"")


def test_an_empty_log_is_an_empty_text(world, client):
    one = printed(world, [])
    client.force_login(world.requester)
    answer = client.get(f"/runs/{one.run.key}/steps/a/log.txt")
    assert (answer.status_code, body(answer)) == (200, b"")
    assert (
        client.get(f"/runs/{one.run.key}/steps/a/log.txt", headers={"Range": "bytes=0-"}).status_code == 416
    )


def test_the_server_streams_it_piece_by_piece(world):
    """Under ASGI, where a whole log would otherwise be read before its first byte is sent."""
    one = printed(world, out(*[b"x" * 65_536] * 40))
    browser = AsyncClient()
    browser.force_login(world.requester)

    path = f"/runs/{one.run.key}/steps/a/log.txt"

    async def sizes():
        answer: Any = await browser.get(path)
        return [len(piece) async for piece in answer.streaming_content]

    assert async_to_sync(sizes)() == [65_536] * 40


def test_who_may_not_see_the_run_sees_no_line_of_it(world, client, at):
    client.force_login(world.bank.lena)
    page = at.removeprefix("/api/v1")
    for path in (
        f"{at}?first=1",
        f"{at}/search?q=e",
        f"{at}.txt",
        f"{page}/",
        f"{page}/search/?q=e",
        f"{page}.txt",
    ):
        assert client.get(path).status_code == 404, path
    client.logout()
    assert client.get(f"{page}.txt").status_code == 302


# --- evil input -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["(a+)+$", "(a|a)*b", "([a-z]+)*!", "(.*)*x", "(a?){50}a{50}b"])
def test_x16_an_evil_expression_on_a_megabyte_takes_less_than_a_second(world, words):
    one = printed(world, out(*[b"a" * 65_536] * 16, b"!\n"))
    began = time.thread_time()
    with contextlib.suppress(Invalid):  # too large an expression is as well
        searching.search(one, words, regex=True)
    assert time.thread_time() - began < 1


def test_x16_megabytes_of_evil_output_are_stored_masked_and_drawn_in_less_than_a_second_of_work(
    world, client
):
    evil = [
        b"\x1b[" * 500_000,
        b"\x1b[" + b"1;" * 500_000,
        b"\x1b]8;;" * 160_000,
        "\u202e".encode() * 300_000,
    ]
    one = printed(world, out(*(b"%s\n" % line for line in evil)))
    client.force_login(world.requester)
    client.get(
        f"/runs/{one.run.key}/", headers={"HX-Request": "true"}
    )  # what a first page costs is not of the log
    began = time.thread_time()
    assert client.get(f"/runs/{one.run.key}/?step=a").status_code == 200
    assert time.thread_time() - began < 1
    redactor = Redactor([b"secret-value", b"\x1b[1;1;1;1;1;1", b"aaaaaaaaaaaaaaaaaaaaaaaaaaab"])
    for line in [*evil, b"a" * 1_000_000]:
        began = time.thread_time()
        assert sum(1 for _ in terminal.parts(line.decode())) > 0
        redactor.mask(line)
        assert time.thread_time() - began < 1
