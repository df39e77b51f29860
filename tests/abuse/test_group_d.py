"""Group D: rules and records are not bent to let something through, and whoever bends them leaves a trace."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from django.apps import apps
from django.db import Error, transaction

from accounts import permissions, teams
from approvals import periods
from approvals.models import Chain, Decision, Freeze, Permit
from approvals.policy import bundles, commits, pool
from audit.ledger.entry import system
from audit.models import Entry
from orchestration import lifecycle
from orchestration.engine import runs
from orchestration.governed.install import install
from orchestration.models import Change, Environment, Revision, Run, Service, Step, StepAttempt, Workflow
from tests.abuse.attack import ECHO, Case, printed, state, was_refused, work
from tests.abuse.test_group_c import OWNER, demand
from tests.api.test_closed_doors import ALL
from tests.approvals.cast import facts, sql
from tests.approvals.gitted import SOUND, Kept
from tests.browser import ASK, REQUEST
from tests.factories import TEST
from tests.orchestration.deeds import ended, holding

LOOP = "some i in numbers.range(1, 20000); some j in numbers.range(1, 20000); i * j == -1"
SHELL = system("system:shell")


INCIDENT = {**REQUEST, "incident": "INC-77"}
TWO_STEPS = (
    ECHO
    + """    next: {needs: [say], uses: command, with: {argv: [/bin/echo, two]}}
"""
)


def freeze(case: Case) -> str:
    """An admin freezes Production from now on; the freeze's address."""
    now = datetime.now(UTC)
    body = {
        "name": "Year end", "reason": "Books close.", "environments": ["production"],
        "starts_at": now.isoformat(), "ends_at": (now + timedelta(days=1)).isoformat(),
    }  # fmt: skip
    for who, code in (("mara", "not_allowed"), ("noor", "not_allowed")):
        case.refused(who, case.at[who].post("freezes/", body), 403, code)
    made = case.at["sam"].post("freezes/", body)
    assert made.status_code == 201, made.content
    return f"freezes/{made.json()['id']}/"


def test_d01_a_policy_that_asks_for_less_is_judged_by_the_one_it_would_replace(case, tmp_path, settings):
    bank, old = case.bank, bundles.active()
    install(bank.teams["platform"], by=TEST)
    for slug in ("payments", "security", "platform"):
        for one in (
            Workflow.objects.get(slug="policy-activate"),
            *Service.objects.all(),
            *Environment.objects.all(),
        ):
            for verb in ("request", "sign_off"):
                permissions.grant(bank.teams[slug], verb, one, by=TEST)
    sql("UPDATE accounts_user SET email = 'noor@bank.example' WHERE id = %s", bank.user("noor").pk)
    kept = Kept(tmp_path / "policy.git")
    settings.POLICY_REPOSITORY = str(kept.path)
    kept.commit(SOUND, by="Noor <noor@bank.example>")  # asks the owner alone, and Security never again
    assert commits.sync(by=TEST).problem == ""
    asked = {"workflow": "policy-activate", "service": "countersign", "environment": "control-room"}
    change = case.asked(**asked, inputs={"bundle": bundles.digest(SOUND)})
    assert {one["name"] for one in change["chain"]["stages"]} == {"Service owner", "Security"}
    assert case.says("sam", change).status_code == 201
    case.refused("noor", case.says("noor", change), 403, "own_change")
    case.nothing_started()
    assert bundles.active() == old
    assert case.says("ines", change).status_code == 201
    work()
    assert (state(change), bundles.active().digest) == ("succeeded", bundles.digest(SOUND))


def test_d03_a_policy_that_never_ends_denies_in_time_and_the_next_question_is_answered(case, monkeypatch):
    monkeypatch.setattr(pool, "EVALUATE_SECONDS", 0.5)
    demand({**OWNER, "order": f"count([1 | {LOOP}])"})
    began = time.monotonic()
    case.refused("mara", case.at["mara"].post("changes/", REQUEST), 503, "policy_unavailable")
    assert time.monotonic() - began < 10
    assert not Change.objects.exists()
    monkeypatch.undo()
    demand(OWNER)
    assert case.asked()["state"] == "waiting"


def test_d07_a_bundle_exchanged_in_the_database_decides_nothing_and_starts_nothing(case):
    case.approved()
    sql("UPDATE approvals_bundle SET sources = jsonb_set(sources, '{owner.rego}', '\"package x\"')")
    case.nothing_started()
    was_refused("gate_bundle_altered")
    case.refused("mara", case.at["mara"].post("changes/", REQUEST), 503, "policy_unavailable")


LATER = "Fri, 31 Dec 2094 23:59:59 GMT"


def test_d09_no_clock_that_a_client_names_opens_a_freeze(case):
    freeze(case)
    for browser in case.at.values():
        browser.client.defaults = {"HTTP_DATE": LATER, "HTTP_X_REQUEST_START": LATER, "HTTP_X_NOW": LATER}
    for field in ("now", "at", "clock", "time_zone"):
        case.refused("mara", case.at["mara"].post("changes/", {**REQUEST, field: LATER}), 422, "invalid")
    change = case.approved()
    answer = case.at["mara"].post(f"changes/{change['key']}/start/")
    assert answer.status_code in {200, 202}, answer.content
    case.nothing_started()
    was_refused("gate_frozen")


def test_d10_a_freeze_that_begins_during_a_run_holds_its_next_step(transactional_db):
    case = Case(TWO_STEPS)
    change = case.approved()
    ended(holding(Step.objects.get(key="say")))
    held = freeze(case)
    work()
    assert Step.objects.get(key="next").state == "ready"
    assert StepAttempt.objects.count() == 1
    was_refused("gate_frozen")
    sam = case.at["sam"]
    tag = sam.get(held).headers["ETag"]
    lift = {"lifted": True, "reason": "Hurry."}
    case.refused("sam", sam.patch(held, lift, **{"If-Match": tag}), 409, "weakens_protection")
    work()
    assert StepAttempt.objects.count() == 1
    periods.lift(Freeze.objects.get(), reason="Others have agreed.", by=TEST)
    work()
    assert (printed(), state(change)) == ("two\n", "succeeded")


def test_d11_nobody_makes_or_ends_a_calendar_without_the_right_and_no_admin_ends_one_alone(case):
    held, now = freeze(case), datetime.now(UTC)
    window = {
        "name": "Nights", "reason": "Quiet.", "environments": ["production"],
        "starts_at": now.isoformat(), "ends_at": (now + timedelta(hours=1)).isoformat(),
    }  # fmt: skip
    for who in ("mara", "jonas", "ravi"):
        case.refused(who, case.at[who].post("windows/", window), 403, "not_allowed")
        tag = case.at["sam"].get(held).headers["ETag"]
        lift = {"lifted": True, "reason": "Hurry."}
        status, code = (404, "not_found") if who == "ravi" else (403, "not_allowed")  # he may not even see it
        case.refused(who, case.at[who].patch(held, lift, **{"If-Match": tag}), status, code)
        case.refused("sam", case.at["sam"].patch(held, lift, **{"If-Match": tag}), 409, "weakens_protection")
    case.approved()
    case.nothing_started()


def test_d12_an_emergency_has_a_reason_two_others_an_hour_and_a_review_afterwards(case):
    mara, freezing = case.at["mara"], freeze(case)
    for missing in ("reason", "incident"):
        body = {name: value for name, value in INCIDENT.items() if name != missing}
        case.refused("mara", mara.post("break-glass/", body), 422, "invalid")
        case.refused("mara", mara.post("break-glass/", {**INCIDENT, missing: " "}), 422, "invalid")
    for who, status in (("noor", 403), ("ravi", 404)):
        answer = case.at[who].post("break-glass/", INCIDENT)
        case.refused(who, answer, status, answer.json()["code"])
    change = mara.post("break-glass/", INCIDENT).json()
    case.refused("mara", case.says("mara", change), 403, "own_change")
    assert case.says("jonas", change).status_code == 201
    case.nothing_started()
    assert case.says("noor", change).status_code == 201
    work()
    assert (state(change), Freeze.objects.get().lifted_at) == ("succeeded", None), freezing
    permit = Permit.objects.get()
    assert permit.expires_at - permit.issued_at <= timedelta(hours=1)
    review, said = f"changes/{change['key']}/review/", {"conclusion": "It was one."}
    for who in ("mara", "jonas", "noor"):
        case.refused(who, case.at[who].post(review, said), 403, "took_part")
    assert case.at["ines"].post(review, said).json()["closed_at"] is None
    case.refused("ines", case.at["ines"].post(review, said), 409, "review_closed")
    listed = case.at["noor"].get("break-glass/").json()["results"]
    assert [one["key"] for one in listed] == [change["key"]]


def test_d13_no_field_of_the_normal_door_makes_an_emergency(case):
    mara, change = case.at["mara"], case.asked()
    tag = mara.get(f"changes/{change['key']}/").headers["ETag"]
    for more in ({"emergency": True}, {"incident": "INC-77"}, {"kind": "break_glass"}, {"is_emergency": 1}):
        case.refused("mara", mara.post("changes/", {**REQUEST, **more}), 422, "invalid")
        edit = mara.patch(f"changes/{change['key']}/", more, **{"If-Match": tag})
        case.refused("mara", edit, 422, "invalid")
    assert Change.objects.get().kind == "normal"
    case.nothing_started()


def test_d14_nobody_lifts_a_protection_for_the_time_of_one_run(case):
    change, sam = case.approved(), case.at["sam"]
    for weaker in ({"protected": False}, {"tier": 9}, {"requires_approval": False}):
        tag = sam.get("environments/production/").headers["ETag"]
        answer = sam.patch("environments/production/", weaker, **{"If-Match": tag})
        known = "requires_approval" not in weaker
        case.refused("sam", answer, 409 if known else 422, "weakens_protection" if known else "invalid")
    sql("UPDATE orchestration_environment SET protected = false WHERE slug = 'production'")
    teams.leave(case.bank.teams["security"], case.bank.user("noor"), by=TEST)
    case.nothing_started()
    assert state(change) == "approved"


def test_d15_what_only_shows_stores_nothing_and_starts_nothing(case):
    mara, before = case.at["mara"], Entry.objects.count()
    shown = mara.post("changes/preview/", ASK)
    assert shown.status_code == 200, shown.content
    form = {"service": "web-bank", "environment": "production", "inputs.version": "42", "version": "42"}
    for path in ("/workflows/deploy/preview/", "/break-glass/deploy/preview/"):
        assert mara.client.post(path, form, headers={"HX-Request": "true"}).status_code == 200
    assert mara.post("policies/simulate/", {"input": facts(case.bank.user("mara"))}).status_code == 200
    for model in (Change, Run, Chain, Decision):
        assert not model._default_manager.exists()
    assert Entry.objects.count() == before
    case.nothing_started()


def test_d17_there_is_no_admin_site_in_which_a_row_could_be_edited(case):
    assert not apps.is_installed("django.contrib.admin")
    ours = ("admin/workers/", "admin/destinations/")  # pages that only read
    assert not [one for one in ALL if "admin" in one and not one.startswith(ours)]
    for page in ours:
        assert case.at["sam"].client.post(f"/{page}", {"state": "approved"}).status_code == 405
    for path in ("/admin/", "/admin/orchestration/change/", "/admin/approvals/signoff/add/"):
        assert case.at["sam"].client.post(path, {"state": "approved"}).status_code == 404


def test_d18_a_state_that_somebody_writes_at_a_shell_does_not_survive_the_commit(case):
    change = case.asked()
    with pytest.raises(Error), transaction.atomic():
        Change.objects.filter(pk=change["id"]).update(state="approved")
    with pytest.raises(Error), transaction.atomic():
        Chain.objects.update(state="complete", version=2)
    assert state(change) == "waiting"
    case.nothing_started()


def test_d18_a_run_made_at_a_shell_with_the_products_own_writers_is_refused_by_the_gate(case):
    change = case.asked()
    row, revision = Change.objects.get(pk=change["id"]), Revision.objects.get()
    with transaction.atomic():
        lifecycle.move(row, Change.State.APPROVED, by=SHELL)
        runs.create(row, revision=revision, by=SHELL, at=revision.chain.opened_at)
    case.nothing_started()
    was_refused("gate_chain_not_complete")
    sql("UPDATE approvals_chain SET state = 'complete'")
    case.nothing_started()
    was_refused("gate_quorum_lost")
