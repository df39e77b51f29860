"""What policy may say of a stage beyond who and how many: due times, escalation, and who may sign twice."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from approvals import chain as chains
from approvals import eligibility, gate, signoffs
from approvals.chain import Verdict
from approvals.models import SignOff
from approvals.policy import bundles, preview
from tests.approvals.cast import TEST, authorise, facts, forge, join, leave, person, sign, sql, stage
from tests.approvals.test_policy import bundle, rego

SECOND = """
# METADATA
# title: Security looks too
# custom:
#   rule: security
require contains {
	"stage": "Security", "order": %(order)s, "quorum": 1, "teams": ["security"], "exclude_authors": true,
	"signature": "session", "expires_in": 7200, %(more)s
	"why": {"rule": "security", "message": "Because.", "read": [{"path": "input.api", "value": input.api}]},
} if { input.api == "v1" }
deny := []
warn := []
windows := []
obligations := []
"""


def judged(text):
    """From now on this policy decides."""
    bundles.activate(bundles.examine(bundle(text)), source="test", by=TEST)


def two_stages(first="", second="", order=1):
    judged(rego(SECOND % {"order": order, "more": second}, more=first))


def late(chain):
    """As if the stages had been opened long ago: the guards asleep, and the chain's own words kept true."""
    sql("UPDATE approvals_stage SET due_at = now() - interval '1 second' WHERE due_at IS NOT NULL")


# --- due times and escalation -----------------------------------------------------------------------------


def test_a_stage_is_due_so_many_seconds_after_the_chain_was_opened(bank):
    two_stages(first='"due_in": 600,')
    chain = bank.chain()
    assert stage(chain, "Owner").due_at == chain.opened_at + timedelta(seconds=600)
    assert stage(chain, "Security").due_at is None


def test_past_due_those_to_whom_policy_escalates_may_decide_as_well(bank):
    rosa = person("Rosa", "directors")
    two_stages(first='"due_in": 600, "escalate_to": ["directors"],')
    chain = bank.chain()
    with pytest.raises(signoffs.NotEligible):
        sign(chain, rosa, "Owner")
    late(chain)
    names = [one.name for one in eligibility.people(stage(chain, "Owner"), conflicted=chain.conflicted)]
    assert names == ["Ines", "Omar", "Rosa"]
    assert sign(chain, rosa, "Owner") == Verdict.WAITING
    assert [one.given for one in chains.progress(chain)] == [1, 0]


def test_an_escalation_never_approves_by_itself(bank):
    person("Rosa", "directors")
    two_stages(first='"due_in": 600, "escalate_to": ["directors"],')
    chain = bank.chain()
    late(chain)
    assert not any(one.complete for one in chains.progress(chain))


def test_what_was_said_before_the_escalation_does_not_count_because_of_it(bank):
    """A forged early sign-off of somebody who was asked only later: judged by when it was given."""
    rosa = person("Rosa", "directors")
    two_stages(first='"due_in": 600, "escalate_to": ["directors"],')
    chain = bank.chain()
    forge(chain, rosa, stage(chain, "Owner").pk)
    sql("UPDATE approvals_signoff SET given_at = given_at - interval '1 hour'")
    late(chain)
    assert not any(one.complete for one in chains.progress(chain))


def test_whoever_signed_past_due_counts_at_the_start_while_still_in_the_team(bank):
    rosa = person("Rosa", "directors")
    judged(rego(more='"due_in": 60, "escalate_to": ["directors"],'))
    chain = bank.chain()
    sql("UPDATE approvals_chain SET opened_at = opened_at - interval '90 seconds'")
    late(chain)
    assert sign(chain, rosa, "Owner") == Verdict.COMPLETE
    counted = chains.standing(chain, list(chain.stages.all()))
    assert [one.user for one in counted] == [rosa]
    leave(rosa, "directors")
    assert chains.standing(chain, list(chain.stages.all())) == []


@pytest.mark.parametrize(
    "altered",
    [
        "UPDATE approvals_stage SET due_at = now()",
        "UPDATE approvals_stage SET escalate_ids = team_ids",
        "UPDATE approvals_stage SET \"distinct\" = 'stage'",
        "UPDATE approvals_stage SET member_for = 0",
    ],
)
def test_what_a_stage_says_beyond_the_usual_is_covered_by_the_chains_signature(bank, altered):
    person("Rosa", "directors")
    judged(rego(more='"due_in": 600, "escalate_to": ["directors"], "member_for": 60,'))
    chain = bank.chain()
    assert chains.is_intact(chain, chain.stages.all())
    sql(altered)
    assert not chains.is_intact(chain, chain.stages.all())
    sql("UPDATE approvals_chain SET state = 'complete'")
    with pytest.raises(gate.ChainAltered):
        authorise(chain)


def test_a_stage_that_says_nothing_more_keeps_the_digest_that_it_always_had(bank):
    chain = bank.chain()
    usual = {"stage", "name", "order", "quorum", "teams", "team_ids", "user_ids", "signature", "rule"}
    assert all(set(chains._pinned(one)) == usual for one in chain.stages.all())


# --- one person on two stages -----------------------------------------------------------------------------

ALOUD = '"distinct": "stage",'


def test_a_person_may_sign_two_stages_where_both_say_so_aloud(bank):
    join(bank.ines, "security")
    two_stages(ALOUD, ALOUD)
    chain = bank.chain()
    assert sign(chain, bank.ines, "Owner") == Verdict.WAITING
    with pytest.raises(signoffs.AlreadyDecided):
        sign(chain, bank.ines, "Owner")
    assert sign(chain, bank.ines, "Security") == Verdict.COMPLETE


@pytest.mark.parametrize(("first", "second"), [(ALOUD, ""), ("", ALOUD), ("", "")])
@pytest.mark.parametrize("order", [("Owner", "Security"), ("Security", "Owner")])
def test_b20_one_stage_that_wants_distinct_people_is_enough(bank, first, second, order):
    join(bank.ines, "security")
    two_stages(first, second)
    chain = bank.chain()
    sign(chain, bank.ines, order[0])
    with pytest.raises(signoffs.AlreadyDecided):
        sign(chain, bank.ines, order[1])
    assert SignOff.objects.count() == 1


def test_the_database_keeps_one_standing_sign_off_a_person_and_stage(bank):
    two_stages(ALOUD, ALOUD)
    chain = bank.chain()
    sign(chain, bank.ines, "Owner")
    with pytest.raises(IntegrityError, match="one_per_person_and_stage"), transaction.atomic():
        given = chain.sign_offs.get()
        SignOff(
            chain=chain, stage=given.stage, person=given.person, user=given.user, decision="approve",
            subject=given.subject, chain_digest=given.chain_digest, signature="", given_at=timezone.now(),
        ).save(force_insert=True)  # fmt: skip


def test_a_preview_shows_what_the_stage_would_say(bank):
    person("Rosa", "directors")
    judged(rego(more='"due_in": 600, "escalate_to": ["directors"], "member_for": 86400,'))
    [told] = preview(facts(bank.noor))["require"]
    assert (told["due_in"], told["escalate_to"], told["member_for"]) == (600, ["directors"], 86400)
