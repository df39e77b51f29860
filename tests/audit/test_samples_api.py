"""Samples and saved views for machines: what the pages do, to the same people, once for each key."""

import hashlib

import pytest

from accounts import engagements
from audit.clock import database_time
from audit.models import Entry, Sample, SavedView
from audit.verify import main
from tests.accounts.cast import PASSWORD, TEST, issue, person, team
from tests.audit.log import sequence
from tests.audit.reported import Reported

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("own_key")]
SAMPLES, VIEWS = "/api/v1/reports/samples/", "/api/v1/audit/views/"
NONCE = "four words of mine"
SHA = hashlib.sha256(NONCE.encode()).hexdigest()
ASKED = {"control": "CT-01", "size": 2, "commitment": SHA, "environment": "production"}


class Machine:
    """A client with a token of this account."""

    def __init__(self, client, user, *scopes):
        self.client = client
        self.headers = {"Authorization": f"Bearer {issue(user, *scopes).value}"}

    def get(self, path):
        return self.client.get(path, headers=self.headers)

    def post(self, path, body=None, key="k1"):
        headers = {**self.headers, "Idempotency-Key": key}
        return self.client.post(path, body or {}, content_type="application/json", headers=headers)

    def delete(self, path):
        return self.client.delete(path, headers=self.headers)


@pytest.fixture
def world():
    return Reported()


@pytest.fixture
def petra(world, client):
    return Machine(client, world.petra, "reports:read", "audit:read")


def kinds(what):
    return list(Entry.objects.filter(kind__startswith=what).order_by("id").values_list("kind", flat=True))


def test_a_machine_asks_reveals_draws_and_marks(world, petra, tmp_path, capsys):
    asked = petra.post(SAMPLES, ASKED)
    assert asked.status_code == 201, asked.content
    told = asked.json()
    assert petra.post(SAMPLES, ASKED).json() == told, "the same key is the same sample"
    assert petra.post(SAMPLES, {**ASKED, "size": 1}).json()["code"] == "idempotency_key_reused"
    here = f"{SAMPLES}{told['id']}/"
    assert (told["ready"], told["nonce"], told["drawn_at"]) == (False, None, None)
    assert petra.post(f"{here}draw/", {"nonce": NONCE}).json()["code"] == "move_not_allowed"
    sequence()
    assert petra.get(here).json()["ready"]
    wrong = petra.post(f"{here}draw/", {"nonce": "other words of mine"})
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/nonce")
    drawn = petra.post(f"{here}draw/", {"nonce": NONCE}).json()
    assert (drawn["nonce"], drawn["population"], len(drawn["items"])) == (NONCE, 1, 1)
    assert petra.post(f"{here}draw/", {"nonce": NONCE}).status_code == 409
    [item] = drawn["items"]
    assert item["evidence"]["change"] == world.change
    proof = petra.get(item["proof"])
    key = f"/audit/{item['evidence']['index']}/entry.json"
    (tmp_path / "entry").write_bytes(world.client().get(key).content)
    (tmp_path / "proof").write_bytes(proof.content)
    verifier = world.client().get("/audit/log/key").content.decode().strip()
    assert main(["proof", str(tmp_path / "entry"), str(tmp_path / "proof"), "--key", verifier]) == 0
    assert f"of the {drawn['checkpoint_size']} that" in capsys.readouterr().out, "under the root of the draw"
    assert petra.get(f"{here}items/7/proof").status_code == 404
    marked = petra.post(f"{here}mark/", {"place": item["place"], "mark": "differs"})
    assert marked.json()["marks"] == {"0": "differs"}
    for body, where in (({"place": 9, "mark": "agrees"}, "/place"), ({"place": 0, "mark": "fine"}, "/mark")):
        answer = petra.post(f"{here}mark/", body)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, where)
    assert [one["id"] for one in petra.get(SAMPLES).json()["results"]] == [told["id"]]
    assert kinds("sample.") == ["sample.asked", "sample.drawn", "sample.marked"]


@pytest.mark.parametrize(
    ("changed", "where"),
    [({"control": "CT-99"}, "/control"), ({"size": 0}, "/size"), ({"size": "many"}, "/size"),
     ({"from": "soon"}, "/from"), ({"commitment": "abc"}, "/nonce"), ({"nonce": NONCE}, "/nonce"),
     ({"colour": "red"}, "/colour")],
)  # fmt: skip
def test_what_cannot_be_read_is_named_by_its_pointer(petra, changed, where):
    answer = petra.post(SAMPLES, {**ASKED, **changed})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, where), answer.content
    assert not Sample.objects.exists()


def test_another_reader_looks_and_neither_draws_nor_marks(petra, world, client):
    asked = petra.post(SAMPLES, {"control": "CT-01", "size": 2, "nonce": NONCE}).json()
    here = f"{SAMPLES}{asked['id']}/"
    sequence()
    rita = Machine(client, person("Rita", "audit"), "reports:read")
    told = rita.get(here).json()
    assert (told["ready"], told["nonce"], asked["nonce"]) == (True, None, None), (
        "before the draw nobody is told it"
    )
    assert rita.post(f"{here}draw/").json()["code"] == "not_allowed"
    assert petra.post(f"{here}draw/").status_code == 200
    assert rita.get(here).json()["items"], "both sides see what was drawn"
    assert rita.post(f"{here}mark/", {"place": 0, "mark": "agrees"}).status_code == 403
    refused = Entry.objects.filter(kind="attempt.refused", actor=str(person_id(rita, client)))
    assert refused.count() == 2
    assert kinds("sample.") == ["sample.asked", "sample.drawn"]


def person_id(machine, client):
    return client.get("/api/v1/me/", headers=machine.headers).json()["id"]


def test_whoever_may_not_read_the_log_or_has_no_scope_finds_every_door_shut(petra, world, client):
    here = f"{SAMPLES}{petra.post(SAMPLES, ASKED).json()['id']}/"
    view = petra.post(VIEWS, {"name": "All", "query": "type:a.b", "shared": True}).json()["id"]
    hugo = Machine(client, person("Hugo", "elsewhere"), "reports:read", "audit:read")
    bare = Machine(client, world.petra, "changes:read")
    for one in (hugo, bare):
        assert {one.get(path).status_code for path in (SAMPLES, here, f"{here}items/0/proof", VIEWS)} == {403}
        doors = ((SAMPLES, ASKED), (f"{here}draw/", {"nonce": NONCE}), (f"{here}mark/", {"place": 0, "mark": "agrees"}),
                 (VIEWS, {"name": "x", "query": ""}))  # fmt: skip
        assert {one.post(path, body).status_code for path, body in doors} == {403}
        assert one.delete(f"{VIEWS}{view}/").status_code == 403
    assert Sample.objects.count() == SavedView.objects.count() == 1


def test_an_auditor_for_a_while_samples_in_their_session_until_it_ends(world, client):
    ravi = person("Ravi", "audit")
    engagements.engage(ravi, database_time() + engagements.LONGEST / 2, by=TEST)
    assert client.login(username=ravi.username, password=PASSWORD)
    headers = {"Idempotency-Key": "r1"}
    told = client.post(SAMPLES, ASKED, content_type="application/json", headers=headers).json()
    sequence()
    here = f"{SAMPLES}{told['id']}/"
    drawn = client.post(f"{here}draw/", {"nonce": NONCE}, content_type="application/json")
    assert drawn.status_code == 200, drawn.content
    view = client.post(VIEWS, {"name": "x", "query": ""}, content_type="application/json", headers=headers)
    assert view.status_code == 201
    assert client.get(here).status_code == 200
    opened = Entry.objects.filter(kind="page.opened", actor=str(ravi.pk)).values_list("subject", flat=True)
    assert here in opened
    team("audit").group.permissions.clear()
    assert client.get(here).status_code == 403


def test_a_view_is_saved_listed_and_removed_by_its_owner_alone(petra, world, client):
    mine = petra.post(VIEWS, {"name": "Refusals", "query": "kind:attempt.refused"}).json()
    assert mine == {**mine, "query": "type:attempt.refused", "shared": False, "own": True}
    shared = petra.post(VIEWS, {"name": "All", "query": "", "shared": True}, key="k2").json()
    rita = Machine(client, person("Rita", "audit"), "audit:read")
    assert [(one["name"], one["own"]) for one in rita.get(VIEWS).json()["results"]] == [("All", False)]
    assert rita.delete(f"{VIEWS}{shared['id']}/").status_code == 404
    wrong = petra.post(VIEWS, {"name": "x", "query": "actr:noor"}, key="k3")
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/query")
    assert petra.delete(f"{VIEWS}{mine['id']}/").status_code == 204
    assert [one["id"] for one in petra.get(VIEWS).json()["results"]] == [shared["id"]]
