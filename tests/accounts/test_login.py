"""Signing in and out: recorded, limited, with a new key; nobody is sent elsewhere or told who exists."""

import pytest
from django.test import Client

from accounts import teams
from accounts.models import UserSession
from audit.canonical import parse
from audit.ledger.record import timestamp
from audit.models import Entry
from tests.accounts.cast import PASSWORD, TEST, kinds, person

pytestmark = pytest.mark.django_db(transaction=True)


def sign_in(client: Client, username: str = "mara", password: str = PASSWORD, **more: str):
    return client.post("/accounts/login/", {"login": username, "password": password, **more})


def test_signing_in_and_out_is_recorded_as_the_person():
    mara, client = person("Mara"), Client()
    assert sign_in(client).status_code == 302
    assert client.post("/accounts/logout/").status_code == 302
    assert kinds()[1:] == ["session.started", "session.ended"]
    assert {one.actor for one in Entry.objects.filter(kind__startswith="session")} == {str(mara.pk)}
    assert client.get("/me/").status_code == 302


def test_b17_a_session_key_from_before_the_sign_in_is_worth_nothing():
    person("Mara")
    client = Client()
    session = client.session
    session["planted"] = "yes"
    session.save()
    before = str(session.session_key)
    client.cookies["session"] = before
    sign_in(client)
    assert client.cookies["session"].value != before
    stranger = Client()
    stranger.cookies["session"] = before
    assert stranger.get("/me/").status_code == 302


def test_a_failed_sign_in_is_recorded_without_what_was_typed():
    mara = person("Mara")
    for username in ("mara", "hunter2-in-the-wrong-field"):
        assert sign_in(Client(), username, "wrong").status_code == 200
    refused = list(Entry.objects.filter(kind="session.refused").order_by("id"))
    assert [one.subject for one in refused] == [f"account:{mara.pk}", "account:unknown"]
    assert not any(b"hunter2" in bytes(one.body) for one in refused)


def test_a_stranger_cannot_tell_a_wrong_password_from_a_wrong_name():
    person("Mara")
    teams.deactivate(person("Old"), by=TEST)
    answers = [sign_in(Client(), name, "wrong").content for name in ("mara", "nobody", "old")]
    plain = [one.replace(b"mara", b"x").replace(b"nobody", b"x").replace(b"old", b"x") for one in answers]
    assert len({_without_tokens(one) for one in plain}) == 1


def _without_tokens(page: bytes) -> bytes:
    lines = page.splitlines()
    return b"\n".join(one for one in lines if b"csrf" not in one.lower())


def test_a_name_is_tried_ten_times_in_five_minutes_and_then_the_right_password_waits_too():
    person("Mara")
    codes = [sign_in(Client(), "Mara" if n % 2 else "mara", "wrong").status_code for n in range(10)]
    late = sign_in(Client())
    assert codes == [200] * 10
    assert late.status_code == 429
    assert 1 <= int(late.headers["Retry-After"]) <= 300


def test_who_signs_in_often_is_not_kept_out():
    person("Mara")
    assert [sign_in(Client()).status_code for _ in range(12)] == [302] * 12


@pytest.mark.parametrize(
    "to",
    [
        "https://evil.example/",
        "//evil.example/",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "http:evil.example",
        "javascript:alert(1)",
        "https:///evil.example",
        "/\t/evil.example",
        " //evil.example",
        "http://localhost/inbox/",
    ],
)
def test_nobody_is_sent_to_another_server_after_signing_in(to):
    person("Mara")
    assert sign_in(Client(), next=to).headers["Location"] == "/"


def test_where_one_wanted_to_go_is_kept():
    person("Mara")
    assert (
        sign_in(Client(), next="/changes/CHG-1/?tab=plan").headers["Location"] == "/changes/CHG-1/?tab=plan"
    )


def test_nobody_signs_up_and_nobody_signs_in_from_a_foreign_page():
    for address in ("/accounts/signup/", "/accounts/password/reset/", "/accounts/email/"):
        assert Client().get(address).status_code == 404
    person("Mara")
    foreign = Client(enforce_csrf_checks=True, headers={"Origin": "https://evil.example"})
    assert sign_in(foreign).status_code == 403


def test_a_new_password_ends_the_other_sessions_and_is_recorded():
    person("Mara")
    here, there = Client(), Client()
    sign_in(here)
    sign_in(there)
    new = "a-longer-better-phrase"
    typed = {"oldpassword": PASSWORD, "password1": new, "password2": new}
    assert here.post("/accounts/password/change/", typed).status_code == 302
    assert (here.get("/me/").status_code, there.get("/me/").status_code) == (200, 302)
    assert "account.password_changed" in kinds()


def test_the_profile_lists_sessions_and_ends_only_ones_own():
    mara, noor = person("Mara"), person("Noor")
    here, there, hers = Client(), Client(headers={"User-Agent": "Laptop"}), Client()
    sign_in(here)
    sign_in(there)
    sign_in(hers, "noor")
    page = here.get("/me/").content.decode()
    assert "Laptop" in page
    assert not any(one.session_key in page for one in UserSession.objects.all())
    other = UserSession.objects.exclude(session_key=here.session.session_key).get(user=mara)
    assert here.post(f"/me/sessions/{other.handle}/end/").status_code == 302
    assert there.get("/me/").status_code == 302
    foreign = UserSession.objects.get(user=noor).handle
    assert here.post(f"/me/sessions/{foreign}/end/").status_code == 404
    assert hers.get("/me/").status_code == 200


def told(kind):
    return [parse(bytes(one.body))["data"] for one in Entry.objects.filter(kind=kind).order_by("id")]


def test_the_log_names_each_session_by_what_opens_nothing_and_tells_its_end():
    mara, here, there = person("Mara"), Client(), Client()
    sign_in(here)
    sign_in(there)
    here.post("/me/confirm/", {"password": PASSWORD})
    stored = UserSession.objects.get(session_key=here.session.session_key)
    here.post("/accounts/logout/")
    teams.deactivate(mara, by=TEST)
    begun, ended = told("session.started"), told("session.ended")
    assert [one["session"] for one in ended] == [one["session"] for one in begun]
    assert timestamp(stored.expire_date) == begun[0]["expires_at"], "a confirmation moves no end"
    assert not any(str(one.session_key) in str(begun) for one in (stored, there.session))


def test_a_page_for_one_person_is_kept_by_no_cache():
    client = Client()
    client.force_login(person("Mara"))
    answer = client.get("/me/")
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Cookie" in answer.headers["Vary"]
