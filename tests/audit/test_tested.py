"""Control tests as they are run and written down: what is new since, by which definition, and what people say of it."""

import shutil
from datetime import timedelta
from uuid import UUID

import pytest
from django.db.models import F
from django.db.models.functions import Now
from django.test import Client

from audit import tasks
from audit.canonical import parse
from audit.controls import program
from audit.controls.catalogue import control, controls
from audit.controls.evaluate import Scope, evaluate
from audit.ledger import openings
from audit.ledger.entry import Actor
from audit.models import Checkpoint, ControlTest, Entry, Opening
from audit.reports import comments, tested
from tests.accounts.cast import issue, person
from tests.audit.log import sequence, write
from tests.audit.reported import ROGUE, Reported

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("own_key")]
API = "/api/v1/reports/tests/"
ROW = '<a class="title" href="/compliance/controls/{}/">'


@pytest.fixture(autouse=True)
def calls(monkeypatch):
    """What the workers were told: there is none here, a test is the worker."""
    told: list[UUID] = []
    monkeypatch.setattr(tested, "call", told.append)
    return told


@pytest.fixture
def world():
    return Reported()


def by(user):
    return Actor(str(user.pk), "person", "session")


def run(world):
    one = tested.ask(by=by(world.petra))
    tested.work(one.pk)
    one.refresh_from_db()
    return one


def row(client, key):
    page = client.get("/compliance/").content.decode()
    return page[page.index(ROW.format(key)) :].split("</tr>")[0]


def test_a_reader_has_them_run_watches_and_sees_what_is_new_since(world, calls):
    client = world.client()
    assert "Never tested by a worker" in client.get("/compliance/").content.decode()
    assert client.post("/compliance/test/", {"control": "CT-01"}).url == "/compliance/controls/CT-01/"
    client.post("/compliance/test/")
    [key] = calls  # who asks meanwhile is given the one that is under way
    ControlTest.objects.update(done=7)
    told = client.get("/compliance/tested/")
    assert f"Testing: 7 of {Checkpoint.objects.latest('size').size} entries read" in told.content.decode()
    assert "HX-Refresh" not in told
    tasks.test_controls(str(key))
    assert client.get("/compliance/tested/")["HX-Refresh"] == "true"
    assert "by Petra, up to entry" in client.get("/compliance/").content.decode()
    assert "the same" in row(client, "CT-01")
    write(1, kind="run.running", **{**ROGUE, "run": "RUN-667"})
    sequence()
    assert "<b>1 new</b>" in row(client, "CT-01")
    assert "the same" in row(client, "CT-12")
    assert "Since last test" not in client.get("/compliance/?environment=production").content.decode()


def test_what_was_mended_is_told_and_of_very_many_only_how_many(world, monkeypatch):
    done = run(world)
    found = evaluate(_newest(), Scope())
    one = found.of("CT-01")
    assert tested.since(one, done) == tested.Since(0, 0)
    done.bad["CT-01"] = {"RUN-1": 1, "RUN-2": 2}
    assert tested.since(one, done) == tested.Since(1, 3), "RUN-666 is new"
    del done.bad["CT-01"]
    done.found["CT-01"]["counts"]["fail"] = 9
    assert tested.since(one, done) == tested.Since(0, 8)
    del done.found["CT-01"]
    assert tested.since(one, done) is None
    monkeypatch.setattr(tested, "KEPT", 0)
    assert "CT-01" not in run(world).bad


def _newest():
    return Checkpoint.objects.latest("size")


def test_what_was_found_is_an_entry_under_its_checkpoint_and_tells_which_definition_was_used(world):
    done = run(world)
    told = parse(bytes(Entry.objects.get(kind="controls.tested").body))
    assert told["actor"]["id"] == str(world.petra.pk)
    assert (told["data"]["size"], told["data"]["root"]) == (done.checkpoint_size, bytes(_newest().root).hex())
    [one] = [one for one in told["data"]["controls"] if one["id"] == "CT-01"]
    assert one["definition"] == control("CT-01").digest
    assert told["data"]["program"] == program.digest()
    assert one["counts"]["fail"] == 1
    assert [one["id"] for one in told["data"]["controls"]] == list(controls())
    old = {**done.found, "CT-01": {**done.found["CT-01"], "version": 1, "definition": "sha256:" + "a" * 64}}
    assert old["CT-01"]["program"] == program.digest()
    earlier = ControlTest.objects.create(
        checkpoint_size=1, actor="x", actor_kind="person", actor_auth="session", seen_at=done.seen_at, found=old,
        tested_at=done.tested_at - timedelta(days=3),
    )  # fmt: skip
    sequence()
    page = world.client().get("/compliance/controls/CT-01/").content.decode()
    assert f'Version 1, <code class="nowrap" title="sha256:{"a" * 64}"' in page
    assert page.index(f"{earlier.tested_at:%Y-%m-%d}") > page.index(control("CT-01").digest)
    assert page.count(", in use") == 1
    assert f'href="/audit/{Entry.objects.get(kind="controls.tested").leaf.index}/"' in page


def test_a_program_that_was_changed_has_another_digest(monkeypatch, tmp_path):
    before = program.digest()
    copied = shutil.copytree(program.HERE, tmp_path / "controls")
    monkeypatch.setattr(program, "HERE", copied)
    assert program.digest.__wrapped__() == before
    (copied / "judges" / "rights.py").write_text("x = 1")
    assert program.digest.__wrapped__() != before


def test_what_was_not_run_for_long_or_stopped_counts_as_a_problem(world):
    run(world)
    client = world.client()
    assert "Not tested since" not in client.get("/compliance/").content.decode()
    ControlTest.objects.update(tested_at=F("tested_at") - tested.OVERDUE, asked_at=Now() - tested.OVERDUE)
    page = client.get("/compliance/").content.decode()
    assert "Not tested since" in page
    assert "Nothing was tested for two days. Do a worker and beat run?" in page
    lost = tested.ask(by=by(world.petra))
    ControlTest.objects.filter(pk=lost.pk).update(seen_at=Now() - 2 * tested.SILENT)
    assert "A worker ended over the last test" in client.get("/compliance/").content.decode()


def test_a_fault_is_told_and_another_test_can_be_asked_for(world, monkeypatch):
    def broken(*_):
        raise RuntimeError("no")

    with monkeypatch.context() as patch:
        patch.setattr(tested, "read", broken)
        one = tested.ask(by=by(world.petra))
        with pytest.raises(RuntimeError):
            tested.work(one.pk)
    assert "stopped over a fault" in world.client().get("/compliance/").content.decode()
    assert run(world).tested_at
    assert "stopped over a fault" not in world.client().get("/compliance/").content.decode()


def test_they_run_each_day_one_at_a_time_and_a_lost_call_is_made_up_for(world, calls):
    tasks.test_daily()
    [key] = calls
    tasks.test_daily()
    assert calls == [key, key], "asked for once, told again"
    tested.work(key)
    tested.work(key)
    assert Entry.objects.filter(kind="controls.tested").count() == 1
    assert Entry.objects.get(kind="controls.tested").actor == "system:schedule"
    assert tested.sweep() == []
    ControlTest.objects.update(asked_at=Now() - tested.DAILY)
    tested.daily()
    assert len(calls) == 3


def test_auditor_and_owner_talk_in_entries_whose_words_can_be_erased(world, settings):
    settings.CONTROL_OWNERS = {"": "Platform", "CT-05": "Security"}
    client = world.client()
    answer = client.post("/compliance/controls/CT-05/comments/", {"text": "Why <b>this</b>?\r\nTell."})
    assert answer.url == "/compliance/controls/CT-05/#comments"
    said = Entry.objects.get(kind=comments.KIND)
    assert b"Why" not in bytes(said.body), "the log has its commitment"
    assert openings.data(said)["text"] == "Why <b>this</b>?\nTell."
    page = client.get("/compliance/controls/CT-05/").content.decode()
    assert "Why &lt;b&gt;this&lt;/b&gt;?" in page
    assert "<dt>Owner</dt><dd>Security</dd>" in page
    assert "Why" not in client.get("/compliance/controls/CT-01/").content.decode().split('id="comments"')[1]
    assert "Platform" in row(client, "CT-01")
    Opening.objects.filter(entry=said).delete()
    assert "(erased)" in client.get("/compliance/controls/CT-05/").content.decode()


@pytest.mark.parametrize("text", ["", "  ", "a\x07b", "x" * 4001])
def test_a_comment_that_says_nothing_or_too_much_is_refused(world, text):
    assert world.client().post("/compliance/controls/CT-05/comments/", {"text": text}).status_code == 422
    assert not Entry.objects.filter(kind=comments.KIND).exists()


def test_whoever_may_not_read_the_log_neither_runs_nor_reads_nor_writes(world, calls):
    client = world.client(person("Hugo", "elsewhere"))
    assert client.get("/compliance/tested/").status_code == 403
    assert client.post("/compliance/test/").status_code == 403
    assert client.post("/compliance/controls/CT-05/comments/", {"text": "Hello"}).status_code == 403
    assert not calls
    assert not Entry.objects.filter(kind=comments.KIND).exists()


def test_the_api_runs_them_once_for_a_key_and_tells_what_was_found(world, calls):
    client = world.client()
    asked = client.post(API, {}, content_type="application/json", HTTP_IDEMPOTENCY_KEY="k-1")
    again = client.post(API, {}, content_type="application/json", HTTP_IDEMPOTENCY_KEY="k-1")
    assert (asked.status_code, again.json()["id"]) == (201, asked.json()["id"])
    tested.work(calls[0])
    [one] = client.get(API).json()["results"]
    assert one["found"]["CT-01"]["result"] == "not_effective"
    refused = client.post(API, {"x": 1}, content_type="application/json", HTTP_IDEMPOTENCY_KEY="k-2")
    assert refused.status_code == 422
    assert world.client(person("Hugo", "elsewhere")).get(API).status_code == 403


def test_people_comment_by_the_api_and_machines_only_read(world):
    client, way = world.client(), "/api/v1/reports/controls/CT-05/comments/"
    said = client.post(way, {"text": "How so?"}, content_type="application/json", HTTP_IDEMPOTENCY_KEY="k-1")
    assert (said.status_code, said.json()["text"], said.json()["actor"]) == (201, "How so?", "Petra")
    machine = Client(headers={"Authorization": f"Bearer {issue(world.petra, 'reports:read').value}"})
    assert [one["text"] for one in machine.get(way).json()["results"]] == ["How so?"]
    more = machine.post(way, {"text": "And?"}, content_type="application/json", HTTP_IDEMPOTENCY_KEY="k-2")
    assert more.status_code == 403
    assert client.get("/api/v1/reports/controls/CT-99/comments/").status_code == 404
    assert Client().get(way).status_code == 401


def test_only_failing_shows_only_failing(world):
    page = world.client().get("/compliance/?only=failing").content.decode()
    assert 'data-key="f" href="?">Show all</a>' in page
    assert ROW.format("CT-01") in page
    assert ROW.format("CT-12") not in page
