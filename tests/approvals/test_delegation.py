"""Deciding in somebody's place: one sign-off for both, while it lasts, and never for or by a person in conflict."""

from datetime import timedelta
from threading import Barrier, Thread

import pytest
from django.db import connection, transaction

from accounts import delegation, teams
from accounts.acting import Acting
from accounts.models import Delegation
from approvals import chain as chains
from approvals import eligibility, gate, signoffs
from approvals.chain import Verdict
from approvals.clock import database_time
from approvals.models import Chain, SignOff
from audit.canonical import parse
from audit.models import Entry
from tests.approvals.cast import OTHER, TEST, authorise, join, leave, person, sign, sql, stage
from tests.races import rounds


def lend(of, to, *slugs, days=7, starts=None):
    """`of` is away and `to` decides."""
    now = database_time()
    return delegation.start(
        delegate=to.username,
        teams=slugs,
        starts_at=now + timedelta(days=starts) if starts else None,
        ends_at=now + timedelta(days=days),
        by=Acting(of, "session"),
    )


@pytest.fixture
def dora(bank):
    """In no team of the chain."""
    return person("Dora", "elsewhere")


def owned(bank, chain, who):
    """Both stages signed, Security's by this person; the verdict."""
    sign(chain, bank.ines, "Service owner")
    return sign(chain, who, "Security")


def test_a_delegate_decides_in_the_members_place_and_both_names_are_signed_and_recorded(bank, dora):
    lent = lend(bank.sam, dora)
    assert owned(bank, bank.chain(), dora) == Verdict.COMPLETE
    row = SignOff.objects.get(user=dora)
    assert (row.owner, row.delegation, row.on_behalf_of) == (bank.sam.person, lent, "Sam")
    told = parse(bytes(Entry.objects.filter(kind="sign_off.given").latest("id").body))["data"]
    assert (told["owner"], told["delegation"]) == (str(bank.sam.person_id), str(lent.pk))
    assert signoffs.is_authentic(row)


@pytest.mark.parametrize("column", ["owner_id", "delegation_id"])
def test_whose_place_it_was_cannot_be_turned_without_the_key(bank, dora, column):
    lend(bank.sam, dora)
    owned(bank, bank.chain(), dora)
    row = SignOff.objects.get(user=dora)
    setattr(row, column, bank.ines.person_id if column == "owner_id" else None)
    assert not signoffs.is_authentic(row)


def test_a_sign_off_of_ones_own_cannot_be_turned_into_one_for_somebody_else(bank, dora):
    lent = lend(bank.sam, dora)
    sign(bank.chain(), bank.ines, "Service owner")
    row = SignOff.objects.get()
    row.owner_id, row.delegation_id = bank.sam.person_id, lent.pk
    assert not signoffs.is_authentic(row)


def test_b12_whoever_decides_first_the_other_is_refused(bank, dora):
    lend(bank.sam, dora)
    first, second = bank.chain(), bank.chain(digest=OTHER)
    sign(first, dora, "Security")
    with pytest.raises(signoffs.AlreadyDecided, match="in your place"):
        sign(first, bank.sam, "Security")
    sign(second, bank.sam, "Security")
    with pytest.raises(signoffs.AlreadyDecided, match="Sam has decided"):
        sign(second, dora, "Security")


def test_b12_a_place_and_a_person_count_once_in_the_whole_chain(bank):
    """Dora is an owner herself: she decides as one, so neither she nor Sam's place is counted for Security by her."""
    dora = person("Dora", "payments")
    lend(bank.sam, dora)
    chain = bank.chain()
    sign(chain, dora, "Service owner")
    with pytest.raises(signoffs.AlreadyDecided, match="A person counts once"):
        sign(chain, dora, "Security")


def test_b12_the_database_keeps_a_place_from_being_taken_twice(bank, dora):
    lend(bank.sam, dora)
    chain = bank.chain()
    sign(chain, dora, "Security")
    given = SignOff.objects.get()
    copy = SignOff(
        chain=chain, stage=given.stage, person=bank.sam.person, user=bank.sam, decision="approve",
        subject=chain.subject, chain_digest=chain.digest, signature="x", given_at=given.given_at,
    )  # fmt: skip
    with pytest.raises(Exception, match="sign_off_one_per_place_and_stage"), transaction.atomic():
        copy.save(force_insert=True)


@pytest.mark.races
@pytest.mark.django_db(transaction=True)
def test_b12_both_at_once_make_one_sign_off(bank, dora):
    lend(bank.sam, dora)
    for round_ in rounds():
        chain = bank.chain(digest=f"sha256:{round_:064x}")
        barrier = Barrier(2)
        refused: list[Exception] = []

        def decide(who, chain=chain, barrier=barrier, refused=refused):
            barrier.wait()
            try:
                sign(Chain.objects.get(pk=chain.pk), who, "Security")
            except signoffs.AlreadyDecided as refusal:
                refused.append(refusal)
            finally:
                connection.close()

        both = [Thread(target=decide, args=(who,)) for who in (bank.sam, dora)]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join()
        assert (chain.sign_offs.count(), len(refused)) == (1, 1)


def test_b11_lending_makes_no_second_sign_off(bank, dora):
    """Security is Sam and Lena. With Dora in Sam's place there are still two sign-offs to be had, not three."""
    lend(bank.sam, dora)
    asked = stage(bank.chain(), "Security")
    found = eligibility.places(asked, conflicted=())
    assert [one.name for one in eligibility.people(asked, conflicted=())] == ["Dora", "Lena", "Sam"]
    assert eligibility.votes(found) == 2


def test_b11_the_requester_as_a_delegate_never_counts(bank):
    lend(bank.sam, bank.noor)
    with pytest.raises(signoffs.OwnChange):
        sign(bank.chain(), bank.noor, "Security")


def test_b11_a_delegate_of_the_requester_never_counts_not_even_in_their_own_place(bank):
    chain = bank.chain()
    lend(bank.noor, bank.sam)
    with pytest.raises(signoffs.OwnChange, match="stand in for somebody who requested"):
        sign(chain, bank.sam, "Security")
    assert "Sam" not in [
        one.name for one in eligibility.people(stage(chain, "Security"), conflicted=chain.conflicted)
    ]


def test_b11_an_approval_stops_counting_when_its_giver_becomes_the_requesters_delegate(bank):
    chain = bank.chain()
    assert owned(bank, chain, bank.sam) == Verdict.COMPLETE
    lend(bank.noor, bank.sam)
    with pytest.raises(gate.QuorumLost):
        authorise(chain)


def test_b11_the_place_of_a_person_in_conflict_is_nobodys(bank, dora):
    """Noor asks and belongs to Payments: whoever has her place there does not count."""
    lend(bank.noor, dora)
    with pytest.raises(signoffs.OwnChange):
        sign(bank.chain(), dora, "Service owner")


def test_b11_what_is_lent_is_not_passed_on(bank, dora):
    """Even rows that never came through the writer: Sam lends to Dora, Dora lends to Emil."""
    emil = person("Emil")
    lend(bank.sam, dora)
    sql(
        "INSERT INTO accounts_delegation (id, version, delegator_id, delegate_id, team_ids, starts_at, ends_at, reason)"
        " VALUES (gen_random_uuid(), 1, %s, %s, '{}', now(), now() + interval '1 day', '')",
        dora.pk, emil.pk,
    )  # fmt: skip
    with pytest.raises(signoffs.NotEligible):
        sign(bank.chain(), emil, "Security")


def test_a_delegation_for_one_team_covers_no_other(bank, dora):
    join(bank.sam, "payments")
    lend(bank.sam, dora, "payments")
    chain = bank.chain()
    with pytest.raises(signoffs.NotEligible):
        sign(chain, dora, "Security")
    sign(chain, dora, "Service owner")


@pytest.mark.parametrize("when", ["ended", "over", "not_yet"])
def test_outside_its_time_a_delegation_lends_nothing(bank, dora, when):
    lent = lend(bank.sam, dora, starts=1 if when == "not_yet" else None)
    if when == "ended":
        delegation.end(lent, by=Acting(dora, "session"))
    if when == "over":
        sql(
            "UPDATE accounts_delegation SET starts_at = now() - interval '2 d', ends_at = now() - interval '1 s'"
        )
    with pytest.raises(signoffs.NotEligible):
        sign(bank.chain(), dora, "Security")


@pytest.mark.parametrize("how", ["ended", "over", "delegator_left", "delegator_gone", "delegate_gone"])
def test_at_the_gate_the_delegation_must_still_hold(bank, dora, how):
    lent = lend(bank.sam, dora)
    chain = bank.chain()
    owned(bank, chain, dora)
    match how:
        case "ended":
            delegation.end(Delegation.objects.get(pk=lent.pk), by=Acting(bank.sam, "session"))
        case "over":
            sql(
                "UPDATE accounts_delegation SET starts_at = now() - interval '2 d', ends_at = now() - interval '1 s'"
            )
        case "delegator_left":
            leave(bank.sam, "security")
        case "delegator_gone":
            teams.deactivate(bank.sam, by=TEST)
        case "delegate_gone":
            teams.deactivate(dora, by=TEST)
    with pytest.raises(gate.QuorumLost):
        authorise(chain)


def test_at_the_gate_a_delegation_that_holds_is_enough(bank, dora):
    lend(bank.sam, dora)
    chain = bank.chain()
    owned(bank, chain, dora)
    assert authorise(chain).chain == chain


def test_a_delegate_who_joins_the_team_decided_in_the_others_place_all_the_same(bank, dora):
    """What was signed for Sam does not become Dora's own when the delegation ends."""
    lent = lend(bank.sam, dora)
    chain = bank.chain()
    owned(bank, chain, dora)
    join(dora, "security")
    delegation.end(lent, by=Acting(bank.sam, "session"))
    with pytest.raises(gate.QuorumLost):
        authorise(chain)


def test_b07_who_joined_just_now_is_told_from_when_they_may_decide(bank):
    chain = bank.chain()
    sql("UPDATE approvals_stage SET member_for = 86400")
    out = person("Out", "security")
    tomorrow = f"{database_time() + timedelta(days=1):%d %B %Y}"
    with pytest.raises(signoffs.NotEligible, match=f"in security for longer.*from {tomorrow}"):
        sign(chain, out, "Security")
    sql("UPDATE accounts_membership SET since = since - interval '1 day' WHERE user_id = %s", out.pk)
    sign(chain, out, "Security")


def test_b07_the_place_of_a_new_member_is_no_older_in_other_hands(bank, dora):
    chain = bank.chain()
    sql("UPDATE approvals_stage SET member_for = 3600")
    lend(bank.sam, dora)
    with pytest.raises(signoffs.NotEligible):
        sign(chain, dora, "Security")


def test_b07_a_membership_that_began_anew_is_a_new_one_at_the_gate(bank):
    bank.chain()
    chain = bank.chain()
    sql("UPDATE accounts_membership SET since = since - interval '2 days'")
    sql("UPDATE approvals_stage SET member_for = 86400")
    assert owned(bank, chain, bank.sam) == Verdict.COMPLETE
    leave(bank.sam, "security")
    join(bank.sam, "security")
    counted = {one.user_id for one in chains.standing(chain, list(chain.stages.all()))}
    assert counted == {bank.ines.pk}
