"""Every function that a policy may call answers as the Open Policy Agent does, at the edges where engines differ.

What differs is written down here and in docs/how-to/write-a-policy.md; functions that differ further are not allowed.
"""

import re

import pytest

from approvals.policy import regorus
from approvals.policy.engine import PolicyRefused
from tests.approvals.test_oracle import LIBRARY, opa, ours

__all__ = ["opa"]
pytestmark = pytest.mark.skipif(
    not LIBRARY.exists(),
    reason="the Open Policy Agent is not installed, so nothing was compared: make oracle",
)
CALLS = r"""
abs(-0.5)
abs(-9223372036854775807)
ceil(-1.5)
floor(-1.5)
round(2.5)
round(-2.5)
round(0.5)
array.concat([1], [])
array.reverse([1, "a", null])
array.slice([1, 2, 3], -1, 9)
array.slice([1, 2, 3], 2, 1)
base64.encode("é")
base64.decode("w6k=")
base64.is_valid("w6k")
base64.is_valid("")
hex.encode("é")
hex.decode("c3a9")
bits.and(6, 3)
bits.or(6, 3)
bits.xor(-6, 3)
bits.negate(0)
bits.lsh(1, 40)
bits.rsh(-8, 1)
concat("", [])
concat(",", ["a", ""])
concat(",", {"b", "a"})
contains("", "")
contains("abc", "")
contains("é", "e")
count("é")
count("👩‍👩‍👧")
count([])
count({1, 1})
count({"a": 1})
endswith("a", "")
startswith("", "a")
startswith("é", "é")
format_int(-10, 2)
format_int(255, 16)
format_int(7.9, 10)
glob.match("*.bank", ["."], "a.bank")
glob.match("*", ["."], "a.b")
glob.match("**", ["."], "a.b")
glob.match("{a,b}?", [], "bx")
glob.match("[!a]*", [], "b")
graph.reachable({"a": ["b"], "b": ["a"], "c": []}, {"a"})
graph.reachable({}, ["a"])
indexof("abc", "c")
indexof("éa", "a")
indexof("a", "b")
indexof_n("aaa", "a")
indexof_n("a", "b")
intersection({{1, 2}, {2}})
intersection(set())
union({{1}, {2}})
union(set())
is_array([])
is_boolean(false)
is_null(null)
is_number("1")
is_object({})
is_set({1})
is_string(1)
json.filter({"a": {"b": 1, "c": 2}}, ["a/b"])
json.remove({"a": [1, 2]}, ["a/0"])
json.patch({"a": 1}, [{"op": "add", "path": "/b", "value": 2}])
json.patch({"a": 1}, [{"op": "remove", "path": "/x"}])
json.marshal({"b": 1, "a": [null, true, 1.5, "é"]})
json.marshal({3, 1})
json.unmarshal("{\"a\": 1, \"a\": 2}")
json.unmarshal("1e2")
json.unmarshal("[")
json.is_valid("01")
json.is_valid("nul")
lower("ÀÉẞ")
upper("straße")
upper("ǆ")
max([])
max(["b", "a"])
max([1, "a", null])
min({3, 2})
sum([])
sum([0.1, 0.2])
product([])
product([2, 0.5])
net.cidr_contains("10.0.0.0/8", "10.1.2.3")
net.cidr_contains("10.0.0.0/8", "11.0.0.0/9")
net.cidr_is_valid("10.0.0.1/33")
net.cidr_contains("::/0", "::1")
numbers.range(3, 1)
numbers.range(-1, 1)
object.get({"a": null}, "a", 1)
object.get({"a": {"b": 1}}, ["a", "b"], 2)
object.get({}, "a", {})
object.get({"a": 1}, ["a", "b"], 3)
object.filter({"a": 1, "b": 2}, ["a"])
object.keys({"a": 1})
object.remove({"a": 1, "b": 2}, {"a"})
object.subset({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}})
object.subset([1, 2, 3], [2, 3])
object.union({"a": {"b": 1}}, {"a": {"c": 2}})
object.union({"a": 1}, {"a": {}})
object.union_n([{"a": 1}, {"a": 2}])
regex.match("^a+$", "aaa")
regex.match("(", "a")
regex.match("\\d", "٣")
regex.match("(?i)É", "é")
regex.find_n("a.", "abac", -1)
regex.find_n("a", "aaa", 2)
regex.is_valid("(?=a)")
regex.is_valid("(a)\\1")
regex.replace("abc", "(b)", "<$1>")
regex.replace("aaa", "a*?", "b")
replace("aaa", "a", "b")
replace("ab", "", "-")
strings.reverse("é👍a")
strings.any_prefix_match(["ab"], ["b", "a"])
strings.any_suffix_match("ab", {"b"})
semver.compare("1.0.0-rc.1", "1.0.0")
semver.compare("1.0.0+a", "1.0.0+b")
semver.compare("1.0.0-9", "1.0.0-10")
semver.is_valid("1.0")
semver.is_valid("v1.0.0")
semver.compare("1", "2")
sort([3, "a", null, true, [1], {"a": 1}])
sort({"b", "a"})
sort([1.0, 1, 2])
split("a,b", "")
split("", ",")
split("a", "ab")
sprintf("%v", [{"a": [1, "x"]}])
sprintf("%s", [1])
sprintf("%d", ["a"])
sprintf("%05d|%x|%t", [42, 255, true])
sprintf("%.2f", [1.005])
sprintf("%%", [])
sprintf("%s", [])
sprintf("%q", ["a\"b"])
substring("héllo", 1, 3)
substring("abc", 5, 1)
substring("abc", 1, -1)
substring("abc", -1, 1)
substring("abc", 0, 99)
time.parse_rfc3339_ns("2026-03-29T02:30:00+01:00")
time.parse_rfc3339_ns("2026-02-30T00:00:00Z")
time.parse_rfc3339_ns("2026-01-05T09:00:00.5Z")
time.parse_ns("2006-01-02", "2026-01-05")
time.parse_duration_ns("1h30m")
time.parse_duration_ns("-1.5s")
time.parse_duration_ns("1d")
time.weekday(time.parse_rfc3339_ns("2026-01-05T23:30:00Z"))
time.weekday([time.parse_rfc3339_ns("2026-01-05T23:30:00Z"), "Asia/Tokyo"])
time.clock([time.parse_rfc3339_ns("2026-03-29T01:30:00Z"), "Europe/Zurich"])
time.clock([time.parse_rfc3339_ns("2026-10-25T00:30:00Z"), "Europe/Zurich"])
time.clock([0, "Moon/Sea"])
time.date([time.parse_rfc3339_ns("2026-12-31T23:30:00Z"), "Europe/Zurich"])
time.date(-1)
time.add_date(time.parse_rfc3339_ns("2024-01-31T00:00:00Z"), 0, 1, 0)
time.diff(time.parse_rfc3339_ns("2026-03-01T00:00:00Z"), time.parse_rfc3339_ns("2024-02-29T00:00:00Z"))
to_number("1e3")
to_number("0x10")
to_number(" 1")
to_number("")
to_number(null)
to_number(true)
to_number("Inf")
to_number("1_000")
type_name(set())
type_name({})
type_name(1.0)
trim("  a ", " ")
trim("abcba", "ab")
trim_left("aab", "a")
trim_right("abb", "b")
trim_prefix("ab", "")
trim_suffix("ab", "b")
trim_space("\t a\n")
trim_space("\u00a0a")
units.parse("1.5K")
units.parse("10m")
units.parse("")
units.parse_bytes("1KiB")
units.parse_bytes("1.5GB")
units.parse_bytes("x")
[path | walk({"a": [1]}, [path, value]); is_number(value)]
9007199254740993 + 0
0.1 + 0.2
1 / 3
7 % -3
-7 % 3
1 / 0
1.5 % 1
9223372036854775807 + 1
1e400
1 == 1.0
"1" == 1
null < false
[1] < {"a": 1}
{1, 2} - {2}
"""
EACH = CALLS.strip().splitlines()
KNOWN = {  # what is known to differ, as docs/how-to/write-a-policy.md tells: ours
    'count("👩\u200d👩\u200d👧")': 8,
    'upper("straße")': "STRASSE",
    "sum([0.1, 0.2])": 0.30000000000000004,
    "0.1 + 0.2": 0.30000000000000004,
    r'regex.match("\\d", "٣")': True,
    'semver.is_valid("v1.0.0")': False,
    'sprintf("%s", [1])': "1",
    'sprintf("%d", ["a"])': "",
    'sprintf("%05d|%x|%t", [42, 255, true])': "00042|ff|",
    'time.add_date(time.parse_rfc3339_ns("2024-01-31T00:00:00Z"), 0, 1, 0)': 1709164800000000000,
    'to_number(" 1")': 1,
}
SILENT = {'sprintf("%s", [])', 'time.parse_duration_ns("1d")', "1e400"}  # ours has no answer, which denies


def answers(opa, call):
    """Theirs and ours; None where there is none."""
    sources = {"a.rego": f"package countersign.change\n\nwindows := {call}\n"}
    theirs = opa(sources, {}).get("value", {}).get("windows")
    try:
        return theirs, ours(sources, {}).get("windows")
    except PolicyRefused:
        return theirs, None


@pytest.mark.parametrize("call", [one for one in EACH if one not in {*KNOWN, *SILENT}])
def test_a_function_answers_the_same_at_its_edges(opa, call):
    theirs, found = answers(opa, call)
    assert found == theirs


def test_what_is_known_to_differ_differs_so_and_most_calls_have_an_answer(opa):
    assert set(EACH) >= {*KNOWN, *SILENT}
    for call, known in KNOWN.items():
        theirs, found = answers(opa, call)
        assert found == known != theirs, call
    for call in SILENT:
        theirs, found = answers(opa, call)
        assert (found, theirs is None) == (None, False), call
    assert sum(answers(opa, call)[1] is not None for call in EACH) > 150


def test_every_function_that_a_policy_may_call_is_compared():
    called = {name for call in EACH for name in re.findall(r"([a-z][a-z0-9_.]*)\(", call)} | {"walk"}
    assert regorus.ALLOWED - called == set()
