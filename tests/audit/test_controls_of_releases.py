"""CT-06, CT-09, CT-10, CT-11, CT-18, CT-19: what policy decided, what was attached, and what came of it."""

import pytest

from tests.audit.ledgers import (
    BUNDLE,
    IMAGE,
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

OTHER = "sha256:" + "f" * 64
SOON, LATER = "2026-03-02T00:00:00.000000Z", "2026-03-07T00:00:00.000000Z"
EVIDENCE = "evidence.attached"


def bundle(kind, digest, *when):
    return (f"bundle.{kind}", digest, f"s-{digest[:9]}", {"bundle": digest, "serial": 2}, *when)


def first(*entries):
    return lambda log: log.__setitem__(slice(0, 0), entries)


def last(*entries):
    return lambda log: log.extend(entries)


def both(*mutations):
    def mutate(log):
        for one in mutations:
            one(log)

    return mutate


def moved(kind, before, **data):
    """What happened, told just before (or, with None, after) everything else."""

    def mutate(log):
        one = log.pop(place(log, kind, **data))
        log.insert(len(log) if before is None else place(log, before), one)

    return mutate


def failed(log):
    """Its run ended badly, and nothing verified anything."""
    log.pop(place(log, "step.succeeded"))
    at = place(log, "run.succeeded")
    log[at] = ("run.failed", *log[at][1:])


def ended(kind="succeeded", change="CHG-2", at=SOON, **data):
    """Another run of the same service there."""
    told = {"run": "RUN-2", "change": change, "environment": "production", **data}
    asked = {"change": change, "service": "payments-api", "digest": "x", "artifacts": []}
    return (("change.requested", change, "s-2", asked, at), (f"run.{kind}", "RUN-2", "s-run-2", told, at))


def noted(at):
    return ("test.happened", "T-1", "s-test", {}, at)


def seen(*artifacts, environment="production"):
    told = {"service": "payments-api", "environment": environment, "artifacts": list(artifacts)}
    return ("deployment.observed", "service:payments-api", "s-seen-2", told)


def removed(digest, change="CHG-1"):
    return ("evidence.removed", change, "s-removed", {"change": change, "evidence_digest": digest})


URGENT = {"CT-08": "not_over", "CT-09": "too_many", "CT-10": "emergency", "CT-18": "emergency"}
NO_RUN = {"CT-11": "no_artifact", "CT-19": "not_over"}
FLIPS = [
    # CT-06
    ("nobody had decided", without("policy.decided"), {"CT-06": "undecided"}),
    ("decided afterwards", moved("policy.decided", "change.approved"), {"CT-06": "undecided"}),
    ("the chain is of another decision", changed("chain.opened", {}, decision="d-9"), {"CT-06": "other_decision"}),
    ("the chain is of another policy", changed("chain.opened", {}, bundle=OTHER), {"CT-06": "other_decision"}),
    ("policy had denied it", changed("policy.decided", {}, denied=True), {"CT-06": "denied"}),
    ("the policy was never in force", both(
        changed("chain.opened", {}, bundle=OTHER), changed("policy.decided", {}, bundle=OTHER)),
     {"CT-06": "not_in_force"}),
    ("the policy was retired before", first(bundle("retired", BUNDLE)), {"CT-06": "not_in_force"}),
    ("the policy was retired afterwards", last(bundle("retired", BUNDLE)), {}),
    # CT-09, and what emergencies are excused from
    ("an emergency", changed("change.requested", {}, incident="INC-7"), URGENT),
    # CT-10
    ("no evidence at all", lambda log: [log.pop(place(log, EVIDENCE)) for _ in range(4)],
     {"CT-10": "evidence_missing"}),
    ("no rollback plan", without(EVIDENCE, evidence_kind="rollback_plan"), {"CT-10": "evidence_missing"}),
    ("evidence after the first approval", moved(EVIDENCE, "change.approved", evidence_kind="impact"),
     {"CT-10": "evidence_late"}),
    ("evidence after the start", moved(EVIDENCE, None, evidence_kind="impact"), {"CT-10": "evidence_missing"}),
    ("evidence for other content", changed(EVIDENCE, {"evidence_kind": "impact"}, digest="x"),
     {"CT-10": "evidence_missing"}),
    ("evidence for another change", changed(EVIDENCE, {"evidence_kind": "impact"}, change="CHG-9"),
     {"CT-10": "evidence_missing"}),
    ("no security check", without(EVIDENCE, evidence_kind="security_check"), {"CT-10": "evidence_missing"}),
    ("evidence was removed again", last(removed("sha256:impact")), {"CT-10": "evidence_gone"}),
    ("something else was removed", last(removed("sha256:other")), {}),
    ("evidence was removed from another change", last(removed("sha256:impact", "CHG-9")), {}),
    ("tier 2 needs a test result alone", both(
        changed("change.requested", {}, environment_tier=2), without(EVIDENCE, evidence_kind="impact")), {}),
    ("tier 2 without a test result", both(
        changed("change.requested", {}, environment_tier=2), without(EVIDENCE, evidence_kind="test_result")),
     {"CT-10": "evidence_missing"}),
    ("no critical environment", changed("change.requested", {}, environment_tier=3), {"CT-10": "not_critical"}),
    # CT-11
    ("nobody looks", without("deployment.observed"), {"CT-11": "no_observer"}),
    ("nobody looked since", moved("deployment.observed", "run.succeeded"), {"CT-11": "not_seen_yet"}),
    ("something else runs", changed("deployment.observed", {}, artifacts=[OTHER]), {"CT-11": "not_found"}),
    ("observed elsewhere", changed("deployment.observed", {}, environment="staging"), {"CT-11": "no_observer"}),
    # CT-18
    ("names no artifact", changed("change.requested", {}, artifacts=[]),
     {"CT-11": "no_artifact", "CT-18": "no_artifact"}),
    ("names what was never there", changed("change.requested", {}, artifacts=[OTHER]),
     {"CT-11": "not_found", "CT-18": "stage_skipped"}),
    ("one of two was never there", changed("change.requested", {}, artifacts=[IMAGE, OTHER]),
     {"CT-18": "stage_skipped"}),
    ("an environment between", first(("environment.created", "environment:canary", "s-canary", {
        "slug": "canary", "tier": 1, "position": 5})), {"CT-18": "stage_skipped"}),
    ("the control room has no place in the order", first(("environment.created", "environment:control-room", "s-room", {
        "slug": "control-room", "tier": 1, "position": 5})), {}),
    # CT-19
    ("nothing verified it", without("step.succeeded"), {"CT-19": "not_verified"}),
    ("a step that verified nothing", changed("step.succeeded", {}, phase=None), {"CT-19": "not_verified"}),
    ("it is not over", both(without("run.succeeded"), without("deployment.observed"), last(seen(IMAGE))), NO_RUN),
    ("it never ended", both(without("run.succeeded"), last(noted(LATER))), {**NO_RUN, "CT-19": "no_end"}),
    ("it failed just now", failed, {"CT-11": "no_artifact", "CT-19": "recovery_open"}),
    ("it failed for good", both(failed, last(noted(LATER))), {"CT-11": "no_artifact", "CT-19": "not_recovered"}),
    ("what came after it did well", both(failed, last(*ended())), {"CT-11": "no_artifact", "CT-19": "recovered"}),
    ("what came after it failed too", both(failed, last(*ended("failed"), noted(LATER))),
     {"CT-11": "no_artifact", "CT-19": "not_recovered"}),
    ("what came after it came late", both(failed, last(*ended(at=LATER))),
     {"CT-11": "no_artifact", "CT-19": "not_recovered"}),
    ("what did well was elsewhere", both(failed, last(*ended(environment="staging"), noted(LATER))),
     {"CT-11": "no_artifact", "CT-19": "not_recovered"}),
]  # fmt: skip


@pytest.mark.parametrize(("mutate", "flips"), [row[1:] for row in FLIPS], ids=[row[0] for row in FLIPS])
def test_a_mutation_flips_exactly_the_listed_tests(mutate, flips):
    entries = history()
    mutate(entries)
    assert reasons(entries) == {**PASSED, **flips}


def observations(entries):
    return [row["reason"] for row in judged(entries).of("CT-11").rows]


def test_each_observation_is_held_against_what_changes_had_put_there():
    assert observations([*history(), seen(IMAGE)]) == ["observed", "put_by_change", "put_by_change"]
    assert observations([*history(), seen(IMAGE, OTHER)]) == ["observed", "put_by_change", "out_of_band"]
    assert observations([seen(IMAGE), *history()]) == ["out_of_band", "observed", "put_by_change"]
    assert observations([*history(), seen(IMAGE, environment="staging")])[-1] == "put_by_change"


def test_what_had_been_here_before_may_come_back():
    entries, back = history(), history("CHG-2")
    for some in (entries, back):
        changed("change.requested", {}, artifacts=[OTHER])(some)
    assert results([*entries, *back])["CT-18"] == ["fail", "pass"]


def test_the_first_environment_has_none_before_it_and_an_unknown_one_is_not_judged():
    staging = history(environment="staging")
    assert reasons(staging)["CT-18"] == "first_stage"
    assert reasons(history(environment="moon"))["CT-18"] == "unknown_environment"


def test_what_alters_the_product_itself_puts_nothing_anywhere():
    found = reasons(history(environment="control-room"))
    assert {found[key] for key in ("CT-10", "CT-18", "CT-19")} == {"control_room"}
    assert observations(history(environment="control-room")) == ["put_by_change"], "and no place of its own"


def test_emergencies_are_counted_by_service_and_month():
    def urgent(key):
        entries = history(key)
        changed("change.requested", {}, incident="INC-7")(entries)
        return entries

    normal = [one for number in range(2, 11) for one in history(f"CHG-{number}")]
    assert results([*normal, *urgent("CHG-11")])["CT-09"] == ["pass"], "one of ten"
    assert results([*normal, *urgent("CHG-11"), *urgent("CHG-12")])["CT-09"] == ["fail"]
    elsewhere = urgent("CHG-11")
    changed("change.requested", {}, service="cards")(elsewhere)
    rows = judged([*normal, *elsewhere]).of("CT-09").rows
    assert [(row["item"], row["result"], row["words"]) for row in rows] == [
        ("payments-api in 2026-03", "pass", "0 of 9 executions were emergencies."),
        ("cards in 2026-03", "fail", "1 of 1 executions were emergencies."),
    ]


@pytest.mark.parametrize("rule", ["CT-06", "CT-10", "CT-18", "CT-19"])
def test_an_exception_from_the_test_explains_its_failure(rule):
    entries = history()
    changed("policy.decided", {}, denied=True)(entries)
    without(EVIDENCE, evidence_kind="impact")(entries)
    changed("change.requested", {}, artifacts=[OTHER])(entries)
    without("step.succeeded")(entries)
    assert results(entries)[rule] == ["fail"]
    assert results([granted(rule=rule), *entries])[rule] == ["exception"]
