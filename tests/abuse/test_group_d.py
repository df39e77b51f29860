"""Group D: rules and records are not bent to let something through, and whoever bends them leaves a trace."""

import time

import pytest
from django.apps import apps
from django.db import Error, transaction

from approvals.models import Chain, Decision
from approvals.policy import pool
from audit.ledger.entry import system
from audit.models import Entry
from orchestration import lifecycle
from orchestration.engine import runs
from orchestration.models import Change, Revision, Run
from tests.abuse.attack import state, was_refused
from tests.abuse.test_group_c import OWNER, demand
from tests.api.test_closed_doors import ALL
from tests.approvals.cast import facts, sql
from tests.browser import ASK, REQUEST

LOOP = "some i in numbers.range(1, 20000); some j in numbers.range(1, 20000); i * j == -1"
SHELL = system("system:shell")


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
    assert not [one for one in ALL if "admin" in one]
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
