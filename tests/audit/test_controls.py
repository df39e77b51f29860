"""Control tests: ledgers with known answers, and mutations that flip exactly the listed tests."""

import copy
import json

import pytest
from django.utils import timezone

from audit.canonical import canonical, digest
from audit.controls import evaluate
from audit.controls.catalogue import control, controls
from audit.controls.evaluate import Scope, verdict
from audit.controls.judgements import JUDGES
from audit.models import Checkpoint
from audit.refusals import NotFound
from tests.audit.ledgers import (
    DIGEST,
    OF_EXECUTIONS,
    PASSED,
    changed,
    granted,
    history,
    judged,
    judged_bytes,
    moved_to_end,
    place,
    reasons,
    results,
    told_later,
    withdrawn,
    without,
)  # fmt: skip
from tests.audit.log import sequence, write

FLIPS = [
    ("no permit", without("permit.issued"),
     {"CT-01": "no_permit", "CT-07": "no_permit", "CT-14": "no_permit"}),
    ("permit after the start", moved_to_end("permit.issued"),
     {"CT-01": "no_permit", "CT-07": "no_permit", "CT-14": "no_permit"}),
    ("other content permitted", changed("permit.issued", {}, digest="sha256:z"),
     {"CT-01": "other_content", "CT-07": "other_content"}),
    ("never approved", without("change.approved"), {"CT-01": "not_approved"}),
    ("approval missing", without("sign_off.given", person="noor"),
     {"CT-02": "approval_missing", "CT-07": "unknown_approval"}),
    ("approval after the start", moved_to_end("sign_off.given", person="noor"),
     {"CT-02": "approval_late", "CT-07": "unknown_approval"}),
    ("approval later by its clock", told_later, {"CT-02": "approval_late", "CT-13": "clock"}),
    ("approval taken back in time", withdrawn(before=True), {"CT-02": "approval_late"}),
    ("a rejection", changed("sign_off.given", {"person": "noor"}, decision="reject"),
     {"CT-02": "approval_missing", "CT-07": "other_approval"}),
    ("other digest signed", changed("sign_off.given", {"person": "noor"}, digest="x"),
     {"CT-02": "approval_missing", "CT-07": "other_approval"}),
    ("other chain signed", changed("sign_off.given", {"person": "noor"}, chain_digest="x"),
     {"CT-02": "approval_missing", "CT-07": "other_approval"}),
    ("one person twice", changed("sign_off.given", {"person": "ines"}, person="noor"), {"CT-02": "approval_missing"}),
    ("the requester approves", changed("sign_off.given", {"person": "noor"}, person="mara"),
     {"CT-03": "own_approval"}),
    ("an author approves", changed("change.requested", {}, conflicted=["mara", "noor"]), {"CT-03": "own_approval"}),
    ("never requested", without("change.requested"),
     {**dict.fromkeys(("CT-01", "CT-03", "CT-06", "CT-07", "CT-08", "CT-10"), "not_requested"),
      "CT-11": "no_observer", "CT-18": "no_artifact"}),
    ("no chain", without("chain.opened"),
     {"CT-02": "no_chain", "CT-06": "no_chain", "CT-03": "no_approval", "CT-04": "no_approval", "CT-05": "no_approval",
      "CT-07": "no_chain"}),
]  # fmt: skip


CLEAN = {**dict.fromkeys(OF_EXECUTIONS, "pass"), "CT-08": "na"}


def test_a_change_that_went_the_whole_way_passes_every_test():
    found = {key: rows for key, rows in results(history()).items() if key in CLEAN}
    assert found == {key: [result] for key, result in CLEAN.items()}
    verdicts = {one.control.id: one.result for one in judged(history()).tested}
    untested = dict.fromkeys(("CT-08", "CT-15", "CT-16", "CT-17"), "not_tested")
    assert verdicts == {**dict.fromkeys(PASSED, "effective"), **untested, "CT-20": "not_effective"}


@pytest.mark.parametrize(("mutate", "flips"), [row[1:] for row in FLIPS], ids=[row[0] for row in FLIPS])
def test_a_mutation_flips_exactly_the_listed_tests(mutate, flips):
    entries = history()
    mutate(entries)
    assert reasons(entries) == {**PASSED, **flips}
    other = [*entries, *history("CHG-2")]
    assert {key: rows[1] for key, rows in results(other).items() if key in CLEAN} == CLEAN


def test_what_happens_after_the_start_does_not_matter():
    entries = history()
    withdrawn(before=False)(entries)
    assert reasons(entries) == PASSED


def unsigned():
    entries = history()
    without("sign_off.given", person="noor")(entries)
    return entries


@pytest.mark.parametrize(
    ("scope", "name"), [("service", "payments-api"), ("environment", "production"), ("person", "mara")]
)
def test_a_failure_that_an_exception_explains_is_an_exception(scope, name):
    excused = [granted(scope=scope, scope_name=name), *unsigned()]
    assert results(excused)["CT-02"] == ["exception"]
    assert judged(excused).tested[1].result == "effective_with_exceptions"
    assert judged(excused).tested[1].rows[0]["deviation"] == "E-1"


@pytest.mark.parametrize(
    "changed",
    [{"ends_at": "2026-02-28"}, {"rule": "CT-03"}, {"scope_name": "cards"}, {"scope": "person"}],
)
def test_an_exception_that_is_over_or_for_something_else_explains_nothing(changed):
    assert results([granted(**changed), *unsigned()])["CT-02"] == ["fail"]


def test_an_exception_granted_afterwards_or_ended_before_explains_nothing():
    ended = ("exception.ended", "CT-02", "s-exception", granted()[3])
    assert results([*unsigned(), granted()])["CT-02"] == ["fail"]
    assert results([granted(), ended, *unsigned()])["CT-02"] == ["fail"]
    assert results([granted(), *unsigned(), ended])["CT-02"] == ["exception"]


def test_an_exception_turns_nothing_that_passed():
    assert results([granted(), *history()])["CT-02"] == ["pass"]


def test_an_empty_population_is_never_a_success():
    assert {one.result for one in judged_bytes([], seals=[]).tested} == {"not_tested"}


@pytest.mark.parametrize(
    ("counts", "result"),
    [
        ({"pass": 3}, "effective"),
        ({"pass": 3, "exception": 1}, "effective_with_exceptions"),
        ({"pass": 3, "exception": 1, "fail": 1}, "not_effective"),
        ({"pass": 3, "indeterminate": 1}, "not_effective"),
        ({"na": 3}, "not_tested"),
        ({}, "not_tested"),
    ],
)
def test_the_result_of_a_test_follows_from_its_items(counts, result):
    assert verdict({**dict.fromkeys(evaluate.RESULTS, 0), **counts}) == result


def test_scope_chooses_by_environment_and_half_open_period():
    from datetime import UTC, datetime

    entries = [*history(), *history("CHG-2", environment="staging")]
    at = place(entries, "run.running")
    started = datetime(2026, 3, 1, 8, 0, at, tzinfo=UTC)

    def runs(**scope):
        return [row["run"] for row in judged(entries, Scope(**scope)).tested[0].rows]

    assert runs() == ["RUN-1", "RUN-2"]
    assert runs(environment="staging") == ["RUN-2"]
    assert runs(start=started, end=started.replace(second=at + 1)) == ["RUN-1"]
    assert runs(end=started) == []


def test_g05_the_same_ledger_gives_the_same_bytes():
    assert judged(history()).bytes() == judged(copy.deepcopy(history())).bytes()
    assert json.loads(judged(history()).bytes())["controls"][0]["population"] == 1


def test_the_bytes_of_a_report_are_the_canonical_form_of_what_it_tells():
    """They are made a row at a time: a report of many changes does not fit into memory."""
    entries = [*history(), *history("CHG-2", environment="staging")]
    for report in (
        judged(entries),
        judged(entries, Scope(environment="staging")),
        judged_bytes([], seals=[]),
    ):
        assert report.bytes() == canonical(report.plain())
        assert report.digest == digest("countersign/control-report/v1", report.plain())


def test_definitions_are_named_by_version_and_digest_and_claim_nothing():
    assert list(controls()) == list(JUDGES) == sorted(controls())
    assert all(one.version >= 1 and one.digest.startswith("sha256:") for one in controls().values())
    assert all(one.verified_by == "" for one in controls().values())
    with pytest.raises(NotFound):
        control("CT-99")


@pytest.mark.django_db(transaction=True)
def test_only_what_the_checkpoint_covers_is_tested(settings, tmp_path):
    settings.KEY_DIR = tmp_path
    first = history()[place(history(), "run.running")][3]
    write(1, kind="run.running", **first)
    sequence()
    old = Checkpoint.objects.get()
    write(1, kind="run.running", **{**first, "run": "RUN-2"})
    sequence()
    assert len(evaluate.evaluate(old, Scope(end=timezone.now())).tested[0].rows) == 1
    newest = Checkpoint.objects.order_by("-size")[0]
    again = evaluate.evaluate(newest, Scope())
    assert len(again.tested[0].rows) == 2
    evaluate._known.cache_clear()
    evaluate._evaluate.cache_clear()
    assert evaluate.evaluate(newest, Scope()).bytes() == again.bytes()


def planned(**changed):
    """A plan's run before anything was asked, as the product writes it; `changed` is what its permit says instead."""
    permit = {
        "permit": "p", "run": "run-p", "purpose": "plan", "digest": "sha256:p", "chain": None, "sign_offs": [],
        "document_digest": "x", "checkpoint_size": None, **changed,
    }  # fmt: skip
    told = {
        "run": "RUN-P",
        "change": "CHG-1",
        "digest": "sha256:p",
        "permit": "p",
        "environment": "production",
    }
    return [("permit.issued", "CHG-1", "s-p", permit), ("run.running", "RUN-P", "s-run-p", told)]


def test_what_only_planned_is_no_execution():
    assert results([*planned(), *history()]) == results(history())


@pytest.mark.parametrize(
    "changed",
    [{"purpose": "apply"}, {"purpose": None}, {"digest": DIGEST}, {"chain": "chain-1"}, {"permit": "q"}],
)
def test_a_start_is_no_plan_because_it_says_so(changed):
    assert results([*planned(**changed), *history()])["CT-01"] == ["fail", "pass"]


def test_a_permit_for_a_plan_that_came_later_excuses_nothing():
    permit, start = planned()
    assert results([start, permit, *history()])["CT-01"] == ["fail", "pass"]
