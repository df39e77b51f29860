"""What surrounds a decision, over HTTP: for people in a browser, and never for a token."""

import pytest

from tests.accounts.cast import bearer, issue
from tests.api.test_changes_api import Browser
from tests.factories import Bank

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def bank():
    return Bank()


def test_an_obligation_is_read_by_everybody_and_closed_by_somebody_else(bank):
    change = bank.change()
    bank.say(change, "jonas", "approve_with_condition", condition="Watch the dashboard.")
    path = f"changes/{change.key}/obligations/"
    [row] = Browser(bank, "mara").get(path).json()
    assert (row["text"], row["state"], row["set_by"]["name"]) == ("Watch the dashboard.", "open", "Jonas")
    own = Browser(bank, "mara").post(f"{path}{row['id']}/close/", {"note": "Done."})
    assert (own.status_code, own.json()["code"]) == (403, "own_obligation")
    assert Browser(bank, "noor").post(f"{path}{row['id']}/close/", {"by": "jonas"}).status_code == 422
    closed = Browser(bank, "noor").post(f"{path}{row['id']}/close/", {"note": "It was quiet."})
    assert (closed.status_code, closed.json()["state"]) == (200, "closed")
    again = Browser(bank, "jonas").post(f"{path}{row['id']}/close/", {"note": "Again."})
    assert (again.status_code, again.json()["code"]) == (409, "obligation_closed")


def test_a_token_of_every_scope_does_nothing_that_surrounds_a_decision(bank, client):
    change = bank.change()
    bank.say(change, "jonas", "approve_with_condition", condition="Watch the dashboard.")
    token = bearer(issue(bank.user("noor"), "changes:read", "changes:write", "runs:write"))
    [row] = client.get(f"/api/v1/changes/{change.key}/obligations/", **token).json()
    for path in (f"obligations/{row['id']}/close/",):
        answer = client.post(f"/api/v1/changes/{change.key}/{path}", **token)
        assert answer.status_code == 403, path
