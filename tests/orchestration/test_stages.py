"""The life of a stage on a change: whom the inbox asks, due times, and what is told when they pass."""

import pytest

from accounts import permissions
from approvals.models import Obligation
from approvals.policy import bundles
from audit.refusals import NotAllowed
from orchestration import access, asking, changes, notices, reviewing
from orchestration.models import Change
from tests.approvals.cast import sql
from tests.factories import TEST, Bank

POLICY = """package countersign.change

# METADATA
# title: The owner signs
# custom:
#   rule: owner
require contains {
	"stage": "Service owner", "order": 1, "quorum": 1, "teams": ["payments"], "exclude_authors": true,
	"signature": "session", "expires_in": 7200, %(owner)s
	"why": {"rule": "owner", "message": "Because.", "read": [{"path": "input.api", "value": input.api}]},
} if { input.api == "v1" }

# METADATA
# title: Security signs
# custom:
#   rule: security
require contains {
	"stage": "Security", "order": %(order)s, "quorum": 1, "teams": ["security"], "exclude_authors": true,
	"signature": "session", "expires_in": 7200, %(security)s
	"why": {"rule": "security", "message": "Because.", "read": [{"path": "input.api", "value": input.api}]},
} if { input.api == "v1" }

# METADATA
# title: Watch the dashboards
# custom:
#   rule: watch
obligations contains {"rule": "watch", "message": "Watch the dashboards for an hour."} if { %(when)s }

deny := []
warn := []
windows := []
"""
TESTS = "package t_test\ntest_it if { true }\n"


def judge(*, owner="", security="", order=1, when="false"):
    """From now on this policy decides."""
    text = POLICY % {"owner": owner, "security": security, "order": order, "when": when}
    candidate = bundles.examine({"a.rego": text, "a_test.rego": TESTS})
    bundles.activate(candidate, source="test", by=TEST)


def late():
    """As if each stage had been opened long ago."""
    sql("UPDATE approvals_stage SET due_at = now() - interval '1 second' WHERE due_at IS NOT NULL")


@pytest.fixture
def bank(db):
    return Bank()


def again(change):
    """As it is now."""
    return Change.objects.get(pk=change.pk)


def inbox(bank, who):
    return list(access.waiting_for(bank.user(who)))


def test_the_inbox_asks_those_to_whom_policy_escalates_once_the_stage_is_past_due(bank):
    judge(owner='"due_in": 600, "escalate_to": ["security"],', order=2)
    change = bank.change()
    assert (inbox(bank, "jonas"), inbox(bank, "noor")) == ([change], [])
    late()
    assert (inbox(bank, "jonas"), inbox(bank, "noor")) == ([change], [change])


@pytest.mark.parametrize(("says", "asked"), [('"distinct": "stage",', True), ("", False)])
def test_the_inbox_asks_a_second_time_only_where_both_stages_let_one_person_sign_twice(bank, says, asked):
    judge(owner='"distinct": "stage",', security=f'{says}"users": ["{bank.user("jonas").pk}"],')
    change = bank.change()
    assert inbox(bank, "jonas") == [change]
    bank.say(change, "jonas")
    assert bool(inbox(bank, "jonas")) is asked


# --- obligations ------------------------------------------------------------------------------------------


def test_an_obligation_waits_in_the_inbox_of_whoever_owes_it_and_of_whoever_set_it(bank):
    change = bank.change()
    bank.say(change, "jonas", "approve_with_condition", condition="Watch the dashboard.")
    told = {who: [(one.kind, one.text) for one in notices.of(bank.user(who))] for who in bank.people}
    assert {who for who, said in told.items() if said} == {"mara", "jonas"}
    assert told["mara"] == [("obligation", "Watch the dashboard.")]
    bank.say(change, "noor")
    closed = reviewing.close_obligation(
        again(change), Obligation.objects.get().pk, note="It was quiet.", by=bank.people["noor"]
    )
    assert closed.state == "closed"
    assert notices.of(bank.user("mara")) == []


def test_what_policy_wants_done_waits_for_the_requester_until_the_change_is_edited(bank):
    judge(when='input.change.inputs.version == "42"')
    change = bank.change()
    assert [one.text for one in notices.of(bank.user("mara"))] == ["Watch the dashboards for an hour."]
    asked = asking.ask_again(change, inputs={"version": "43"}, reason="Another.", by=bank.people["mara"])
    changes.revise(change, asked)
    assert notices.of(bank.user("mara")) == []


def test_only_who_may_sign_off_here_closes_an_obligation(bank):
    """Eligible by the chain is not enough: the grant on the service can be taken away."""
    change = bank.change()
    bank.say(change, "jonas", "approve_with_condition", condition="Watch the dashboard.")
    permissions.revoke(bank.teams["security"], "sign_off", bank.service, by=TEST)
    with pytest.raises(NotAllowed):
        reviewing.close_obligation(
            again(change), Obligation.objects.get().pk, note="Quiet.", by=bank.people["noor"]
        )
