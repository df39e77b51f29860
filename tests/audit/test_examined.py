"""The log is examined again and again: what does not fit is an entry, and stands above every page until it fits."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from audit import tasks
from audit.canonical import canonical, parse
from audit.ledger import examined
from audit.models import Entry, Leaf
from audit.pages import proving
from config import doctor
from tests.accounts.cast import person
from tests.audit.log import as_insider, sequence, write
from tests.audit.test_record import make_team

BACKEND = "django.contrib.auth.backends.ModelBackend"
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("own_key")]


@pytest.fixture
def log():
    write(3)
    team = make_team()
    sequence()
    return team


def told():
    return [parse(bytes(one.body))["data"] for one in Entry.objects.filter(kind=examined.KIND).order_by("id")]


def banners(client, who, place="/people/"):
    """What stands above a page that has nothing to do with the log."""
    client.force_login(who, backend=BACKEND)
    page = client.get(place).content.decode()
    found = re.findall(r'<div class="banner.*?\n</div>', page.partition("<h1")[0], re.DOTALL)
    return [one for one in found if "data-offline" not in one]


def test_g01_an_edited_entry_is_named_above_every_page_of_auditors_and_admins_until_it_is_as_it_was(
    client, auditor, log
):
    admin = person("Sam", superuser=True)
    tasks.examine()
    assert told()[-1]["findings"] == 0
    assert banners(client, auditor) == []
    leaf = Leaf.objects.select_related("entry").get(index=2)
    body = bytes(leaf.entry.body)
    as_insider(
        "UPDATE audit_entry SET body = %s WHERE id = %s",
        canonical({**parse(body), "subject": "other"}),
        leaf.entry_id,
    )
    as_insider("UPDATE audit_entry SET body = body || ' ' WHERE id = %s", Leaf.objects.get(index=3).entry_id)
    tasks.examine()
    assert (told()[-1]["index"], told()[-1]["findings"]) == (2, 2)
    for who in (auditor, admin):
        for place in ("/people/", "/changes/", "/audit/"):
            (shown,) = banners(client, who, place)
            assert "The log was altered, first at entry 2" in shown
            assert "Entry 2 was altered: its bytes are not those that were sealed." in shown
            assert not re.search(r"<button|<form|\shidden|data-close", shown), "nobody can put it away"
    assert proving.strip().title == "The log was altered", "nothing is called verified meanwhile"
    assert banners(client, person("Mara")) == []
    assert [one.says for one in doctor.examine() if one.part == "examination"] == [
        "the log was altered: Entry 2 was altered: its bytes are not those that were sealed."
    ]
    as_insider("UPDATE audit_entry SET body = %s WHERE id = %s", body, leaf.entry_id)
    as_insider(
        "UPDATE audit_entry SET body = substr(body, 1, length(body) - 1) WHERE id = %s",
        Leaf.objects.get(index=3).entry_id,
    )
    tasks.examine()
    assert banners(client, auditor) == []


def test_an_edited_row_of_the_product_is_named_too(client, auditor, log):
    as_insider("UPDATE accounts_team SET version = version + 1 WHERE id = %s", log.pk)
    tasks.examine()
    (shown,) = banners(client, auditor)
    assert "The log was altered, beside its entries" in shown
    assert "newest entry tells" in shown


def test_it_is_told_when_something_else_is_found_and_once_a_day(log):
    for _ in range(3):
        tasks.examine()
    assert len(told()) == 1
    as_insider(
        "UPDATE audit_entry SET occurred_at = occurred_at - interval '24 hours' WHERE kind = %s",
        examined.KIND,
    )
    tasks.examine()
    assert len(told()) == 2
    as_insider("UPDATE audit_entry SET body = 'x' WHERE id = %s", Entry.objects.latest("id").pk)
    found = examined.newest()
    assert found is not None
    assert "was altered" in found.first


def test_an_examination_that_takes_long_is_seldom():
    begin = datetime(1970, 1, 1, tzinfo=UTC)

    def due(seconds):
        before = examined.Examined(begin, seconds, None, "", 0)
        return [
            number for number in range(12) if examined._is_due(before, begin + number * timedelta(minutes=10))
        ]

    assert (due(1), due(60)) == (list(range(12)), [0, 5, 10])


def test_a_log_that_nobody_has_signed_is_not_examined():
    tasks.examine()
    assert not Entry.objects.exists()
