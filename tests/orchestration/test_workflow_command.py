"""`manage.py workflow check|install`: what CI asks, and how the first workflow comes in."""

import io
import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from accounts import teams
from audit.ledger.entry import system
from audit.models import Entry
from orchestration import catalogue
from orchestration.models import Workflow

BY = system("system:test")
TEXT = """
apiVersion: countersign.dev/v1
kind: Workflow
metadata: {name: pause, title: Pause, owner: platform}
spec:
  summary: Pause {{service}} in {{environment}}
  environments: [staging]
  steps:
    wait: {uses: wait, with: {seconds: 1}}
"""


def folder(place: Path, text: str = TEXT) -> str:
    (place / "workflow.yaml").write_text(text)
    return str(place)


def workflow(*arguments):
    said = io.StringIO()
    call_command("workflow", *arguments, stdout=said)
    return said.getvalue()


def test_a_sound_definition_is_named_by_its_digest(tmp_path):
    told = json.loads(workflow("check", folder(tmp_path), "--json"))
    assert told["passed"]
    assert told["digest"].startswith("sha256:")


def test_every_fault_is_told_with_its_line(tmp_path):
    wrong = TEXT.replace("seconds: 1", "seconds: soon").replace("{{service}}", "{{nothing}}")
    with pytest.raises(CommandError, match=r"line 6(.|\n)*line 9") as refused:
        workflow("check", folder(tmp_path, wrong))
    assert refused.value.returncode == 1


def test_a_folder_without_a_workflow_is_refused(tmp_path):
    with pytest.raises(CommandError, match="holds no workflow"):
        workflow("check", str(tmp_path))


@pytest.mark.django_db
def test_an_installed_version_replaces_the_active_one_and_says_who_did_it(tmp_path):
    teams.create_team(slug="platform", name="Platform", by=BY)
    catalogue.create_environment(slug="staging", name="Staging", tier=2, position=1, by=BY)
    workflow("install", folder(tmp_path))
    workflow("install", folder(tmp_path, TEXT.replace("seconds: 1", "seconds: 2")))
    found = Workflow.objects.get()
    assert found.active is not None
    assert [(one.number, one.state) for one in found.versions.all()] == [(2, "active"), (1, "retired")]
    entry = Entry.objects.filter(kind="workflow_version.active").order_by("-id")[0]
    assert entry.actor == "system:terminal"
