"""The rail: what one may open, where one is, and how much waits there."""

import pytest
from django.contrib.auth.models import Permission
from django.test import RequestFactory

from accounts.permissions import grant
from config.navigation import rail
from orchestration.models import Workflow
from tests.accounts.cast import TEST, governed, person, team

pytestmark = pytest.mark.django_db(transaction=True)


def items(user, address: str = "/inbox/") -> dict[str, dict[str, object]]:
    request = RequestFactory().get(address)
    request.user = user
    return {one["label"]: one for one in rail(request)}


def test_an_item_is_there_for_who_may_open_it():
    mara, petra = person("Mara", "payments"), person("Petra", "audit")
    workflow = governed(Workflow(slug="deploy", title="Deploy", owner=team("payments")))
    grant(team("payments"), "request", workflow, by=TEST)
    assert "New request" in items(mara)
    assert "New request" not in items(petra)


def test_the_log_and_its_reports_are_there_for_who_may_read_them():
    petra = person("Petra", "audit")
    assert not {"Audit log", "Compliance"} & items(petra).keys()
    team("audit").group.permissions.add(Permission.objects.get(codename="view_entry"))
    assert {"Audit log", "Compliance"} <= items(person("Ada", "audit")).keys()


def test_where_one_is_is_marked_and_nothing_waits_for_a_newcomer():
    shown = items(person("Mara"), "/policies/change/12/")
    assert [label for label, one in shown.items() if one["current"]] == ["Policies"]
    assert shown["Inbox"]["count"] == 0
