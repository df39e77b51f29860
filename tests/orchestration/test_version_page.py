"""The page of a workflow's version: somebody else of the owner team sees what differs, and decides."""

import pytest
from django.test import Client

from orchestration import catalogue
from orchestration.definitions.workflow import load
from orchestration.models import Workflow
from tests.orchestration.bank import DEFINITION, Bank

pytestmark = pytest.mark.django_db(transaction=True)
PAGE = "/workflows/deploy/versions/2/"


@pytest.fixture
def bank():
    bank = Bank()
    text = DEFINITION.replace("deployed {{inputs.version}}", "shipped {{inputs.version}}")
    definition = load(text, {"build.sh": '#!/bin/sh\necho "made $1"\n'})
    catalogue.add_version(definition, origin="upload", by=bank.people["mara"])
    return bank


def browser(bank, name):
    client = Client()
    client.force_login(bank.people[name].user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def active():
    return Workflow.objects.values_list("active__number", flat=True).get()


def test_the_page_shows_what_differs_in_the_definition_and_in_each_file(bank):
    page = browser(bank, "jonas").get(PAGE).content.decode()
    for line in (
        "-echo &quot;built $1&quot;",
        "+echo &quot;made $1&quot;",
        "shipped",
        "What differs from version 1",
    ):
        assert line in page
    assert "Approve version 2" in page


def test_somebody_else_of_the_owner_team_approves_it(bank):
    assert browser(bank, "jonas").post(f"{PAGE}approve/").status_code == 302
    assert active() == 2


def test_its_author_and_other_teams_see_no_decision_and_are_refused(bank):
    for name in ("mara", "noor"):
        client = browser(bank, name)
        assert "Approve version 2" not in client.get(PAGE).content.decode()
        assert client.post(f"{PAGE}approve/").status_code == 403
        assert client.post(f"{PAGE}refuse/", {"reason": "No."}).status_code == 403
    assert active() == 1


def test_a_refusal_needs_a_reason_and_ends_it(bank):
    client = browser(bank, "jonas")
    assert client.post(f"{PAGE}refuse/", {"reason": " "}).status_code == 422
    assert client.post(f"{PAGE}refuse/", {"reason": "It says too little."}).status_code == 302
    assert client.post(f"{PAGE}approve/").status_code == 409
    assert "Approve version 2" not in client.get(PAGE).content.decode()
    assert active() == 1


def test_whoever_may_not_see_the_workflow_finds_nothing(bank):
    assert browser(bank, "ivan").get(PAGE).status_code == 404
    assert browser(bank, "jonas").get("/workflows/deploy/versions/9/").status_code == 404
