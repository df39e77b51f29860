"""The gate's model holds in every state there is, and each of its broken twins is refuted."""

import re
from pathlib import Path

import pytest

from tests.model import prove

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(
        bool(prove.missing()), reason=f"nothing was proved: {prove.missing()} is not installed"
    ),
]


@pytest.mark.parametrize("number", prove.SCENES)
def test_every_claim_holds_in_every_state(number):
    found = prove.scene(number)
    assert found.as_it_must, found
    assert found.states > 1_000_000, "a model that cannot move proves nothing"


@pytest.mark.parametrize("name", prove.TWINS)
def test_a_broken_twin_is_refuted(name):
    assert prove.twin(name).as_it_must, f"{name} is broken, and no claim says so"


def test_what_is_planned_is_what_is_signed_and_applied_in_every_state():
    found = prove.plans()
    assert found.as_it_must, found
    assert found.states > 300_000, "a model that cannot move proves nothing"


@pytest.mark.parametrize("name", prove.PLAN_TWINS)
def test_a_broken_twin_of_the_plans_is_refuted(name):
    assert prove.plan_twin(name).as_it_must, f"{name} is broken, and no claim says so"


def test_what_was_not_finished_in_its_time_is_not_proved(monkeypatch):
    monkeypatch.setattr(prove, "CAP_SECONDS", 0)
    found = prove.scene(0)
    assert not found.as_it_must
    assert not found.refuted


def test_each_claim_of_the_model_names_an_invariant_that_a_twin_breaks():
    told = set(re.findall(r"/\* ((?:I\d+[ :]*)+)", prove.MODEL.read_text()))
    claimed = {one for some in told for one in re.findall(r"I\d+", some)}
    broken = {one for _, claim, _ in prove.TWINS.values() for one in claim.split()}
    assert claimed == broken - {"permit"}


@pytest.mark.parametrize(("model", "twins"), [(prove.MODEL, prove.TWINS), (prove.PLANS, prove.PLAN_TWINS)])
def test_every_twin_of_a_model_is_tried(model, twins):
    assert set(re.findall(r"\bBUG_([A-Z]+)", model.read_text())) - {""} == set(twins)


def test_the_documents_tell_of_every_twin():
    told = Path("docs/explanation/proof.md").read_text()
    twins = {name: words for name, (_, _, words) in prove.TWINS.items()}
    twins |= {name: words for name, (_, words) in prove.PLAN_TWINS.items()}
    assert [name for name, words in twins.items() if f"`{name}`" not in told or words not in told] == []
