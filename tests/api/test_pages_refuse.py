"""How pages say no: the page of that status, a fragment for a fragment, and no broken page about a broken page."""

import pytest
from django.contrib.auth.models import AnonymousUser
from django.test import Client, RequestFactory
from django.urls import path

from audit.models import Entry
from audit.refusals import NotAllowed, StaleVersion
from config import refusals
from config import urls as real
from tests.accounts.cast import kinds, person

pytestmark = pytest.mark.django_db(transaction=True)


def stale(request, key):
    raise StaleVersion("CHG-1 was changed meanwhile; nothing was done.")


def forbidden(request, key):
    raise NotAllowed("You can read this change but not decide it. Security can: Noor Haddad.")


class Doors:
    urlpatterns = [
        path("stale/<str:key>/", stale),
        path("forbidden/<str:key>/", forbidden),
        *real.urlpatterns,
    ]
    handler400 = real.handler400
    handler404 = real.handler404
    handler500 = real.handler500


@pytest.fixture
def client(settings):
    settings.ROOT_URLCONF = Doors
    client = Client()
    client.force_login(person("Mara"))
    return client


def test_a_refused_post_shows_its_sentence_and_is_recorded_with_what_was_tried_on_what(client):
    answer = client.post("/stale/CHG-1/")
    assert (answer.status_code, answer.headers["Cache-Control"]) == (409, "no-store")
    assert "CHG-1 was changed meanwhile; nothing was done." in answer.content.decode()
    entry = Entry.objects.latest("id")
    assert (entry.kind, entry.subject) == ("attempt.refused", "CHG-1")
    assert b"POST /stale/<str:key>/" in bytes(entry.body)
    assert b"stale_version" in bytes(entry.body)


def test_reading_what_is_gone_is_not_recorded_but_reading_what_is_forbidden_is(client):
    before = len(kinds())
    assert client.get("/stale/CHG-1/").status_code == 409
    assert client.get("/nope/").status_code == 404
    assert len(kinds()) == before
    answer = client.get("/forbidden/CHG-1/")
    assert (answer.status_code, len(kinds())) == (403, before + 1)
    assert "Security can: Noor Haddad." in answer.content.decode()


def test_a_refusal_to_a_fragment_stays_a_fragment(client):
    answer = client.post("/stale/CHG-1/", headers={"HX-Request": "true"})
    assert answer.status_code == 409
    assert "CHG-1 was changed meanwhile" in answer.content.decode()
    assert "<html" not in answer.content.decode()


def test_a_nul_and_a_foreign_host_are_bad_requests_on_a_page_with_its_policy(client):
    answers = [
        client.get("/me/?q=%00"),
        client.get("/go/%00/"),
        client.post("/me/theme/", {"theme": "\0"}),
        client.get("/me/", headers={"Host": "evil.example"}),
    ]
    for answer in answers:
        assert answer.status_code == 400
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]


def test_the_page_of_a_fault_of_ours_asks_the_database_nothing(django_assert_num_queries):
    request = RequestFactory().get("/me/")
    request.user, request.session = AnonymousUser(), Client().session
    with django_assert_num_queries(0):
        page = refusals.broken(request)
    assert page.status_code == 500
    assert "reference" in page.content.decode()
