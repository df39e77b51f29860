"""What machines that watch may ask, the resolver of ids, and the contact of security."""

import re
from io import StringIO

import pytest
from django.core.management import call_command
from django.test import Client

from tests.accounts.cast import bearer, issue, person
from tests.audit.log import as_insider, sequence

pytestmark = pytest.mark.django_db(transaction=True)


def test_ready_means_that_the_database_and_the_broker_answer(settings):
    assert Client().get("/readyz").content == b"database ok\nbroker ok\n"
    settings.BROKER_URL = "redis+socket:///nowhere/valkey.sock"
    answer = Client().get("/readyz")
    assert (answer.status_code, answer.content) == (503, b"database ok\nbroker down\n")


def test_metrics_are_for_who_may_read_reports():
    assert Client().get("/metrics").status_code == 401
    answer = Client().get("/metrics", **bearer(issue(person("Mara"), "reports:read")))
    assert answer.headers["Content-Type"].startswith("text/plain")
    text = answer.content.decode()
    assert "# TYPE countersign_ledger_pending gauge\ncountersign_ledger_pending 2\n" in text
    assert 'countersign_steps{state="ready"} 0\n' in text
    broken = [one for one in text.splitlines() if one.startswith("countersign_invariant_violations{")]
    assert broken
    assert all(one.endswith("} 0") for one in broken)


def test_an_archive_and_timestamps_that_do_not_come_get_older(settings, tmp_path):
    def ages():
        text = Client().get("/metrics", **bearer(token)).content.decode()
        return [
            int(one.rpartition(" ")[2])
            for one in text.splitlines()
            if re.match(r"\w+_(archive|timestamp)_age", one)
        ]

    token = issue(person("Mara"), "reports:read")
    sequence()
    as_insider("UPDATE audit_checkpoint SET created_at = now() - interval '3 days'")
    assert ages() == [0, 0], "nothing is set"
    settings.ARCHIVE, settings.TSA_URL = str(tmp_path / "archive"), "http://127.0.0.1:9/"
    assert [age // 86400 for age in ages()] == [3, 3]
    call_command("ledger", "archive", stdout=StringIO())
    assert [age // 86400 for age in ages()] == [0, 3]


@pytest.mark.parametrize(
    ("key", "to"),
    [
        ("CHG-2041", "/changes/CHG-2041/"),
        ("chg-7", "/changes/CHG-7/"),
        ("RUN-8812", "/runs/RUN-8812/"),
        ("121002", "/audit/121002/"),
    ],
)
def test_an_id_leads_to_its_page(key, to):
    client = Client()
    client.force_login(person("Mara"))
    assert client.get(f"/go/{key}/").headers["Location"] == to


@pytest.mark.parametrize("key", ["CHG-", "CHG-0", "//evil.example", "CHG-1x", "x" * 300, "CHG-\u0661"])
def test_what_is_no_id_leads_nowhere(key):
    client = Client()
    client.force_login(person("Mara"))
    assert client.get(f"/go/{key}/").status_code == 404


def test_security_txt_names_a_contact_and_an_end(settings):
    assert Client().get("/.well-known/security.txt").status_code == 404
    settings.SECURITY_CONTACT = "mailto:security@harbourline.example"
    text = Client().get("/.well-known/security.txt").content.decode()
    assert text.startswith("Contact: mailto:security@harbourline.example\nExpires: 20")


def test_the_schema_is_valid_and_names_the_key_of_every_creating_post():
    client = Client()
    client.force_login(person("Mara"))
    document = client.get("/api/schema/?format=json").json()
    assert document["openapi"].startswith("3.1")
    create = document["paths"]["/api/v1/me/tokens/"]["post"]
    assert "Idempotency-Key" in [one["name"] for one in create["parameters"]]
    assert all("4XX" in verb["responses"] for item in document["paths"].values() for verb in item.values())


def test_only_the_viewer_of_the_schema_may_style_itself():
    client = Client()
    client.force_login(person("Mara"))
    docs = client.get("/api/docs/")
    assert docs.status_code == 200
    assert b"//cdn" not in docs.content
    policy = docs.headers["Content-Security-Policy"]
    assert "style-src 'self' 'unsafe-inline'" in policy
    assert "script-src 'self';" in policy + ";"
    assert "unsafe" not in client.get("/me/").headers["Content-Security-Policy"]
