"""`summary.json`: read strictly, counted honestly, riskiest first."""

import json
from typing import Any

import pytest

from orchestration.definitions import phases, summary


def one(what="a", action="update", **more):
    return {"what": what, "action": action, **more}


def read(*changes, **top):
    return summary.read(json.dumps({"v": 1, "changes": list(changes), **top}).encode())


def test_what_cannot_be_undone_comes_first_then_what_is_deleted_or_replaced_then_by_risk():
    found = read(
        one("read", "read"), one("create", "create"), one("low", risk="low"), one("high", risk="high"),
        one("replace", "replace"), one("delete", "delete", risk="low"), one("never", "create", irreversible=True),
    )  # fmt: skip
    assert [item["what"] for item in found] == ["never", "delete", "replace", "high", "create", "low", "read"]


def test_what_is_left_out_is_the_usual():
    (item,) = read(one(action="delete"))
    assert (item["risk"], item["irreversible"]) == ("high", False)
    assert [read(one(action=action))[0]["risk"] for action in ("create", "read")] == ["medium", "low"]


def test_reading_is_no_change_and_what_is_replaced_or_cannot_be_undone_is_destroyed():
    found = read(
        one(action="read"), one(action="replace"), one(action="delete"), one(irreversible=True), one()
    )
    assert summary.counts(found) == {"changes": 4, "destroys": 3}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not json",
        b"[" * 100_000,
        b'{"v": 2, "changes": []}',
        b'{"v": 1}',
        b'{"v": 1, "changes": [], "more": 1}',
        b'{"v": 1, "changes": [{"what": "a"}]}',
        b'{"v": 1, "changes": [{"what": "a", "action": "destroy"}]}',
        b'{"v": 1, "changes": [{"what": "a", "action": "update", "irreversible": "no"}]}',
        b'{"v": 1, "changes": [{"what": "a", "action": "update", "html": "<b>"}]}',
        b'{"v": 1, "changes": []}' + b" " * summary.MAX_BYTES,
    ],
)
def test_anything_else_is_no_summary(data):
    assert summary.read(data) is None


def fact(found: list[Any]) -> Any:
    return phases.fact(found)


def listed(step, **counted):
    return {"step": step, "name": "f", "digest": "sha256:0", "bytes": 1, **counted}


def test_policy_is_told_the_sum_of_all_plan_steps_or_that_it_is_not_known():
    assert fact([]) is None
    both = fact([listed("a", changes=1, destroys=0), listed("a"), listed("b", changes=2, destroys=1)])
    assert (both["changes"], both["destroys"]) == (3, 1)
    silent = fact([listed("a", changes=1, destroys=0), listed("b")])
    assert (silent["changes"], silent["destroys"]) == (None, None)


def test_what_was_found_is_named_by_a_digest_of_all_of_it():
    digests = {fact([listed(step)])["digest"] for step in "ab"}
    assert len(digests) == 2
