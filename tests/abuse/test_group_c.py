"""Group C: sign-offs are counted once, in order, in time, and against the chain that was asked for."""

from functools import partial

import pytest

from approvals.models import Chain, Decision, SignOff
from orchestration.models import Change, Run, Step, StepAttempt
from tests.abuse.attack import activate, state, was_refused, work
from tests.browser import REQUEST, Browser, decision
from tests.factories import REACHED, change_in
from tests.orchestration.deeds import claimed
from tests.races import Together

Row = dict[str, object]
STAGE = """
# METADATA
# title: %(name)s agrees
# custom:
#   rule: %(rule)s
require contains {
	"stage": "%(name)s", "order": %(order)s, "quorum": %(quorum)s, "teams": %(teams)s, "exclude_authors": true,
	"signature": "session", "expires_in": 3600, "member_for": %(member_for)s,
	"why": {"rule": "%(rule)s", "message": "Because.", "read": [{"path": "input.api", "value": input.api}]},
} if {
	input.api == "v1"
}
"""
OWNER: Row = {
    "name": "Service owner",
    "rule": "owner-signs",
    "order": 1,
    "quorum": 1,
    "teams": '["payments"]',
}
SECURITY: Row = {
    "name": "Security",
    "rule": "security-signs",
    "order": 2,
    "quorum": 1,
    "teams": '["security"]',
}
EMPTY = "deny := []\nwarn := []\nwindows := []\nobligations := []\n"


def demand(*stages: Row) -> None:
    """The active policy asks for these stages and nothing else."""
    activate(
        rules="package countersign.change\n"
        + "".join(STAGE % {"member_for": 0, **one} for one in stages)
        + EMPTY
    )


@pytest.fixture
def together():
    threads = Together(10)
    yield threads
    threads.close()


def test_c02_ten_clicks_at_once_with_ten_keys_are_one_sign_off(case, together):
    change = case.asked()
    path, body = f"changes/{change['key']}/sign-offs/", decision(change, "Service owner")
    tabs = [Browser(case.bank, "jonas") for _ in range(10)]
    clicks = [partial(tab.post, path, body) for tab in tabs]
    codes = [answer.status_code for answer in together.at_once(*clicks)]
    assert sorted(codes) == [201, *[409] * 9]
    assert SignOff.objects.count() == 1
    was_refused("already_decided", case.bank.user("jonas"))
    case.nothing_started()


def test_c05_a_sign_off_taken_back_before_the_start_keeps_the_run_from_starting(case):
    change = case.approved()
    mine = SignOff.objects.get(user=case.bank.user("noor"))
    back = f"changes/{change['key']}/sign-offs/{mine.pk}/withdraw/"
    assert case.at["noor"].post(back).status_code == 200
    case.nothing_started()
    assert case.says("ines", case.seen(change)).status_code == 201
    work()
    assert state(change) == "succeeded"
    theirs = SignOff.objects.get(user=case.bank.user("ines"))
    late = f"changes/{change['key']}/sign-offs/{theirs.pk}/withdraw/"
    case.refused("ines", case.at["ines"].post(late), 409, "move_not_allowed")


def test_c05_a_withdrawal_that_meets_the_claim_never_leaves_a_run_without_its_sign_offs(case):
    two = Together(2)
    for _ in range(5):
        change = case.approved()
        step = Step.objects.get(run__change=change["id"])
        mine = SignOff.objects.get(user=case.bank.user("noor"), chain=change["chain"]["id"])
        back = f"changes/{change['key']}/sign-offs/{mine.pk}/withdraw/"
        answer, held = two.at_once(partial(case.at["noor"].post, back), partial(claimed, step))
        mine.refresh_from_db()
        assert (answer.status_code == 200) == (mine.withdrawn_at is not None) == (held is None)
        assert (held is not None) == StepAttempt.objects.filter(step=step).exists()
    two.close()


def test_c06_nobody_decides_on_a_change_that_asks_nobody(case):
    for reached in REACHED:
        if reached != Change.State.WAITING:
            row = change_in(reached, case.bank)
            given = SignOff.objects.count()
            answer = case.says("ines", case.seen({"key": row.key}))
            assert answer.status_code == 409, (reached, answer.content)
            was_refused(answer.json()["code"], case.bank.user("ines"))
            assert (SignOff.objects.count(), Change.objects.get(pk=row.pk).state) == (given, reached)


def test_c07_the_second_stage_takes_nothing_before_the_first_is_complete(case):
    demand(OWNER, SECURITY)
    change = case.asked()
    case.refused("noor", case.says("noor", change), 409, "stage_not_open")
    assert case.says("jonas", change).status_code == 201
    case.nothing_started()
    assert case.says("noor", change).status_code == 201
    work()
    assert state(change) == "succeeded"


REFUSED: list[Row] = [
    {"quorum": 0},
    {"quorum": -1},
    {"quorum": 99},
    {"quorum": "1.5"},
    {"quorum": '"1"'},
    {"quorum": "1e3"},
    {"quorum": "9223372036854775808"},
    {"quorum": "true"},
    {"quorum": "null"},
    {"teams": "[]"},
    {"teams": '["nobody"]'},
    {"teams": '["Payments"]'},
    {"teams": '["elsewhere"]'},
    {"teams": "[1]"},
]


def test_c08_c12_a_stage_that_nobody_or_anybody_could_meet_stops_the_request(case):
    for bent in REFUSED:
        demand({**OWNER, **bent})
        answer = case.at["mara"].post("changes/", REQUEST)
        assert answer.status_code in {409, 422}, (bent, answer.content)
        was_refused(answer.json()["code"], case.bank.user("mara"))
        assert not Change.objects.exists(), bent
        assert not Chain.objects.exists(), bent
    demand(OWNER)
    assert case.asked()["state"] == "waiting"


def test_c09_a_policy_that_asks_less_takes_nothing_from_a_chain_that_is_open(case):
    change = case.asked()
    demand(OWNER)
    assert len(case.asked()["chain"]["stages"]) == 1
    assert case.says("jonas", change).status_code == 201
    case.nothing_started()
    assert [one["quorum"] for one in case.seen(change)["chain"]["stages"]] == [1, 1]
    assert case.says("noor", change).status_code == 201
    assert Decision.objects.get(chains=change["chain"]["id"]).bundle.serial == 1
    assert Run.objects.get().change.key == change["key"]


def test_c10_a_decision_names_the_chain_that_was_shown(case):
    change = case.asked()
    tag = case.at["mara"].get(f"changes/{change['key']}/").headers["ETag"]
    edited = case.at["mara"].patch(
        f"changes/{change['key']}/", {"inputs": {"version": "43"}}, **{"If-Match": tag}
    )
    now = edited.json()
    old = {"chain_digest": change["chain"]["digest"]}
    case.refused("jonas", case.says("jonas", change), 409, "stale_version")
    case.refused("jonas", case.says("jonas", now, **old), 409, "stale_version")
    case.refused("jonas", case.says("jonas", now, digest=change["digest"]), 409, "stale_version")
    assert not SignOff.objects.exists()


def test_c11_a_sign_off_is_neither_replaced_nor_given_by_another_spelling(case):
    change = case.asked()
    given = case.says("jonas", change)
    assert given.status_code == 201
    one = SignOff.objects.get()
    noor = case.at["noor"]
    for path in (f"changes/{change['key']}/sign-offs/", f"changes/{change['key']}/sign-offs/{one.pk}/"):
        for verb in ("put", "patch", "delete"):
            answer = getattr(noor.client, verb)(f"/api/v1/{path}", {}, content_type="application/json")
            assert answer.status_code in {404, 405}, (verb, path)
    was_refused("method_not_allowed", case.bank.user("noor"))
    for bent in (
        {"decision": "Approve"},
        {"decision": "approve "},
        {"decision": "APPROVE"},
        {"decision": ["approve"]},
    ):
        case.refused("noor", case.says("noor", change, **bent), 422, "invalid")
    back = f"changes/{change['key']}/sign-offs/{one.pk}/withdraw/"
    case.refused("noor", noor.post(back), 403, "not_allowed")
    one.refresh_from_db()
    assert (one.version, SignOff.objects.count()) == (1, 1)
