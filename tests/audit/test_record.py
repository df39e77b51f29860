"""Entries: one for each version of a governed row, in its transaction, never alone."""

import pytest
from django.contrib.auth.models import Group
from django.db import IntegrityError, ProgrammingError, connection, transaction

from accounts.models import Team
from audit.canonical import parse
from audit.ledger.entry import system
from audit.ledger.record import record, record_refusal
from audit.models import Entry, Pending
from audit.refusals import StaleVersion

pytestmark = pytest.mark.django_db(transaction=True)
TESTER = system("system:test")


def make_team(slug="payments", **recorded):
    with transaction.atomic():
        team = Team.objects.create(slug=slug, name=slug, group=Group.objects.create(name=slug))
        if recorded.get("entry", True):
            record("team.created", of=team, subject=slug, actor=TESTER, slug=slug)
    return team


def test_a_row_without_its_entry_cannot_be_committed():
    with pytest.raises(IntegrityError, match="accounts_team_has_entry"):
        make_team(entry=False)
    assert not Team.objects.exists()


def test_an_entry_is_written_beside_its_row_and_waits_for_the_sequencer():
    team = make_team()
    entry = Entry.objects.get(stream=team.pk, stream_version=1)
    assert parse(bytes(entry.body))["data"] == {"slug": "payments"}
    assert Pending.objects.get().entry_id == entry.pk


def test_an_entry_names_the_hash_of_the_one_before_it_in_its_stream():
    team = make_team()
    with transaction.atomic():
        Team.objects.filter(pk=team.pk).update(name="Pay", version=2)
        team.version = 2
        second = record("team.renamed", of=team, subject="payments", actor=TESTER)
    first = Entry.objects.get(stream=team.pk, stream_version=1)
    assert parse(bytes(second.body))["prev"] == bytes(first.leaf_hash).hex()


@pytest.mark.parametrize(
    ("sql", "complaint"),
    [
        ("UPDATE accounts_team SET name = 'x'", "changed without a new version"),
        ("UPDATE accounts_team SET name = 'x', version = version + 2", "cannot follow"),
        ("DELETE FROM accounts_team", "never deleted"),
        ("UPDATE audit_entry SET kind = 'x'", "append-only"),
        ("DELETE FROM audit_entry", "append-only"),
        ("TRUNCATE audit_entry CASCADE", "append-only"),
    ],
)
def test_the_database_itself_refuses(sql, complaint):
    make_team()
    with (
        pytest.raises(ProgrammingError, match=complaint),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(sql)


def test_a_version_without_an_entry_cannot_be_committed():
    team = make_team()
    with pytest.raises(IntegrityError), transaction.atomic():
        Team.objects.filter(pk=team.pk).update(name="x", version=2)
    team.refresh_from_db()
    assert team.name == "payments"


def test_an_entry_dies_with_the_transaction_it_tells_about():
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        record("team.renamed", of=None, subject="payments", actor=TESTER)
        raise ZeroDivisionError
    assert not Entry.objects.exists()


def test_record_refuses_to_stand_alone():
    with pytest.raises(RuntimeError):
        record("team.created", of=None, subject="payments", actor=TESTER)


def test_g03_a_refusal_survives_the_rollback_of_what_was_refused():
    record_refusal(
        StaleVersion("Nothing was done."), attempted="change.decide", subject="CHG-1", actor=TESTER
    )
    assert parse(bytes(Entry.objects.get().body))["data"]["code"] == "stale_version"
    with pytest.raises(RuntimeError), transaction.atomic():
        record_refusal(StaleVersion("x"), attempted="y", subject="z", actor=TESTER)


def test_an_entry_keeps_the_digest_of_the_row_it_tells_about():
    team = make_team()
    state = parse(bytes(Entry.objects.get(stream=team.pk).body))["state"]
    assert state["columns"] == "group_id id name slug synced_at version"
    assert len(state["digest"]) == 64
