"""The `terraform` action with the real tool, for what needs no provider from elsewhere."""

import json
import shutil

import pytest

from orchestration.actions import registry
from orchestration.engine import supervise
from tests.orchestration.tooling import HOSTILE, Tool, needs

pytestmark = needs("terraform", "tofu")

MAIN = """
terraform {
  backend "local" {}
}
variable "text" { type = string }
variable "word" {
  type      = string
  default   = "hidden"
  sensitive = true
}
resource "terraform_data" "page" { input = var.text }
resource "terraform_data" "word" { input = var.word }
resource "terraform_data" "disk" {
  triggers_replace = [var.text]
}
output "text" { value = terraform_data.page.output }
output "word" {
  value     = var.word
  sensitive = true
}
"""


class Place:
    """A configuration, and where its state lies."""

    def __init__(self, folder):
        self.folder, self.files = folder, {"infra/main.tf": MAIN}
        self.state = folder / "state" / "main.tfstate"
        self.state.parent.mkdir()

    def step(self, *, phase, text="one", plan="plan", secrets=None, **changed):
        given = {"dir": "infra", "vars": {"text": text}, "backend": {"path": str(self.state)}, **changed}
        given |= {"plan": plan} if phase == "apply" and plan else {}
        assert registry.validate("terraform", given) == []
        return Tool("terraform", given, self.folder, files=self.files, phase=phase, secrets=secrets)

    def plan(self, **changed):
        """What a plan step leaves, put where the step that applies it finds it."""
        step = self.step(phase="plan", **changed)
        step.told = step.run()
        folder = step.plans / "plan"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(step.artifacts, folder)
        return step

    def apply(self, **changed):
        return self.step(phase="apply", **changed).run()


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def test_a_plan_is_an_artifact_and_changes_nothing(place):
    step = place.plan()
    assert (step.told.state, step.told.reason) == ("succeeded", "")
    assert step.told.outputs == {"create": 3, "update": 0, "replace": 0, "delete": 0}
    assert {one.name for one in step.artifacts.iterdir()} == {"tfplan", "plan.json", "summary.json"}
    assert [one["what"] for one in step.changes] == [
        f"terraform_data.{name}" for name in ("disk", "page", "word")
    ]
    page = step.changes[1]
    assert (page["action"], page["risk"], page["irreversible"]) == ("create", "low", False)
    assert '+  "input": "one"' in page["diff"]
    assert '+  "output": "(known after apply)"' in page["diff"]
    assert not place.state.exists()


def test_exactly_the_plan_that_was_signed_is_applied(place):
    place.plan(text="one")
    outcome = place.apply(text="what the step says now does not matter")
    assert (outcome.state, outcome.reason) == ("succeeded", "")
    assert outcome.outputs == {"text": "one"}
    assert place.step(phase="check", text="one").run().state == "succeeded"
    assert place.step(phase="check", text="two").run().reason == "Something is not as the configuration says."


def test_what_is_destroyed_or_replaced_comes_first_and_cannot_be_undone(place):
    place.plan()
    place.apply()
    place.files["infra/main.tf"] = MAIN.replace('resource "terraform_data" "word" { input = var.word }', "")
    first, second, third = place.plan(text="two").changes
    assert {(one["what"], one["action"]) for one in (first, second)} == {
        ("terraform_data.disk", "replace"), ("terraform_data.word", "delete")
    }  # fmt: skip
    assert all((one["risk"], one["irreversible"]) == ("high", True) for one in (first, second))
    assert (third["what"], third["action"], third["risk"]) == ("terraform_data.page", "update", "medium")
    assert '-  "input": "one"' in third["diff"]
    assert '+  "input": "two"' in third["diff"]


def test_a_stale_plan_is_refused_by_the_tool_and_its_words_are_the_reason(place):
    place.plan(text="one")
    kept = place.folder / "kept"
    shutil.copytree(place.folder / "plans/plan", kept)
    place.apply()
    place.plan(text="two")
    place.apply()
    shutil.rmtree(place.folder / "plans/plan")
    shutil.copytree(kept, place.folder / "plans/plan")
    assert "stale" in place.apply().reason


def test_without_a_plan_nothing_is_applied(place):
    assert place.apply().reason == "The step plan left no plan; nothing was applied."
    assert "does not name its plan step" in place.apply(plan=None).reason
    assert not place.state.exists()


def test_state_that_would_be_lost_with_the_step_is_refused(place):
    place.files["infra/main.tf"] = MAIN.replace('backend "local" {}', "")
    assert "no backend that outlasts this step" in place.step(phase="plan", backend={}).run().reason
    place.files["infra/main.tf"] = MAIN
    assert (
        "no backend that outlasts this step"
        in place.step(phase="plan", backend={"path": "a.tfstate"}).run().reason
    )


def test_a_sensitive_value_is_in_nothing_that_a_person_reads(place):
    step = place.plan()
    told = (step.artifacts / "plan.json").read_text() + (step.artifacts / "summary.json").read_text()
    assert "(sensitive)" in told
    assert "hidden" not in told + step.text
    assert place.apply().outputs == {"text": "one"}


def test_a_secret_is_a_variable_and_the_environment_is_made_and_never_inherited(place, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_WORKER", "no")
    seen = place.folder / "seen"
    place.files["infra/main.tf"] += f"""
        resource "terraform_data" "seen" {{
          provisioner "local-exec" {{ command = "env | cut -d= -f1 | sort > {seen}" }}
        }}
    """
    secrets = {"TF_VAR_WORD": "not to be told", "CLOUD_TOKEN": "x", "LD_PRELOAD": "/evil.so", "PATH": "/evil"}
    plan = place.plan(secrets=secrets)
    assert plan.told.reason == ""
    told = plan.text + "".join(path.read_bytes().decode("latin1") for path in plan.artifacts.glob("*.json"))
    assert "not to be told" not in told
    assert place.apply(secrets=secrets).reason == ""
    names = set(seen.read_text().split())
    assert {"CLOUD_TOKEN", "TF_VAR_word", "STEP", "IDEMPOTENCY_KEY"} <= names
    assert not names & {
        "SECRET_OF_THE_WORKER",
        "LD_PRELOAD",
        "COUNTERSIGN_SECRET_KEY",
        "COUNTERSIGN_DATABASE_URL",
    }
    assert json.loads(place.state.read_text())["resources"][-1]["name"] == "word"


def test_a_configuration_that_is_none_says_why(place):
    place.files["infra/main.tf"] = MAIN + "nonsense {}\n"
    outcome = place.step(phase="plan").run()
    assert (outcome.state, outcome.reason) == ("failed", outcome.reason)
    assert outcome.reason.startswith("Error: Unsupported block type on main.tf line")


def test_what_a_person_typed_is_a_value_and_never_an_expression(place):
    """All payloads at once, each a variable of its own; each arrives as it was typed."""
    typed = {f"v{number}": text for number, text in enumerate(HOSTILE)}
    assert len(typed) >= 50
    names = "".join(f'variable "{name}" {{ type = string }}\n' for name in typed)
    listed = ", ".join(f"{name} = var.{name}" for name in typed)
    place.files["infra/main.tf"] = f"""
        terraform {{
          backend "local" {{}}
        }}
        {names}
        output "all" {{ value = jsonencode({{ {listed} }}) }}
    """
    step = place.plan(vars=typed)
    assert step.told.reason == ""
    planned = step.artifact("plan.json")["output_changes"]["all"]["after"]
    assert json.loads(planned) == typed


@pytest.mark.parametrize("field", ["dir", "plan", "workspace"])
@pytest.mark.parametrize("typed", ["-x", "--help", "a\n", "../a", "/etc", "a b", "$(id)", "; id", ""])
def test_names_that_could_lead_elsewhere_are_refused(field, typed):
    assert registry.validate("terraform", {"dir": "a", field: typed})


@pytest.mark.parametrize("name", ["-var", "a b", "a=b", "", "a\n", "$a"])
def test_variables_have_plain_names(name):
    assert registry.validate("terraform", {"dir": "a", "vars": {name: "x"}})
    assert registry.validate("terraform", {"dir": "a", "backend": {name: "x"}})


def test_opentofu_comes_first_where_both_are(place, monkeypatch, tmp_path):
    """The same program under its other name: which of them is started is what is asked here."""
    there = shutil.which("terraform", path=supervise.STEP_PATH) or shutil.which(
        "tofu", path=supervise.STEP_PATH
    )
    link = tmp_path / "bin" / "tofu"
    link.parent.mkdir()
    link.write_text(f'#!/bin/sh\necho "this is tofu"\nexec {there} "$@"\n')
    link.chmod(0o755)
    monkeypatch.setattr(supervise, "STEP_PATH", f"{link.parent}:{supervise.STEP_PATH}")
    step = place.step(phase="plan")
    step.run()
    assert "this is tofu" in step.text


def test_a_worker_without_the_tool_says_so(place, monkeypatch):
    monkeypatch.setattr(supervise, "STEP_PATH", "/nowhere")
    reason = "There is no tofu or terraform on the worker's PATH; nothing was run."
    assert place.step(phase="plan").run().reason == reason


def test_providers_come_from_the_mirror_alone(place, monkeypatch, tmp_path):
    mirror = tmp_path / 'a "mirror'
    mirror.mkdir()
    monkeypatch.setenv("COUNTERSIGN_TERRAFORM_MIRROR", str(mirror))
    place.files["infra/main.tf"] = MAIN + 'resource "null_resource" "a" {}\n'
    step = place.step(phase="plan")
    assert step.run().state == "failed"
    missing = "provider registry.terraform.io/hashicorp/null was not found in any of the search locations"
    assert missing in step.plain
    assert 'a "mirror' in step.text


def test_it_is_told_to_stop_and_leaves_nothing(place):
    place.files["infra/main.tf"] = (
        MAIN
        + """
        resource "terraform_data" "slow" {
          provisioner "local-exec" { command = "echo started; sleep 99" }
        }
    """
    )
    place.plan()
    step = place.step(phase="apply")
    step.take = lambda chunk: b"started" in chunk.data and step.control.cancel("enough")
    assert step.run().state == "cancelled"
    assert step.left() == []
