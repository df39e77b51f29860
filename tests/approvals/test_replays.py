"""A replay is asked for in the browser, done by a worker in turns, and shows nobody what is not theirs to see."""

import json
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from accounts import teams
from accounts.acting import Acting
from approvals import replays, shadows
from approvals.models import Bundle, Chain, Decision, Difference, Replay, Shadow
from approvals.policy import bundles, candidates, replay
from audit.models import Entry
from audit.refusals import MoveNotAllowed, NotAllowed
from orchestration.models import Run
from tests.approvals.cast import TEST
from tests.factories import Bank

pytestmark = pytest.mark.django_db(transaction=True)
PAGE = "/policies/replays/"


@pytest.fixture(autouse=True)
def calls(monkeypatch):
    """What the workers were told: there is none here, a test takes each turn itself."""
    told: list[UUID] = []
    monkeypatch.setattr(replays, "call", told.append)
    return told


@pytest.fixture
def bank():
    return Bank()


@pytest.fixture
def as_(client):
    def sign_in(user):
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        return client

    return sign_in


@pytest.fixture
def admin():
    return teams.create_person(username="adam", name="Adam", by=TEST, superuser=True)


def lax():
    rules = bundles.active().sources["production.rego"]
    return {
        "file": "production.rego",
        "text": rules.replace("input.service.tier == 1", "input.service.tier == 9"),
    }


def ask(client, **given):
    answered = client.post(PAGE, {"candidate": "", "days": "30", **lax(), **given})
    assert answered.status_code == 302, answered.content.decode()
    return Replay.objects.latest("created_at")


def test_d15_a_replay_is_judged_by_a_worker_and_starts_and_decides_nothing(bank, as_, calls):
    key = bank.change().key
    client = as_(bank.user("mara"))

    def counted():
        return [model.objects.count() for model in (Bundle, Decision, Chain, Run, Entry)]

    before = counted()
    made = ask(client)
    assert (made.total, made.judged, calls) == (1, 0, [made.pk])
    assert 'hx-trigger="every 2s"' in client.get(f"{PAGE}{made.pk}/").content.decode()
    replays.work(made.pk)
    made.refresh_from_db()
    assert (made.state, made.kinds, made.load) == ("done", {"changed": 1}, {"security": -1})
    page = client.get(f"{PAGE}{made.pk}/?kind=changed").content.decode()
    assert key in page
    assert "Show as table" in page
    assert "| security | -1 |" in page
    row = client.get(f"{PAGE}{made.pk}/{Difference.objects.get().pk}/").content.decode()
    assert "As it was decided" in row
    assert row.count("Security: 1 needed") == 1, "only one of the two answers asks Security"
    assert counted() == before


def test_what_is_the_same_opens_side_by_side_too(bank, as_):
    key = bank.change().key
    client = as_(bank.user("mara"))
    made = ask(client, file="", text="")
    replays.work(made.pk)
    numbers = client.get(f"{PAGE}{made.pk}/").content.decode()
    assert f'href="{PAGE}{made.pk}/?kind=same"' in numbers.replace("&amp;", "&")
    row = f"{PAGE}{made.pk}/same/{Decision.objects.get().pk}/"
    listed = client.get(f"{PAGE}{made.pk}/?kind=same").content.decode()
    assert key in listed
    assert row in listed
    page = client.get(row).content.decode()
    assert page.count("Security: 1 needed") == 2, "both answers ask Security"
    assert "The same people are asked." in page
    made.refresh_from_db()
    assert replays.alike(made, user=bank.user("mara"), seen=lambda _: [key]).exists()
    api = f"/api/v1/policies/replay/{made.pk}/rows/?kind=same"
    [told] = client.get(api).json()["results"]
    assert (told["subject"], told["kind"], len(told["before"]["require"])) == (key, "same", 2)
    assert as_(bank.user("ravi")).get(api).status_code == 404
    hidden = replays.alike(made, user=bank.user("mara"), seen=lambda _: [])
    assert not hidden.exists(), "nothing of a change that one may see no more"
    assert as_(bank.user("ravi")).get(row).status_code == 404


def test_what_differs_is_not_listed_as_the_same(bank, as_):
    bank.change()
    made = ask(as_(bank.user("mara")))
    replays.work(made.pk)
    made.refresh_from_db()
    assert not replays.alike(
        made, user=bank.user("mara"), seen=lambda _: [Difference.objects.get().subject]
    ).exists()


def test_what_would_be_allowed_in_a_protected_environment_is_said_first(bank, as_, monkeypatch):
    bank.change()
    made = ask(as_(bank.user("mara")))
    replays.work(made.pk)
    banner = "It would allow in protected environments what was denied"
    page = f"{PAGE}{made.pk}/"
    assert banner not in as_(bank.user("mara")).get(page).content.decode()
    Difference.objects.update(kind="newly_allowed")
    told = as_(bank.user("mara")).get(page).content.decode()
    assert banner in told
    assert "**1 of the newly allowed are in protected environments.**" in told


@pytest.mark.parametrize("days", ["", "31", "-7", "9" * 5000, "\N{ARABIC-INDIC DIGIT SEVEN}"])
def test_other_days_are_refused(bank, as_, days):
    answered = as_(bank.user("mara")).post(PAGE, {"candidate": "", "days": days})
    assert (answered.status_code, Replay.objects.count()) == (422, 0)


def test_a_replay_is_of_what_one_may_see_and_ones_own(bank, as_, admin):
    bank.change()
    mine = ask(as_(bank.user("ravi")))
    assert (mine.subjects, mine.total) == ([], 0)
    every = ask(as_(admin))
    assert (every.subjects, every.total) == (None, 1)
    replays.work(every.pk)
    row = f"{PAGE}{every.pk}/{Difference.objects.get().pk}/"
    assert as_(admin).get(row).status_code == 200
    for path in (f"{PAGE}{every.pk}/", row):
        assert as_(bank.user("ravi")).get(path).status_code == 404
    assert as_(bank.user("ravi")).post(f"{PAGE}{every.pk}/cancel/").status_code == 404


def test_a_row_is_hidden_from_whoever_may_no_longer_see_its_change(bank, as_):
    bank.change()
    made = ask(as_(bank.user("mara")))
    replays.work(made.pk)
    [row] = replays.rows(made, user=bank.user("mara"), seen=lambda _: [Difference.objects.get().subject])
    assert not replays.rows(made, user=bank.user("mara"), seen=lambda _: []).filter(pk=row.pk).exists()


def test_one_replay_at_a_time_and_a_cancelled_one_keeps_nothing_more(bank, as_, monkeypatch):
    bank.change()
    client = as_(bank.user("mara"))
    made = ask(client)
    again = client.post(PAGE, {"candidate": "", "days": "7"})
    assert (again.status_code, Replay.objects.count()) == (409, 1)
    judged = replay.replay

    def cancelled_meanwhile(*given):
        client.post(f"{PAGE}{made.pk}/cancel/")
        yield from judged(*given)

    monkeypatch.setattr(replay, "replay", cancelled_meanwhile)
    replays.work(made.pk)
    made.refresh_from_db()
    assert (made.state, made.judged, Difference.objects.count()) == ("cancelled", 0, 0)
    assert client.post(f"{PAGE}{made.pk}/cancel/").status_code == 409


def test_a_turn_ends_after_its_time_and_the_next_goes_on_from_there(bank, as_, monkeypatch, calls):
    bank.change()
    bank.change(inputs={**Decision.objects.get().input["change"]["inputs"]})
    monkeypatch.setattr(replay, "BATCH", 1)
    made = ask(as_(bank.user("mara")))
    for judged in (1, 2):
        replays.work(made.pk, seconds=0)
        made.refresh_from_db()
        assert (made.state, made.judged) == ("queued", judged)
    replays.work(made.pk, seconds=0)
    made.refresh_from_db()
    assert (made.state, made.judged, Difference.objects.count()) == ("done", 2, 2)
    assert calls == [made.pk] * 3


def test_what_a_killed_worker_left_is_taken_up_and_its_late_batch_counts_for_nothing(bank, as_):
    bank.change()
    made = ask(as_(bank.user("mara")))
    left = replays._take(made.pk)
    assert left is not None
    assert replays._take(made.pk) is None, "another worker has it"
    Replay.objects.update(seen_at=Now() - replays.SILENT - timedelta(seconds=1))
    assert replays.sweep() == [made.pk]
    taken = replays._take(made.pk)
    assert taken is not None
    assert not replays._judge(left, until=0), "the batch of the worker that came back is thrown away"
    assert not Difference.objects.exists()
    assert replays._judge(taken, until=float("inf"))
    replays._turn(taken).update(seen_at=Now() - replays.SILENT - timedelta(seconds=1))
    replays.work(made.pk)
    made.refresh_from_db()
    assert (made.state, made.judged, Difference.objects.count()) == ("done", 1, 1)


def test_a_replay_that_takes_its_workers_with_it_fails_in_words(bank, as_):
    bank.change()
    made = ask(as_(bank.user("mara")))
    for _ in range(replays.LOST):
        assert made.pk in replays.sweep()
        assert replays._take(made.pk)
        Replay.objects.update(seen_at=Now() - replays.SILENT - timedelta(seconds=1))
    assert replays.sweep() == []
    made.refresh_from_db()
    assert made.state == "failed"
    assert "3 workers ended over it" in made.problem


def test_the_shadow_is_asked_of_each_new_decision_and_ends_when_it_judges(bank, as_, admin, monkeypatch):
    monkeypatch.setattr(replays, "SETTLED", timedelta(0))
    bank.change()
    made = ask(as_(admin), shadow="1")
    replays.work(made.pk)
    made.refresh_from_db()
    assert made.judged == 0, "what was decided before is not the shadow's"
    bank.change()
    assert replays.sweep() == [made.pk]
    replays.work(made.pk)
    made.refresh_from_db()
    assert (made.judged, made.differs, made.state) == (1, 1, "queued")
    assert "1 would have been otherwise" in as_(admin).get(PAGE).content.decode()
    assert "shadows the policy" not in as_(bank.user("mara")).get(PAGE).content.decode()
    candidate = bundles.examine({**made.sources})
    monkeypatch.setattr(bundles, "_untested", lambda _: "")
    tested = bundles.Candidate(
        candidate.sources,
        candidate.digest,
        candidate.rules,
        [],
        [one for one in candidate.tests if one.passed],
    )
    bundles.activate(tested, source="the shadow", by=TEST)
    shadows.settle()
    assert not Shadow.objects.get().stands
    kinds = Entry.objects.filter(kind__startswith="shadow.").order_by("id").values_list("kind", flat=True)
    assert list(kinds) == ["shadow.set", "shadow.ended"]
    made.refresh_from_db()
    assert made.state == "done"
    assert "1 decisions of 20" in as_(admin).get(f"{PAGE}{made.pk}/").content.decode()


def test_at_most_one_shadow_set_and_ended_by_an_admin_alone(bank, as_, admin):
    mara = as_(bank.user("mara"))
    assert mara.post(PAGE, {"candidate": "", **lax(), "shadow": "1"}).status_code == 403
    made = ask(as_(admin), shadow="1")
    candidate = bundles.examine(made.sources)
    acting = Acting(user=admin, auth="session")
    with pytest.raises(MoveNotAllowed, match="already"):
        shadows.set_one(candidate, by=acting)
    with pytest.raises(IntegrityError), transaction.atomic():
        Shadow.objects.create(replay=Replay.objects.create(**_copied(made)), digest="another")
    with pytest.raises(NotAllowed):
        shadows.end(by=Acting(user=bank.user("mara"), auth="session"))
    assert as_(admin).post("/policies/shadow/end/").status_code == 302
    with pytest.raises(MoveNotAllowed, match="judges now"):
        shadows.set_one(candidates.chosen(""), by=acting)
    assert shadows.standing() is None


def _copied(made):
    told = {name: getattr(made, name) for name in ("user", "name", "digest", "sources", "since", "seen_at")}
    return {**told, "days": 0}


def post(client, path, body, **headers):
    return client.post(path, json.dumps(body), content_type="application/json", headers=headers)


def test_d15_the_api_simulates_a_change_and_a_form_and_stores_nothing(bank, as_):
    key = bank.change().key
    client, path = as_(bank.user("mara")), "/api/v1/policies/simulate/"
    candidate = {"sources": {**bundles.active().sources, lax()["file"]: lax()["text"]}}
    asked = post(client, path, {"candidate": candidate, "change": key}).json()
    assert asked["kind"] == "changed"
    assert [one["stage"] for one in asked["now"]["require"]] == ["Security", "Service owner"]
    assert [one["stage"] for one in asked["require"]] == ["Service owner"]
    facts = Decision.objects.get().input
    form = {
        "workflow": facts["workflow"]["slug"],
        "service": facts["service"]["slug"],
        "environment": facts["environment"]["slug"],
        "inputs": facts["change"]["inputs"],
    }
    assert post(client, path, {"form": form}).json()["kind"] == "same"
    assert post(as_(bank.user("ravi")), path, {"change": key}).status_code == 404
    assert post(client, path, {"form": form}).status_code in {403, 404}, "ravi may not request it"
    for wrong in (
        {},
        {"change": key, "input": {}},
        {"change": key, "candidate": {"bundle": "x", "sources": {}}},
    ):
        assert post(client, path, wrong).status_code == 422
    assert Decision.objects.count() == 1


def test_the_api_replays_once_per_key_and_shows_the_rows_to_whoever_may_see_them(bank, as_):
    bank.change()
    path = "/api/v1/policies/replay/"
    candidate = {"sources": {**bundles.active().sources, lax()["file"]: lax()["text"]}}
    client, body = as_(bank.user("mara")), {"candidate": candidate, "days": 30}
    assert post(client, path, body).status_code == 400, "no Idempotency-Key"
    made = post(client, path, body, **{"Idempotency-Key": "one"})
    assert made.status_code == 201, made.content
    assert post(client, path, body, **{"Idempotency-Key": "one"}).json() == made.json()
    one = f"{path}{made.json()['id']}/"
    replays.work(Replay.objects.get().pk)
    assert client.get(one).json()["kinds"] == {"changed": 1}
    [row] = client.get(f"{one}rows/?kind=changed").json()["results"]
    assert (row["kind"], len(row["before"]["require"]), len(row["after"]["require"])) == ("changed", 2, 1)
    assert client.get(f"{one}rows/?kind=newly_blocked").json()["results"] == []
    assert post(client, f"{one}cancel/", {}).status_code == 409
    large = {"sources": {"a.rego": "#" * (bundles.MAX_BYTES + 1)}}
    assert (
        post(client, path, {"candidate": large, "days": 30}, **{"Idempotency-Key": "large"}).status_code
        == 422
    )
    unkept = {"sources": {"a.rego": "# \0", "b.rego": "# \ud800"}}
    answered = post(client, path, {"candidate": unkept, "days": 30}, **{"Idempotency-Key": "unkept"})
    assert answered.status_code == 422
    assert post(client, path, {"days": 31}, **{"Idempotency-Key": "two"}).status_code == 422
    ravi = as_(bank.user("ravi"))
    assert ravi.get(path).json()["results"] == []
    for below in ("", "rows/"):
        assert ravi.get(f"{one}{below}").status_code == 404
