"""Plans over HTTP: a draft, what was found, its files, and planning again; what is not one's own is not found."""

import json

import pytest
from django.test import Client

from orchestration.models import Artifact
from tests.accounts.cast import bearer, issue
from tests.approvals.cast import sql
from tests.browser import REQUEST, Browser, decision
from tests.factories import Bank
from tests.orchestration.planned import FILES, PLANNED, now, work_all

pytestmark = pytest.mark.django_db(transaction=True)
SUMMARY = {
    "v": 1,
    "changes": [
        {"what": "accounts", "action": "create", "after": "a new table"},
        {"what": "payments", "action": "delete", "before": "12,431 rows", "irreversible": True},
    ],
}


@pytest.fixture
def place(tmp_path):
    now(tmp_path, "version 41\n")
    (tmp_path / "summary").write_text(json.dumps(SUMMARY))
    return tmp_path


@pytest.fixture
def bank(place):
    return Bank(PLANNED, FILES)


def ask(bank, place, who="mara"):
    answer = Browser(bank, who).post(
        "changes/", {**REQUEST, "inputs": {"version": "42", "place": str(place)}}
    )
    assert answer.status_code == 201, answer.content
    return answer.json()


def test_the_whole_way_over_http(bank, place):
    mara, jonas, noor = (Browser(bank, who) for who in ("mara", "jonas", "noor"))
    change = ask(bank, place)
    nothing = ("revision", "digest", "chain", "policy_decision", "run")
    assert (change["state"], [change[name] for name in nothing]) == ("draft", [None] * 5)
    assert (change["plan"]["number"], change["plan"]["state"], change["plan"]["outcome"]) == (1, "ready", "")
    url = f"changes/{change['key']}/"
    assert mara.get(f"{url}plan/").status_code == 404
    assert [one["purpose"] for one in mara.get("runs/").json()["results"]] == ["plan"]
    work_all()
    change = jonas.get(url).json()
    assert (change["state"], change["plan"]["outcome"], change["run"]) == ("waiting", "revised", None)
    told = jonas.get(f"{url}plan/").json()
    assert [one["what"] for one in told["changes"]] == ["payments", "accounts"]
    assert [(one["name"], one["intact"]) for one in told["artifacts"]] == [
        ("next", True),
        ("summary.json", True),
    ]
    file = jonas.client.get(f"/api/v1/{url}plan/look/next")
    assert (file.content, file["Content-Type"]) == (b"version 41\nversion 42\n", "application/octet-stream")
    assert file["Content-Disposition"] == 'attachment; filename="look-next"'
    for who, stage in ((jonas, "Service owner"), (noor, "Security")):
        assert who.post(f"{url}sign-offs/", decision(change, stage)).status_code == 201
    work_all()
    assert mara.get(url).json()["state"] == "succeeded"
    assert [one["purpose"] for one in mara.get("runs/").json()["results"]] == ["apply", "plan"]
    permit = mara.get(f"runs/{change['plan']['run']}/permit/").json()
    assert (permit["authentic"], permit["document"]["purpose"]) == (True, "plan")
    kinds = [one["kind"] for one in mara.get(f"{url}timeline/").json()]
    assert {"plan.asked", "artifact.kept", "plan.settled", "change.requested"} <= set(kinds)


def test_planning_again_is_for_whoever_may_edit_or_decide_and_once_for_each_key(bank, place):
    change = ask(bank, place)
    work_all()
    url = f"changes/{change['key']}/plan/"
    assert Browser(bank, "ravi").post(url).status_code == 404
    made = [Browser(bank, "jonas").post(url, key="once") for _ in "12"]
    assert [one.status_code for one in made] == [201, 201]
    assert made[0].json()["plan"]["number"] == made[1].json()["plan"]["number"] == 2
    again = Browser(bank, "mara").post(url)
    assert (again.status_code, again.json()["code"]) == (409, "move_not_allowed")
    work_all()
    told = Browser(bank, "mara").get(f"changes/{change['key']}/").json()
    assert (told["plan"]["outcome"], told["revision"]) == ("same", 1)


def test_a_token_reads_and_plans_again_with_the_scopes_for_it(bank, place):
    change = ask(bank, place)
    work_all()
    url = f"/api/v1/changes/{change['key']}/plan/"
    reads, writes = (
        bearer(issue(bank.user("mara"), f"changes:{one}"))["headers"] for one in ("read", "write")
    )
    assert Client().get(url, headers=reads).status_code == 200
    assert Client().post(url, headers={**reads, "Idempotency-Key": "a"}).status_code == 403
    assert Client().post(url, headers={**writes, "Idempotency-Key": "a"}).status_code == 201


@pytest.mark.parametrize("path", ["plan/", "plan/look/next"])
def test_what_a_change_found_is_as_secret_as_the_change(bank, place, path):
    change = ask(bank, place)
    work_all()
    for door in ("/api/v1/changes", "/changes"):
        if (door, path) != ("/changes", "plan/"):  # a page that takes POST alone
            answer = Browser(bank, "ravi").client.get(f"{door}/{change['key']}/{path}")
            assert answer.status_code == 404
    assert Browser(bank, "mara").client.get(f"/changes/{change['key']}/plan/look/other").status_code == 404


def test_a_draft_takes_an_edit_and_answers_every_door(bank, place):
    mara = Browser(bank, "mara")
    change = ask(bank, place)
    url = f"changes/{change['key']}/"
    tag = mara.get(url).headers["ETag"]
    edited = mara.patch(url, {"inputs": {"version": "43", "place": str(place)}}, **{"If-Match": tag})
    assert edited.status_code == 200, edited.content
    assert (edited.json()["state"], edited.json()["plan"]["number"]) == ("draft", 2)
    assert edited.json()["inputs"]["version"] == "43"
    assert mara.get(f"{url}sign-offs/").json() == []
    assert mara.get(f"{url}obligations/").json() == []
    assert mara.get(f"{url}timeline/").status_code == 200
    assert mara.get("changes/", q="state:draft").json()["results"][0]["key"] == change["key"]
    assert mara.post(f"{url}start/").status_code == 409
    assert mara.post(f"{url}withdraw/").json()["state"] == "withdrawn"
    assert mara.get(url).json()["inputs"]["version"] == "43"


# --- the page -----------------------------------------------------------------------------------------------


def page(bank, change, who="jonas", part=""):
    answer = Browser(bank, who).client.get(f"/changes/{change['key']}/{part}")
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_page_of_a_draft_says_what_is_going_on_and_asks_nobody(bank, place):
    change = ask(bank, place)
    seen = page(bank, change)
    assert "Planning" in seen
    assert "Nobody is asked yet" in seen
    assert 'name="decision"' not in seen
    for part in ("head", "planning", "found", "rail", "run", "log", "timeline"):
        page(bank, change, part=f"live/{part}/")


def test_the_page_shows_the_riskiest_first_and_folds_the_rest(bank, place):
    change = ask(bank, place)
    work_all()
    seen = page(bank, change)
    assert seen.index('id="found-1"') < seen.index("12,431 rows") < seen.index('id="found-2"')
    assert "Cannot be undone" in seen
    assert "1 more" in seen
    assert "Look at before approving" in seen
    assert 'value="plan:found-1"' in seen


def test_at_high_risk_what_would_be_destroyed_must_be_looked_at_before_an_approval(bank, place):
    change = ask(bank, place)
    work_all()
    jonas = Browser(bank, "jonas")
    change = jonas.get(f"changes/{change['key']}/").json()
    stage = next(one["id"] for one in change["chain"]["stages"] if one["name"] == "Service owner")
    form = {
        "stage": stage, "decision": "approve", "digest": change["digest"],
        "chain_digest": change["chain"]["digest"], "comment": "Read it.",
    }  # fmt: skip
    left = jonas.client.post(f"/changes/{change['key']}/decide/", form)
    assert left.status_code == 422
    assert "Open payments" in left.content.decode()
    opened = {**form, "opened": ["plan:found-1", "write"]}
    assert jonas.client.post(f"/changes/{change['key']}/decide/", opened).status_code == 302


def test_the_page_says_why_a_plan_failed_and_offers_to_plan_again(bank, place):
    (place / "broken").touch()
    change = ask(bank, place)
    work_all()
    seen = page(bank, change, "mara")
    assert "The place cannot be read." in seen
    assert "Plan again" in seen
    (place / "broken").unlink()
    Browser(bank, "mara").client.post(f"/changes/{change['key']}/plan/")
    work_all()
    assert "Plan again" in page(bank, change, "mara")
    assert "The place cannot be read." not in page(bank, change, "mara", "live/planning/")


def test_the_page_shows_what_differs_from_what_was_signed_before(bank, place):
    change = ask(bank, place)
    work_all()
    now(place, "version 41.5\n")
    Browser(bank, "jonas").client.post(f"/changes/{change['key']}/plan/")
    work_all()
    seen = page(bank, change)
    assert "Since the plan before" in seen
    assert "-version 41" in seen
    assert "+version 41.5" in seen


def test_the_page_says_when_a_file_is_not_what_was_signed(bank, place):
    change = ask(bank, place)
    work_all()
    sql("UPDATE orchestration_artifact SET data = 'x' WHERE name = 'next'")
    assert "This is not what was signed" in page(bank, change)
    told = Browser(bank, "jonas").get(f"changes/{change['key']}/plan/").json()
    assert [one["intact"] for one in told["artifacts"]] == [False, True]


def test_what_hides_in_a_file_is_shown_by_its_number(bank, place):
    now(place, "version \u202e14\n")
    change = ask(bank, place)
    work_all()
    assert "version \\u202e14" in page(bank, change)
    assert Artifact.objects.filter(name="next").exists()
