"""Stopping, pausing and queueing over the API: who may, what is answered, what a token cannot."""

import pytest

from accounts import permissions
from audit.models import Entry
from orchestration.models import Run
from tests.factories import TEST
from tests.orchestration.deeds import claimed, holding
from tests.orchestration.world import World, step


@pytest.fixture
def world(transactional_db):
    return World()


@pytest.fixture
def operator(world, client):
    """Omar, who operates what the world has."""
    for one in (world.workflow, world.service, world.environment):
        permissions.grant(world.service.owner, "operate", one, by=TEST)
    client.force_login(world.bank.omar)
    return client


def post(client, path, **body):
    return client.post(f"/api/v1/{path}", body, content_type="application/json")


def test_a_run_is_paused_and_resumed_by_its_operators_only(world, client, operator):
    run = world.run(step("a"))
    assert post(operator, f"runs/{run.key}/pause/", reason="Look first.").json()["paused_at"]
    assert post(operator, f"runs/{run.key}/resume/").json()["paused_at"] is None
    client.force_login(world.bank.lena)
    assert post(client, f"runs/{run.key}/pause/").status_code in {403, 404}
    assert Run.objects.get(pk=run.pk).paused_at is None


def test_the_queue_for_a_lock_is_told(world, operator):
    first, second = (world.run(step("a"), lock="x") for _ in range(2))
    holding(first.steps.get())
    assert claimed(second.steps.get()) is None
    told = operator.get(f"/api/v1/runs/{second.key}/").json()
    assert told["queue"] == {"holder": first.key, "waits": True, "ahead": 0, "waiting": 1}
    page = operator.get(f"/runs/{second.key}/").content.decode()
    assert f'Waits for <a href="/runs/{first.key}/">' in page
    assert "by Noor" in page
    assert second.key in operator.get(f"/runs/{first.key}/").content.decode()


def test_a_kill_switch_is_thrown_and_listed_and_has_no_door_that_lifts_it(world, operator):
    answer = post(operator, "kill-switches/", environment="production", reason="It burns.")
    assert (answer.status_code, answer.json()["hard"]) == (201, False)
    rows = operator.get("/api/v1/kill-switches/").json()["results"]
    assert [one["key"] for one in rows] == [answer.json()["key"]]
    for method in (operator.delete, operator.patch, operator.put):
        assert method("/api/v1/kill-switches/").status_code == 405
    assert "No step starts in production" in operator.get("/runs/").content.decode()


def test_who_may_not_throw_one_is_refused_and_it_is_recorded(world, client):
    client.force_login(world.bank.lena)
    assert post(client, "kill-switches/", environment="production", reason="Fun.").status_code == 403
    assert Entry.objects.filter(kind="attempt.refused").exists()
