"""CT-05: whether each approver was active and asked when they decided; ledgers with known answers, and mutations."""

import pytest

from tests.audit.ledgers import (
    BEFORE,
    DIGEST,
    PASSED,
    SETUP,
    granted,
    history,
    judged,
    place,
    reasons,
    results,
)

STARTS, ENDS = "2026-03-01T00:00:00.000000Z", "2026-03-02T00:00:00.000000Z"
UNASKED = {"CT-05": "not_entitled"}


def account(name, person=None):
    return ("account.created", f"account:{name}", name, {"person": person or name}, BEFORE, SETUP)


def member(name, team, kind="started", at=BEFORE):
    told = {"account": name, "lead": False}
    return (
        f"membership.{kind}",
        f"team:{team}",
        f"s-{team}-{name}",
        told,
        at if kind == "started" else "",
        SETUP,
    )


def off(name):
    return ("account.deactivated", f"account:{name}", name, {})


def lent(kind="started", **changed):
    told = {
        "delegator": "jonas",
        "delegate": "lena",
        "teams": [],
        "starts_at": STARTS,
        "ends_at": ENDS,
        **changed,
    }
    return (f"delegation.{kind}", "account:jonas", "d-1", told)


def also(name="lena", *, first=(), **more):
    """One more approval, of the owner's stage; `first` is told just before it."""

    def mutate(log):
        told = {**log[place(log, "sign_off.given", person="jonas")][3], "person": name, **more}
        where = place(log, "change.approved")
        log[where:where] = [*first, ("sign_off.given", DIGEST, f"s-more-{name}", told)]

    return mutate


def instead(*first, **more):
    """Lena, whom the ledger knows, decides in Jonas's place."""
    return also(first=(account("lena"), *first), owner="jonas", delegation="d-1", **more)


def stages(**said):
    """The chain says this of each stage as well; None takes it away."""

    def mutate(log):
        for stage in log[place(log, "chain.opened")][3]["stages"]:
            stage.update(said)
            for name in [name for name, value in said.items() if value is None]:
                del stage[name]

    return mutate


def told(*entries, when="sign_off.given", **data):
    def mutate(log):
        where = place(log, when, **data)
        log[where:where] = entries

    return mutate


def both(*mutations):
    def mutate(log):
        for one in mutations:
            one(log)

    return mutate


def with_passkeys(log):
    for kind, *_, data in log:
        if kind == "sign_off.given":
            data["passkey"] = {"passkey": "k"}


def owner_by_name(log):
    log[place(log, "chain.opened")][3]["stages"][0].update(teams=[], user_ids=["jonas"])


LENA = (account("lena"),)
FLIPS = [
    ("switched off before", told(off("noor"), person="noor"), {"CT-05": "inactive", "CT-16": "acted_after"}),
    ("switched off afterwards", told(off("noor"), when="change.approved"), {"CT-16": "rights_open"}),
    ("left the team before", told(member("noor", "sec", "ended"), person="noor"), UNASKED),
    ("left the team afterwards", told(member("noor", "sec", "ended"), when="change.approved"), {}),
    ("left and came back", told(member("noor", "sec", "ended"), member("noor", "sec", at=""), person="noor"), {}),
    ("in no team", also(first=LENA), UNASKED),
    ("in another team", also(first=(*LENA, member("lena", "cards"))), UNASKED),
    ("joined in time", also(first=(*LENA, member("lena", "pay"))), {}),
    ("another person's account", also(first=(account("lena", "rosa"), member("lena", "pay"))), UNASKED),
    ("an account that nobody made", also("nobody"), {"CT-05": "unknown_account"}),
    ("a stage that the chain does not have", also(first=(*LENA, member("lena", "pay")), stage="x"), UNASKED),
    ("named by policy", both(stages(user_ids=["lena"]), also(first=LENA)), {}),
    ("perhaps named by policy", both(stages(user_ids=None), also(first=LENA)), {"CT-05": "names_untold"}),
    ("members, where names are not told", stages(user_ids=None), {}),
    ("members for long enough", stages(member_for=3600), {}),
    ("members for too short a time", stages(member_for=365 * 86400), UNASKED),
    ("no passkey where one was demanded", stages(signature="passkey"), {"CT-05": "no_passkey"}),
    ("a passkey where one was demanded", both(stages(signature="passkey"), with_passkeys), {}),
    ("asked once it was due", both(
        stages(due_at=STARTS, escalate_to=["late"]), also(first=(*LENA, member("lena", "late")))), {}),
    ("asked only when it will be due", both(
        stages(due_at=ENDS, escalate_to=["late"]), also(first=(*LENA, member("lena", "late")))), UNASKED),
    ("in somebody's place", instead(lent()), {}),
    ("in somebody's place for their team", instead(lent(teams=["t-pay"])), {}),
    ("in somebody's place for another team", instead(lent(teams=["t-sec"])), UNASKED),
    ("in the place of somebody named by policy", both(owner_by_name, instead(lent())), {}),
    ("in a named place for one team only", both(owner_by_name, instead(lent(teams=["t-pay"]))), UNASKED),
    ("in a place that nobody lent", instead(), UNASKED),
    ("in a place that was taken back", instead(lent(), lent("ended")), UNASKED),
    ("in a place that was lent to another", instead(lent(delegate="rosa")), UNASKED),
    ("in a place that is not lent any more", instead(lent(ends_at=STARTS)), UNASKED),
    ("in a place that is not lent yet", instead(lent(starts_at=ENDS)), UNASKED),
    ("in the place of somebody who is gone", instead(lent(), off("jonas")), {**UNASKED, "CT-16": "rights_open"}),
    ("in another place than was lent", also(
        first=(*LENA, lent()), owner="noor", delegation="d-1"), UNASKED),
]  # fmt: skip


@pytest.mark.parametrize(("mutate", "flips"), [row[1:] for row in FLIPS], ids=[row[0] for row in FLIPS])
def test_a_mutation_flips_exactly_the_listed_tests(mutate, flips):
    entries = history()
    mutate(entries)
    assert reasons(entries) == {**PASSED, **flips}


def test_a_failure_outweighs_what_cannot_be_told():
    entries = history()
    also("nobody")(entries)
    also(first=LENA)(entries)
    assert reasons(entries)["CT-05"] == "not_entitled"


def test_an_exception_from_the_test_explains_its_failure():
    entries = history()
    also(first=LENA)(entries)
    assert results([granted(rule="CT-05"), *entries])["CT-05"] == ["exception"]
    assert judged([granted(rule="CT-05"), *entries]).of("CT-05").result == "effective_with_exceptions"
