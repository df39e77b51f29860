"""The demo's switch of person: an entry each time, a new key each time, and nothing at all outside a demo."""

import pytest
from django.test import Client, RequestFactory

from accounts import teams
from accounts.acting import acting
from audit.canonical import parse
from audit.models import Entry
from tests.accounts.cast import TEST, kinds, person

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def demo(settings):
    settings.DEMO = True
    return settings


def switch(client: Client, to, **more: str):
    return client.post("/demo/persona/", {"persona": str(to.pk), **more})


def test_a_switch_changes_the_person_the_key_and_leaves_an_entry(demo):
    mara, noor, client = person("Mara"), person("Noor"), Client()
    client.force_login(mara)
    before = client.session.session_key
    assert switch(client, noor).headers["Location"] == "/"
    assert client.get("/api/v1/me/").json()["name"] == "Noor"
    assert client.session.session_key != before
    entry = Entry.objects.get(kind="persona.switched")
    assert entry.actor == str(mara.pk)
    assert parse(bytes(entry.body))["data"] == {"from": str(mara.pk), "to": str(noor.pk)}


def test_the_door_knows_a_switched_session(demo):
    mara, client = person("Mara"), Client()
    switch(client, mara)
    request = RequestFactory().get("/")
    request.session, request.user = client.session, mara
    assert acting(request).persona_switched
    client.force_login(mara, backend="django.contrib.auth.backends.ModelBackend")
    request.session = client.session
    assert not acting(request).persona_switched


def test_outside_a_demo_nothing_opens_and_no_switched_session_lives_on(demo):
    mara, client = person("Mara"), Client()
    switch(client, mara)
    assert client.get("/me/").status_code == 200
    demo.DEMO = False
    assert client.get("/me/").status_code == 302
    before = kinds()
    for address in ("/welcome/", "/demo/persona/"):
        assert client.get(address).status_code in {404, 405}
    assert switch(Client(), mara).status_code == 404
    assert kinds() == before


def test_one_continues_only_as_an_active_person_of_the_demo(demo):
    mara = person("Mara")
    ci = teams.create_service_account(username="ci", name="CI", person=mara.person, by=TEST)
    old = person("Old")
    teams.deactivate(old, by=TEST)
    assert switch(Client(), ci).status_code == 404
    assert switch(Client(), old).status_code == 404
    assert Client().post("/demo/persona/", {"persona": "x"}).status_code == 404


def test_a_link_cannot_switch_and_a_foreign_page_cannot(demo):
    mara = person("Mara")
    assert Client().get("/demo/persona/", {"persona": str(mara.pk)}).status_code == 405
    strict = Client(enforce_csrf_checks=True)
    assert switch(strict, mara).status_code == 403


def test_a_switch_stays_on_this_server(demo):
    mara = person("Mara")
    assert switch(Client(), mara, next="//evil.example").headers["Location"] == "/"
    assert switch(Client(), mara, next="/changes/CHG-1/").headers["Location"] == "/changes/CHG-1/"


def test_the_welcome_page_begins_with_the_first_person_and_names_all(demo, django_assert_max_num_queries):
    for name in ("Mara", "Noor", "Ines", "Sam"):
        person(name, "payments", f"team-{name.lower()}")
    with django_assert_max_num_queries(4):
        page = Client().get("/welcome/").content.decode()
    assert "Start as Mara" in page
    assert all(f"as {name}</span>" in page for name in ("Noor", "Ines", "Sam"))


def test_a_demo_without_people_says_what_to_do(demo):
    assert "manage.py demo seed" in Client().get("/welcome/").content.decode()


def test_the_account_menu_offers_the_switch_only_in_a_demo(demo):
    client = Client()
    client.force_login(person("Mara"))
    assert "/demo/persona/" in client.get("/me/").content.decode()
    demo.DEMO = False
    assert "/demo/persona/" not in client.get("/me/").content.decode()
