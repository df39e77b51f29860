"""Plan, review, apply: what is found out first is what is signed, and exactly that is applied."""

import pytest

from approvals.models import Permit
from audit.canonical import parse
from audit.models import Entry
from orchestration import asking, changes, planning
from orchestration.models import Artifact, Change, LogChunk, Plan, Run, Step
from tests.factories import Bank
from tests.orchestration.planned import FILES, PLANNED, fresh, newest, now, work_all

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def place(tmp_path):
    now(tmp_path, "version 41\n")
    return tmp_path


@pytest.fixture
def bank(place):
    return Bank(PLANNED, FILES)


def asked(bank, place, **changed):
    """A change whose plan steps have not looked yet."""
    return bank.change(inputs={"version": "42", "place": str(place)}, **changed)


def planned(bank, place, **changed):
    """The same once they have: it waits for people."""
    change = asked(bank, place, **changed)
    work_all()
    return fresh(change)


def test_what_is_asked_for_is_planned_before_anybody_is_asked(bank, place):
    change = fresh(asked(bank, place))
    assert (change.state, change.revision) == ("draft", None)
    run = change.runs.get()
    assert (run.revision, run.plan, run.digest) == (None, newest(change), newest(change).digest)
    assert [step.key for step in run.steps.all()] == ["look"]


def test_what_was_found_is_in_what_is_signed_and_exactly_that_is_applied(bank, place):
    change = planned(bank, place)
    assert (change.state, change.revision.number) == ("waiting", 1)
    artifact = Artifact.objects.get()
    document = parse(bytes(change.revision.document))
    assert document["plan"] == [
        {"step": "look", "name": "next", "digest": artifact.digest, "bytes": len("version 41\nversion 42\n")}
    ]
    assert change.revision.chain.decision.input["change"]["plan"]["changes"] is None
    bank.say(change, "jonas")
    bank.say(change, "noor")
    now(place, "version 99\n")
    work_all()
    assert fresh(change).state == "succeeded"
    assert (place / "next").read_text() == "version 41\nversion 42\n"
    printed = b"".join(bytes(one.data) for one in LogChunk.objects.order_by("pk")).decode()
    assert printed == "plan\napply version 41 version 42 \n"


def test_debug(bank, place):
    change = asked(bank, place)
    work_all()
    for s in Step.objects.all(): print(s.key, s.state, s.held_reason, [(a.outcome,a.reason) for a in s.attempts.all()])
    print(newest(change).outcome, newest(change).why)
    assert 0
