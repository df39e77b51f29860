"""What the product tells about itself: that the log stands still, that the gate stops, and how it is configured."""

import pytest

from approvals import current, probe
from approvals.closed import LedgerBehind
from audit import configuration
from audit.canonical import parse
from audit.ledger import alarm, rehearsal
from audit.ledger.freshness import lag
from audit.models import Entry, Pending
from tests.audit.log import as_insider, sequence, write

pytestmark = pytest.mark.django_db(transaction=True)


def told(kind):
    return [parse(bytes(one.body))["data"] for one in Entry.objects.filter(kind=kind).order_by("id")]


def aged(seconds):
    """Everything that waits was written so long ago."""
    as_insider("UPDATE audit_entry SET occurred_at = occurred_at - make_interval(secs => %s)", seconds)


def test_the_gate_is_tried_once_a_day_and_stops(own_key):
    write()
    sequence()
    assert probe.daily() is True
    assert probe.daily() is None, "once a day"
    assert told("gate.probed") == [{"stopped": True, "seconds": 120}]
    aged(24 * 3600)
    sequence()
    assert probe.daily() is True


def test_the_probe_leaves_nothing_behind_and_holds_nobody_up(own_key):
    write()
    sequence()
    with pytest.raises(LedgerBehind), rehearsal.behind(120):
        current.check()
    assert (Entry.objects.count(), Pending.objects.count(), lag().pending) == (1, 0, 0)
    assert current.check() == 1


def test_a_gate_that_does_not_stop_is_written_down(own_key, monkeypatch):
    write()
    sequence()
    monkeypatch.setattr(current, "MAX_LAG_SECONDS", 3600)
    probe.daily()
    assert told("gate.probed") == [{"stopped": False, "seconds": 120}]


def test_the_alarm_is_raised_once_each_time_the_log_stands_still(own_key):
    write()
    sequence()
    alarm.look()
    assert told("ledger.behind") == [], "all is sealed"
    write(2)
    aged(90)
    for _ in range(2):
        alarm.look()
    [first] = told("ledger.behind")
    assert first["pending"] == 2
    assert 90 <= first["seconds"] < 100
    sequence()
    alarm.look()
    write()
    aged(90)
    alarm.look()
    assert len(told("ledger.behind")) == 2, "another time, another alarm"


def test_what_is_configured_is_told_once_and_again_when_it_is_otherwise(settings):
    for days in (0, 0, 30):
        settings.LOG_DAYS = days
        configuration.tell()
    assert [one["kept"]["logs"] for one in told("configuration.told")] == [0, 30]
