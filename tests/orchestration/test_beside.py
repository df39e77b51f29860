"""The files beside a workflow that an action reads come with the step, and are signed with it."""

from dataclasses import replace

import pytest

from orchestration.definitions import beside, digest
from orchestration.definitions.inputs import InputsInvalid
from orchestration.definitions.source import BadDefinition
from orchestration.definitions.workflow import load
from tests.orchestration.test_definitions import content, replace_version

WORKFLOW = """
apiVersion: countersign.dev/v1
kind: Workflow
metadata: {name: patch, title: Patch, owner: platform}
spec:
  summary: Patch
  inputs: {name: {type: string, title: Name}}
  environments: [staging]
  steps:
    patch: {uses: ansible, with: {playbook: "play/{{inputs.name}}.yml", limit: "{{inputs.name}}"}}
"""
FILES = {
    "play/web.yml": "- hosts: all",
    "play/roles/web/tasks/main.yml": "[]",
    "play-other/web.yml": "[]",
    "infra/main.tf": "",
    "README": "",
}


def steps(name, files=FILES, text=WORKFLOW):
    version = replace_version(content(), load(text, files).document, files=files)
    return digest.steps(replace(version, inputs={"name": name}))


def test_a_step_gets_the_folder_of_what_it_names_and_nothing_else():
    assert set(steps("web")[0]["files"]) == {"play/web.yml", "play/roles/web/tasks/main.yml"}


def test_a_file_that_is_not_there_is_refused_before_anything_is_signed():
    with pytest.raises(InputsInvalid, match=r"there is no play/db\.yml beside the workflow"):
        steps("db")
    fixed = WORKFLOW.replace('"play/{{inputs.name}}.yml"', "play/db.yml")
    with pytest.raises(BadDefinition, match=r"there is no play/db\.yml beside the workflow"):
        load(fixed, FILES)


@pytest.mark.parametrize(
    "typed", ["-x", "../web", "web; id", "$(id)", "{{inputs.name}}", "{{ inputs.name }}", "w b"]
)
def test_a_pattern_that_waits_for_what_is_typed_judges_it_before_it_is_signed(typed):
    """A definition is accepted with a reference in such a place; the value itself never gets past the pattern."""
    with pytest.raises(InputsInvalid):
        steps(typed)


def test_a_pattern_that_nothing_is_typed_into_judges_at_once():
    with pytest.raises(BadDefinition, match=r"with\.limit"):
        load(WORKFLOW.replace('limit: "{{inputs.name}}"', 'limit: "-x"'), FILES)
    with pytest.raises(BadDefinition, match=r"with\.limit"):
        load(WORKFLOW.replace('limit: "{{inputs.name}}"', 'limit: "-{{service}}"'), FILES)


@pytest.mark.parametrize(
    ("place", "found"),
    [
        ("play", ["play/web.yml", "play/roles/web/tasks/main.yml"]),
        ("play/", ["play/web.yml", "play/roles/web/tasks/main.yml"]),
        ("play/web.yml", ["play/web.yml"]),
        ("pla", []),
        ("", list(FILES)),
    ],
)
def test_a_place_is_a_file_or_a_folder(place, found):
    assert beside.found(place, FILES) == found
