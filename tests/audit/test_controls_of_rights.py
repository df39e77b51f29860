"""CT-15, CT-16, CT-17: who is in a team, who left, and who alters what others may do."""

import pytest

from tests.audit.ledgers import (
    BEFORE,
    PASSED,
    SETUP,
    granted,
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


def session(name, kind="started", time=BEFORE, until=LATE, which="one"):
    told = {"session": which, **({"expires_at": until} if kind == "started" else {})}
    return (f"session.{kind}", f"account:{name}", f"s-{kind}-{which}", told, time)


def token(name, kind="created", time=BEFORE):
    told = {"account": name, "scopes": ["admin"], "expires_at": "2026-12-01T00:00:00+00:00"}
    return (f"token.{kind}", "token:ab12", "tk-1", told, time)


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
    ("still signed in", [session("jonas"), off("jonas"), moved("jonas", "ended", JANUARY), at(FEBRUARY)],
     "fail", "keys_left"),
    ("signed in, and still in time", [session("jonas"), off("jonas"), moved("jonas", "ended", JANUARY), at(JANUARY)],
     "na", "rights_open"),
    ("its session was ended with it", [
        session("jonas"), off("jonas"), session("jonas", "ended", JANUARY), moved("jonas", "ended", JANUARY),
        at(FEBRUARY)], "pass", "rights_ended"),
    ("its session ended by itself", [
        session("jonas", until=JANUARY), off("jonas"), moved("jonas", "ended", JANUARY), at(FEBRUARY)],
     "pass", "rights_ended"),
    ("its session was ended too late", [
        session("jonas"), off("jonas"), session("jonas", "ended", FEBRUARY), moved("jonas", "ended", JANUARY),
        at(FEBRUARY)], "fail", "keys_left"),
    ("one of two sessions was ended", [
        session("jonas"), session("jonas", which="other"), off("jonas"), session("jonas", "ended", JANUARY),
        moved("jonas", "ended", JANUARY), at(FEBRUARY)], "fail", "keys_left"),
    ("a session of before sessions had names", [
        ("session.started", "account:jonas", "s-in", {}, BEFORE, "jonas"), off("jonas"),
        moved("jonas", "ended", JANUARY), at(FEBRUARY)], "pass", "rights_ended"),
    ("a token opens something", [token("jonas"), off("jonas"), moved("jonas", "ended", JANUARY), at(FEBRUARY)],
     "fail", "keys_left"),
    ("its token was ended with it", [
        token("jonas"), off("jonas"), token("jonas", "revoked", JANUARY), moved("jonas", "ended", JANUARY),
        at(FEBRUARY)], "pass", "rights_ended"),
    ("somebody else's token opens something", [
        token("mara"), off("jonas"), moved("jonas", "ended", JANUARY), at(FEBRUARY)], "pass", "rights_ended"),
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


def scopes(before, after, actor="mara"):
    return act("account.scopes", actor, before=before, scopes=after)


def environment(actor="mara", slug="production", **edited):
    return ("environment.edited", f"environment:{slug}", f"s-{slug}", edited, "", actor)


def service(**edited):
    told = {"slug": "payments-api", "tier": 1, "owner": "pay"}
    about = ("service:payments-api", "s-payments")
    return (("service.created", *about, told, "", "mara"), ("service.edited", *about, edited, "", "mara"))


def secret(**scope):
    told = {"path": "x", "environments": ["staging", "test"], "services": [], "workflows": ["deploy"]}
    about = ("secret:x", "s-secret")
    return (
        ("secret.created", *about, told, "", "mara"),
        ("secret.edited", *about, {**told, **scope}, "", "mara"),
    )


def configured(before, after, definitions="sha256:1"):
    by = ("countersign", "s-told")
    return tuple(
        ("configuration.told", *by, {"kept": kept, "definitions": said}, "", "system:configuration")
        for kept, said in ((before, "sha256:1"), (after, definitions))
    )


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
    ("a membership that ended", [*history(), moved("ines", "ended", "")], "na", "no_wider"),
    ("a kill switch, by one person", [*history(), act("kill_switch.thrown", "mara")], "na", "no_wider"),
    ("a kill switch lifted, by one person", [*history(), act("kill_switch.lifted", "mara")], "fail", "one_person"),
    ("the log's key", [*history(), act("key.added", "system:terminal", key="k")], "fail", "one_person"),
    ("the workers' key", [*history(), act("secrets_key.published", "system:terminal", key="k")], "fail", "one_person"),
    ("the first worker", [*history(), act("worker.enrolled", "system:setup")], "na", "no_wider"),
    ("another worker", [act("worker.enrolled", "system:setup"), *history(), act("worker.enrolled", "system:terminal")],
     "fail", "one_person"),
    ("a worker that takes no more", [*history(), act("worker.retired", "system:terminal")], "na", "no_wider"),
    ("an admin, made by one person", [*history(), act("account.created", "mara", superuser=True, person="x")],
     "fail", "one_person"),
    ("tokens that may have more", [*history(), scopes(["a"], ["a", "b"])], "fail", "one_person"),
    ("tokens that may have something else", [*history(), scopes(["a"], ["b"])], "fail", "one_person"),
    ("tokens that may have less", [*history(), scopes(["a", "b"], ["a"])], "na", "no_wider"),
    ("tokens, by an upgrade", [*history(), scopes([], ["a"], "system:upgrade")], "na", "upgrade"),
    ("a tier that asks less", [*history(), environment(tier=2)], "fail", "one_person"),
    ("a tier that asks more", [*history(), environment(tier=1, name="P")], "na", "no_wider"),
    ("a tier by a governed act", [*history(), environment("change:CHG-1", tier=2)], "pass", "two_people"),
    ("a protection taken away", [*history(), environment(protected=False)], "fail", "one_person"),
    ("another order of promotion", [*history(), environment(position=5)], "indeterminate", "effect_untold"),
    ("a place of which nothing was told", [*history(), environment(slug="moon", tier=2)],
     "indeterminate", "effect_untold"),
    ("a service of another team", [*history(), *service(owner="sec")], "fail", "one_person"),
    ("a service of another name", [*history(), *service(name="Pay")], "na", "no_wider"),
    ("a secret in more places", [*history(), *secret(environments=["production", "staging"])], "fail", "one_person"),
    ("a secret in fewer places", [*history(), *secret(environments=["staging"])], "na", "no_wider"),
    ("a secret for all workflows of the owner", [*history(), *secret(workflows=[])], "fail", "one_person"),
    ("a secret for one service alone", [*history(), *secret(services=["pay"])], "fail", "one_person"),
    ("a secret that another place keeps", [*history(), act("secret.created", "mara", provider="vault")],
     "fail", "one_person"),
    ("a new value", [*history(), act("secret_version.created", "mara", path="x", number=2)], "na", "no_wider"),
    ("logs that are kept for less long", [*history(), *configured({"logs": 0}, {"logs": 30})], "fail", "one_person"),
    ("logs that are kept for longer", [*history(), *configured({"logs": 30}, {"logs": 0})], "na", "no_wider"),
    ("control tests that say something else", [*history(), *configured({"logs": 0}, {"logs": 0}, "sha256:2")],
     "indeterminate", "effect_untold"),
    ("what is configured at first", [*history(), configured({}, {})[0]], "na", "no_wider"),
    ("somebody acts as somebody else", [*history(), act("persona.switched", "mara", to="jonas")], "fail", "bypass"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("entries", "result", "reason"), [one[1:] for one in ACTS], ids=[one[0] for one in ACTS]
)
def test_nobody_alone_widens_what_somebody_may_do(entries, result, reason):
    rows = judged(entries).of("CT-17").rows
    assert {row["reason"] for row in rows[:4]} <= {"founding", "directory", "no_wider"}, "from the beginning"
    assert (rows[-1]["result"], rows[-1]["reason"]) == (result, reason)


def test_an_act_by_one_person_that_two_had_agreed_to_beforehand_is_an_exception():
    agreed = granted(rule="CT-17", scope="service", scope_name="countersign")
    added = [*history(), act("key.added", "system:terminal", key="k")]
    assert judged(added).of("CT-17").rows[-1]["result"] == "fail"
    assert judged([agreed, *added]).of("CT-17").rows[-1]["result"] == "exception"


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
