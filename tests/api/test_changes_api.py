"""The API about workflows, changes and runs: the whole way over HTTP, and what every door refuses."""

import json
from uuid import uuid4

import pytest
import yaml
from django.core.management import call_command
from django.test import Client

from accounts.acting import Acting
from audit.canonical import parse
from audit.models import Entry
from orchestration import asking
from orchestration.definitions import digest as digests
from orchestration.models import Change, Run
from tests.accounts.cast import bearer, issue
from tests.browser import ASK, REQUEST, Browser, decision, run_all
from tests.factories import DEPLOY, Bank, change_in

pytestmark = pytest.mark.django_db(transaction=True)
S = Change.State


@pytest.fixture
def bank():
    return Bank()


def test_the_whole_way_over_http(bank):
    mara, jonas, noor = (Browser(bank, who) for who in ("mara", "jonas", "noor"))
    preview = mara.post("changes/preview/", ASK).json()
    assert [(one["stage"], [who["name"] for who in one["people"]]) for one in preview["require"]] == [
        ("Security", ["Ines", "Noor"]), ("Service owner", ["Jonas"]),
    ]  # fmt: skip
    asked = mara.post("changes/", REQUEST)
    assert asked.status_code == 201, asked.content
    change = asked.json()
    assert (change["state"], change["revision"], change["run"]) == ("waiting", 1, None)
    assert [change["key"]] == [one["key"] for one in jonas.get("me/inbox/").json()["waiting"]]
    for who, stage in ((jonas, "Service owner"), (noor, "Security")):
        said = who.post(f"changes/{change['key']}/sign-offs/", decision(change, stage))
        assert said.status_code == 201, said.content
    assert (said.json()["verdict"], said.json()["state"]) == ("complete", "approved")
    run_all()
    run = mara.get(f"runs/{said.json()['run']}/").json()
    assert (run["state"], [(one["name"], one["state"], one["attempt"]) for one in run["steps"]]) == (
        "succeeded", [("pause", "succeeded", 1)],
    )  # fmt: skip
    events = mara.get(f"runs/{run['key']}/events", after=0).json()
    assert [one["seq"] for one in events["results"]] == list(range(1, events["after"] + 1))
    assert mara.get(f"runs/{run['key']}/events", after=events["after"]).json()["results"] == []
    assert mara.get(f"runs/{run['key']}/steps/pause/log", after=0).json()["ended"]
    permit = mara.get(f"runs/{run['key']}/permit/").json()
    assert (permit["authentic"], permit["document"]["digest"]) == (True, change["digest"])
    kinds = [one["kind"] for one in mara.get(f"changes/{change['key']}/timeline/").json()]
    assert {"change.requested", "sign_off.given", "permit.issued", "change.succeeded"} <= set(kinds)
    assert mara.get(f"changes/{change['id']}/").json()["state"] == "succeeded"


def test_the_same_key_asks_once_whatever_happens_to_the_answer(bank):
    mara, key = Browser(bank, "mara"), str(uuid4())
    first, again = (mara.post("changes/", REQUEST, key=key) for _ in range(2))
    assert (first.json()["id"], again.status_code) == (again.json()["id"], 201)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert mara.post("changes/", {**REQUEST, "reason": "Another."}, key=key).status_code == 422
    assert Change.objects.count() == 1
    bare = mara.client.post("/api/v1/changes/", json.dumps(REQUEST), content_type="application/json")
    assert (bare.status_code, bare.json()["code"]) == (400, "idempotency_key_missing")


FORBIDDEN = {
    "state": "approved", "digest": "sha256:0", "requester": "noor", "approved_by": "noor", "approver": "noor",
    "emergency": True, "id": str(uuid4()), "created_at": "2020-01-01T00:00:00Z", "on_behalf_of": "noor",
    "version": 9, "number": 1, "chain": {}, "attempt": 7, "is_staff": True,
}  # fmt: skip


@pytest.mark.parametrize("field", FORBIDDEN)
def test_no_door_takes_a_field_that_it_does_not_name(bank, field):
    mara, jonas = Browser(bank, "mara"), Browser(bank, "jonas")
    change = mara.post("changes/", REQUEST).json()
    extra = {field: FORBIDDEN[field]}
    answers = [
        mara.post("changes/", {**REQUEST, **extra}),
        mara.patch(f"changes/{change['key']}/", {"reason": "Now.", **extra}, **{"If-Match": '"2"'}),
        mara.post(f"changes/{change['key']}/comments/", {"text": "Hello", **extra}),
    ]
    if field not in {"digest"}:
        answers.append(
            jonas.post(f"changes/{change['key']}/sign-offs/", {**decision(change, "Service owner"), **extra})
        )
    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), answer.content
        assert answer.json()["errors"][0]["pointer"] == f"/{field}"
    assert Change.objects.count() == 1
    assert mara.get(f"changes/{change['key']}/").json()["state"] == "waiting"


def test_faults_are_named_by_pointer_as_problem_json(bank):
    mara = Browser(bank, "mara")
    for body, pointer in (
        ({**REQUEST, "environment": "prodution"}, "/environment"),
        ({**REQUEST, "inputs": {"version": "x"}}, "/inputs/version"),
        ({**REQUEST, "inputs": "x"}, "/inputs"),
        ({**ASK}, "/reason"),
        ({**REQUEST, "not_before": "soon"}, "/not_before"),
    ):
        answer = mara.post("changes/", body)
        assert (answer.status_code, answer.headers["Content-Type"]) == (422, "application/problem+json")
        assert [one["pointer"] for one in answer.json()["errors"]] == [pointer]


def test_an_edit_names_the_version_that_it_was_made_from(bank):
    mara = Browser(bank, "mara")
    change = mara.post("changes/", REQUEST).json()
    path = f"changes/{change['key']}/"
    tag = mara.get(path).headers["ETag"]
    assert mara.patch(path, {"reason": "Now."}).status_code == 428
    edited = mara.patch(path, {"inputs": {"version": "43"}}, **{"If-Match": tag})
    assert (edited.status_code, edited.json()["revision"], edited.json()["reason"]) == (
        200,
        2,
        REQUEST["reason"],
    )
    assert edited.headers["ETag"] == mara.get(path).headers["ETag"] != tag
    stale = mara.patch(path, {"inputs": {"version": "44"}}, **{"If-Match": tag})
    assert (stale.status_code, stale.json()["code"]) == (409, "stale_version")
    assert Browser(bank, "jonas").patch(path, {"reason": "Mine."}, **{"If-Match": tag}).status_code == 403
    jonas = Browser(bank, "jonas").post(f"{path}sign-offs/", decision(change, "Service owner"))
    assert (jonas.status_code, jonas.json()["code"]) == (409, "stale_version")


SCOPED = {
    ("GET", "changes/"): "changes:read",
    ("GET", "changes/{key}/"): "changes:read",
    ("GET", "changes/{key}/sign-offs/"): "changes:read",
    ("GET", "changes/{key}/timeline/"): "changes:read",
    ("GET", "me/inbox/"): "changes:read",
    ("GET", "runs/"): "changes:read",
    ("GET", "workflows/"): "changes:read",
    ("GET", "services/"): "changes:read",
    ("GET", "environments/"): "changes:read",
    ("POST", "changes/preview/"): "changes:read",
    ("POST", "changes/"): "changes:write",
    ("PATCH", "changes/{key}/"): "changes:write",
    ("POST", "changes/{key}/withdraw/"): "changes:write",
    ("POST", "changes/{key}/comments/"): "changes:write",
    ("POST", "changes/{key}/start/"): "runs:write",
    ("POST", "changes/{key}/cancel/"): "runs:write",
    ("POST", "services/"): "admin",
    ("POST", "environments/"): "admin",
    ("POST", "changes/{key}/sign-offs/"): None,
    ("POST", "runs/{key}/resolve/"): None,
    ("POST", "workflows/deploy/versions/sha256:0/approve/"): None,
}


def test_each_scope_opens_its_doors_and_none_signs_off(bank):
    change = bank.change()
    by = Acting(bank.user("mara"), "session")
    for scope in ("changes:read", "changes:write", "runs:write", "audit:read", "reports:read"):
        issued = issue(bank.user("mara"), scope, by=by)
        for (method, path), needed in SCOPED.items():
            address = "/api/v1/" + path.format(key=change.key)
            answer = Client().generic(
                method, address, "{}", content_type="application/json", **bearer(issued)
            )
            closed = answer.status_code == 403 and answer.json()["code"] in {"scope_missing", "session_only"}
            assert closed is (needed != scope), (method, path, scope, answer.content)


def test_what_one_may_not_see_is_not_there_through_any_door(bank):
    change = change_in(S.SUCCEEDED, bank)
    ravi, run = Browser(bank, "ravi"), Run.objects.get()
    for path in (
        f"changes/{change.key}/", f"changes/{change.pk}/", f"changes/{change.key}/sign-offs/",
        f"changes/{change.key}/comments/", f"changes/{change.key}/timeline/", f"runs/{run.key}/",
        f"runs/{run.key}/steps/", f"runs/{run.key}/events", f"runs/{run.key}/permit/",
        f"runs/{run.key}/steps/pause/log", "workflows/deploy/", "workflows/deploy/versions/",
        "services/web-bank/", "environments/production/",
    ):  # fmt: skip
        missing = ravi.get(path)
        assert missing.status_code == 404, path
    for path in ("changes/", "runs/", "workflows/", "services/", "environments/"):
        assert ravi.get(path).json()["results"] == []
    posts = [
        f"changes/{change.key}/{act}/" for act in ("withdraw", "start", "cancel", "comments", "sign-offs")
    ]
    for path in [*posts, f"runs/{run.key}/cancel/", f"runs/{run.key}/resolve/"]:
        assert ravi.post(path, {"text": "Hello"}).status_code == 404, path
    assert Browser(bank, "mara").get("services/vault/").status_code == 404


def test_lists_page_filter_and_search_and_refuse_everything_else(bank):
    for number in range(5):
        bank.change(environment="staging" if number % 2 else "production")
    mara = Browser(bank, "mara")
    seen, address = [], "/api/v1/changes/?limit=2"
    while address:
        page = mara.client.get(address).json()
        seen += [one["key"] for one in page["results"]]
        address = page["next"]
    assert seen == [one.key for one in Change.objects.order_by("-number")]
    assert len(mara.get("changes/", environment="staging").json()["results"]) == 2
    assert len(mara.get("changes/", q="is:waiting env:production").json()["results"]) == 3
    assert len(mara.get("changes/", q=seen[0]).json()["results"]) == 1
    assert mara.get("changes/", q="password:x").json()["results"] == []
    for bad in ("user__password__startswith", "requester__password", "order_by", "id__in", "ordering"):
        assert mara.get("changes/", **{bad: "a"}).status_code == 422
    for bad in ("0", "-1", "201", "x"):
        assert mara.get("changes/", limit=bad).status_code == 422
    assert mara.get("changes/", cursor="nonsense").status_code == 422
    assert mara.get("runs/", service="web-bank").json()["results"] == []


def test_a_version_is_posted_read_and_approved_by_somebody_else(bank):
    mara, jonas = Browser(bank, "mara"), Browser(bank, "jonas")
    body = {
        "source": DEPLOY.replace("title: Deploy,", "title: Deploy it,"),
        "files": {"run.sh": "#!/bin/sh\n"},
    }
    posted = mara.post("workflows/deploy/versions/", body)
    assert (posted.status_code, posted.json()["state"], posted.json()["number"]) == (201, "waiting", 2), (
        posted.content
    )
    path = f"workflows/deploy/versions/{posted.json()['digest']}/"
    own = mara.post(f"{path}approve/")
    assert (own.status_code, own.json()["code"]) == (403, "own_version")
    approved = jonas.post(f"{path}approve/")
    assert (approved.json()["active"]["number"], approved.json()["title"]) == (2, "Deploy it")
    assert [one["state"] for one in mara.get("workflows/deploy/versions/").json()["results"]] == [
        "active",
        "retired",
    ]
    assert list(mara.get("workflows/deploy/").json()["inputs_schema"]["properties"]) == ["version", "seconds"]
    wrong = mara.post("workflows/deploy/versions/", {"source": "a: &x [*x]"})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "bad_definition")
    assert "line 1" in wrong.json()["detail"]
    other = mara.post("workflows/deploy/versions/", {"source": DEPLOY.replace("name: deploy", "name: other")})
    assert other.json()["errors"][0]["pointer"] == "/source"


def test_an_admin_keeps_the_catalogue_and_an_edit_recalls_what_was_asked(bank):
    sam, mara = Browser(bank, "sam"), Browser(bank, "mara")
    new = {"slug": "cards", "name": "Cards", "tier": 2, "owner": "payments"}
    assert mara.post("services/", new).status_code == 403
    assert sam.post("services/", new).status_code == 201
    assert sam.post("services/", new).json()["code"] == "name_taken"
    assert (
        sam.post("services/", {**new, "slug": "x", "owner": "nobody"}).json()["errors"][0]["pointer"]
        == "/owner"
    )
    place = {"slug": "dr", "name": "Disaster recovery", "tier": 1, "position": 9}
    assert sam.post("environments/", place).json()["protected"] is True
    change = mara.post("changes/", REQUEST).json()
    tag = sam.get("environments/production/").headers["ETag"]
    weaker = sam.patch("environments/production/", {"protected": False}, **{"If-Match": tag})
    assert (weaker.status_code, weaker.json()["code"]) == (409, "weakens_protection")
    assert sam.patch("environments/production/", {"name": "Prod"}, **{"If-Match": tag}).status_code == 200
    assert mara.get(f"changes/{change['key']}/").json()["state"] == "sent_back"


def test_a_person_answers_for_a_step_whose_worker_vanished(bank):
    change_in(S.UNKNOWN, bank)
    run, jonas = Run.objects.get(), Browser(bank, "jonas")
    answer = jonas.post(
        f"runs/{run.key}/resolve/", {"step": "pause", "decision": "done", "reason": "I looked."}
    )
    assert (answer.status_code, answer.json()["state"]) == (200, "succeeded"), answer.content
    assert jonas.post(f"runs/{run.key}/cancel/").status_code == 409


def test_what_is_refused_is_in_the_ledger_under_whose_name_it_was_tried(bank):
    change = bank.change()
    body = decision(Browser(bank, "mara").get(f"changes/{change.key}/").json(), "Service owner")
    assert Browser(bank, "mara").post(f"changes/{change.key}/sign-offs/", body).json()["code"] == "own_change"
    entry = Entry.objects.latest("id")
    told = parse(bytes(entry.body))["data"]
    assert (entry.kind, entry.subject, entry.actor) == (
        "attempt.refused",
        change.key,
        str(bank.user("mara").pk),
    )
    assert told["code"] == "own_change"


def test_what_is_shown_as_steps_is_what_is_signed_without_the_scripts(bank):
    change = bank.change()
    shown = Browser(bank, "jonas").get(f"changes/{change.key}/").json()
    document = bytes(asking.current_revision(Change.objects.get()).document)
    assert shown["digest"] == digests.digest(document)
    assert [{**one, "files": {}} for one in parse(document)["steps"]] == [
        {**one, "files": {}} for one in shown["steps"]
    ]


def test_the_description_of_the_api_is_complete_and_says_so_without_a_warning(tmp_path):
    place = tmp_path / "openapi.yaml"
    call_command("spectacular", validate=True, fail_on_warn=True, file=str(place))
    paths = yaml.safe_load(place.read_text())["paths"]
    assert {f"/api/v1/{path}" for _, path in SCOPED if "deploy" not in path} <= set(paths)
    assert "Idempotency-Key" in {one["name"] for one in paths["/api/v1/changes/"]["post"]["parameters"]}
