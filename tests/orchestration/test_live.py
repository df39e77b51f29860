"""The socket passes hints to those who may see their topic, and understands nothing else."""

import asyncio
import json

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.db import transaction
from django.test import Client

from accounts import teams
from config.asgi import application
from orchestration import consumers, lifecycle, notify
from orchestration.consumers import Live
from orchestration.models import Change
from tests.approvals.cast import person
from tests.orchestration.deeds import holding
from tests.orchestration.world import SETUP, step

HOME = b"http://localhost"


def signed_in(user) -> Client:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def socket(client: Client | None, origin: bytes = HOME) -> ApplicationCommunicator:
    cookies = "; ".join(f"{one.key}={one.value}" for one in client.cookies.values()) if client else ""
    headers = [(b"host", b"localhost"), (b"origin", origin), (b"cookie", cookies.encode())]
    scope = {"type": "websocket", "path": "/ws/", "query_string": b"", "headers": headers, "subprotocols": []}
    return ApplicationCommunicator(application, scope)


def talk(client, play, origin=HOME):
    """Open a socket, let `play` use it, close it."""

    async def run():
        live = socket(client, origin)
        await live.send_input({"type": "websocket.connect"})
        if (await live.receive_output(5))["type"] != "websocket.accept":
            return "refused"
        try:
            return await play(live)
        finally:
            await live.send_input({"type": "websocket.disconnect", "code": 1001})
            await live.wait(0.5)

    return async_to_sync(run)()


async def say(live, text=None, data=None):
    await live.send_input({"type": "websocket.receive", "text": text, "bytes": data})


async def hear(live):
    return json.loads((await live.receive_output(5))["text"])


async def hear_of(live, *wanted):
    """Until all that is wanted was heard; hints of earlier deeds may still be on their way."""
    missing = list(wanted)
    while missing:
        heard = await hear(live)
        assert set(heard) == {"topic", "seq", "kind"}
        missing = [one for one in missing if one != heard]
    return True


async def closed(live):
    said = await live.receive_output(5)
    while said["type"] == "websocket.send":
        said = await live.receive_output(5)
    return said["code"]


async def subscribe(live, *topics, **more):
    await say(live, json.dumps({"subscribe": list(topics), **more}))


@sync_to_async
def withdrawn(change):
    with transaction.atomic():
        lifecycle.move(change, Change.State.WITHDRAWN, by=SETUP)


async def nothing(live):
    return "connected"


def test_nobody_without_a_session_and_no_foreign_page_gets_a_socket(world):
    assert talk(None, nothing) == "refused"
    assert talk(signed_in(world.requester), nothing, origin=b"https://evil.example") == "refused"
    assert talk(signed_in(world.requester), nothing) == "connected"


def test_a_move_of_a_change_is_hinted_at_with_a_number_and_no_content(world):
    change = world.approved(step("a"))
    topic = notify.change_topic(change.pk)

    async def play(live):
        await subscribe(live, "inbox", topic)
        await hear_of(live, {"topic": topic, "seq": change.event_seq, "kind": "events"})  # it is joined
        await withdrawn(change)
        moved = {"topic": topic, "seq": change.event_seq, "kind": "state"}
        return await hear_of(live, moved, {"topic": "inbox", "seq": 0, "kind": "changed"})

    assert talk(signed_in(world.requester), play)


def test_a_page_that_is_behind_is_told_at_once_and_one_that_is_not_hears_nothing(world):
    run = world.run(step("a"))
    holding(run.steps.get())
    topic = notify.run_topic(run.pk)

    async def behind(live):
        await subscribe(live, topic, after={topic: 1})
        return await hear(live)

    async def up_to_date(live):
        await subscribe(live, topic, after={topic: 3})
        return await live.receive_nothing(timeout=0.3)

    client = signed_in(world.requester)
    assert talk(client, behind) == {"topic": topic, "seq": 3, "kind": "events"}
    assert talk(client, up_to_date) is True


def test_a_topic_that_may_not_be_seen_is_refused_and_stays_silent(world):
    change = world.approved(step("a"))
    topic = notify.change_topic(change.pk)

    async def play(live):
        await subscribe(live, topic)
        first = await hear(live)
        await withdrawn(change)
        return first, await live.receive_nothing(timeout=0.3)

    stranger = signed_in(person("Stranger"))
    assert talk(stranger, play) == ({"topic": topic, "seq": 0, "kind": "refused"}, True)


@pytest.mark.parametrize(
    "message",
    [
        "hello",
        "[]",
        '{"subscribe": "inbox"}',
        '{"subscribe": ["users"]}',
        '{"subscribe": ["inbox"], "approve": true}',
        '{"approve": "CHG-1"}',
        '{"subscribe": ["inbox"], "after": {"inbox": true}}',
        '{"subscribe": ["change:../../x"]}',
        json.dumps({"subscribe": ["inbox"] * 3_000}),
        json.dumps({"subscribe": [f"run:00000000-0000-0000-0000-{n:012d}" for n in range(40)]}),
    ],
)
def test_whatever_is_no_subscription_closes_the_socket(world, message):
    async def play(live):
        await say(live, message)
        return await closed(live)

    assert talk(signed_in(world.requester), play) == 1008


def test_bytes_close_the_socket(world):
    async def play(live):
        await say(live, data=b"\x00")
        return await closed(live)

    assert talk(signed_in(world.requester), play) == 1008


def test_a_session_that_ended_closes_its_socket(world, monkeypatch):
    monkeypatch.setattr(consumers, "AUTHORISE_SECONDS", 0.1)
    client = signed_in(world.requester)

    async def play(live):
        await subscribe(live, "inbox")
        await sync_to_async(client.logout)()
        return await closed(live)

    assert talk(client, play) == 1008


def test_an_account_that_was_closed_loses_its_socket(world, monkeypatch):
    monkeypatch.setattr(consumers, "AUTHORISE_SECONDS", 0.1)

    async def play(live):
        await sync_to_async(teams.deactivate)(world.requester, by=SETUP)
        return await closed(live)

    assert talk(signed_in(world.requester), play) == 1008


def test_what_may_no_longer_be_seen_is_told_no_more(world, monkeypatch):
    monkeypatch.setattr(consumers, "AUTHORISE_SECONDS", 0.1)
    change = world.approved(step("a"))
    topic = notify.change_topic(change.pk)
    other = person("Other")

    async def play(live):
        await subscribe(live, topic, after={topic: 99})
        await sync_to_async(hand_over)(change, other)
        return await hear_of(live, {"topic": topic, "seq": 0, "kind": "refused"})

    assert talk(signed_in(world.requester), play)


def hand_over(change, to):
    with transaction.atomic():
        lifecycle.touch(change, "change.handed_over", by=SETUP, columns={"requester": to})


def test_a_browser_that_does_not_keep_up_is_told_to_fetch_everything():
    live = Live()
    live._waiting, live._news = {}, asyncio.Event()
    for number in range(consumers.QUEUE):
        live._offer(f"change:{number}", number, "state")
    live._offer("change:1", 7, "state")
    live._offer("change:1", 5, "state")  # older news replaces nothing
    assert live._waiting["change:1", "state"] == 7
    live._offer("change:one more", 1, "state")
    assert live._waiting == {("", "resync"): 0}
