"""What sign-offs amount to: pure, whatever the order in which they are told."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.chain import Verdict, completed, verdict

NINE = datetime(2026, 1, 5, 9, tzinfo=UTC)


@dataclass(frozen=True)
class Asked:
    pk: UUID
    order: int
    quorum: int
    distinct: str = "chain"


@dataclass(frozen=True)
class Said:
    stage_id: UUID
    person_id: UUID
    decision: str
    given_at: datetime
    owner_id: UUID | None = None


def who(letter: str) -> UUID:
    return UUID(int=ord(letter))


def asked(text: str) -> list[Asked]:
    """`A1:2` is stage A of order 1 with quorum 2; `A1:2*` lets its people sign other such stages as well."""
    return [
        Asked(who(one[0]), int(one[1]), int(one[3]), "stage" if one.endswith("*") else "chain")
        for one in text.split()
    ]


WORDS = {"+": "approve", "?": "approve_with_condition", "-": "reject", "<": "send_back"}


def said(text: str) -> list[Said]:
    """`n+A` is: Noor approves stage A; later words are given later."""
    return [
        Said(who(one[2]), who(one[0]), WORDS[one[1]], NINE + timedelta(minutes=minute))
        for minute, one in enumerate(text.split())
    ]


TABLE = [
    # stages, sign-offs, conflicted, verdict
    ("", "", "", "waiting"),
    ("", "i+A", "", "waiting"),
    ("A1:1", "", "", "waiting"),
    ("A1:1", "i+A", "", "complete"),
    ("A1:1", "i?A", "", "complete"),
    ("A1:1", "i+B", "", "waiting"),
    ("A1:1", "n+A", "n", "waiting"),
    ("A1:1", "n+A i+A", "n", "complete"),
    ("A1:2", "i+A", "", "waiting"),
    ("A1:2", "i+A i+A", "", "waiting"),
    ("A1:2", "i+A o+A", "", "complete"),
    ("A1:2", "i+A n+A", "n", "waiting"),
    ("A1:1 B1:1", "i+A", "", "waiting"),
    ("A1:1 B1:1", "i+A i+B", "", "waiting"),
    ("A1:1 B1:1", "i+A s+B", "", "complete"),
    ("A1:1 B1:1", "s+B i+A", "", "complete"),
    ("A1:1 B2:1", "i+A s+B", "", "complete"),
    ("A1:1 B2:1", "s+B i+A", "", "waiting"),
    ("A1:2 B2:1", "i+A s+B o+A", "", "waiting"),
    ("A1:2 B2:1", "i+A o+A s+B", "", "complete"),
    ("A1:1 B2:1 C3:1", "i+A s+B o+C", "", "complete"),
    ("A1:1 B2:1 C3:1", "i+A o+C s+B", "", "waiting"),
    ("A1:1", "i-A", "", "rejected"),
    ("A1:1", "i+A o-A", "", "rejected"),
    ("A1:1", "o-A i+A", "", "rejected"),
    ("A1:1", "n-A i+A", "n", "complete"),
    ("A1:1", "i<A", "", "sent_back"),
    ("A1:1", "i+A o<A", "", "sent_back"),
    ("A1:1", "i<A o-A", "", "rejected"),
    ("", "o-A", "", "rejected"),
    ("A1:0", "", "", "waiting"),
    ("A1:1* B1:1*", "i+A i+B", "", "complete"),
    ("A1:1* B1:1*", "i+A i+A", "", "waiting"),
    ("A1:1* B1:1*", "n+A n+B", "n", "waiting"),
    ("A1:1* B1:1", "i+A i+B", "", "waiting"),
    ("A1:1* B1:1", "i+B i+A", "", "waiting"),
    ("A1:2* B1:1*", "i+A i+B i+A", "", "waiting"),
    ("A1:2* B1:1*", "i+A i+B o+A", "", "complete"),
    ("A1:1* B2:1*", "i+A i+B", "", "complete"),
    ("A1:1* B2:1*", "i+B i+A", "", "waiting"),
    ("A1:1* B1:1* C1:1", "i+A i+B i+C", "", "waiting"),
    ("A1:1* B1:1* C1:1", "i+A i+B s+C", "", "complete"),
]


@pytest.mark.parametrize(("stages", "words", "conflicted", "expected"), TABLE)
def test_the_verdict_is_the_same_in_every_order_of_telling(stages, words, conflicted, expected):
    conflict = {who(letter) for letter in conflicted}
    for told in permutations(said(words)):
        for demanded in permutations(asked(stages)):
            assert verdict(demanded, told, conflicted=conflict) == expected


people = st.sampled_from("inosl").map(who)
stages = st.lists(
    st.builds(
        Asked,
        pk=st.sampled_from("ABCD").map(who),
        order=st.integers(1, 3),
        quorum=st.integers(1, 3),
        distinct=st.sampled_from(["chain", "chain", "stage"]),
    ),
    max_size=4,
    unique_by=lambda one: one.pk,
)
sign_offs = st.lists(
    st.builds(
        Said,
        stage_id=st.sampled_from("ABCD").map(who),
        person_id=people,
        decision=st.sampled_from(sorted(WORDS.values()) + ["approve"] * 8),
        given_at=st.integers(0, 30).map(lambda minute: NINE + timedelta(minutes=minute)),
    ),
    max_size=10,
)
conflicts = st.frozensets(people, max_size=2)


@given(stages, sign_offs, conflicts, st.randoms(use_true_random=False))
def test_telling_twice_or_shuffled_changes_nothing(demanded, told, conflict, random):
    first = verdict(demanded, told, conflicted=conflict)
    again = told + told
    random.shuffle(again)
    random.shuffle(demanded)
    assert verdict(demanded, again, conflicted=conflict) == first


@given(stages, sign_offs, conflicts)
def test_complete_means_that_each_stage_has_its_own_unconflicted_people(demanded, told, conflict):
    if verdict(demanded, told, conflicted=conflict) != Verdict.COMPLETE:
        return
    assert demanded
    repeated = [stage.quorum for stage in demanded if stage.distinct == "stage"]
    needed = sum(stage.quorum for stage in demanded if stage.distinct == "chain") + max(repeated, default=0)
    agreeing = {one.person_id for one in told if one.decision.startswith("approve")} - conflict
    assert len(agreeing) >= needed
    for stage in demanded:
        mine = {
            one.person_id for one in told if one.stage_id == stage.pk and one.decision.startswith("approve")
        }
        assert len(mine - conflict) >= stage.quorum


@given(stages, sign_offs, conflicts)
def test_a_single_reject_is_always_a_veto(demanded, told, conflict):
    vetoed = [*told, Said(who("A"), who("z"), "reject", NINE)]
    assert verdict(demanded, vetoed, conflicted=conflict) == Verdict.REJECTED


@given(stages, sign_offs, conflicts)
def test_conflicted_people_might_as_well_have_said_nothing(demanded, told, conflict):
    without = [one for one in told if one.person_id not in conflict]
    assert verdict(demanded, told, conflicted=conflict) == verdict(demanded, without, conflicted=conflict)


@given(stages, sign_offs, conflicts)
def test_a_higher_quorum_never_helps(demanded, told, conflict):
    if not demanded or verdict(demanded, told, conflicted=conflict) == Verdict.COMPLETE:
        return
    harder = [replace(demanded[0], quorum=demanded[0].quorum + 1), *demanded[1:]]
    assert verdict(harder, told, conflicted=conflict) != Verdict.COMPLETE


@given(stages, sign_offs, conflicts)
def test_asking_for_distinct_people_never_helps(demanded, told, conflict):
    if verdict(demanded, told, conflicted=conflict) == Verdict.COMPLETE:
        return
    harder = [replace(stage, distinct="chain") for stage in demanded]
    assert verdict(harder, told, conflicted=conflict) != Verdict.COMPLETE


@given(stages, sign_offs, conflicts)
def test_a_later_order_is_never_complete_before_the_earlier(demanded, told, conflict):
    done = completed(demanded, told, conflicted=conflict)
    for later in demanded:
        for earlier in demanded:
            if later.pk in done and earlier.order < later.order:
                assert done[earlier.pk] < done[later.pk]


def test_a_sign_off_of_the_same_moment_as_the_completion_before_it_is_not_after_it():
    told = [Said(who("A"), who("i"), "approve", NINE), Said(who("B"), who("s"), "approve", NINE)]
    assert verdict(asked("A1:1 B2:1"), told, conflicted=set()) == Verdict.WAITING
