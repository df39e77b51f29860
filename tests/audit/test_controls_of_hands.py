"""CT-04, CT-07 and CT-08: who implemented, what ran, and who reviewed; ledgers with known answers, and mutations."""

import pytest

from audit.controls.catalogue import control
from tests.audit.ledgers import (
    DIGEST,
    PASSED,
    changed,
    granted,
    history,
    judged,
    place,
    reasons,
    results,
    without,
)

ENDED, DUE = "2026-03-01T09:00:00.000000Z", "2026-03-06T09:00:00.000000Z"
LATER = "2026-03-06T09:00:00.000001Z"
OLD = "sha256:313c474dafd3acaab7ccbb772ab44292247de3a0949919d5dd1525bc3105bcf3"  # of CT-01, version 2


def account(name, person=None):
    return ("account.created", f"account:{name}", name, {"person": person or name})


def asked(name):
    """Somebody asks for the start; `person` is the actor that `sealed` writes, and no field of the product."""
    return ("change.start_asked", "CHG-1", "s-asked", {"change": "CHG-1", "person": name})


def ticked(name, run="RUN-1"):
    """Somebody says that a manual step is done."""
    told = {"was": "asking", "run": run, "step": "switch", "attempt": 1, "decision": "done", "person": name}
    return ("step.succeeded", run, "s-step", told)


def emergency(*rest):
    """The same change as an emergency, over at nine; Olga and Pavel took no part."""
    entries = [account("olga"), account("mara"), *history()]
    changed("change.requested", {}, incident="INC-77")(entries)
    told = {"change": "CHG-1", "was": "running", "digest": DIGEST}
    return [*entries, ("change.succeeded", "CHG-1", "s-change-1", told, ENDED), *rest]


def said(kind, name, at=DUE):
    told = {"change": "CHG-1", "person": name, "conclusion_digest": "x"}
    return (f"review.{kind}", "CHG-1", "s-review", told, at)


def at(time):
    """Anything at all, written then."""
    return ("test.happened", "T-1", "s-test", {}, time)


def before(kind, *entries):
    def mutate(log):
        where = place(log, kind)
        log[where:where] = entries

    return mutate


def after(*entries):
    return lambda log: log.extend(entries)


APPROVED = place(history(), "change.approved")
REQUESTED = place(history(), "change.requested")
REVISED = (
    "change.revised",
    "CHG-1",
    "s-revised",
    {**history()[REQUESTED][3], "revision": 2, "digest": "sha256:z"},
)
FLIPS = [
    ("an approver asks for the start", before("permit.issued", account("noor"), asked("noor")),
     {"CT-04": "own_hands"}),
    ("an approver from another account", before("permit.issued", account("noor-2", "noor"), asked("noor-2")),
     {"CT-04": "own_hands"}),
    ("an approver ticks a step off", after(account("ines"), ticked("ines")), {"CT-04": "own_hands"}),
    ("in whose place somebody approved", lambda log: (
        changed("sign_off.given", {"person": "noor"}, owner="lena")(log), after(account("lena"), ticked("lena"))(log)),
     {"CT-04": "own_hands", "CT-05": "not_entitled"}),
    ("nobody knows who ticked it off", after(ticked("somebody")), {"CT-04": "unknown_account"}),
    ("somebody else ticks it off", after(account("lena"), ticked("lena")), {}),
    ("an approver works on another run", after(account("ines"), ticked("ines", "RUN-2")), {}),
    ("an approver asked before this was requested",
     before("change.requested", account("noor"), asked("noor")), {}),
    ("an approver asked after the start", after(account("noor"), asked("noor")), {}),
    ("a worker started it", before("permit.issued", asked("worker:w-1")), {}),
    ("amended after the approval", before("permit.issued", REVISED), {"CT-07": "amended"}),
    ("amended after the permit", before("run.running", REVISED), {}),
    ("the permit counts nobody's approval", changed("permit.issued", {}, sign_offs=["s-x"]),
     {"CT-07": "unknown_approval"}),
    ("the permit counts what is for another chain", lambda log: (
        log.insert(0, ("sign_off.given", DIGEST, "s-x", {
            **log[place(log, "sign_off.given")][3], "chain": "chain-9", "chain_digest": "x"})),
        changed("permit.issued", {}, sign_offs=["s-x"])(log)), {"CT-07": "other_approval"}),
    ("the chain is for other content", lambda log: log.__setitem__(
        1, ("chain.opened", "sha256:z", *log[1][2:])), {"CT-07": "other_content"}),
]  # fmt: skip


@pytest.mark.parametrize(("mutate", "flips"), [row[1:] for row in FLIPS], ids=[row[0] for row in FLIPS])
def test_a_mutation_flips_exactly_the_listed_tests(mutate, flips):
    entries = history()
    mutate(entries)
    assert reasons(entries) == {**PASSED, **flips}


CLOSED = (said("concluded", "olga", ENDED), said("closed", "pavel"))
REVIEWS = [
    ("closed at the last moment", CLOSED, "pass", "reviewed"),
    ("closed a moment later", (CLOSED[0], said("closed", "pavel", LATER)), "fail", "review_late"),
    ("open and in time", (CLOSED[0], at(DUE)), "na", "review_open"),
    ("open and out of time", (CLOSED[0], at(LATER)), "fail", "review_overdue"),
    ("the requester reviews", (CLOSED[0], said("closed", "mara")), "fail", "review_not_independent"),
    ("an approver reviews", (CLOSED[0], said("closed", "noor")), "fail", "review_not_independent"),
    ("one person twice", (CLOSED[0], said("closed", "olga")), "fail", "review_not_independent"),
    ("who did a step reviews", (account("pavel"), ticked("pavel"), *CLOSED), "fail", "review_not_independent"),
    ("nobody knows who did a step", (ticked("pavel"), *CLOSED), "indeterminate", "unknown_account"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rest", "result", "reason"), [one[1:] for one in REVIEWS], ids=[one[0] for one in REVIEWS]
)
def test_an_emergency_is_reviewed_in_time_by_people_who_took_no_part(rest, result, reason):
    row = judged(emergency(*rest)).of("CT-08").rows[0]
    assert (row["result"], row["reason"]) == (result, reason)


def test_a_review_of_another_change_counts_for_nothing():
    other = [(*one[:3], {**one[3], "change": "CHG-2"}, one[4]) for one in CLOSED]
    assert reasons(emergency(*other))["CT-08"] == "review_open"


def test_an_emergency_that_is_not_over_is_not_judged_yet():
    entries = emergency(at(LATER))
    without("change.succeeded")(entries)
    assert reasons(entries)["CT-08"] == "not_over"
    assert judged(entries).of("CT-08").result == "not_tested"


def test_an_emergency_changes_no_other_test():
    assert reasons(emergency(*CLOSED)) == {
        **PASSED,
        "CT-08": "reviewed",
        "CT-09": "too_many",
        "CT-10": "emergency",
        "CT-18": "emergency",
    }


@pytest.mark.parametrize(
    ("rule", "entries"),
    [
        ("CT-04", [*history(), account("ines"), ticked("ines")]),
        ("CT-07", [*history()[:APPROVED], REVISED, *history()[APPROVED:]]),
        ("CT-08", emergency(at(LATER))),
    ],
)
def test_an_exception_from_the_test_explains_its_failure(rule, entries):
    assert results(entries)[rule] == ["fail"]
    excused = [granted(rule=rule), *entries]
    assert results(excused)[rule] == ["exception"]
    assert judged(excused).of(rule).result == "effective_with_exceptions"


def test_the_numbers_of_a_test_are_part_of_its_definition():
    from dataclasses import replace

    asked_for = control("CT-08")
    assert asked_for.parameters == {"days": 5, "people": 2}
    assert replace(asked_for, parameters={"days": 50, "people": 2}).digest != asked_for.digest
    assert control("CT-01").digest == OLD, "a test that has no numbers keeps the digest that reports name"


def test_the_same_entries_give_the_same_bytes():
    assert judged(emergency(*CLOSED)).bytes() == judged(emergency(*CLOSED)).bytes()
