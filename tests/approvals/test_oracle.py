"""Our policy engine answers as the Open Policy Agent does: the shipped packs, and rules that nobody wrote."""

import itertools
import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from approvals.policy import pool, regorus
from approvals.policy.engine import PolicyRefused

LIBRARY = Path(sys.prefix) / "oracle" / "opa_bindings" / "libopabridge.so"
ORACLE = Path(__file__).with_name("oracle.py")
PACKS = sorted(Path("examples/policies").iterdir())
pytestmark = pytest.mark.skipif(
    not LIBRARY.exists(),
    reason="the Open Policy Agent is not installed, so nothing was compared: make oracle",
)


@pytest.fixture(scope="module")
def opa():
    """A function that asks the Open Policy Agent."""
    with subprocess.Popen(
        [sys.executable, "-I", str(ORACLE), str(LIBRARY)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        questions, answers = process.stdin, process.stdout

        def ask(sources, facts, query="countersign.change"):
            questions.write(json.dumps({"sources": sources, "input": facts, "query": query}) + "\n")
            questions.flush()
            return json.loads(answers.readline())

        yield ask
        questions.close()


def ours(sources, facts):
    name = f"sha256:{hash(tuple(sorted(sources.items()))) & 0xFFFFFFFFFFFFFFFF:064x}"
    return pool.engine().evaluate(name, sources, facts)


def parsed(sources):
    return json.loads(regorus.load(sources, tests=False).get_ast_as_json())


def facts(environment="production", tier=1, emergency=False, kind="person", failures=0, frozen=(), acts=()):
    return {
        "api": "v1",
        "phase": "request",
        "now": "2026-01-05T09:00:00.000000Z",
        "change": {
            "id": "CHG-1", "revision": 1, "inputs": {"version": "1.4.2", "enabled": True}, "reason": "Fix it",
            "emergency": emergency, "plan": None,
        },
        "workflow": {
            "slug": "deploy-service", "title": "Deploy", "version": 3, "digest": "sha256:" + "a" * 64,
            "owner": "platform", "effects": ["at_most_once", "idempotent"], "acts": list(acts),
        },
        "service": {"slug": "web-bank", "tier": tier, "owner": "channels"},
        "environment": {"slug": environment, "tier": 2, "protected": True, "frozen_by": list(frozen)},
        "requester": {"id": "01a20993-5dac-7636-a1cc-81627832a82c", "teams": ["channels", "payments"], "kind": kind},
        "authors": [],
        "history": {"last_success": None, "recent_failures": failures, "similar_changes": 7},
        "evidence": {},
        "claims": {},
    }  # fmt: skip


@pytest.mark.parametrize("pack", PACKS, ids=lambda pack: pack.name)
def test_a_shipped_pack_answers_the_same(opa, pack):
    sources = {
        path.relative_to(pack).as_posix(): path.read_text()
        for path in pack.rglob("*.rego")
        if not path.name.endswith("_test.rego")
    }
    asked = itertools.product(
        ("test", "staging", "production", "control-room"), (1, 2, 3), (False, True), ("person", "service"), (0, 3),
        ((), ("Year end",)), ((), ("membership.start",)),
    )  # fmt: skip
    for one in asked:
        given_facts = facts(*one)
        assert ours(sources, given_facts) == opa(sources, given_facts)["value"], one


# Rules that nobody wrote. Every expression has a type, so that what differs is the engines and not our mistakes. Left
# out are the ways in which they are known to differ, as docs/how-to/write-a-policy.md tells them.

NUMBERS = (
    "input.service.tier",
    "input.environment.tier",
    "input.history.similar_changes",
    "input.workflow.version",
)
TEXTS = ("input.environment.slug", "input.service.owner", "input.change.reason", "input.requester.kind")
LISTS = (
    "input.requester.teams",
    "input.workflow.effects",
    "input.environment.frozen_by",
    "input.workflow.acts",
)
FLAGS = ("input.environment.protected", "input.change.emergency", "input.change.inputs.enabled")
WORDS = st.text("abcXYZ-_. é", max_size=6).map(json.dumps)


@cache
def numbers(deep):
    leaf = st.sampled_from(NUMBERS) | st.integers(-9, 99).map(str)
    if not deep:
        return leaf
    two = st.tuples(numbers(deep - 1), numbers(deep - 1))
    return (
        leaf
        | st.tuples(two, st.sampled_from("+-*")).map(lambda one: f"({one[0][0]} {one[1]} {one[0][1]})")
        | lists(deep - 1).map("count({})".format)
        | numbers(deep - 1).map("abs({})".format)
        | two.map(lambda one: f"max([{one[0]}, {one[1]}])")
        | two.map(lambda one: f"sum([{one[0]}, {one[1]}, 3])")
        | st.tuples(texts(deep - 1), WORDS).map(
            lambda one: f'indexof({one[0]}, concat({one[1]}, ["a", "b"]))'
        )
    )


@cache
def texts(deep):
    leaf = st.sampled_from(TEXTS) | WORDS
    if not deep:
        return leaf
    return (
        leaf
        | texts(deep - 1).map("upper({})".format)
        | texts(deep - 1).map("lower({})".format)
        | st.tuples(texts(deep - 1), WORDS).map(lambda one: f"trim_prefix({one[0]}, {one[1]})")
        | st.tuples(texts(deep - 1), st.integers(0, 3), st.integers(0, 4)).map(
            lambda one: f"substring({one[0]}, {one[1]}, {one[2]})"
        )
        | st.tuples(lists(deep - 1), WORDS).map(lambda one: f"concat({one[1]}, {one[0]})")
        | st.tuples(texts(deep - 1), numbers(deep - 1)).map(
            lambda one: f'sprintf("%s of %d", [{one[0]}, abs({one[1]})])'
        )
        | st.tuples(texts(deep - 1), texts(deep - 1)).map(lambda one: f'replace({one[0]}, "a", {one[1]})')
    )


@cache
def lists(deep):
    """Of texts."""
    leaf = st.sampled_from(LISTS) | st.lists(WORDS, max_size=3).map(lambda items: f"[{', '.join(items)}]")
    if not deep:
        return leaf
    return (
        leaf
        | lists(deep - 1).map("sort({})".format)
        | texts(deep - 1).map('split({}, "-")'.format)
        | st.tuples(lists(deep - 1), lists(deep - 1)).map(lambda one: f"array.concat({one[0]}, {one[1]})")
        | st.tuples(lists(deep - 1), WORDS).map(
            lambda one: f"[x{deep} | some x{deep} in {one[0]}; x{deep} != {one[1]}]"
        )
        | st.tuples(lists(deep - 1), lists(deep - 1)).map(
            lambda one: (
                f"sort({{x{deep} | some x{deep} in {one[0]}}} | {{y{deep} | some y{deep} in {one[1]}}})"
            )
        )
        | st.tuples(lists(deep - 1), lists(deep - 1)).map(
            lambda one: (
                f"sort({{x{deep} | some x{deep} in {one[0]}}} - {{y{deep} | some y{deep} in {one[1]}}})"
            )
        )
    )


@cache
def flags(deep):
    leaf = st.sampled_from(FLAGS) | st.sampled_from(("true", "input.service.tier == 1"))
    if not deep:
        return leaf
    two = st.tuples(numbers(deep - 1), st.sampled_from(("==", "!=", "<", "<=", ">", ">=")), numbers(deep - 1))
    return (
        leaf
        | two.map(" ".join)
        | st.tuples(texts(deep - 1), texts(deep - 1)).map(lambda one: f"startswith({one[0]}, {one[1]})")
        | st.tuples(texts(deep - 1), texts(deep - 1)).map(lambda one: f"contains({one[0]}, {one[1]})")
        | st.tuples(texts(deep - 1), lists(deep - 1)).map(lambda one: f"{one[0]} in {one[1]}")
        | st.tuples(texts(deep - 1), lists(deep - 1)).map(lambda one: f"not {one[0]} in {one[1]}")
        | st.tuples(lists(deep - 1), numbers(deep - 1)).map(
            lambda one: f"every x{deep} in {one[0]} {{ count(x{deep}) != {one[1]} }}"
        )
    )


@st.composite
def policies(draw):
    """Four rules that lean on each other and on two other packages, in one file or in several."""
    body = "; ".join(draw(st.lists(flags(2), min_size=1, max_size=3)))
    rules = [
        f"""deny contains {{"rule": "a", "n": n}} if {{
	n := {draw(numbers(3))}
	{draw(LEANING)}; {body}
}}
""",
        f"""warn contains message if {{
	some team in {draw(lists(2))}
	message := concat(" ", [team, {draw(texts(2))}, helper.word])
	count(deny) < 2
}}
""",
        f"""default windows := "none"

windows := {draw(lists(3))} if {{
	{draw(flags(3))}
}} else := {draw(texts(3))} if {{
	{draw(flags(2))}; {draw(LEANING)}
}}
""",
        f"""obligations[name] := total if {{
	some index, name in {draw(lists(2))}
	total := index + {draw(numbers(1))} + names.number
	not name in [other | some at, other in {draw(lists(1))}; at > index]
	index == 0
}}
""",
    ]
    imported, number = draw(
        st.sampled_from((("import data.names as n\n", "n.number"), ("", "data.names.number")))
    )
    helpers = [
        f"word := lower({draw(texts(1))})\n",
        f"holds if {{ {draw(flags(1))}; {number} < {draw(numbers(1))} }}\n",
    ]
    return {
        **_files(draw, "countersign.change", "import data.helper\nimport data.names\n", rules),
        **_files(draw, "helper", imported, helpers),
        "names.rego": f"package names\n\nnumber := {draw(numbers(1))}\n",
    }


LEANING = st.sampled_from(
    ("helper.holds", "not helper.holds", "data.helper.holds", "names.number < 50", "true")
)


def _files(draw, package, imports, rules):
    """The rules of a package, dealt out to files; the order of the files is the order of their names."""
    placed: dict[str, list[str]] = {}
    for rule in rules:
        placed.setdefault(draw(st.sampled_from("abc")), []).append(rule)
    return {
        f"{package}-{name}.rego": f"package {package}\n\n{imports}\n" + "\n".join(some)
        for name, some in placed.items()
    }


@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)
@given(
    sources=policies(), tier=st.integers(1, 9), environment=st.sampled_from(["test", "staging", "production"])
)
def test_rules_that_nobody_wrote_answer_the_same(opa, sources, tier, environment):
    asked = facts(environment, tier, frozen=("Year end", "a-b"))
    try:
        regorus.check_imports(parsed(sources))
    except regorus.Refused:  # known not to answer the same, so it is not accepted
        return
    theirs = opa(sources, asked)
    try:
        answer = {"value": ours(sources, asked)}
    except PolicyRefused as refused:
        answer = {"error": str(refused)}
    assert set(answer) == set(theirs), (answer, theirs, sources)
    assert answer.get("value") == theirs.get("value"), sources
