"""Rolling back over the API: asked for with a reason, answered with a change of its own; and what a run tells."""

import pytest

from orchestration.models import Change
from tests.browser import Browser
from tests.factories import Bank
from tests.orchestration.deeds import ended, holding

pytestmark = pytest.mark.django_db(transaction=True)
DEFINITION = """
apiVersion: countersign.dev/v1
kind: Workflow
metadata: {name: deploy, title: Deploy, owner: payments}
spec:
  summary: Deploy {{service}} {{version}} to {{environment}}
  inputs:
    version: {type: string, pattern: '^[0-9]+$', title: Version}
    mode: {type: string, enum: [slow, quick], default: slow}
  environments: [production]
  timeout: 1h
  steps:
    lint: {uses: wait, with: {seconds: 0}, continue_on_error: true}
    roll:
      needs: [lint]
      matrix: {cell: [1, 2, 3, 4, 5, 6, 7, 8]}
      max_parallel: 3
      effect: at_most_once
      uses: wait
      with: {seconds: 0}
      rollback: {uses: wait, with: {seconds: "{{matrix.cell}}"}}
    settle: {needs: [roll], when: inputs.mode == "slow", uses: wait, with: {seconds: 0}}
    smoke: {phase: verify, uses: wait, with: {seconds: 0}}
"""


@pytest.fixture
def bank():
    return Bank(DEFINITION)


@pytest.fixture
def failed(bank):
    """Everything ran but the check at the end, which failed; the first step failed too, and may."""
    change = bank.approved(inputs={"version": "42", "mode": "quick"})
    run = change.runs.get()
    while step := run.steps.filter(state="ready").order_by("position").first():
        ended(holding(step), "failed" if step.key in {"lint", "smoke"} else "succeeded", exit_code=1)
    return Change.objects.get(pk=change.pk)


def test_a_run_tells_its_way(bank, failed):
    run = Browser(bank, "mara").get(f"runs/{failed.runs.get().key}/").json()
    assert (run["state"], run["reason"]) == ("failed", "verification failed: smoke failed")
    steps = {one["name"]: one for one in run["steps"]}
    assert (steps["lint"]["state"], steps["lint"]["continue_on_error"]) == ("failed", True)
    assert steps["roll.3"]["matrix"] == {"step": "roll", "values": {"cell": 3}, "max_parallel": 3}
    assert (steps["settle"]["state"], steps["settle"]["when"]) == ("omitted", 'inputs.mode == "slow"')
    assert steps["settle"]["reason"] == 'Its condition was false: inputs.mode == "slow"'
    assert (steps["smoke"]["phase"], steps["roll.1"]["phase"]) == ("verify", "apply")


def test_a_rollback_is_asked_for_with_a_reason_and_both_changes_name_each_other(bank, failed):
    browser = Browser(bank, "mara")
    answer = browser.post(f"changes/{failed.key}/rollback/", {"reason": "It broke."})
    assert answer.status_code == 201, answer.json()
    back = answer.json()
    assert (back["state"], back["rolls_back"], back["reason"]) == ("waiting", failed.key, "It broke.")
    assert [one["key"] for one in back["steps"]] == [f"undo.roll.{cell}" for cell in range(8, 0, -1)]
    matrix = {"step": "undo.roll", "values": {"cell": 8}, "max_parallel": 3}
    assert (back["steps"][0]["matrix"], back["steps"][0]["title"]) == (matrix, "Undo: roll (8)")
    assert browser.get(f"changes/{failed.key}/").json()["rolled_back_by"] == [back["key"]]


def test_the_same_request_twice_makes_one_rollback(bank, failed):
    browser = Browser(bank, "mara")
    said = [
        browser.post(f"changes/{failed.key}/rollback/", {"reason": "It broke."}, key="k").json()["key"]
        for _ in range(2)
    ]
    assert said[0] == said[1]
    assert failed.rolled_back_by.count() == 1


def test_a_second_rollback_and_one_of_a_rollback_are_refused_in_words(bank, failed):
    browser = Browser(bank, "mara")
    back = browser.post(f"changes/{failed.key}/rollback/", {"reason": "It broke."}).json()
    for key, words in ((failed.key, "is there to roll"), (back["key"], "is itself the rollback")):
        answer = browser.post(f"changes/{key}/rollback/", {"reason": "Again."})
        assert (answer.status_code, answer.json()["code"]) == (409, "no_rollback")
        assert words in answer.json()["detail"]


def test_a_rollback_takes_nothing_but_its_reason(bank, failed):
    answer = Browser(bank, "mara").post(
        f"changes/{failed.key}/rollback/", {"reason": "It broke.", "inputs": {"version": "1"}}
    )
    assert answer.status_code == 422
    assert not failed.rolled_back_by.exists()


def test_who_may_not_see_the_change_does_not_learn_of_it(bank, failed):
    answer = Browser(bank, "ravi").post(f"changes/{failed.key}/rollback/", {"reason": "It broke."})
    assert answer.status_code == 404


def test_the_preview_shows_the_steps_that_would_run_and_what_is_passed_over(bank):
    found = Browser(bank, "mara").post(
        "changes/preview/",
        {"workflow": "deploy", "service": "web-bank", "environment": "production",
         "inputs": {"version": "42", "mode": "quick"}},
    ).json()  # fmt: skip
    steps = {one["key"]: one["omitted"] for one in found["steps"]}
    assert (len(steps), steps["settle"], steps["roll.8"]) == (11, True, False)


def test_the_pages_fold_a_wide_matrix_and_offer_the_rollback_first(bank, failed):
    client = Browser(bank, "mara").client
    page = client.get(f"/changes/{failed.key}/").content.decode()
    assert "8 steps: 8 succeeded" in page
    assert page.count('class="node s-') == 4  # the matrix is one of the nodes
    assert 'btn primary" href="/changes/' in page
    assert "Verification failed: smoke failed." in page
    assert "allowed to fail" in page
    assert "Its condition was false" in page
    form = client.get(f"/changes/{failed.key}/rollback/").content.decode()
    assert "Undo: roll</b>" in form
    assert "roll (8)" in form
    assert "This needs 2 approvals" in form


def test_a_form_without_a_reason_is_shown_again_with_what_is_missing(bank, failed):
    client = Browser(bank, "mara").client
    answer = client.post(f"/changes/{failed.key}/rollback/", {"reason": ""})
    assert answer.status_code == 422
    assert "Say why now" in answer.content.decode()
    answer = client.post(f"/changes/{failed.key}/rollback/", {"reason": "It broke."})
    back = failed.rolled_back_by.get()
    assert answer["Location"] == f"/changes/{back.key}/"
    page = client.get(answer["Location"]).content.decode()
    assert f'It rolls back <a href="/changes/{failed.key}/">' in page
    assert back.key in client.get(f"/changes/{failed.key}/").content.decode()
