"""Few statements, however wide a run is; and what they leave out is what no verdict would have needed."""

from collections import Counter
from itertools import product

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from audit.canonical import parse
from audit.models import Entry
from audit.refusals import StaleVersion
from orchestration import lifecycle
from orchestration.engine import rows
from orchestration.engine.claim import Claimed, claim
from orchestration.engine.flow import Following, following
from orchestration.models import Step
from tests.factories import TEST
from tests.orchestration.deeds import ended, holding
from tests.orchestration.world import World, chain_of, states, step

pytestmark = pytest.mark.django_db(transaction=True)
S = Step.State
FREE = {S.BLOCKED, S.READY, S.RUNNING, S.ASKING, S.SUCCEEDED, S.OMITTED}  # what a run without trouble shows


@pytest.fixture
def world():
    return World()


def fan(width):
    return [step("a"), *[step(f"m{one}", needs=["a"]) for one in range(width)]]


def statements(act):
    with CaptureQueriesContext(connection) as seen:
        act()
    return [one["sql"] for one in seen]


def put(run, *wanted, needs):
    """Whatever states at once behind the first step, and what the last of them needs: no run walks to all of them."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        for place, state in enumerate(wanted, start=1):
            cursor.execute(
                "UPDATE orchestration_step SET state = %s, needs = to_jsonb(%s::text[]), lease_owner ="
                " CASE WHEN %s THEN gen_random_uuid() END WHERE run_id = %s AND position = %s",
                [state, needs if place == len(wanted) else [], state == S.RUNNING, run.pk, place],
            )


def test_what_is_left_out_is_what_nothing_follows_from(world):
    run = world.run(step("s0"), step("s1"), step("s2"))
    seen: Counter[bool] = Counter()
    needs: list[list[str]] = [[], ["s0"], ["s1"], ["s0", "s1"]]
    for first, second, before in product(FREE | {S.FAILED, S.UNKNOWN}, FREE, needs):
        put(run, first, second, needs=before)
        steps = rows.steps_of(run)
        about = rows.steps_about(run, steps[0].pk)
        leads_on = getattr(about[0], "leads_on")  # noqa: B009 - a column of the query
        steps[0].state = S.SUCCEEDED
        follows = following(steps, cancelling=False) != Following()
        assert leads_on == (follows or first not in FREE), (first, second, before)
        assert len(about) == (3 if leads_on else 1)
        seen[leads_on] += 1
    assert min(seen[True], seen[False]) > 20


def test_a_later_step_takes_few_statements(world):
    first = holding(world.run(*chain_of(4)).steps.get(key="s0"))
    second, boot_id, held = ended(first), first.attempt.boot_id, list[Claimed]()
    assert second is not None

    def take():
        claimed = claim(second, boot_id=boot_id)
        assert claimed is not None
        held.append(claimed)

    assert len(statements(take)) <= 16 + 2
    assert len(statements(lambda: ended(held[0]))) <= 9 + 2  # each with its BEGIN and COMMIT


def test_thirty_steps_become_ready_in_as_many_statements_as_one_each_with_its_entry(world):
    wide, narrow = (holding(world.run(*fan(width)).steps.get(key="a")) for width in (30, 1))
    assert len(statements(lambda: ended(wide))) == len(statements(lambda: ended(narrow)))
    made = Entry.objects.filter(kind="step.ready", subject=wide.run_key)
    bodies = [parse(bytes(one.body)) for one in made]
    assert {one["data"]["step"] for one in bodies} == {f"m{one}" for one in range(30)}
    for one in bodies:
        row = Step.objects.get(pk=one["stream"])
        before = Entry.objects.get(stream=row.pk, stream_version=row.version - 1)
        assert (one["stream_version"], one["prev"]) == (row.version, bytes(before.leaf_hash).hex())
        assert len(one["state"]["digest"]) == 64


def test_a_step_among_many_that_is_not_as_it_was_read_leaves_all_as_they_were(world):
    run = world.run(*fan(3))
    with transaction.atomic():
        steps = rows.steps_of(rows.lock_run(run.pk))[1:]
        steps[1].version += 1
        with pytest.raises(StaleVersion), transaction.atomic():
            lifecycle.move_steps(steps, S.READY, by=TEST)
    assert set(list(states(run).values())[1:]) == {"blocked"}
