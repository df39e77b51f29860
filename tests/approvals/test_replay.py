"""A candidate is judged on what really happened, and each number says exactly what it counts."""

import json

import pytest
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st

from approvals.models import Decision
from approvals.policy import bundles, decide, pool
from approvals.policy import replay as judging
from approvals.policy.engine import PolicyRefused, PolicyUnavailable
from approvals.policy.replay import Judged, Kind, Tally, asked, compare, markdown, recorded, replay
from tests.approvals.cast import STARTER, facts


def stage(name="Owner", quorum=1, teams=("payments",), order=1):
    return {"stage": name, "quorum": quorum, "teams": list(teams), "order": order, "signature": "session"}


def answer(*stages, deny=()):
    return {"deny": [{"rule": one, "message": one} for one in deny], "require": list(stages)}


OWNER, SECURITY = stage(), stage("Security", teams=("security",))


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        (answer(OWNER), answer(OWNER), Kind.SAME),
        (answer(OWNER), answer(OWNER, deny=["no"]), Kind.NEWLY_BLOCKED),
        (answer(OWNER), None, Kind.NEWLY_BLOCKED),
        (answer(OWNER, deny=["no"]), answer(OWNER), Kind.NEWLY_ALLOWED),
        (answer(OWNER, deny=["no"]), answer(SECURITY, deny=["other"]), Kind.SAME),
        (answer(OWNER, deny=["no"]), None, Kind.SAME),
        (answer(OWNER), answer(OWNER, SECURITY), Kind.NEWLY_NEEDS_APPROVAL),
        (answer(OWNER), answer(stage(quorum=2)), Kind.NEWLY_NEEDS_APPROVAL),
        (answer(OWNER), answer(SECURITY), Kind.NEWLY_NEEDS_APPROVAL),
        (answer(OWNER, SECURITY), answer(OWNER), Kind.CHANGED),
        (answer(OWNER), answer(stage(order=2)), Kind.CHANGED),
        (answer(OWNER, SECURITY), answer(SECURITY, OWNER), Kind.SAME),
    ],
)
def test_what_became_of_a_decision(before, after, kind):
    assert compare(before, after) == kind


answers = st.builds(
    answer,
    st.builds(stage, st.sampled_from("AB"), st.integers(1, 3), st.sets(st.sampled_from("xyz"), min_size=1)),
    deny=st.lists(st.just("no"), max_size=1),
)


@given(answers, answers)
def test_the_load_is_what_is_asked_now_less_what_was_asked_then(before, after):
    tally = Tally()
    tally.add(Judged("1", "CHG-1", compare(before, after), before, after, "", protected=True))
    assert {team: more for team, more in tally.load.items() if more} == {
        team: asked(after)[team] - asked(before)[team]
        for team in asked(after) | asked(before)
        if asked(after)[team] != asked(before)[team]
    }


@given(answers)
def test_an_answer_never_differs_from_itself(one):
    assert compare(one, one) == Kind.SAME


@pytest.fixture
def candidate():
    """The starter pack with two people from Security for tier 1."""
    sources = dict(bundles.load(STARTER).sources)
    rules = sources["production.rego"]
    sources["production.rego"] = rules.replace('"quorum": 1', '"quorum": 2', 1)
    del sources["starter_test.rego"]
    return bundles.examine(sources)


@pytest.mark.django_db(transaction=True)
def test_recorded_decisions_are_judged_again_and_nothing_is_stored(bank, candidate):
    for environment in ("production", "staging"):
        decide(facts(bank.noor, environment=environment))
    tally = Tally()
    for batch in replay(candidate, recorded(30)):
        for one in batch:
            tally.add(one)
    assert tally.kinds == {Kind.NEWLY_NEEDS_APPROVAL: 1, Kind.SAME: 1}
    assert tally.load["security"] == 1
    assert Decision.objects.count() == 2
    assert "| newly needs approval | 1 |" in markdown(tally, [], span="the last 30 days", risky=0)


@pytest.mark.django_db(transaction=True)
def test_a_candidate_that_gives_no_answer_blocks_and_says_why(bank):
    decide(facts(bank.noor))
    broken = bundles.examine(
        {"a.rego": "package countersign.change\nrequire := []\ndeny := []\nwarn := []\n"}
    )
    [[one]] = replay(broken, recorded(30))
    assert one.kind == Kind.NEWLY_BLOCKED
    assert "cannot be used" in one.reason


@pytest.mark.django_db(transaction=True)
@pytest.mark.django_db(transaction=True)
def test_a_candidate_that_is_stopped_again_and_again_is_asked_no_more(bank, candidate, monkeypatch):
    """Each is stopped after two seconds: a month of them would hold a worker for a day."""
    monkeypatch.setattr(judging, "STOPPED", 2)
    for _ in range(5):
        decide(facts(bank.noor))
    asked = []

    def stopped(self, *question):
        asked.append(question)
        raise PolicyUnavailable("it took too long")

    monkeypatch.setattr(pool.Pool, "evaluate", stopped)
    with pytest.raises(PolicyRefused, match="stopped 2 times without an answer"):
        list(replay(candidate, recorded(30)))
    assert 3 <= len(asked) <= 5


def test_what_is_newly_allowed_where_it_matters_is_told_first():
    tally = Tally()
    tally.kinds[Kind.NEWLY_ALLOWED] = 1
    text = markdown(tally, [("CHG-1", "newly_allowed", "denied\nby x -> y")], span="a week", risky=1)
    assert text.splitlines()[2] == "**1 of the newly allowed are in protected environments.**"
    assert "- CHG-1: newly allowed. denied by x -> y" in text


def test_the_terminal_says_every_place_that_is_wrong_and_speaks_json(tmp_path, capsys):
    (tmp_path / "a.rego").write_text("package a\nx := [")
    (tmp_path / "b.rego").write_text("package b\ny := {")
    for act in ("lint", "test", "replay"):
        with pytest.raises(CommandError) as refused:
            call_command("policy", act, tmp_path)
        assert refused.value.returncode == 1
        told = capsys.readouterr().out
        assert "a.rego:2: " in told
        assert "b.rego:2: " in told
        assert "2 to mend." in told
    with pytest.raises(CommandError):
        call_command("policy", "lint", tmp_path, json=True)
    answered = json.loads(capsys.readouterr().out)
    assert [(one["file"], one["line"]) for one in answered["faults"]] == [("a.rego", 2), ("b.rego", 2)]


@pytest.mark.parametrize("act", ["test", "lint"])
def test_the_terminal_passes_what_is_sound(act, capsys):
    call_command("policy", act, STARTER)
    assert capsys.readouterr().out


@pytest.mark.parametrize("act", ["test", "replay"])
def test_a_file_that_is_no_text_is_said_by_its_line(act, tmp_path, capsys):
    (tmp_path / "a.rego").write_bytes(b"package a\n# \xff\n")
    with pytest.raises(CommandError) as refused:
        call_command("policy", act, tmp_path)
    assert refused.value.returncode == 1
    assert "a.rego:2: It is not UTF-8 text." in capsys.readouterr().out


def test_a_failing_test_is_told_by_the_exit_code(tmp_path, capsys):
    for path in STARTER.glob("*.rego"):
        text = path.read_text().replace("input.service.tier == 1", "input.service.tier == 9")
        (tmp_path / path.name).write_text(text)
    with pytest.raises(CommandError) as refused:
        call_command("policy", "test", tmp_path)
    assert refused.value.returncode == 1
    assert "FAIL starter_test.rego:" in capsys.readouterr().out


def test_the_terminal_tells_by_its_exit_code_whether_anything_differs(bank, candidate, tmp_path, capsys):
    decide(facts(bank.noor))
    for path, text in bundles.load(STARTER).sources.items():
        (tmp_path / path).write_text(text)
    call_command("policy", "replay", tmp_path, "--days", "30", "--json")
    assert json.loads(capsys.readouterr().out)["kinds"] == {"same": 1}
    for path, text in candidate.sources.items():
        (tmp_path / path).write_text(text)
    with pytest.raises(CommandError) as differs:
        call_command("policy", "replay", tmp_path, "--markdown")
    assert differs.value.returncode == 3
    assert "| security | +1 |" in capsys.readouterr().out


@pytest.mark.parametrize("days", ["0", "-1", "3661", "many", "9" * 30])
def test_the_terminal_replays_no_days_that_there_were_not(days, tmp_path):
    with pytest.raises(CommandError, match="give 1 to 3660 days"):
        call_command("policy", "replay", str(tmp_path), f"--days={days}")
