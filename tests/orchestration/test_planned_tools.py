"""Plan, review, apply with the real tools through the whole engine: what was signed is what is done."""

import json

import pytest

from orchestration.definitions.source import BadDefinition
from orchestration.definitions.workflow import load
from orchestration.engine.invariants import violations
from orchestration.models import Artifact, Step
from tests.approvals.cast import sql
from tests.factories import Bank
from tests.orchestration.planned import approved, fresh, planned, printed, work_all
from tests.orchestration.test_ansible import PLAY
from tests.orchestration.test_terraform import MAIN
from tests.orchestration.tooling import needs

HEAD = """
apiVersion: countersign.dev/v1
kind: Workflow
metadata: {name: deploy, title: Deploy, owner: payments}
spec:
  summary: Deploy {{service}} {{version}} to {{environment}}
  inputs:
    version: {type: string, title: Version}
    place: {type: string, title: Folder}
  environments: [staging, production]
  steps:
"""
TERRAFORM = (
    HEAD
    + """
    preview:
      phase: plan
      uses: terraform
      with: {dir: infra, vars: {text: "{{inputs.version}}"}, backend: {path: "{{inputs.place}}/main.tfstate"}}
    apply:
      needs: [preview]
      uses: terraform
      with: {dir: infra, plan: preview, backend: {path: "{{inputs.place}}/main.tfstate"}}
"""
)
ANSIBLE = (
    HEAD
    + """
    preview:
      phase: plan
      uses: ansible
      with: {playbook: site.yml, extra_vars: {place: "{{inputs.place}}", text: "{{inputs.version}}"}}
    play:
      needs: [preview]
      uses: ansible
      with: {playbook: site.yml, extra_vars: {place: "{{inputs.place}}", text: "{{inputs.version}}"}}
"""
)


def found():
    """What the plan step left, by name."""
    return {one.name: bytes(one.data) for one in Artifact.objects.all()}


def told():
    return [(one["what"], one["action"]) for one in json.loads(found()["summary.json"])["changes"]]


@needs("terraform", "tofu")
def test_terraform_applies_exactly_the_plan_that_was_signed(transactional_db, tmp_path):
    bank = Bank(TERRAFORM, {"infra/main.tf": MAIN})
    change = planned(bank, tmp_path)
    assert change.state == "waiting", Step.objects.get().reason
    assert ("terraform_data.page", "create") in told()
    assert not (tmp_path / "main.tfstate").exists()
    for who in ("jonas", "noor"):
        bank.say(change, who)
    work_all()
    assert fresh(change).state == "succeeded", printed()
    assert Step.objects.get(key="apply").outputs == {"text": "42"}
    assert not any(violations().values())


@needs("terraform", "tofu")
def test_a_plan_that_was_exchanged_in_the_database_is_never_applied(transactional_db, tmp_path):
    bank = Bank(TERRAFORM, {"infra/main.tf": MAIN})
    change = approved(bank, tmp_path)
    sql("UPDATE orchestration_artifact SET data = 'another plan' WHERE name = 'tfplan'")
    work_all()
    assert fresh(change).state != "succeeded"
    assert not (tmp_path / "main.tfstate").exists()


def test_ansible_shows_what_it_would_change_and_does_it_when_it_was_signed(transactional_db, tmp_path):
    (tmp_path / "old.txt").write_text("old\n")
    bank = Bank(ANSIBLE, {"site.yml": PLAY})
    change = planned(bank, tmp_path)
    assert change.state == "waiting", Step.objects.get().reason
    assert ("Take the old one away on localhost", "delete") in told()
    assert [one.name for one in tmp_path.iterdir()] == ["old.txt"]
    for who in ("jonas", "noor"):
        bank.say(change, who)
    work_all()
    assert fresh(change).state == "succeeded", printed()
    assert (tmp_path / "page.txt").read_text() == "42\n"
    assert not (tmp_path / "old.txt").exists()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("plan: preview, ", "", "name its own by plan: preview"),
        ("plan: preview, ", "plan: other, ", "name its own by plan: preview"),
        ("plan: preview, ", 'plan: "{{inputs.version}}", ', "name its own by plan: preview"),
        ("      phase: plan\n", "", "plan: <key of a step with phase: plan>"),
        (
            "    apply:\n",
            "    apply:\n      rollback: {uses: terraform, with: {dir: infra}}\n",
            "nothing is planned to undo a step",
        ),
    ],
)
def test_a_workflow_that_would_apply_what_nobody_saw_is_refused(old, new, words):
    assert load(TERRAFORM, {"infra/main.tf": MAIN})
    with pytest.raises(BadDefinition) as refused:
        load(TERRAFORM.replace(old, new), {"infra/main.tf": MAIN})
    assert words in str(refused.value.errors)
