"""Packs of the month: asked for once, when the month is over and sealed, and never before."""

from datetime import UTC, datetime

import pytest

from audit.models import Export
from audit.reports import exports, schedule
from tests.audit.log import as_insider, sequence, write

JUNE, JULY = datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 7, 1, 3, tzinfo=UTC)


@pytest.fixture
def clock(settings, tmp_path, transactional_db, monkeypatch):
    """July has begun, and the log was signed then."""
    settings.KEY_DIR, settings.MONTHLY_PACK = tmp_path, ("pdf", "csv")
    monkeypatch.setattr(exports, "call", lambda _: None)
    now = [JULY]
    monkeypatch.setattr(schedule, "database_time", lambda: now[0])
    write(1)
    sequence()
    signed_at(JULY)
    return now


def signed_at(moment):
    as_insider("UPDATE audit_checkpoint SET created_at = %s", moment)


def asked():
    return sorted((one.format, one.asked["from"], one.asked["to"]) for one in Export.objects.all())


def test_each_file_of_the_month_is_asked_for_once(clock):
    schedule.ask_for_last_month()
    assert asked() == [("csv", "2026-06-01", "2026-07-01"), ("pdf", "2026-06-01", "2026-07-01")]
    assert schedule.ask_for_last_month() == []
    Export.objects.filter(format="pdf").delete()
    assert [one.format for one in schedule.ask_for_last_month()] == ["pdf"]
    clock[0] = datetime(2026, 8, 1, tzinfo=UTC)
    signed_at(clock[0])
    assert [one.asked["from"] for one in schedule.ask_for_last_month()] == ["2026-07-01"] * 2


def test_nothing_is_asked_for_before_the_month_is_sealed_or_without_the_setting(clock, settings):
    signed_at(JUNE)
    assert schedule.ask_for_last_month() == []
    signed_at(JULY)
    settings.MONTHLY_PACK = ()
    assert schedule.ask_for_last_month() == []
    assert not Export.objects.exists()
