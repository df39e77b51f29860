"""What a definition says about its way: refused with its place where it is wrong, expanded before it is signed."""

import time
from typing import Any

import pytest

from accounts.models import Team
from audit.canonical import parse
from orchestration.definitions import digest
from orchestration.definitions.digest import Content
from orchestration.definitions.source import BadDefinition
from orchestration.definitions.workflow import load
from orchestration.models import Environment, Service, Workflow, WorkflowVersion

WORKFLOW = """
apiVersion: countersign.dev/v1
kind: Workflow
metadata: {name: deploy, title: Deploy, owner: platform}
spec:
  summary: Deploy {{service}} to {{environment}}
  inputs:
    version: {type: string}
    count: {type: integer, default: 2}
  environments: [production]
  timeout: 30m
  steps:
    build: {uses: wait, with: {seconds: 0}, continue_on_error: true}
    deploy-all:
      title: Deploy
      needs: [build]
      matrix: {size: [1, 2], region: [EU West, us]}
      max_parallel: 2
      uses: command
      with: {argv: [./deploy.sh, "{{matrix.region}}", "{{matrix.size}}"]}
      rollback: {uses: command, with: {argv: [./back.sh, "{{matrix.region}}", "{{inputs.version}}"]}, timeout: 5m}
    tell: {needs: [deploy-all], when: "inputs.count > 1 && states.build == 'succeeded'", uses: wait, with: {seconds: 0}}
    smoke: {phase: verify, uses: wait, with: {seconds: 0}}
"""
FILES = {"deploy.sh": "#!/bin/sh\n", "back.sh": "#!/bin/sh\n"}


def signed(text: str = WORKFLOW, **inputs: Any) -> dict[str, Any]:
    """The document of a change of this definition, as the database gives it back: without the order of keys."""
    definition = load(text, FILES)
    team = Team(slug="payments")
    workflow = Workflow(slug="deploy", owner=team)
    version = WorkflowVersion(
        workflow=workflow, number=1, digest="d", document=definition.document, files=definition.files
    )
    content = Content(
        change_id=None, number=1, version=version, service=Service(slug="web"), reason="r", requesters=[],
        environment=Environment(slug="production"), inputs={"version": "42", "count": 2, **inputs}, bundle_digest="b",
    )  # fmt: skip
    value: dict[str, Any] = parse(digest.document(content))
    return value


def test_a_matrix_is_signed_as_ordinary_steps_with_readable_keys():
    steps = {one["key"]: one for one in signed()["steps"]}
    members = ["deploy-all.eu-west.1", "deploy-all.eu-west.2", "deploy-all.us.1", "deploy-all.us.2"]
    assert list(steps) == ["build", *members, "tell", "smoke"]
    one = steps["deploy-all.eu-west.2"]
    assert one["with"]["argv"] == ["./deploy.sh", "EU West", "2"]
    assert one["title"] == "Deploy (EU West, 2)"
    assert one["matrix"] == {
        "step": "deploy-all",
        "values": {"region": "EU West", "size": 2},
        "max_parallel": 2,
    }
    assert one["rollback"]["with"]["argv"] == ["./back.sh", "EU West", "42"]
    assert (one["rollback"]["timeout_seconds"], list(one["rollback"]["files"])) == (300, ["back.sh"])
    assert steps["tell"]["needs"] == members


def test_verification_needs_whatever_nothing_else_waits_for():
    steps = {one["key"]: one for one in signed()["steps"]}
    assert (steps["smoke"]["needs"], steps["smoke"]["phase"]) == (["tell"], "verify")


def test_what_an_author_did_not_say_is_not_in_the_document():
    document = signed(WORKFLOW.replace("  timeout: 30m\n", ""))
    assert "timeout_seconds" not in document
    build = document["steps"][0]
    assert set(build) == {
        "key", "title", "needs", "uses", "with", "effect", "timeout_seconds", "retries", "retry_exit_codes", "files",
        "continue_on_error",
    }  # fmt: skip


WHEN = "inputs.count > 1 && states.build == 'succeeded'"


@pytest.mark.parametrize(
    ("old", "new", "place", "words"),
    [
        (WHEN, "inputs.cuont > 1", "line 22, column 39", "inputs.cuont is nothing that it may read"),
        (WHEN, "states.smoke == 'x'", "line 22, column 39", "states.smoke is nothing that it may read"),
        (WHEN, "outputs.nosuch.x == 1", "line 22", "it may read environment, inputs.count, inputs.version"),
        (WHEN, "inputs.count == 'two'", "line 22", "at character 14: found no matching overload"),
        (WHEN, "inputs.count +", "line 22", "Syntax error"),
        (WHEN, "outputs.build.ok", "line 22", "it must say true or false"),
        (WHEN, "now() > 1", "line 22", "now is nothing that it may read"),
        (WHEN, "'a' == '" + "a" * 500 + "'", "line 22", "longer than 500 characters"),
        (WHEN, "(" * 60 + "true" + ")" * 60, "line 22", "recursion limit"),
        ("region: [EU West, us]", "region: [a b, a-b]", "line 17, column 15", "letters or digits of its own"),
        ("region: [EU West, us]", "region: ['--', us]", "line 17", "letters or digits of its own"),
        ("region: [EU West, us]", "region: [1, us]", "line 17", "more than one type"),
        ("region: [EU West, us]", f"region: {list(range(129))}", "line 17", "at most 256"),
        ("region: [EU West, us]", f"region: [{'x' * 100}]", "line 17", "more than 100 characters"),
        ("region: [EU West, us]", "region: []", "line 17", ""),
        ("{{matrix.region}}", "{{matrix.zone}}", "line 20", "refers to nothing"),
        ("tell: {needs", "tell: {max_parallel: 2, needs", "line 22", "for a step with a matrix"),
        ("tell: {needs: [deploy-all]", "tell: {needs: [smoke]", "line 22, column 20", "comes after it"),
        ("phase: verify", "phase: later", "line 23", "later"),
        ("[./back.sh,", "[./back.sh, '{{nosuch}}',", "line 21", "refers to nothing"),
        ("rollback: {uses: command", "rollback: {uses: shell", "line 21", "no action named shell"),
        ("rollback: {uses: command", "rollback: {needs: [build], uses: command", "line 21", "takes no needs"),
        ("timeout: 5m}", "retries: 2}", "line 21", "retries need"),
        ("region: [EU West, us]", f"region: [{'x' * 83}]", "line 21", "at most 95 characters"),
        ("tell: {needs", "deploy_all: {needs", "line 22", "one name to a condition"),
        ("continue_on_error: true", "continue_on_error: maybe", "line 13", "maybe"),
        ("timeout: 30m", "timeout: soon", "line 11", "soon"),
    ],
)
def test_each_fault_is_refused_with_its_place_in_words(old, new, place, words):
    assert old in WORKFLOW
    with pytest.raises(BadDefinition) as found:
        load(WORKFLOW.replace(old, new, 1), FILES)
    details = " ".join(error["detail"] for error in found.value.errors)
    assert place in details
    assert words in details


def test_a_workflow_of_verification_alone_verifies_nothing():
    text = (
        WORKFLOW.partition("  steps:")[0] + "  steps: {a: {phase: verify, uses: wait, with: {seconds: 0}}}\n"
    )
    with pytest.raises(BadDefinition, match="nothing to verify"):
        load(text)


def test_matrices_that_need_one_another_stay_within_a_thousand_steps():
    head = WORKFLOW.partition("  steps:")[0] + "  steps:\n"
    wide = f"matrix: {{n: {list(range(250))}}}, uses: wait, with: {{seconds: 0}}"
    load(head + "".join(f"    s{n}: {{{wide}}}\n" for n in range(4)))
    with pytest.raises(BadDefinition, match="1024"):
        load(head + "".join(f"    s{n}: {{{wide}}}\n" for n in range(5)))


def test_a_matrix_of_a_million_million_steps_is_refused_before_it_is_laid_out():
    axes = ", ".join(f"{axis}: {list(range(256))}" for axis in "abcde")
    began = time.monotonic()
    with pytest.raises(BadDefinition, match="at most 256"):
        load(WORKFLOW.replace("size: [1, 2], region: [EU West, us]", axes), FILES)
    assert time.monotonic() - began < 5
