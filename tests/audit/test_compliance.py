"""Compliance pages, their CSV and their API: who may read, what is shown, and that an export is an entry."""

import csv
import hashlib
import json
import re
from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from audit.canonical import parse
from audit.controls import evaluate
from audit.controls.catalogue import control, controls
from audit.models import Checkpoint, Entry, Leaf
from audit.pages import compliance
from audit.reports import frameworks
from tests.accounts.cast import issue, person, team
from tests.audit.log import sequence, write
from tests.orchestration.bank import Bank

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("own_key")]
CONTROLS = "/api/v1/reports/controls/"


@pytest.fixture
def auditor():
    """Petra, in a team that may read the log."""
    petra = person("Petra", "audit")
    team("audit").group.permissions.add(Permission.objects.get(codename="view_entry"))
    return petra


@pytest.fixture
def client(auditor):
    client = Client()
    client.force_login(auditor)
    return client


@pytest.fixture
def done():
    """A change that ran, and one execution that nobody agreed to."""
    bank = Bank()
    change = bank.change()
    bank.say(change, "jonas", "Service owner")
    bank.say(change, "noor", "Security")
    bank.run()
    run = {
        "run": "RUN-666",
        "change": "CHG-666",
        "digest": "sha256:x",
        "permit": None,
        "environment": "production",
    }
    write(1, kind="run.running", **run)
    sequence()
    return change


def test_whoever_may_not_read_the_log_sees_no_result():
    client = Client()
    assert client.get("/compliance/").status_code == 302
    client.force_login(person("Mara", "payments"))
    for address in ("/compliance/", "/compliance/controls/CT-01/", CONTROLS, f"{CONTROLS}CT-01/evidence/"):
        assert client.get(address).status_code == 403, address
    assert client.post("/compliance/controls/CT-01/export/").status_code == 403
    assert not Entry.objects.filter(kind="report.exported").exists()


def test_evidence_and_entries_lead_to_why_policy_asked(client, done):
    """The same component as on the change: rule, place, values, what would have been otherwise."""
    page = client.get("/compliance/controls/CT-01/").content.decode()
    [way] = re.findall(rf'href="(/go/[0-9a-f-]{{36}}/)" aria-label="Why {done.key} needed', page)
    assert page.count("Why it was needed") == 1, "not for RUN-666, which nothing was decided about"
    for kind in ("change.requested", "chain.opened", "policy.decided"):
        leaf = Leaf.objects.select_related("entry").filter(entry__kind=kind).latest("index")
        assert (
            f'<a href="{way}">why policy asked for this</a>'
            in client.get(f"/audit/{leaf.index}/").content.decode()
        )
    told = client.get(way, follow=True).content.decode()
    assert "production.rego:" in told
    assert "input.service.tier" in told
    assert "Not asked where service.tier is 2 to 9." in told


def test_nothing_tested_is_never_shown_as_a_success(client):
    assert "No checkpoint is signed yet" in client.get("/compliance/").content.decode()
    assert "No checkpoint is signed yet" in client.get("/compliance/controls/CT-01/").content.decode()
    write(1)
    sequence()
    page = client.get("/compliance/").content.decode()
    of_the_log = [one for one in controls().values() if one.kind == "checkpoint"]  # there is one to test
    assert page.count("Nothing was tested") == len(controls()) - len(of_the_log) - 1
    assert page.count("Not effective</span>") == 1, "CT-20: nothing was ever archived"
    assert page.count("Effective</span>") == len(of_the_log)
    assert "neither effective nor not" in client.get("/compliance/controls/CT-01/").content.decode()


def test_the_page_shows_what_failed_and_links_to_it(client, done):
    page = client.get("/compliance/").content.decode()
    assert page.index("Every execution has an approved change") < page.index("Requester and author")
    page = client.get("/compliance/controls/CT-01/").content.decode()
    assert "/go/RUN-666/" in page
    assert f"/go/{done.key}/" in page
    assert "No permit was issued before it started." in page
    assert "Jonas" in page
    assert "RUN-666" not in client.get("/compliance/controls/CT-01/?result=pass").content.decode()
    assert "RUN-666" not in client.get("/compliance/controls/CT-01/?environment=staging").content.decode()


@pytest.mark.parametrize("key", controls())
def test_every_control_test_has_its_page_with_words_and_evidence(client, done, key):
    page = client.get(f"/compliance/controls/{key}/").content.decode()
    said = controls()[key]
    assert f"<h1>{said.title}</h1>" in page
    assert "No compliance person has checked this mapping yet." in page
    assert (f"/go/{done.key}/" in page) == (said.kind in {"execution", "stop", "kept"})
    assert client.get("/compliance/").content.decode().count(f"/compliance/controls/{key}/") >= 1
    assert "ompliant" not in page


@pytest.mark.parametrize(
    "query", ["from=yesterday", "from=2026-02-02&to=2026-02-01", "checkpoint=x", "to=2026-99-99"]
)
def test_a_period_that_cannot_be_read_is_refused(client, done, query):
    assert client.get(f"/compliance/?{query}").status_code == 422
    assert client.get(f"{CONTROLS}?{query}").status_code == 422


@pytest.mark.parametrize("address", ["/compliance/controls/CT-99/", f"{CONTROLS}CT-99/"])
def test_what_is_not_there_is_not_found(client, done, address):
    assert client.get(address).status_code == 404


def test_an_export_carries_its_proof_and_is_itself_an_entry(client, done, auditor):
    answer = client.post("/compliance/controls/CT-01/export/", {"environment": "production"})
    lines = b"".join(answer.streaming_content).splitlines(keepends=True)
    rows = list(csv.DictReader(line.decode() for line in lines[:-1]))
    assert [row["result"] for row in rows] == ["pass", "fail"]
    manifest = json.loads(next(csv.reader([lines[-1].decode()]))[1])
    assert manifest["rows"] == 2
    assert manifest["digest_of_lines_above"] == "sha256:" + hashlib.sha256(b"".join(lines[:-1])).hexdigest()
    assert manifest["checkpoint"]["size"] == Checkpoint.objects.order_by("-size")[0].size
    told = parse(bytes(Entry.objects.get(kind="report.exported").body))
    assert told["actor"]["id"] == str(auditor.pk)
    assert told["data"]["digest"] == manifest["digest_of_lines_above"]
    assert client.get("/compliance/controls/CT-01/export/").status_code == 405


def test_x17_no_cell_of_an_export_is_a_formula(client):
    evil = {"run": "=cmd|' /C calc'!A0", "change": "@x", "digest": "-1", "permit": None, "environment": "+1"}
    write(1, kind="run.running", **evil)
    sequence()
    answer = client.post("/compliance/controls/CT-01/export/")
    row = next(csv.DictReader(b"".join(answer.streaming_content).decode().splitlines()))
    assert all(not value.startswith(("=", "+", "-", "@")) for value in row.values())


def test_the_api_tells_results_and_evidence_under_a_named_checkpoint(client, done):
    told = client.get(CONTROLS).json()
    found = {one["id"]: one["result"] for one in told["results"]}
    assert list(found) == list(controls())
    assert (found["CT-01"], found["CT-04"], found["CT-16"]) == ("not_effective", "effective", "not_tested")
    size = told["checkpoint"]["size"]
    write(3)
    sequence()
    again = client.get(f"{CONTROLS}?checkpoint={size}").json()
    assert again["report_digest"] == told["report_digest"]
    one = client.get(f"{CONTROLS}CT-03/").json()
    assert (one["population"], one["counts"]["pass"], one["counts"]["indeterminate"]) == (2, 1, 1)
    first = client.get(f"{CONTROLS}CT-01/evidence/?limit=1").json()
    second = client.get(f"{CONTROLS}CT-01/evidence/?limit=1&cursor={first['next']}").json()
    assert [first["results"][0]["change"], second["results"][0]["run"], second["next"]] == [
        done.key, "RUN-666", None,
    ]  # fmt: skip


def test_a_token_needs_the_scope_and_the_permission(client, auditor, done):
    def ask(user, scope):
        header = f"Bearer {issue(user, scope).value}"
        return Client().get(CONTROLS, headers={"Authorization": header}).status_code

    assert ask(auditor, "reports:read") == 200
    assert ask(auditor, "changes:read") == 403
    assert ask(person("Hugo"), "reports:read") == 403


def test_a_framework_picks_its_tests_and_the_worst_come_first(client, done):
    page = client.get("/compliance/?framework=MAS TRM").content.decode()
    picked = [one.id for one in controls().values() if frameworks.belongs(one, "MAS TRM")]
    assert page.count('class="title"') == len(picked) > 0
    assert all(f"{key}, version" in page for key in picked)
    assert "MAS TRM 7.6</div>" in page, "only what belongs to the framework"
    assert client.get("/compliance/?framework=X").status_code == 422
    for way in ("metrics", "samples", "exports"):
        assert f'href="/compliance/{way}/' in page
    assert 'href="/exceptions/"' in page


def test_an_item_opens_its_whole_chain_with_a_proof_for_each_link(client, done):
    run = Leaf.objects.filter(entry__kind="run.running").earliest("index").entry.subject
    page = client.get(f"/compliance/controls/CT-01/evidence/{run}/").content.decode()
    order = [
        "Requested",
        "Approvals demanded",
        "Approved, as Service owner",
        "Permitted",
        "Started",
        "Succeeded",
    ]
    places = [page.index(f" {words}") for words in order]
    assert places == sorted(places)
    assert "The same content throughout" in page
    assert page.count(">proof</a>") == 7, "two approvals"
    assert all(f"/compliance/controls/CT-0{number}/" in page for number in (1, 2, 3, 4, 5, 7))
    rogue = client.get("/compliance/controls/CT-01/evidence/RUN-666/").content.decode()
    assert "No permit was issued before it started." in rogue
    assert client.get("/compliance/controls/CT-01/evidence/RUN-9/").status_code == 404
    stranger = Client()
    stranger.force_login(person("Hugo", "elsewhere"))
    assert stranger.get(f"/compliance/controls/CT-01/evidence/{run}/").status_code == 403


def test_the_periods_that_are_asked_for_most_are_a_click_away():
    told = compliance._periods({"environment": "test"}, datetime(2026, 2, 3, tzinfo=UTC))
    assert {one["label"]: one["url"] for one in told} == {
        "Everything": "?environment=test",
        "This quarter": "?environment=test&from=2026-01-01",
        "Last quarter": "?environment=test&from=2025-10-01&to=2026-01-01",
        "This year": "?environment=test&from=2026-01-01",
    }
    assert [one["label"] for one in told if one["current"]] == ["Everything"]


def test_results_over_time_are_a_chart_whose_bars_open_their_rows():
    rows = [
        {"result": result, "started_at": f"2026-0{month}-03T08:00:00Z"}
        for month, result in ((1, "pass"), (1, "fail"), (3, "pass"))
    ]
    tested = evaluate.Tested(control("CT-01"), "not_effective", {}, rows)
    told = compliance._over_time(tested, {"environment": "production"})
    assert told is not None
    assert told["finding"] == "Failed or cannot be told in 2026-01."
    assert [row[1:] for row in told["rows"]] == [[1, 1, 0, 0], [1, 0, 0, 0]]
    assert told["rows"][0][0]["url"] == "?environment=production&from=2026-01-01&to=2026-02-01"
    assert compliance._over_time(evaluate.Tested(control("CT-01"), "effective", {}, rows[:2]), {}) is None
    near = [{**rows[0], "started_at": f"2026-01-{day}T08:00:00Z"} for day in ("03", "31")]
    told = compliance._over_time(evaluate.Tested(control("CT-01"), "effective", {}, near), {})
    assert told is not None
    assert told["finding"] == "Nothing failed on any day."
    assert told["rows"][1][0] == {"text": "2026-01-31", "url": "?from=2026-01-31&to=2026-02-01"}
