"""The packs that are shipped: each rule says what it is for, and its tests notice when it is gone."""

import itertools
import re
from pathlib import Path

import pytest

from approvals.policy import bundles, contract, pool
from approvals.policy.engine import PolicyRefused
from approvals.policy.lint import annotate

PACKS = {path.name: path for path in sorted(Path("examples/policies").iterdir())}
BANK = PACKS["bank"]


def sources(pack):
    return {path.relative_to(pack).as_posix(): path.read_text() for path in pack.rglob("*.rego")}


def rules(pack):
    found = sources(pack)
    return [(pack.name, one.id) for one in annotate(pool.engine().compile(found), found)]


@pytest.mark.parametrize("name", PACKS)
def test_a_shipped_pack_passes_its_tests_and_says_what_each_rule_is_for(name):
    candidate = bundles.load(PACKS[name])
    assert all(one.passed for one in candidate.tests)
    assert not candidate.warnings
    assert [one.id for one in candidate.rules if not one.description] == []


@pytest.mark.parametrize(("pack", "rule"), [one for pack in PACKS.values() for one in rules(pack)])
def test_a_rule_that_is_gone_is_missed_by_the_tests_of_its_pack(pack, rule):
    found = sources(PACKS[pack])
    block = re.compile(rf"# METADATA\n(?:#.*\n)*#   rule: {rule}\n(?:.*\n)*?}}\n", re.MULTILINE)
    without = {path: block.sub("", text) for path, text in found.items()}
    assert without != found
    results = pool.engine().test(without)
    assert [one for one in results if not one.passed], f"no test misses {rule}"


@pytest.mark.parametrize("name", PACKS)
def test_whatever_a_shipped_pack_answers_can_be_used(name):
    """It fits the contract: a stage is due before the chain ends, what a rule says it read is so, one is asked."""
    candidate = bundles.load(PACKS[name])
    places = {one.id: one.place for one in candidate.rules}
    asked = itertools.product(
        ("production", "test", "control-room"), (1, 2, 3), ("channels", "treasury"), (["channels"], ["vendors"], []),
        ("person", "service"), (False, True), ("deploy-service", "run-migration"), ("no", None, 0, 2),
    )  # fmt: skip
    for one in asked:
        told = facts(*one)
        answer = pool.engine().evaluate(candidate.digest, candidate.sources, told)
        assert contract.check_output(answer, facts=told, places=places), one


def facts(environment, tier, owner, teams, kind, emergency, workflow, destroys):
    plan = {"digest": "sha256:" + "b" * 64, "changes": destroys, "destroys": destroys}
    return {
        "api": "v1", "phase": "request", "now": "2026-01-05T09:00:00.000000Z",
        "change": {
            "id": "CHG-1", "revision": 1, "inputs": {}, "reason": "Fix it", "emergency": emergency,
            "plan": None if destroys == "no" else plan,
        },
        "workflow": {
            "slug": workflow, "title": "Deploy", "version": 3, "digest": "sha256:" + "a" * 64, "owner": "platform",
            "effects": ["idempotent"], "acts": ["policy.activate"] if environment == "control-room" else [],
        },
        "service": {"slug": "web-bank", "tier": tier, "owner": owner},
        "environment": {
            "slug": environment, "tier": 2, "protected": environment != "test", "frozen_by": [],
        },
        "requester": {"id": "01a20993-5dac-7636-a1cc-81627832a82c", "teams": teams, "kind": kind},
        "authors": [],
        "history": {"last_success": None, "recent_failures": 3, "similar_changes": 7},
        "evidence": {},
        "claims": {},
    }  # fmt: skip


def test_the_pack_for_a_bank_covers_what_a_bank_asks_for():
    files = {path.stem for path in BANK.glob("*.rego")}
    assert {"tiers", "duties", "data", "windows", "vendors", "small"} <= files


HELPER = {
    "one.rego": "package helper\n\nother := 1\n",
    "two.rego": "package helper\n\nimport data.names\n\nwho := names.security\n",
    "names.rego": 'package names\n\nsecurity := "security"\n',
}
ASKING = "package asking\n\nimport data.{0}\n\nanswer := {1}\n"


@pytest.mark.parametrize(("imported", "used"), [("helper", "helper.who"), ("names", "names.security")])
def test_a_package_of_several_files_that_import_is_not_read_through_a_short_name(imported, used):
    bundle = {**HELPER, "asking.rego": ASKING.format(imported, used)}
    if imported == "names":
        assert pool.engine().compile(bundle)
        return
    with pytest.raises(PolicyRefused) as refused:
        pool.engine().compile(bundle)
    assert [(one.file, one.line) for one in refused.value.faults] == [("asking.rego", 3)]
    assert "Write data.helper in full" in str(refused.value)


@pytest.mark.parametrize(("imported", "used"), [("names", "data.helper.who"), ("helper.who", "who")])
def test_it_is_read_in_full_or_rule_by_rule(imported, used):
    text = "package countersign.change\n\nimport data.{0}\n\nwarn := [{1}]\n"
    bundle = {**HELPER, "asking.rego": text.format(imported, used)}
    assert pool.engine().evaluate("sha256:" + used.encode().hex(), bundle, {})["warn"] == ["security"]
