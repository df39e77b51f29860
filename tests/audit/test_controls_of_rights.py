"""CT-15, CT-16, CT-17: who is in a team, who left, and who alters what others may do."""

import pytest

from tests.audit.ledgers import (
    BEFORE,
    PASSED,
    SETUP,
    history,
    judged,
    reasons,
    without,
)

JANUARY, FEBRUARY = "2026-01-10T00:00:00.000000Z", "2026-02-01T00:00:00.000000Z"
APRIL, LATE = "2026-04-05T00:00:00.000000Z", "2026-05-30T00:00:00.000000Z"


def at(time):
    return ("test.happened", "T-1", "s-test", {}, time)


def decided(account, decision, person, time=JANUARY, review="r-1"):
    told = {"review": review, "account": account, "decision": decision, "person": person}
    return ("access_review.decided", "team:pay", f"s-{review}-{account}", told, time, person)


def completed(kept, removed=(), time=JANUARY, review="r-1"):
    told = {"review": review, "kept": list(kept), "removed": list(removed), "person": "mara"}
    return ("access_review.completed", "team:pay", f"s-{review}", told, time, "mara")


def moved(account, kind, time, team="pay"):
    told = {"account": account, "lead": False}
    return (f"membership.{kind}", f"team:{team}", f"s-{team}-{account}", told, time, SETUP)


KEPT = [decided("jonas", "keep", "mara"), completed(["jonas"])]
GONE = [decided("jonas", "remove", "mara"), completed([], ["jonas"])]
REVIEWS = [
    ("others decided, and everybody stays", [*KEPT, at(FEBRUARY)], "pass", "access_reviewed"),
    ("the newest decision counts", [decided("jonas", "remove", "mara"), *KEPT, at(FEBRUARY)],
     "pass", "access_reviewed"),
    ("whoever was to be removed left at once", [*GONE, moved("jonas", "ended", JANUARY), at(FEBRUARY)],
     "pass", "access_reviewed"),
    ("not due yet", [at(FEBRUARY)], "na", "review_not_due"),
    ("nobody ever looked", [at(APRIL)], "fail", "never_reviewed"),
    ("begun and never completed", [KEPT[0], at(APRIL)], "fail", "never_reviewed"),
    ("looked too long ago", [*KEPT, at(LATE)], "fail", "access_overdue"),
    ("looked again in time", [
        *KEPT, decided("jonas", "keep", "mara", APRIL, "r-2"), completed(["jonas"], (), APRIL, "r-2"), at(LATE)],
     "pass", "access_reviewed"),
    ("decided about oneself", [decided("jonas", "keep", "jonas"), KEPT[1], at(FEBRUARY)], "fail", "own_access"),
    ("named without a decision", [KEPT[1], at(FEBRUARY)], "fail", "access_undecided"),
    ("named otherwise than decided", [decided("jonas", "remove", "mara"), KEPT[1], at(FEBRUARY)],
     "fail", "access_undecided"),
    ("somebody was left out", [moved("noor", "started", JANUARY), *KEPT, at(FEBRUARY)], "fail", "access_left_out"),
    ("joined after it", [*KEPT, moved("noor", "started", JANUARY), at(FEBRUARY)], "pass", "access_reviewed"),
    ("to leave, and still in time", [*GONE, at("2026-01-12T00:00:00.000000Z")], "na", "removal_open"),
    ("to leave, and did not", [*GONE, at(FEBRUARY)], "fail", "not_applied"),
    ("to leave, and left too late", [*GONE, moved("jonas", "ended", FEBRUARY), at(FEBRUARY)], "fail", "not_applied"),
    ("to leave, and left another team", [*GONE, moved("jonas", "ended", JANUARY, "sec"), at(FEBRUARY)],
     "fail", "not_applied"),
]  # fmt: skip


def of_team(entries, slug="pay"):
    [row] = [one for one in judged(entries).of("CT-15").rows if one["item"] == slug]
    return row["result"], row["reason"]


@pytest.mark.parametrize(
    ("entries", "result", "reason"), [one[1:] for one in REVIEWS], ids=[one[0] for one in REVIEWS]
)
def test_who_is_in_a_team_is_reviewed_by_others_and_it_is_applied(entries, result, reason):
    assert of_team(entries) == (result, reason)


def test_a_team_that_never_had_anybody_has_nobody_to_review():
    empty = ("team.created", "team:empty", "t-empty", {"name": "Empty"}, BEFORE, SETUP)
    assert of_team([empty, at(LATE)], "empty") == ("na", "empty_team")


def test_a_team_is_judged_as_it_stood_at_the_end_of_the_period():
    from datetime import UTC, datetime

    from audit.controls.evaluate import Scope

    entries = [*KEPT, at(LATE)]
    asked = Scope(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
    found = {row["item"]: row["reason"] for row in judged(entries, asked).of("CT-15").rows}
    assert found["pay"] == "access_reviewed"
    assert of_team(entries) == ("fail", "access_overdue")


def off(name, time=JANUARY):
    return ("account.deactivated", f"account:{name}", name, {}, time, SETUP)


def did(name, time=FEBRUARY, kind="change.commented"):
    return (kind, "CHG-1", f"s-did-{kind}", {"change": "CHG-1"}, time, name)


LEAVERS = [
    ("left every team at once", [off("jonas"), moved("jonas", "ended", JANUARY), at(FEBRUARY)], "pass", "rights_ended"),
    ("was in no team", [("account.created", "account:lena", "lena", {"person": "lena"}, BEFORE, SETUP), off("lena"),
                        at(FEBRUARY)], "pass", "rights_ended"),
    ("had left before", [moved("jonas", "ended", JANUARY), off("jonas"), at(FEBRUARY)], "pass", "rights_ended"),
    ("still in a team, and still in time", [off("jonas"), at(JANUARY)], "na", "rights_open"),
    ("still in a team", [off("jonas"), at(FEBRUARY)], "fail", "rights_left"),
    ("left too late", [off("jonas"), moved("jonas", "ended", FEBRUARY), at(FEBRUARY)], "fail", "rights_left"),
    ("left one of two", [moved("jonas", "started", BEFORE, "sec"), off("jonas"), moved("jonas", "ended", JANUARY),
                         at(FEBRUARY)], "fail", "rights_left"),
    ("did something afterwards", [off("jonas"), moved("jonas", "ended", JANUARY), did("jonas")], "fail", "acted_after"),
    ("was refused something afterwards", [
        off("jonas"), moved("jonas", "ended", JANUARY), did("jonas", kind="attempt.refused")], "pass", "rights_ended"),
    ("did something in the same moment", [off("jonas"), moved("jonas", "ended", JANUARY), did("jonas", JANUARY)],
     "pass", "rights_ended"),
    ("somebody else did something", [off("jonas"), moved("jonas", "ended", JANUARY), did("mara")],
     "pass", "rights_ended"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("entries", "result", "reason"), [one[1:] for one in LEAVERS], ids=[one[0] for one in LEAVERS]
)
def test_whoever_is_switched_off_does_nothing_more_and_leaves_every_team(entries, result, reason):
    [row] = judged(entries).of("CT-16").rows
    assert (row["result"], row["reason"]) == (result, reason)


def act(kind="permission.granted", actor="change:CHG-1", **data):
    return (kind, "team:pay", "s-act", data, "", actor)


def version(actor, author="mara", *also):
    return act("workflow_version.active", actor, author=author, co_authors=list(also))


def unapproved():
    entries = history()
    without("change.approved")(entries)
    return entries


def alone():
    """Nobody but the requester is counted: the stages ask nobody."""
    return [one for one in history() if one[0] != "sign_off.given"]


ACTS = [
    ("a governed act", [*history(), act()], "pass", "two_people"),
    ("of a change that nobody approved", [*unapproved(), act()], "fail", "not_governed"),
    ("of a change that one person wanted", [*alone(), act()], "fail", "not_governed"),
    ("of a change that had not started", [act(), *history()], "fail", "not_governed"),
    ("of a change that there is not", [*history(), act(actor="change:CHG-9")], "fail", "not_governed"),
    ("by one person", [*history(), act(actor="mara")], "fail", "one_person"),
    ("at the terminal", [*history(), act(actor="system:terminal")], "fail", "one_person"),
    ("an exception by one person", [*history(), act("exception.granted", "mara", exception="E-2", rule="CT-99",
                                                    scope="service", scope_name="x", ends_at=LATE)],
     "fail", "one_person"),
    ("a version, by somebody else", [*history(), version("jonas")], "pass", "two_people"),
    ("a version, by its author", [*history(), version("mara")], "fail", "one_person"),
    ("a version, by whoever wrote it too", [*history(), version("jonas", "mara", "jonas")], "fail", "one_person"),
    ("a version that nobody wrote", [*history(), version("jonas", None)], "fail", "one_person"),
    ("a membership that a directory tells", [
        *history(), ("team.synced", "team:pay", "t-pay", {}, "", SETUP), moved("ines", "started", "")],
     "na", "directory"),
    ("a membership at the terminal", [*history(), moved("ines", "started", "")], "fail", "one_person"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("entries", "result", "reason"), [one[1:] for one in ACTS], ids=[one[0] for one in ACTS]
)
def test_nobody_alone_widens_what_somebody_may_do(entries, result, reason):
    rows = judged(entries).of("CT-17").rows
    assert {row["reason"] for row in rows[:4]} <= {"founding", "directory"}, "from the beginning"
    assert (rows[-1]["result"], rows[-1]["reason"]) == (result, reason)


FLIPS = [
    ("an act by one person", lambda log: log.append(act(actor="mara")), {}),
    ("a leaver", lambda log: log.append(off("ines", "")), {"CT-16": "rights_open"}),
    ("the requester is the only approver", lambda log: [
        log.__setitem__(n, (*one[:3], {**one[3], "person": "mara"}))
        for n, one in enumerate(log) if one[0] == "sign_off.given"],
     {"CT-02": "approval_missing", "CT-03": "own_approval", "CT-05": "not_entitled"}),
]  # fmt: skip


@pytest.mark.parametrize(("mutate", "flips"), [row[1:] for row in FLIPS], ids=[row[0] for row in FLIPS])
def test_a_mutation_flips_exactly_the_listed_tests(mutate, flips):
    entries = history()
    mutate(entries)
    assert reasons(entries) == {**PASSED, **flips}
