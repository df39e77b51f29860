"""The way through a run: what follows from the states of its steps. Each graph is drawn beside what is said of it."""

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.definitions import conditions
from orchestration.definitions.conditions import Undecided
from orchestration.engine.flow import Way, first, following, foreseen
from orchestration.models import Run, Step

S, R = Step.State, Run.State
OVER = {S.SUCCEEDED, S.FAILED, S.TIMED_OUT, S.CANCELLED, S.SKIPPED, S.OMITTED}


def document(*steps: dict[str, Any], **inputs: Any) -> dict[str, Any]:
    """What is signed, as far as the way through it goes."""
    places = {name: {"slug": name} for name in ("service", "environment")}
    return {"steps": list(steps), "inputs": inputs, **places}


def step(key: str, *needs: str, **more: Any) -> dict[str, Any]:
    return {"key": key, "needs": list(needs), **more}


def rows(of: dict[str, Any], **states: str) -> list[Step]:
    """The rows of this document; blocked, where no state is named."""
    return [
        Step(key=one["key"], needs=one["needs"], state=states.get(one["key"].replace("-", "_"), "blocked"))
        for one in of["steps"]
    ]


def after(of: dict[str, Any], outputs: Any = None, cancelling: bool = False, **states: str) -> Any:
    return following(rows(of, **states), cancelling=cancelling, way=Way.of(of), outputs=outputs)


def keys(steps: list[Step]) -> list[str]:
    return [one.key for one in steps]


#          +--> canary --> roll --+
#   build -+                      +--> tell
#          +--> docs -------------+
FORK = document(
    step("build"),
    step("canary", "build"),
    step("docs", "build", continue_on_error=True),
    step("roll", "canary", when="outputs.canary.status == 200 && inputs.region != 'eu'"),
    step("tell", "roll", "docs"),
    region="us",
)


def test_a_condition_is_asked_when_its_turn_has_come_and_not_before():
    said = after(FORK, build="succeeded", canary="running", docs="running")
    assert (keys(said.ready), keys(said.omitted), said.run) == ([], [], None)
    said = after(FORK, {"canary": {"status": 200}}, build="succeeded", canary="succeeded", docs="running")
    assert (keys(said.ready), keys(said.omitted)) == (["roll"], [])


def test_a_step_whose_condition_is_false_is_passed_over_and_those_that_need_it_go_on():
    said = after(FORK, {"canary": {"status": 503}}, build="succeeded", canary="succeeded", docs="succeeded")
    assert (keys(said.omitted), keys(said.ready), said.skipped) == (["roll"], ["tell"], [])


def test_a_condition_without_an_answer_ends_the_run_in_words():
    said = after(FORK, {"canary": {}}, build="succeeded", canary="succeeded", docs="succeeded")
    assert (keys(said.skipped), said.run) == (["roll", "tell"], R.FAILED)
    assert said.reason == 'the condition of roll could not be decided: Key not found in map : "status"'


def test_a_condition_without_an_answer_lets_what_runs_come_to_its_end_and_is_still_told_then():
    going = after(FORK, {"canary": {}}, build="succeeded", canary="succeeded", docs="running")
    assert (keys(going.skipped), going.run) == (["roll", "tell"], None)
    ended = rows(
        FORK, build="succeeded", canary="succeeded", docs="succeeded", roll="skipped", tell="skipped"
    )
    for one in ended[3:]:
        one.reason = going.reason
    said = following(ended, cancelling=False, way=Way.of(FORK))
    assert (said.run, said.reason) == (R.FAILED, going.reason)


def test_a_failure_that_is_borne_stops_nothing_and_the_end_says_so():
    said = after(FORK, build="succeeded", canary="succeeded", docs="failed", roll="omitted")
    assert (keys(said.ready), said.skipped, said.run) == (["tell"], [], None)
    said = after(
        FORK, build="succeeded", canary="succeeded", docs="timed_out", roll="omitted", tell="succeeded"
    )
    assert (said.run, said.reason) == (R.SUCCEEDED, "docs failed, which was allowed")


def test_any_other_failure_stops_the_run_and_is_named():
    said = after(FORK, build="succeeded", canary="timed_out", docs="succeeded")
    assert (keys(said.skipped), said.run, said.reason) == (["roll", "tell"], R.FAILED, "canary timed out")


@pytest.mark.parametrize("state", ["cancelled", "skipped", "unknown"])
def test_only_a_failure_is_borne(state):
    said = after(FORK, build="succeeded", canary="succeeded", docs=state, roll="omitted")
    assert said.ready == []
    assert said.run in {R.FAILED, R.UNKNOWN}


def test_a_failure_that_only_a_row_bears_stops_the_run():
    rows_ = rows(FORK, build="failed")
    rows_[0].spec = {"continue_on_error": True}
    assert following(rows_, cancelling=False, way=Way.of(FORK)).run == R.FAILED


#   deploy.eu --+
#   deploy.us --+--> smoke
#   deploy.ap --+
def _deploy(region: str, **more: Any) -> dict[str, Any]:
    matrix = {"step": "deploy", "values": {"region": region}, "max_parallel": 2}
    return step(f"deploy.{region}", matrix=matrix, **more)


FAN = document(
    *(_deploy(region) for region in ("eu", "us", "ap")),
    step(
        "smoke", "deploy.eu", "deploy.us", "deploy.ap",
        when="states.deploy.all(one, states.deploy[one] == 'succeeded') && outputs.deploy['eu'].ok",
    ),
)  # fmt: skip


def test_a_matrix_begins_as_many_as_it_may_and_the_next_when_one_has_ended():
    assert keys(first(FAN).ready) == ["deploy.eu", "deploy.us"]
    states = [S.SUCCEEDED, S.RUNNING, S.BLOCKED, S.BLOCKED]
    said = following(_with(FAN, states), cancelling=False, way=Way.of(FAN))
    assert keys(said.ready) == ["deploy.ap"]


def test_a_place_that_a_retry_takes_is_taken():
    states = [S.READY, S.RUNNING, S.BLOCKED, S.BLOCKED]
    assert following(_with(FAN, states), cancelling=False, way=Way.of(FAN)).ready == []


def test_a_condition_reads_a_matrix_member_by_member():
    states = [S.SUCCEEDED, S.SUCCEEDED, S.SUCCEEDED, S.BLOCKED]
    said = following(
        _with(FAN, states), cancelling=False, way=Way.of(FAN), outputs={"deploy.eu": {"ok": True}}
    )
    assert keys(said.ready) == ["smoke"]


def test_a_member_that_is_passed_over_takes_no_place():
    of = document(*(_deploy(region, when="matrix.region != 'eu'") for region in ("eu", "us", "ap")))
    said = first(of)
    assert (keys(said.omitted), keys(said.ready)) == (["deploy.eu"], ["deploy.us", "deploy.ap"])


def _with(of: dict[str, Any], states: list[Any]) -> list[Step]:
    return [
        Step(key=one["key"], needs=one["needs"], state=state)
        for one, state in zip(of["steps"], states, strict=True)
    ]


#   release --> smoke (verify)
VERIFIED = document(step("release"), step("smoke", "release", phase="verify"))


def test_a_failure_of_verification_is_called_so():
    said = after(VERIFIED, release="succeeded", smoke="failed")
    assert (said.run, said.reason) == (R.FAILED, "verification failed: smoke failed")


def test_a_run_that_would_do_nothing_or_could_not_begin_is_known_before_anybody_is_asked():
    nothing = document(step("a", when="inputs.n > 1"), step("b", "a", when="states.a == 'succeeded'"), n=1)
    assert (first(nothing).run, keys(first(nothing).omitted)) == (R.SUCCEEDED, ["a", "b"])
    undecided = document(step("a", when="1 / inputs.n == 1"), n=0)
    assert first(undecided).reason == "the condition of a could not be decided: divide by zero"


def test_what_inputs_alone_decide_is_foreseen_wherever_it_stands():
    of = document(
        step("a"), step("b", "a", when="inputs.n > 1"), step("c", "b", when="states.b == 'omitted'"), n=1
    )
    assert foreseen(of) == {"b"}
    with pytest.raises(Undecided, match="divide by zero"):
        foreseen(document(step("a"), step("b", "a", when="1 / inputs.n == 1"), n=0))


def test_a_thousand_steps_with_conditions_are_judged_quickly():
    members = [
        step(f"m.{n}", "a", when="matrix.n >= 0", matrix={"step": "m", "values": {"n": n}})
        for n in range(998)
    ]
    of = document(step("a"), *members, step("end", *(one["key"] for one in members)))
    said = after(of, a="succeeded")
    assert len(said.ready) == 998


NESTED = "[1,2,3,4,5,6,7,8,9,10].all(a, " * 8 + "a > 0" + ")" * 8


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (NESTED, "budget exceeded"),
        ("outputs.a.text.matches('(a+)+$', 1)", "undeclared"),
        ("outputs.a.text.matches('[')", "regular expression"),
        ("outputs.a.nosuch == 1", "Key not found"),
        ("outputs.a.huge == 1", "out of range"),
        ("outputs.a.text", "abc"),
        ("outputs.a.text == 1 / 0", "divide by zero"),
    ],
)
def test_a_condition_ends_or_has_no_answer_and_never_breaks(text, words):
    told = {"text": "abc", **({"huge": 2**70} if "huge" in text else {})}
    values = {"outputs.a": ("outputs", told)}
    with pytest.raises(Undecided, match=words):
        conditions.holds(text, values)


def test_an_evil_expression_and_an_evil_value_cost_next_to_nothing():
    values = {"outputs.a": ("outputs", {"text": "a" * 1_000_000 + "!"})}
    began = time.thread_time()
    assert not conditions.holds("outputs.a.text.matches('^(a+)+$')", values)
    assert time.thread_time() - began < 1


# --- whatever happens ---------------------------------------------------------------------------------------


@st.composite
def graphs(draw: Any) -> dict[str, Any]:
    """Steps that need earlier ones, with conditions that hold, do not, or have no answer; some are a matrix."""
    steps: list[dict[str, Any]] = []
    for number in range(draw(st.integers(1, 7))):
        needs = sorted(draw(st.sets(st.sampled_from([one["key"] for one in steps])))) if steps else []
        plain = [key for key in needs if "." not in key]
        of_a_need = (
            [f"states.{plain[0]} == 'succeeded'", f"outputs.{plain[0]}.x == 1", f"states.{plain[0]} != 'omitted'"]
            if plain else []
        )  # fmt: skip
        when = draw(st.sampled_from([None, None, "true", "1 > 2", *of_a_need]))
        bears = draw(st.booleans())
        more: dict[str, Any] = {
            **({"when": when} if when else {}),
            **({"continue_on_error": True} if bears else {}),
        }
        members = draw(st.integers(1, 3))
        if members == 1:
            steps.append(step(f"s{number}", *needs, **more))
            continue
        most = draw(st.integers(1, 3))
        for member in range(members):
            matrix = {"step": f"s{number}", "values": {"n": member}, "max_parallel": most}
            steps.append(step(f"s{number}.{member}", *needs, matrix=matrix, **more))
    return document(*steps)


class Going:
    """A run in memory, moved as the engine would move it; each rule is looked at with every move."""

    def __init__(self, of: dict[str, Any]) -> None:
        self.of, self.way, self.steps = of, Way.of(of), rows(of)
        self.run: Any = None
        self.cancelling = False
        self.outputs: dict[str, Any] = {}

    def advance(self) -> None:
        said = following(self.steps, cancelling=self.cancelling, way=self.way, outputs=self.outputs)
        moved = {
            S.READY: said.ready,
            S.OMITTED: said.omitted,
            S.SKIPPED: said.skipped,
            S.CANCELLED: said.cancelled,
        }
        for to, some in moved.items():
            for one in some:
                assert one.state in {S.BLOCKED, S.READY}, f"{one.key} is {one.state}"
                one.state, one.reason = to, said.reason
        self.run = said.run

    def start(self, one: Step) -> None:
        for before in self.steps:
            if before.key in one.needs:
                borne = before.state in {S.FAILED, S.TIMED_OUT} and self.way.says(
                    before.key, "continue_on_error"
                )
                assert before.state in {S.SUCCEEDED, S.OMITTED} or borne, f"{one.key} before {before.key}"
        one.state = S.RUNNING
        running = [two for two in self.steps if self.way.group(two.key) == self.way.group(one.key)]
        assert sum(two.state == S.RUNNING for two in running) <= self.way.most(one.key)

    def check_the_end(self) -> None:
        assert {S(one.state) for one in self.steps} <= OVER
        broken = [one for one in self.steps if one.state not in {S.SUCCEEDED, S.OMITTED}]
        borne = all(self.way.bears(one) for one in broken)
        if self.cancelling:
            assert self.run == (R.SUCCEEDED if not broken else R.CANCELLED)
        else:
            assert self.run == (R.SUCCEEDED if borne else R.FAILED)


@given(graphs(), st.data())
@settings(max_examples=250, deadline=None)
def test_every_run_comes_to_its_end_and_no_step_starts_before_what_it_needs(of, data):
    going = Going(of)
    going.advance()
    for _ in range(4 * len(going.steps) + 2):
        if going.run is not None:
            break
        live = [one for one in going.steps if one.state in {S.READY, S.RUNNING}]
        assert live, "nothing runs, nothing is ready, and the run has not ended"
        one = data.draw(st.sampled_from(live))
        if one.state == S.READY:
            going.start(one)
        else:
            one.state = data.draw(st.sampled_from([S.SUCCEEDED, S.SUCCEEDED, S.FAILED, S.TIMED_OUT, S.READY]))
            going.outputs[one.key] = data.draw(st.sampled_from([{}, {"x": 1}, {"x": 2}]))
        going.cancelling |= data.draw(st.integers(0, 15)) == 0
        going.advance()
    if going.run is None:  # it was tried again and again: now each attempt succeeds
        _finish(going)
    going.check_the_end()


def _finish(going: Going) -> None:
    for _ in range(4 * len(going.steps)):
        for one in going.steps:
            if one.state == S.READY:
                going.start(one)
                one.state = S.SUCCEEDED
            elif one.state == S.RUNNING:
                one.state = S.SUCCEEDED
        going.advance()
        if going.run is not None:
            return
