"""Nothing starts as a plan but what a door asked to plan; nothing is applied but the bytes that were signed."""

import json

import pytest

from approvals.models import Permit
from audit.canonical import parse
from orchestration.models import Artifact, Step
from tests.approvals.cast import sql
from tests.factories import Bank
from tests.orchestration.deeds import claimed, ended, holding
from tests.orchestration.planned import (
    FILES,
    PLANNED,
    applying,
    approved,
    asked,
    edited,
    fresh,
    newest,
    now,
    planned,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def place(tmp_path):
    now(tmp_path, "version 41\n")
    return tmp_path


@pytest.fixture
def bank(place):
    return Bank(PLANNED, FILES)


def held_by(change):
    return Step.objects.filter(run__change=change, state="ready").latest("run__number").held_reason


def test_a_plan_permit_starts_no_apply_step(bank, place):
    """The run of a plan with the apply step slipped in, permit and all: the bytes know it as no plan step."""
    change = asked(bank, place)
    run = change.runs.get()
    ended(holding(Step.objects.get()), artifacts={"next": b"x"})
    planned_spec = parse(bytes(newest(change).document))["steps"][1]
    sql("UPDATE orchestration_run SET state = 'running', version = version + 1 WHERE id = %s", run.pk)
    sql(
        "UPDATE orchestration_step SET key = 'write', state = 'ready', spec = %s, effect = 'at_most_once',"
        " position = 1, max_attempts = 9",
        json.dumps(planned_spec),
    )
    assert claimed(Step.objects.get()) is None
    assert "not the step that was signed off" in held_by(change)


def test_an_altered_plan_is_not_run(bank, place):
    """With SQL alone nobody makes a worker run what no door asked for."""
    change = asked(bank, place)
    sql(
        "UPDATE orchestration_plan SET document ="
        " convert_to(replace(convert_from(document, 'UTF8'), '42', '66'), 'UTF8')"
    )
    sql("UPDATE orchestration_step SET spec = replace(spec::text, '42', '66')::jsonb")
    assert claimed(Step.objects.get()) is None
    assert "Policy was asked about another change.inputs" in held_by(change)
    assert not Permit.objects.exists()


def test_a_row_of_what_was_found_that_is_altered_stops_the_run(bank, place):
    change = approved(bank, place)
    sql("UPDATE orchestration_artifact SET data = 'version 66'")
    assert claimed(applying(change)) is None
    assert "next of look is not what was signed off" in held_by(change)
    assert Permit.objects.filter(purpose="apply").count() == 0
    assert fresh(change).state == "approved"


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE orchestration_artifact SET data = 'version 66', digest = 'sha256:66'",
        "UPDATE orchestration_artifact SET name = 'other'",
        "UPDATE orchestration_artifact SET step = 'write'",
        "UPDATE orchestration_revision SET plan_id = NULL",
        "DELETE FROM orchestration_artifact",
    ],
)
def test_what_is_not_there_as_it_was_signed_is_not_applied(bank, place, edit):
    change = approved(bank, place)
    sql(edit)
    assert claimed(applying(change)) is None
    assert "not what was signed off" in held_by(change)


def test_artifacts_are_never_changed_by_the_product_s_own_role(bank, place):
    planned(bank, place)
    with pytest.raises(Exception, match="changed without a new version"):
        Artifact.objects.update(data=b"other")
    with pytest.raises(Exception, match="never deleted"):
        Artifact.objects.all().delete()


def test_a_plan_that_a_newer_one_replaced_starts_nothing(bank, place):
    change = asked(bank, place)
    old = Step.objects.get()
    plan = newest(change)
    sql("UPDATE orchestration_plan SET number = 0 WHERE id = %s", plan.pk)
    edited(bank, change, "43", place)
    sql("UPDATE orchestration_step SET state = 'ready' WHERE id = %s", old.pk)
    sql(
        "UPDATE orchestration_run SET state = 'ready', cancel_requested_at = NULL WHERE plan_id = %s", plan.pk
    )
    assert claimed(old) is None
    old.refresh_from_db()
    assert "was edited after" in old.held_reason
