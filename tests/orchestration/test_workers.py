"""What people see of the workers, and of what waits for them."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from accounts import permissions
from orchestration import workers
from orchestration.engine import enrolled, nodes
from orchestration.engine.nodes import Node
from orchestration.models import Run, WorkerNode
from orchestration.pages import standing
from tests.factories import TEST
from tests.orchestration.deeds import claimed
from tests.orchestration.world import step


@pytest.fixture
def node(world):
    one = Node()
    one.register()
    one.beat()
    return one


def row(node):
    return next(one for one in workers.processes() if one.node.boot_id == node.boot_id)


def test_a_process_is_shown_with_what_it_holds_and_what_it_may_do(world, node):
    assert claimed(world.run(step("a")).steps.get(), boot_id=node.boot_id) is not None
    assert (row(node).state, row(node).held, row(node).faults) == ("online", 1, [])
    assert row(node).node.worker.environments == ["*"]


def test_one_that_is_silent_is_gone_and_after_an_hour_left_out(world, node):
    WorkerNode.objects.update(seen_at=Now() - timedelta(minutes=2))
    assert row(node).state == "offline"
    assert workers.by_state() == {"online": 0, "draining": 0, "offline": 1}
    WorkerNode.objects.update(seen_at=Now() - timedelta(hours=2))
    assert workers.processes() == []


def test_f15_a_clock_that_is_off_is_told_and_far_off_claims_nothing(world, node, settings):
    for seconds, alarm, claims in (
        (1, False, True),
        (-5, True, True),
        (3600, True, False),
        (-3600, True, False),
    ):
        node._offset_seconds = seconds
        assert node.may_claim is claims
        WorkerNode.objects.update(clock_offset_ms=seconds * 1000)
        assert bool(row(node).faults) is alarm
        assert any("takes nothing" in one for one in row(node).faults) is (not claims)


def test_another_release_is_told(world, node):
    WorkerNode.objects.update(release="0.0.9")
    assert "0.0.9" in row(node).faults[0]


def test_one_that_drains_says_so_and_is_nobody_who_could_take_a_step(world, node):
    nodes.new_worker()
    nodes.drain()
    try:
        node.beat()
        assert row(node).state == "draining"
        assert enrolled.last_seen("production", []) is None
    finally:
        nodes.new_worker()


def test_the_queue_is_counted_by_environment_and_pool_and_says_who_is_missing(world, node):
    world.run(step("a"))
    world.run(step("a"), pool=["dmz"], runner=2)
    pools = {" ".join(one.pool): one for one in workers.depth()}
    assert (pools[""].ready, workers.unserved(pools[""])) == (1, "")
    said = "No worker with dmz that may act in production was ever seen."
    assert workers.unserved(pools["dmz"]) == said


def test_the_page_of_a_run_says_that_no_worker_is_there_for_it(world, node):
    run = world.run(step("a"), pool=["dmz"], runner=2)
    assert "No worker with dmz" in standing.context(world.requester, run)["held"][0]
    plain = world.run(step("a"))
    assert standing.context(world.requester, plain)["held"] == []
    WorkerNode.objects.update(seen_at=Now() - timedelta(minutes=3, seconds=5))
    said = "No worker that may act in production has been seen for 3 m."
    assert standing.context(world.requester, Run.objects.get(pk=plain.pk))["held"] == [said]


def test_whoever_operates_an_environment_sees_the_workers_and_a_stranger_does_not(world, client):
    client.force_login(world.bank.omar)
    assert client.get("/admin/workers/").status_code == 403
    assert client.get("/api/v1/workers/").status_code == 403
    permissions.grant(world.service.owner, "operate", world.environment, by=TEST)
    assert client.get("/admin/workers/").status_code == 200
    assert client.get("/admin/workers/live/").status_code == 200
    assert client.get("/api/v1/workers/").json()["processes"] == []
