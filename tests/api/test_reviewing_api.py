"""What surrounds a decision, over HTTP: for people in a browser, and never for a token."""

import pytest

from orchestration import asking
from tests.accounts.cast import bearer, issue
from tests.browser import Browser
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


def stage(change, name="Security"):
    return str(asking.current_revision(change).chain.stages.get(name=name).pk)


def test_a_claim_a_hand_over_and_a_question_over_http(bank):
    change = bank.change()
    path, noor, mara = f"changes/{change.key}/", Browser(bank, "noor"), Browser(bank, "mara")
    claimed = noor.post(f"{path}claim/", {"stage": stage(change)})
    assert (claimed.status_code, claimed.json()["person"]["name"]) == (200, "Noor")
    shown = {one["name"]: one["reviewing"] for one in mara.get(path).json()["chain"]["stages"]}
    assert [one["name"] for one in shown["Security"]] == ["Noor"]
    assert shown["Service owner"] == []
    assert noor.client.delete(f"/api/v1/{path}claim/").status_code == 204
    assert mara.post(f"{path}claim/", {"stage": stage(change)}).json()["code"] == "not_your_turn"

    given = {"stage": stage(change), "to": str(bank.user("ines").pk), "note": "You know this one."}
    assert noor.post(f"{path}hand-over/", given).status_code == 201
    [notice] = Browser(bank, "ines").get("me/inbox/").json()["notices"]
    assert (notice["kind"], notice["who"], notice["change"]) == ("hand_over", "Noor", change.key)

    asked = noor.post(f"{path}ask/", {"text": "Is there a way back?"}, key="one")
    assert noor.post(f"{path}ask/", {"text": "Is there a way back?"}, key="one").json() == asked.json()
    assert (asked.status_code, asked.json()["kind"]) == (201, "question")
    [notice] = mara.get("me/inbox/").json()["notices"]
    assert (notice["kind"], notice["text"]) == ("question", "Is there a way back?")
    answered = mara.post(f"{path}questions/{asked.json()['id']}/answer/", {"text": "Yes."})
    assert (answered.status_code, answered.json()["answers"]) == (201, asked.json()["id"])
    assert mara.get("me/inbox/").json()["notices"] == []


def test_everything_beside_a_decision_is_on_the_page_of_whom_it_asks(bank):
    change = bank.change()
    noor, mara = Browser(bank, "noor").client, Browser(bank, "mara").client
    page = f"/changes/{change.key}/"
    assert b"I am reviewing this" not in mara.get(page).content
    assert noor.post(f"{page}claim/", {"stage": stage(change)}).status_code == 302
    assert b"Noor is reviewing" in mara.get(page).content
    assert b"Stop reviewing" in noor.get(page).content
    assert noor.post(f"{page}release/").status_code == 302
    assert b"Noor is reviewing" not in mara.get(page).content
    assert noor.post(f"{page}ask/", {"text": "Is there a way back?"}).status_code == 302
    assert b"Your answer" in mara.get(page).content
    assert b"Your answer" not in noor.get(page).content
    assert b"asked you" in mara.get("/inbox/").content
    assert noor.post(f"{page}hand-over/", {"stage": stage(change), "to": ""}).status_code == 422
    given = {"stage": stage(change), "to": str(bank.user("ines").pk)}
    assert noor.post(f"{page}hand-over/", given).status_code == 302
    assert b"Noor handed it over to you" in Browser(bank, "ines").client.get("/inbox/").content


def test_for_a_stranger_there_is_nothing_beside_a_decision(bank):
    change = bank.change()
    ravi = Browser(bank, "ravi")
    for path, body in {
        "claim/": {"stage": stage(change)},
        "hand-over/": {"stage": stage(change), "to": str(bank.user("ines").pk)},
        "ask/": {"text": "Why?"},
    }.items():
        assert ravi.post(f"changes/{change.key}/{path}", body).status_code == 404
        assert ravi.client.post(f"/changes/{change.key}/{path}", body).status_code == 404
    assert ravi.get(f"changes/{change.key}/obligations/").status_code == 404


def test_a_token_of_every_scope_does_nothing_that_surrounds_a_decision(bank, client):
    change = bank.change()
    bank.say(change, "jonas", "approve_with_condition", condition="Watch the dashboard.")
    token = bearer(issue(bank.user("noor"), "changes:read", "changes:write", "runs:write"))
    [row] = client.get(f"/api/v1/changes/{change.key}/obligations/", **token).json()
    for path in (f"obligations/{row['id']}/close/", "claim/", "hand-over/", "ask/"):
        answer = client.post(f"/api/v1/changes/{change.key}/{path}", **token)
        assert answer.status_code == 403, path
