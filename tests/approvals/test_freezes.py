"""Freezes and windows hold what they name, by the database's clock, at every start; nobody weakens one alone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from accounts.acting import Acting
from approvals import freezes, gate, periods, plans, windows
from approvals.calendar.schedule import Schedule
from approvals.models import Freeze, Window
from approvals.periods import Place
from approvals.plans import Known, Plan
from audit.canonical import parse, uuid7
from audit.models import Entry
from audit.refusals import Invalid, NotAllowed, WeakensProtection
from tests.approvals.cast import TEST, authorise, complete, sql

pytestmark = pytest.mark.django_db(transaction=True)
KNOWN = Known(["production", "staging"], ["payments", "ledger"], ["deploy-service"])
HERE = Place("production", "payments", "deploy-service")
HOUR = timedelta(hours=1)


def local(at):
    """What the wall's clock reads now and then."""
    return at.astimezone(UTC).replace(tzinfo=None, microsecond=0)


def weekly(*, starts=-1, hours=2, weeks=3, **changed):
    """Once a week, beginning so many hours from now."""
    start = local(timezone.now() + starts * HOUR)
    return Schedule("UTC", start, start + hours * HOUR, f"FREQ=WEEKLY;COUNT={weeks}", **changed)


def plan(*environments, schedule=None, **more):
    known = {"name": "Weekend", "reason": "Nobody is here.", "environments": environments or ("production",)}
    return Plan(**{**known, **more, "schedule": schedule or weekly()})


@pytest.fixture
def admin(bank):
    return Acting(bank.admin, "session")


def freeze(admin, *environments, **more):
    return freezes.plan(plan(*environments, **more), known=KNOWN, by=admin)


def window(admin, *environments, **more):
    return windows.plan(plan(*environments, **more), known=KNOWN, by=admin)


def test_a_freeze_that_comes_back_stops_a_start_and_says_until_when(bank, admin):
    chain = complete(bank)
    made = freeze(admin)
    with pytest.raises(gate.Frozen, match="Weekend until"):
        authorise(chain)
    (held,) = freezes.active(HERE).held
    assert held.ends_at == made.schedule.occurrences[0].end
    assert made.ends_at == made.schedule.occurrences[-1].end > timezone.now() + timedelta(days=13)


def test_between_two_of_its_times_a_freeze_stops_nothing(bank, admin):
    chain = complete(bank)
    freeze(admin, schedule=weekly(starts=1))
    assert authorise(chain)


def test_a_day_that_is_left_out_is_free(bank, admin):
    chain = complete(bank)
    at = local(timezone.now() - HOUR)
    freeze(admin, schedule=weekly(exceptions=frozenset({at.date()})))
    assert authorise(chain)


@pytest.mark.parametrize(
    ("scope", "place", "holds"),
    [
        ({}, HERE, True),
        ({}, Place("staging", "payments", "deploy-service"), False),
        ({"environments": ("*",)}, Place("staging", "x", "y"), True),
        ({"services": ("payments",)}, HERE, True),
        ({"services": ("ledger",)}, HERE, False),
        ({"workflows": ("deploy-service",)}, HERE, True),
        ({"workflows": ("deploy-service",), "services": ("ledger",)}, HERE, False),
        ({"environments": ("*",)}, Place("control-room", "countersign", "freeze-lift"), False),
    ],
)
def test_a_freeze_concerns_what_it_names_and_never_the_control_room(bank, admin, scope, place, holds):
    made = freeze(admin, **scope)
    assert bool(freezes.active(place).held) is holds
    assert bool(freezes.versions(place)) is holds
    assert Freeze.objects.filter(periods.about(place), pk=made.pk).exists() is holds


def test_nothing_names_the_control_room(bank, admin):
    with pytest.raises(Invalid, match="never frozen"):
        freeze(admin, "control-room")


def test_d09_a_freeze_is_judged_in_its_own_zone_by_the_clock_of_the_database(bank, admin):
    """The same reading of the wall is eleven hours apart; the process's clock is not asked."""
    chain = complete(bank)
    start = timezone.now().replace(tzinfo=None, microsecond=0) - timedelta(minutes=30)
    elsewhere = Schedule("Pacific/Kiritimati", start, start + HOUR)
    freeze(admin, schedule=elsewhere)
    assert authorise(chain)
    freeze(admin, schedule=Schedule("UTC", local(timezone.now() - HOUR), local(timezone.now() + HOUR)))
    with pytest.raises(gate.Frozen):
        authorise(chain, run_id=uuid7())


def test_a_row_from_before_there_were_zones_still_holds(bank, admin):
    """Its first time was not stored: the instants are what it means."""
    freeze(admin, schedule=plans.once(timezone.now() - HOUR, timezone.now() + HOUR))
    sql("UPDATE approvals_freeze SET first_start = NULL, first_end = NULL")
    assert freezes.active(HERE).held
    assert Freeze.objects.get().words.endswith("UTC")


def test_outside_every_window_of_its_scope_nothing_starts(bank, admin):
    chain = complete(bank)
    made = window(admin, schedule=weekly(starts=1))
    with pytest.raises(gate.OutsideWindow, match="opens") as refused:
        authorise(chain)
    assert refused.value.waits
    assert freezes.active(HERE).opens_at == made.schedule.occurrences[0].start
    assert not freezes.active(Place("staging")).shut


def test_inside_one_of_the_windows_it_starts_and_a_freeze_wins(bank, admin):
    chain = complete(bank)
    window(admin, schedule=weekly(starts=1))
    periods.create(Window, plan(name="Now"), by=TEST)
    assert authorise(chain)
    freeze(admin)
    with pytest.raises(gate.Frozen):
        authorise(chain, run_id=uuid7())


def test_a_window_that_is_over_leaves_nothing_free(bank, admin):
    chain = complete(bank)
    window(admin, schedule=plans.once(timezone.now() - 3 * HOUR, timezone.now() - 2 * HOUR))
    with pytest.raises(gate.OutsideWindow, match="an admin can plan one"):
        authorise(chain)


def test_d10_a_run_that_began_inside_waits_when_the_freeze_begins_or_the_window_ends(bank, admin):
    chain, run = complete(bank), uuid7()
    opened = window(admin)
    issued = authorise(chain, run_id=run)
    later = {"run_id": run, "permit_id": issued.pk, "first": False, "change_state": "running"}
    assert authorise(chain, **later)
    held = freeze(admin)
    with pytest.raises(gate.Frozen):
        authorise(chain, **later)
    periods.lift(held, reason="Over.", by=TEST)
    assert authorise(chain, **later)
    windows.edit(opened, plan(schedule=weekly(starts=-1, hours=0.5)), known=KNOWN, by=admin)
    with pytest.raises(gate.OutsideWindow):
        authorise(chain, **later)


def test_break_glass_passes_windows_too(bank, admin):
    chain = complete(bank, is_emergency=True)
    window(admin, schedule=weekly(starts=1))
    assert authorise(chain, emergency=True)


LONGER = {"schedule": lambda old: replace(old, end=old.end + HOUR)}
WEAKER = {
    "shorter": {"schedule": lambda old: replace(old, end=old.end - HOUR)},
    "later": {"schedule": lambda old: replace(old, start=old.start + HOUR, end=old.end + HOUR)},
    "fewer times": {"schedule": lambda old: replace(old, rule="FREQ=WEEKLY;COUNT=2")},
    "a day left out": {
        "schedule": lambda old: replace(old, exceptions=frozenset({old.start.date() + timedelta(days=7)}))
    },
    "other places": {"environments": ("staging",)},
    "one service": {"services": ("payments",)},
    "one workflow": {"workflows": ("deploy-service",)},
}  # fmt: skip


def edited(row, changed):
    made = {key: one(row.schedule) if callable(one) else one for key, one in changed.items()}
    return plan(
        **{"schedule": row.schedule, **made, "environments": made.get("environments", row.environments)}
    )


@pytest.mark.parametrize("changed", WEAKER.values(), ids=list(WEAKER))
def test_d11_nobody_makes_a_freeze_weaker_alone(bank, admin, changed):
    made = freeze(admin)
    with pytest.raises(WeakensProtection, match="freeze-edit"):
        freezes.edit(made, edited(made, changed), known=KNOWN, by=admin)
    made.refresh_from_db()
    assert made.version == 1


@pytest.mark.parametrize(
    "changed", [LONGER, {"environments": ("production", "staging")}, {"environments": ("*",)}]
)
def test_an_admin_makes_a_freeze_stronger_and_the_entry_says_how(bank, admin, changed):
    made = freeze(admin)
    freezes.edit(made, edited(made, changed), known=KNOWN, by=admin)
    entry = Entry.objects.get(kind="freeze.edited")
    data = parse(bytes(entry.body))["data"]
    assert (data["freeze"], data["words"]) == (str(made.pk), made.words)
    assert entry.actor == str(admin.user.pk)


def test_what_is_over_needs_no_protection_any_more(bank, admin):
    """Shortening what has passed weakens nothing."""
    made = freeze(admin, schedule=weekly(starts=-24 * 7 - 5, weeks=3))
    was, week = made.schedule, timedelta(days=7)
    later = replace(was, start=was.start + week, end=was.end + week, rule="FREQ=WEEKLY;COUNT=2")
    freezes.edit(made, plan(schedule=later), known=KNOWN, by=admin)
    assert made.version == 2


def test_d11_the_second_window_of_a_scope_is_nobody_s_alone(bank, admin):
    window(admin)
    with pytest.raises(WeakensProtection, match="window-create"):
        window(admin, "staging", "production", services=("payments",))
    assert window(admin, "staging")
    assert Window.objects.count() == 2


@pytest.mark.parametrize(
    "changed", [LONGER, WEAKER["later"], WEAKER["one service"], {"environments": ("*",)}]
)
def test_d11_nobody_makes_a_window_wider_alone(bank, admin, changed):
    made = window(admin)
    with pytest.raises(WeakensProtection, match="window-edit"):
        windows.edit(made, edited(made, changed), known=KNOWN, by=admin)


def test_d11_nobody_lifts_a_freeze_or_a_window_alone(bank, admin):
    held, opened = freeze(admin), window(admin)
    with pytest.raises(WeakensProtection, match="freeze-lift"):
        freezes.lift(held.pk, reason="Hurry", by=admin)
    with pytest.raises(WeakensProtection, match="window-lift"):
        windows.lift(opened.pk, reason="Hurry", by=admin)


def test_d11_whoever_is_no_admin_touches_neither(bank, admin):
    held, opened, ines = freeze(admin), window(admin), Acting(bank.ines, "session")
    for attempt in (
        lambda: freezes.plan(plan(), known=KNOWN, by=ines),
        lambda: freezes.edit(held, plan(), known=KNOWN, by=ines),
        lambda: freezes.lift(held.pk, reason="Hurry", by=ines),
        lambda: windows.plan(plan(), known=KNOWN, by=ines),
        lambda: windows.edit(opened, plan(), known=KNOWN, by=ines),
        lambda: windows.lift(opened.pk, reason="Hurry", by=ines),
    ):
        with pytest.raises(NotAllowed):
            attempt()


def test_a_governed_writer_that_is_called_again_writes_nothing_more(bank, admin):
    made = freeze(admin)
    longer = edited(made, LONGER)
    for _ in range(2):
        periods.edit(made, longer, by=TEST)
        made.refresh_from_db()
    for _ in range(2):
        periods.lift(made, reason="Over.", by=TEST)
    assert [one.kind for one in Entry.objects.filter(kind__startswith="freeze.").order_by("id")] == [
        "freeze.created",
        "freeze.edited",
        "freeze.lifted",
    ]


def test_each_fault_of_a_plan_has_its_place(bank, admin):
    wrong = Schedule("Europe/Atlantis", datetime(2026, 1, 1), datetime(2026, 1, 2))  # noqa: DTZ001 - a wall's clock
    with pytest.raises(Invalid) as refused:
        freeze(admin, "prod", schedule=wrong, name=" ", services=("nothing",))
    assert [one["pointer"] for one in refused.value.errors] == [
        "/name",
        "/environments/0",
        "/services/0",
        "/zone",
    ]


def test_the_calendar_of_a_place_names_its_windows_and_every_freeze_that_is_not_over(bank, admin):
    held, opened = freeze(admin, schedule=weekly(starts=50)), window(admin)
    freeze(admin, schedule=plans.once(timezone.now() - 3 * HOUR, timezone.now() - 2 * HOUR))
    assert freezes.versions(HERE) == [f"{held.pk}:1", f"{opened.pk}:1"]
