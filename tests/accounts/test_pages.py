"""The profile and the list of people."""

import pytest
from django.test import Client

from accounts import teams, tokens
from accounts.models import Token
from tests.accounts.cast import TEST, issue, person, team

pytestmark = pytest.mark.django_db(transaction=True)
TYPED = {"name": "ci", "days": "30", "scopes": ["changes:read"]}


@pytest.fixture
def mara():
    return person("Mara", "payments")


@pytest.fixture
def client(mara):
    client = Client()
    client.force_login(mara)
    return client


def test_the_value_of_a_token_is_on_the_page_once(client, mara):
    page = client.post("/me/tokens/", TYPED).content.decode()
    value = page.split('data-copy="')[1].split('"')[0]
    found = tokens.find(value)
    assert found is not None
    assert found.user == mara
    assert value not in client.get("/me/").content.decode()


def test_a_token_may_act_as_a_machine_that_one_answers_for_and_as_nobody_else(client, mara):
    machine = teams.create_service_account(username="ci", name="ci@payments", person=mara.person, by=TEST)
    teams.create_service_account(username="other", name="other", person=person("Noor").person, by=TEST)
    page = client.get("/me/").content.decode()
    assert '<option value="ci"' in page
    assert '<option value="other"' not in page
    assert client.post("/me/tokens/", {**TYPED, "account": "other"}).status_code == 422
    client.post("/me/tokens/", {**TYPED, "account": "ci"})
    assert Token.objects.get().user == machine


@pytest.mark.parametrize(
    "wrong", [{"name": ""}, {"days": "9999"}, {"scopes": ["everything"]}, {"scopes": []}]
)
def test_what_does_not_fit_makes_no_token_and_keeps_what_was_typed(client, wrong):
    answer = client.post("/me/tokens/", {**TYPED, **wrong})
    assert answer.status_code == 422
    assert "No token was made" in answer.content.decode()
    assert not Token.objects.exists()


def test_one_revokes_ones_own_token_and_not_anothers(client, mara):
    own, other = issue(mara, "changes:read").token, issue(person("Noor"), "changes:read").token
    assert client.post(f"/me/tokens/{own.prefix}/revoke/").status_code == 302
    assert client.post(f"/me/tokens/{other.prefix}/revoke/").status_code == 404
    assert Token.objects.filter(revoked_at=None).get() == other


def test_a_theme_is_kept_by_the_browser(client):
    client.post("/me/theme/", {"theme": "dark"})
    assert 'data-theme="dark"' in client.get("/me/").content.decode()
    client.post("/me/theme/", {"theme": '"><script>'})
    assert "data-theme=" not in client.get("/me/").content.decode().split("<body", 1)[0]


def test_people_shows_who_is_in_which_team_now(client, mara, django_assert_max_num_queries):
    teams.leave(team("payments"), person("Gone", "payments"), by=TEST)
    for n in range(5):
        person(f"P{n}", "payments", f"t{n}")
    with django_assert_max_num_queries(21):  # the frame and five; one per row would be more
        page = client.get("/people/").content.decode()
    members = next(row for row in page.split("<tr>") if ">payments</div>" in row)
    assert "Mara" in members
    assert "Gone" not in members


def test_a_name_is_shown_as_text(client):
    person("<script>alert(1)</script>")
    assert "<script>alert" not in client.get("/people/").content.decode()
