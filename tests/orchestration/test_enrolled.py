"""Only enrolled workers take steps, each only those that are for it."""

from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction

from approvals import keys
from audit.ledger.record import record
from audit.models import Entry
from audit.refusals import Invalid
from orchestration.engine import enrolled
from orchestration.engine.invariants import violations
from orchestration.engine.nodes import Node
from orchestration.engine.poll import _oldest_ready
from orchestration.models import Environment, Step, Worker, WorkerNode
from tests.factories import TEST
from tests.orchestration.deeds import claimed, holding, told
from tests.orchestration.world import made, step


@pytest.fixture
def host(settings, tmp_path, world):
    """Becomes another host: with the keys of the workers, and an identity of its own."""
    enrolled.this_host()  # the installation has its first worker
    with transaction.atomic():
        made(Environment(slug="staging", name="Staging", tier=2, position=8), "environment.created")

    def become(name, environments=("*",), labels=()):
        (settings.KEY_DIR / "worker" / "identity.key").unlink(missing_ok=True)
        keys._private.cache_clear()
        if environments is None:
            return registered()
        enrolled.enrol(
            name=name, public_key=keys.public("identity"), environments=environments, labels=labels, by=TEST
        )
        return registered()

    return become


def registered():
    node = Node()
    node.register()
    return node


def refusals():
    return Entry.objects.filter(kind="attempt.refused").count()


def test_the_first_worker_enrols_itself_and_the_second_host_does_not(world, host):
    assert Worker.objects.count() == 1
    assert host("stranger", environments=None).worker is None
    assert Worker.objects.count() == 1


def test_x22_a_process_that_nobody_enrolled_takes_nothing_and_is_told_of_once(world, host):
    one = world.run(step("a")).steps.get()
    stranger = host("stranger", environments=None)
    for _ in range(3):
        assert claimed(one, boot_id=stranger.boot_id) is None
    assert claimed(one, boot_id=uuid4()) is None  # of no row at all
    assert (Step.objects.get(pk=one.pk).state, told("step.running"), refusals()) == ("ready", 0, 1)
    assert _oldest_ready(stranger.worker, but=set()) is None


def test_x22_a_row_that_names_an_enrolled_worker_needs_its_key(world, host):
    one = world.run(step("a")).steps.get()
    stranger = host("stranger", environments=None)
    WorkerNode.objects.filter(boot_id=stranger.boot_id).update(worker=Worker.objects.get())
    assert claimed(one, boot_id=stranger.boot_id) is None


def test_x22_an_enrolment_that_was_written_into_the_database_is_worth_nothing(world, host):
    """Its writer has the database's password, and neither the key of trust nor an honest entry beside it."""
    one = world.run(step("a")).steps.get()
    rogue = host("rogue", environments=["staging"])
    row = Worker.objects.get(name="rogue")
    row.environments, row.version = ["*"], row.version + 1
    with transaction.atomic():
        row.save()
        record("worker.forged", of=row, subject="rogue", actor=TEST)
    assert claimed(one, boot_id=rogue.boot_id) is None


def test_x22_what_got_past_the_claim_is_counted(world, host):
    one = holding(world.run(step("a")).steps.get())
    assert violations()["I9_running_by_unknown_worker"] == 0
    WorkerNode.objects.filter(boot_id=one.attempt.boot_id).update(signature="ed25519:00:AA")
    assert violations()["I9_running_by_unknown_worker"] == 1


def test_a_worker_acts_only_in_its_environments_and_the_step_waits_for_another(world, host):
    one = world.run(step("a")).steps.get()
    elsewhere, here = host("far", ["staging"]), host("near", ["production"])
    assert claimed(one, boot_id=elsewhere.boot_id) is None
    assert _oldest_ready(elsewhere.worker, but=set()) is None
    assert (Step.objects.get(pk=one.pk).held_reason, refusals()) == ("", 0)
    assert _oldest_ready(here.worker, but=set()) == one.pk
    assert claimed(one, boot_id=here.boot_id) is not None


def test_a_step_of_a_pool_is_taken_by_a_worker_that_has_all_its_labels(world, host):
    run = world.run(step("a"), pool=["dmz", "linux"], runner=2)
    one = run.steps.get()
    some, every = host("some", labels=["linux"]), host("every", labels=["dmz", "gpu", "linux"])
    assert claimed(one, boot_id=some.boot_id) is None
    assert _oldest_ready(some.worker, but=set()) is None
    assert enrolled.last_seen("production", run.pool) is not None
    assert claimed(one, boot_id=every.boot_id) is not None


def test_a_pool_that_no_worker_serves_is_known(world, host):
    host("some", labels=["linux"])
    assert enrolled.last_seen("production", ["mainframe"]) is None


def test_a_retired_worker_takes_no_further_step(world, host):
    node = host("old")
    first, second = (world.run(step("a")).steps.get() for _ in range(2))
    assert claimed(first, boot_id=node.boot_id) is not None
    enrolled.retire("old", by=TEST)
    assert claimed(second, boot_id=node.boot_id) is None
    assert violations()["I9_running_by_unknown_worker"] == 0  # what it runs it may end


def test_f29_a_worker_of_the_release_before_leaves_what_it_does_not_understand(
    world, host, monkeypatch, sound
):
    one = world.run(step("a"), runner=2).steps.get()
    plain = world.run(step("a")).steps.get()
    with monkeypatch.context() as before:
        before.setattr(enrolled, "RUNNER", 1)
        old = host("old")
        assert claimed(one, boot_id=old.boot_id) is None
        assert _oldest_ready(old.worker, but=set()) == plain.pk
        assert claimed(plain, boot_id=old.boot_id) is not None
    assert claimed(one, boot_id=host("new").boot_id) is not None


@pytest.mark.parametrize(
    "wrong",
    [{"name": "Not a slug"}, {"public_key": "00"}, {"environments": ["prodution"]}, {"labels": ["a b"]}],
)
def test_an_enrolment_that_says_nothing_sensible_is_refused(world, wrong):
    given = {"name": "one", "public_key": "a" * 64, "environments": ["*"], "labels": [], **wrong}
    with pytest.raises(Invalid):
        enrolled.enrol(**given, by=TEST)


def test_workers_are_enrolled_listed_and_retired_at_a_terminal(world, settings):
    enrolled.this_host()
    out = StringIO()
    asked = ["--key", "ab" * 32, "--environments", "production", "--labels", "dmz"]
    call_command("worker", "enrol", "edge", *asked, stdout=out)
    call_command("worker", "list", stdout=out)
    call_command("worker", "retire", "edge", stdout=out)
    assert "edge" in out.getvalue()
    assert (told("worker.enrolled", subject="edge"), told("worker.retired", subject="edge")) == (1, 1)
    settings.SIGNS_AS = "web"
    with pytest.raises(CommandError, match="worker does"):
        call_command("worker", "enrol", "web", *asked[:1], "cd" * 32, *asked[2:])
