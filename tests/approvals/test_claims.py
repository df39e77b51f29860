"""Who is reviewing, and who asked whom: hints that give nobody anything and keep nobody from deciding."""

import pytest
from django.db import transaction

from accounts.acting import Acting
from approvals import claims
from approvals.chain import Verdict
from approvals.claims import NotYourTurn
from approvals.models import Claim, HandOver
from audit.models import Entry
from audit.refusals import Invalid, NotAllowed
from tests.approvals.cast import leave, person, sign, sql, stage


def claim(chain, user, name="Security", auth="session"):
    with transaction.atomic():
        return claims.claim(chain, stage(chain, name).pk, by=Acting(user, auth))


def hand_over(chain, giver, taker, name="Security", note=""):
    with transaction.atomic():
        return claims.hand_over(
            chain, stage(chain, name).pk, to=taker, note=note, by=Acting(giver, "session")
        )


def looking(chain):
    return [one.user.name for one in claims.current(chain)]


def test_a_claim_is_seen_for_half_an_hour_and_can_be_made_anew(bank):
    chain = bank.chain()
    claim(chain, bank.sam)
    claim(chain, bank.sam)
    assert (looking(chain), Claim.objects.count()) == (["Sam"], 1)
    sql("UPDATE approvals_claim SET until = until - interval '30 minutes'")
    assert looking(chain) == []
    claim(chain, bank.sam)
    assert looking(chain) == ["Sam"]


def test_a_claim_is_no_lock(bank):
    chain = bank.chain()
    claim(chain, bank.sam)
    claim(chain, bank.lena)
    assert looking(chain) == ["Sam", "Lena"]
    sign(chain, bank.ines, "Service owner")
    assert sign(chain, bank.lena, "Security") == Verdict.COMPLETE


def test_a_claim_ends_when_its_holder_says_so_and_a_second_time_nothing_happens(bank):
    chain = bank.chain()
    claim(chain, bank.sam)
    for _ in range(2):
        with transaction.atomic():
            claims.release(chain, by=Acting(bank.sam, "session"))
    assert looking(chain) == []
    assert Entry.objects.filter(kind="stage.released").count() == 1


@pytest.mark.parametrize(
    ("who", "name"), [("ines", "Security"), ("noor", "Security"), ("noor", "Service owner")]
)
def test_only_whom_the_stage_asks_now_claims_it(bank, who, name):
    with pytest.raises(NotYourTurn):
        claim(bank.chain(), getattr(bank, who), name)
    assert not Claim.objects.exists()


def test_whoever_has_decided_or_left_and_a_token_claim_nothing(bank):
    chain = bank.chain()
    sign(chain, bank.sam, "Security")
    leave(bank.omar, "payments")
    for user, name in ((bank.sam, "Security"), (bank.lena, "Security"), (bank.omar, "Service owner")):
        with pytest.raises(NotYourTurn):
            claim(chain, user, name)
    with pytest.raises(NotAllowed):
        claim(chain, bank.ines, "Service owner", auth="token")


def test_a_stage_is_handed_over_to_somebody_who_may_decide_it_and_both_still_may(bank):
    chain = bank.chain()
    claim(chain, bank.sam)
    passed = hand_over(chain, bank.sam, bank.lena, note="You know this one.")
    assert (passed.taker, passed.note, looking(chain)) == (bank.lena, "You know this one.", [])
    assert b"know this" not in bytes(Entry.objects.get(kind="stage.handed_over").body)
    sign(chain, bank.ines, "Service owner")
    assert sign(chain, bank.sam, "Security") == Verdict.COMPLETE


def test_a_hand_over_makes_nobody_eligible(bank):
    """Neither an outsider, nor the requester, nor another account of oneself, nor whoever has decided."""
    chain = bank.chain()
    second = person("Sam Two", "security", of=bank.sam.person)
    robot = person("Robot", "security", kind="service")
    for taker in (person("Out", "elsewhere"), bank.noor, bank.ines, bank.sam, second, robot):
        with pytest.raises(Invalid):
            hand_over(chain, bank.sam, taker)
    assert not HandOver.objects.exists()


def test_whom_the_stage_does_not_ask_hands_nothing_over(bank):
    with pytest.raises(NotYourTurn):
        hand_over(bank.chain(), bank.ines, bank.lena)


def test_the_colleagues_on_offer_are_those_who_may_decide(bank):
    chain = bank.chain()
    person("Sam Two", "security", of=bank.sam.person)
    offered = claims.colleagues(chain, stage(chain, "Security"), bank.sam)
    assert [one.name for one in offered] == ["Lena"]
