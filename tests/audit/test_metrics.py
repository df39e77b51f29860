"""Measures with answers that were counted by hand, their charts, and their way out of the house."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from audit.controls.evaluate import Scope
from audit.controls.facts import fold
from audit.ledger import openings
from audit.models import Checkpoint, Entry
from audit.pages import charts, measured
from audit.reports import metrics
from tests.accounts.cast import person
from tests.audit.ledgers import history, sealed
from tests.audit.reported import Reported


def facts_of(entries):
    return fold(enumerate(sealed(entries)))


WAITING = {"chain.opened", "change.waiting", "change.requested"}
START = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday


def change(number, *, service="pay", end="succeeded", hours=1.0, after=0.0, incident=None, rolls_back=None):
    """Asked for `after` hours behind the start, and over `hours` later."""
    key, asked = f"CHG-{number}", START + timedelta(hours=after)
    told = {"change": key, "digest": "sha256:d", "service": service, "environment": "production", "chain": None,
            "incident": incident, "rolls_back": rolls_back}  # fmt: skip
    return [
        ("change.requested", key, f"r-{number}", told, time(asked)),
        (
            f"change.{end}",
            key,
            f"c-{number}",
            {"change": key, "was": "running"},
            time(asked + timedelta(hours=hours)),
        ),
    ]


def time(at):
    return at.strftime("%Y-%m-%dT%H:%M:%S.000000Z")


def counted(*changes, scope=Scope()):  # noqa: B008 - frozen
    entries = sorted((entry for one in changes for entry in one), key=lambda entry: entry[4])
    return metrics.deployments(facts_of(entries), scope)


def delivered(*changes, days=7.0):
    [one] = metrics.delivery(counted(*changes), days)
    return one


def test_a_change_counts_once_by_how_it_ended_and_one_that_ran_nowhere_does_not():
    found = counted(
        change(1), change(2, end="failed", after=2), change(3, end="withdrawn"), change(4, end="cancelled")
    )
    assert [(one.change, one.good) for one in found] == [("CHG-1", True), ("CHG-2", False)]
    late = Scope(START + timedelta(hours=2), None, "production")
    assert [one.change for one in counted(change(1), change(2, after=2), scope=late)] == ["CHG-2"]
    assert counted(change(1), scope=Scope(environment="staging")) == []


def test_frequency_gap_and_time_to_production_are_medians_of_what_succeeded():
    one = delivered(
        *(change(number, after=number * 10, hours=number) for number in (1, 2, 3)), change(9, end="failed")
    )
    assert (one.deployments, one.per_week) == (4, 3.0)
    assert (one.gap, one.lead, one.lead_90) == (11 * 3600, 2 * 3600, 3 * 3600)


def test_a_rate_over_fewer_than_ten_is_not_told_and_over_ten_it_is():
    nine = [change(number, after=number * 30) for number in range(8)] + [change(8, end="failed", after=500)]
    assert (delivered(*nine).fail_rate, delivered(*nine).failed) == (None, 1)
    assert delivered(*nine, change(9, after=600)).fail_rate == 0.1


def test_what_failed_was_rolled_back_or_followed_by_an_emergency_needed_intervention():
    many = [change(number, after=number * 100) for number in range(10)]
    rolled_back = [*many, change(20, rolls_back="CHG-3", after=305)]
    assert delivered(*rolled_back).failed == 1
    urgent = [*many, change(20, incident="INC-1", after=505)]
    assert (delivered(*urgent).failed, delivered(*urgent).rework) == (1, 1)
    too_late = [*many, change(20, incident="INC-1", after=530)]
    assert delivered(*too_late).failed == 0
    [other, pay] = metrics.delivery(
        counted(*many, change(20, service="other", incident="INC-1", after=505)), 7
    )
    assert (other.service, pay.failed) == ("other", 0), "another service's"


def test_recovery_is_the_time_to_the_next_success_in_the_same_place():
    one = delivered(change(1, end="failed"), change(2, end="failed", after=2), change(3, after=5))
    assert one.recovery == median_of(5, 3)
    assert delivered(change(1), change(2, end="failed", after=2)).recovery is None, "not recovered yet"


def test_a_team_is_picked_by_who_owns_the_service_now():
    """Each chart counts what was picked, and so do the rows behind its marks."""
    owners = [
        ("service.created", "service:pay", "s-1", {"slug": "pay", "owner": "payments"}, time(START)),
        ("service.created", "service:web", "s-2", {"slug": "web", "owner": "payments"}, time(START)),
        ("service.edited", "service:web", "s-2", {"slug": "web", "owner": "channels"}, time(START)),
    ]
    facts = facts_of([*owners, *change(1), *change(2, service="web", after=2)])
    asked = measured.Asked(Checkpoint(), facts, Scope(environment="production"), "", "channels", [])
    assert [asked.holds(one) for one in ("pay", "web", "other")] == [False, True, False]
    way = asked.of(START, START + timedelta(days=7))
    assert way.startswith(f"{measured.EXECUTED}?from=2026-03-02")
    assert way.endswith("environment=production&team=channels")


def test_decisions_and_what_waits_are_counted_where_they_were_asked():
    facts = facts_of(history())
    assert metrics.decisions(facts, Scope(environment="production"))["Service owner"] == {"approve": 1}
    assert metrics.decisions(facts, Scope(environment="test")) == {}
    assert metrics.decisions(facts, Scope(), lambda service: service == "other") == {}
    [one] = metrics.waiting(facts_of([entry for entry in history() if entry[0] in WAITING]))
    assert one.environment == "production"


def test_the_calendar_shows_each_day_and_marks_where_glass_was_broken():
    found = counted(change(1), change(2, incident="INC-1", after=3), change(3, after=30))
    asked = measured.Asked(Checkpoint(), facts_of([]), Scope(), "", "", found)
    told = measured.by_day(asked)
    assert [(row[0]["text"], *row[1:]) for row in told["rows"]] == [
        ("2026-03-02", 2, 1),
        ("2026-03-03", 1, 0),
    ]
    assert (
        told["finding"] == "Something was executed on 2 days, most on 2026-03-02: 2. Glass was broken on 1."
    )
    assert told["svg"].count('class="diamond"') == 1
    assert told["svg"].count("<a ") == 2
    assert told["svg"].count('class="day ') == 7 * measured.FEWEST_WEEKS


def median_of(*hours):
    return sum(hours) / len(hours) * 3600


def test_what_waits_is_told_by_the_first_stage_without_its_quorum():
    entries = [entry for entry in history() if entry[0] in WAITING]
    facts = facts_of(entries)
    assert [(one.change, one.stage) for one in metrics.waiting(facts)] == [("CHG-1", "Service owner")]
    given = [entry for entry in history() if entry[3].get("person") == "jonas"]
    assert [one.stage for one in metrics.waiting(facts_of(entries + given))] == ["Security"]
    assert metrics.waiting(facts_of(history())) == []


def test_agreement_is_measured_from_the_last_request_to_the_whole_chain():
    [one] = metrics.agreed(facts_of(history()), Scope())
    assert (one.change, one.seconds) == ("CHG-1", 8.0)
    assert metrics.decisions(facts_of(history()), Scope()) == {
        "Service owner": {"approve": 1},
        "Security": {"approve": 1, "approve_with_condition": 1},
    }


@pytest.mark.parametrize(
    ("values", "percent", "told"),
    [([], 50, None), ([5], 90, 5), ([1, 2, 3, 4], 50, 2), (range(1, 11), 90, 9)],
)
def test_a_percentile_is_the_nearest_rank(values, percent, told):
    assert metrics.percentile(list(values), percent) == told


def test_a_chart_tells_each_kind_by_a_texture_and_a_number_and_its_marks_open_their_rows():
    bars = [charts.Bar("<b>", [charts.Part("ok", "good", 3), charts.Part("bad", "bad", 1)], "/rows/?a=1&b=2")]
    for drawn in (charts.columns("x", bars), charts.rows("x", bars)):
        assert "url(#x-bad)" in drawn
        assert "<b>" not in drawn
        assert 'href="/rows/?a=1&amp;b=2"' in drawn
        assert "3 good, 1 bad" in drawn
    drawn = charts.lines(
        "x", [charts.Point("1", [1, 2], "w", "/x"), charts.Point("2", [None, None], "", "")], unit=" h"
    )
    assert 'class="dot0"' in drawn
    assert 'class="dot1"' in drawn
    empty = (charts.columns("x", []), charts.rows("x", []), charts.lines("x", [], unit=""))
    assert all(one.startswith("<svg") for one in empty)


@pytest.mark.django_db(transaction=True)
def test_the_page_shows_every_chart_with_a_finding_and_a_table_and_its_csv_is_an_entry(settings, tmp_path):
    settings.KEY_DIR = tmp_path
    world = Reported()
    client = world.client()
    assert world.client(person("Hugo", "elsewhere")).get("/compliance/metrics/").status_code == 403
    page = client.get("/compliance/metrics/").content.decode()
    assert page.count("<figure") == page.count("<figcaption") == 8
    assert "1 of 1 executions succeeded, 0 failed." in page
    assert '%<div class="sm muted">0 of 1</div>' not in page, "too few for a rate"
    assert '<div class="sm muted">0 of 1</div>' in page
    assert "ompliant" not in page
    [way] = set(re.findall(r'href="(/compliance/metrics/executed/[^"]*)" aria-label="[^"]*1 succeeded', page))
    rows = client.get(way.replace("&amp;", "&")).content.decode()
    assert f'href="/go/{world.change}/"' in rows
    assert rows.count("<tr>") == 2, "the head, and the one change that the mark counts"
    assert "Nothing was executed" in client.get("/compliance/metrics/executed/?team=nobody").content.decode()
    answer = client.post("/compliance/metrics/csv/", {"chart": "decisions", "environment": "production"})
    lines = b"".join(answer.streaming_content).decode().splitlines()
    assert lines[0] == "Stage,Approved,With a condition,Sent back,Rejected"
    assert sorted(lines[1:3]) == ["Security,1,0,0,0", "Service owner,1,0,0,0"]
    told = openings.data(Entry.objects.get(kind="export.created"))
    assert (told["what"], told["query"], told["rows"]) == ("chart decisions", "environment:production", 2)
    assert client.post("/compliance/metrics/csv/", {"chart": "x"}).status_code == 404
    told = client.get("/api/v1/reports/metrics/?environment=production").json()
    assert [(one["service"], one["deployments"], one["change_fail_rate"]) for one in told["services"]] == [
        ("payments-api", 1, None)
    ]


@pytest.mark.parametrize(
    ("seconds", "unit", "told"),
    [(0.0, "seconds", "0.00"), (90.0, "seconds", "90.00"), (600.0, "minutes", "10.00"), (9000.0, "hours", "2.50"),
     (864_000.0, "days", "10.00")],
)  # fmt: skip
def test_a_scale_is_in_the_unit_that_fits(seconds, unit, told):
    found = charts.unit_of(seconds)
    assert (found.name, found.told(seconds)) == (unit, told)
    assert (found.told(None), found.of(None)) == ("", None)
