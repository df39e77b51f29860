"""Who may sign off, on what, and when; and what it amounts to."""

from datetime import timedelta
from threading import Barrier, Thread
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts.acting import Acting
from approvals import chain as chains
from approvals import gate, signoffs
from approvals.chain import Verdict
from approvals.models import Chain, SignOff
from audit.canonical import parse, uuid7
from audit.models import Entry
from audit.refusals import Invalid, NotAllowed, NotFound, StaleVersion
from tests.approvals.cast import (
    OTHER,
    TEST,
    Bank,
    authorise,
    complete,
    join,
    judge,
    leave,
    person,
    sign,
    sql,
    start,
    told,
)
from tests.races import rounds


def test_an_approval_is_signed_and_recorded_without_its_words(bank):
    chain = bank.chain()
    assert sign(chain, bank.ines, "Service owner", comment="Looks right to me") == Verdict.WAITING
    row = SignOff.objects.get()
    entry = parse(bytes(Entry.objects.get(kind="sign_off.given").body))
    assert signoffs.is_authentic(row)
    assert entry["data"]["signature"] == row.signature
    assert entry["data"]["stage_name"] == "Service owner"
    assert entry["data"]["digest"] == chain.subject == entry["subject"]
    assert b"Looks right" not in bytes(Entry.objects.get(kind="sign_off.given").body)


@pytest.mark.parametrize(
    "column",
    [
        "subject",
        "chain_digest",
        "decision",
        "condition",
        "comment",
        "person_id",
        "user_id",
        "stage_id",
        "given_at",
    ],
)
def test_no_column_of_a_sign_off_can_be_turned_without_the_key(bank, column):
    chain = bank.chain()
    sign(chain, bank.ines, "Service owner")
    row = SignOff.objects.get()
    other = {
        "decision": "reject", "person_id": bank.omar.person_id, "user_id": bank.omar.pk, "stage_id": uuid7(),
        "given_at": row.given_at - timedelta(microseconds=1),
    }  # fmt: skip
    setattr(row, column, other.get(column, "something else"))
    assert not signoffs.is_authentic(row)


def test_the_requester_cannot_sign_and_is_told_which_rule_asks_for_someone_else(bank):
    chain = bank.chain()
    with pytest.raises(signoffs.OwnChange, match=r"someone else must approve.*owner\.rego:\d+"):
        sign(chain, bank.noor, "Service owner")


def test_a_second_account_of_the_requester_cannot_sign(bank):
    second = person("Noor Two", "payments", of=bank.noor.person)
    with pytest.raises(signoffs.OwnChange):
        sign(bank.chain(), second, "Service owner")


def test_a_requester_who_joins_the_team_later_cannot_sign(bank):
    chain = bank.chain()
    join(bank.noor, "security")
    with pytest.raises(signoffs.OwnChange):
        sign(chain, bank.noor, "Security")


def test_an_outsider_is_told_who_can(bank):
    with pytest.raises(signoffs.NotEligible, match="Lena, Sam"):
        sign(bank.chain(), bank.ines, "Security")


def test_who_left_the_team_cannot_sign(bank):
    chain = bank.chain()
    leave(bank.sam, "security")
    with pytest.raises(signoffs.NotEligible):
        sign(chain, bank.sam, "Security")


def test_a_token_never_signs(bank):
    with pytest.raises(signoffs.NotInteractive, match="token"):
        sign(bank.chain(), bank.ines, "Service owner", by=Acting(bank.ines, "token"))


def test_a_sign_off_through_the_switch_of_the_demo_says_so(bank):
    sign(bank.chain(), bank.ines, "Service owner", by=Acting(bank.ines, "session", persona_switched=True))
    assert parse(bytes(Entry.objects.get(kind="sign_off.given").body))["data"]["persona_switched"] is True


def test_a_service_account_cannot_sign(bank):
    robot = person("Robot", "payments", kind="service")
    with pytest.raises(signoffs.NotInteractive, match="service account"):
        sign(bank.chain(), robot, "Service owner")


def test_an_inactive_account_cannot_sign(bank):
    gone = person("Gone", "payments", active=False)
    with pytest.raises(signoffs.NotInteractive, match="not active"):
        sign(bank.chain(), gone, "Service owner")


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"digest": OTHER}, "content was changed"),
        ({"chain_digest": OTHER}, "chain was changed"),
    ],
)
def test_a_sign_off_on_something_else_than_what_was_read_is_refused(bank, changed, sentence):
    with pytest.raises(StaleVersion, match=sentence):
        sign(bank.chain(), bank.ines, "Service owner", **changed)
    assert not SignOff.objects.exists()


def test_a_stage_of_another_chain_is_refused(bank):
    first, second = bank.chain(), bank.chain(digest=OTHER)
    with pytest.raises(StaleVersion, match="no part"):
        sign(first, bank.ines, "Service owner", stage=second.stages.get(name="Service owner").pk)


@pytest.mark.parametrize("state", ["complete", "rejected", "void"])
def test_nothing_is_signed_on_a_closed_chain(bank, state):
    chain = bank.chain()
    sql("UPDATE approvals_chain SET state = %s WHERE id = %s", state, chain.pk)
    with pytest.raises(signoffs.ChainClosed):
        sign(chain, bank.ines, "Service owner")


def test_nothing_is_signed_after_the_chain_expired(bank):
    chain = bank.chain()
    sql("UPDATE approvals_chain SET expires_at = %s", timezone.now() - timedelta(seconds=1))
    with pytest.raises(signoffs.ChainClosed, match="time to decide ended"):
        sign(chain, bank.ines, "Service owner")


def test_one_person_counts_once_whatever_the_stage(bank):
    join(bank.ines, "security")
    chain = bank.chain()
    sign(chain, bank.ines, "Service owner")
    for stage in ("Service owner", "Security"):
        with pytest.raises(signoffs.AlreadyDecided, match="withdraw that first"):
            sign(chain, bank.ines, stage)


def test_two_accounts_of_one_person_count_once(bank):
    second = person("Ines Two", "security", of=bank.ines.person)
    chain = bank.chain()
    sign(chain, bank.ines, "Service owner")
    with pytest.raises(signoffs.AlreadyDecided):
        sign(chain, second, "Security")


def test_c07_a_later_stage_opens_when_the_earlier_is_complete(bank):
    chain = bank.chain()
    sql("UPDATE approvals_stage SET \"order\" = 2 WHERE chain_id = %s AND name = 'Security'", chain.pk)
    with pytest.raises(signoffs.StageNotOpen, match="Security opens when Service owner is complete"):
        sign(chain, bank.sam, "Security")
    sign(chain, bank.ines, "Service owner")
    assert sign(chain, bank.sam, "Security") == Verdict.COMPLETE


@pytest.mark.parametrize(
    ("decision", "changed", "pointer"),
    [
        ("approve_with_condition", {"condition": " "}, "/condition"),
        ("send_back", {"comment": ""}, "/comment"),
        ("reject", {"comment": "\n"}, "/comment"),
        ("approve", {"condition": "Only at night"}, "/condition"),
        ("approve", {"comment": "x" * 10_001}, "/comment"),
        ("approved", {}, "/decision"),
        ("", {}, "/decision"),
    ],
)
def test_a_decision_needs_its_words(bank, decision, changed, pointer):
    with pytest.raises(Invalid) as refused:
        sign(bank.chain(), bank.ines, "Service owner", decision, **changed)
    assert refused.value.errors[0]["pointer"] == pointer


def test_a_reject_is_a_veto_and_closes_the_chain(bank):
    chain = bank.chain()
    sign(chain, bank.ines, "Service owner")
    assert sign(chain, bank.sam, "Security", "reject") == Verdict.REJECTED
    with pytest.raises(signoffs.ChainClosed, match="rejected"):
        sign(chain, bank.lena, "Security")
    assert Entry.objects.filter(kind="chain.rejected").count() == 1


def test_a_send_back_voids_the_chain(bank):
    chain = bank.chain()
    assert sign(chain, bank.ines, "Service owner", "send_back") == Verdict.SENT_BACK
    assert Chain.objects.get().state == Chain.State.VOID


def test_a_complete_chain_is_recorded_once(bank):
    complete(bank)
    assert Entry.objects.filter(kind="chain.completed").count() == 1


def test_a_withdrawal_opens_the_chain_again_and_leaves_the_sign_off_as_history(bank):
    chain = complete(bank)
    row = chain.sign_offs.get(user=bank.sam)
    with transaction.atomic():
        assert signoffs.withdraw(row.pk, by=Acting(bank.sam, "session")) == Verdict.WAITING
    assert Chain.objects.get().state == Chain.State.OPEN
    assert SignOff.objects.get(pk=row.pk).withdrawn_at is not None
    assert sign(Chain.objects.get(), bank.sam, "Security") == Verdict.COMPLETE


def test_a_sign_off_is_withdrawn_by_its_giver_alone(bank):
    chain = complete(bank)
    row = chain.sign_offs.get(user=bank.sam)
    with pytest.raises(NotAllowed, match="somebody else"), transaction.atomic():
        signoffs.withdraw(row.pk, by=Acting(bank.lena, "session"))


def test_a_sign_off_is_withdrawn_once_and_never_after_the_start(bank):
    chain = complete(bank)
    by_sam, by_ines = chain.sign_offs.get(user=bank.sam), chain.sign_offs.get(user=bank.ines)
    authorise(chain)
    with pytest.raises(signoffs.ChainClosed, match="started"), transaction.atomic():
        signoffs.withdraw(by_sam.pk, by=Acting(bank.sam, "session"))
    sql("UPDATE approvals_signoff SET withdrawn_at = now() WHERE id = %s", by_ines.pk)
    with pytest.raises(signoffs.AlreadyDecided), transaction.atomic():
        signoffs.withdraw(by_ines.pk, by=Acting(bank.ines, "session"))


def test_a_veto_cannot_be_withdrawn(bank):
    chain = bank.chain()
    sign(chain, bank.sam, "Security", "reject")
    with pytest.raises(signoffs.ChainClosed), transaction.atomic():
        signoffs.withdraw(chain.sign_offs.get().pk, by=Acting(bank.sam, "session"))


def test_an_unknown_sign_off_cannot_be_withdrawn(bank):
    with pytest.raises(NotFound), transaction.atomic():
        signoffs.withdraw(uuid7(), by=Acting(bank.sam, "session"))


def test_a_void_chain_stays_void(bank):
    chain = bank.chain()
    with transaction.atomic():
        chains.void(chain, by=TEST, why="edited")
        chains.void(chain, by=TEST, why="edited again")
    assert Entry.objects.filter(kind="chain.void").count() == 1


def test_progress_tells_what_is_open_and_what_is_given(bank):
    chain = bank.chain()
    sign(chain, bank.ines, "Service owner")
    told = {one.stage.name: (one.given, one.complete, one.open) for one in chains.progress(chain)}
    assert told == {"Service owner": (1, True, False), "Security": (0, False, True)}


@pytest.mark.django_db(transaction=True)
def test_a_sign_off_needs_the_transaction_that_holds_the_lock():
    with pytest.raises(RuntimeError, match="transaction"):
        signoffs.withdraw(uuid7(), by=Acting(None, "session"))  # type: ignore[arg-type]


# --- races -----------------------------------------------------------------------------------------------


def at_once(*acts):
    """Run each act in its own thread and connection, all released together; what each said."""
    barrier = Barrier(len(acts))
    answers: list[Any] = [None] * len(acts)

    def run(index, act):
        try:
            barrier.wait(timeout=30)
            answers[index] = act()
        except Exception as error:  # noqa: BLE001 - the refusal is the answer
            answers[index] = error
        finally:
            connection.close()

    threads = [Thread(target=run, args=pair) for pair in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return answers


@pytest.fixture
def racing(transactional_db):
    return Bank()


def giving(chain, user, stage, decision="approve"):
    return lambda: sign(Chain.objects.get(pk=chain.pk), user, stage, decision)


def test_the_last_two_approvals_at_once_complete_the_chain_once(racing):
    for _ in range(5):
        chain = racing.chain()
        said = at_once(giving(chain, racing.ines, "Service owner"), giving(chain, racing.sam, "Security"))
        assert sorted(said) == [Verdict.COMPLETE, Verdict.WAITING]
        assert Chain.objects.get(pk=chain.pk).state == "complete"
    assert Entry.objects.filter(kind="chain.completed").count() == 5


def test_two_for_a_quorum_of_one_count_once(racing):
    for _ in range(5):
        chain = racing.chain(environment="test")
        said = at_once(
            giving(chain, racing.ines, "Service owner"), giving(chain, racing.omar, "Service owner")
        )
        assert [one for one in said if one == Verdict.COMPLETE] == [Verdict.COMPLETE]
        assert [one for one in said if isinstance(one, signoffs.ChainClosed)], said
        assert chain.sign_offs.count() == 1


def test_approve_against_reject_never_ends_in_both(racing):
    for _ in range(5):
        chain = racing.chain(environment="test")
        at_once(
            giving(chain, racing.ines, "Service owner"), giving(chain, racing.omar, "Service owner", "reject")
        )
        state = Chain.objects.get(pk=chain.pk).state
        assert [one.decision for one in chain.sign_offs.all()] == [
            {"complete": "approve", "rejected": "reject"}[state]
        ]


def test_c02_fifty_clicks_of_one_person_are_one_sign_off(racing):
    chain = racing.chain()
    said = at_once(*[giving(chain, racing.ines, "Service owner")] * 50)
    assert said.count(Verdict.WAITING) == 1
    assert sum(isinstance(one, signoffs.AlreadyDecided) for one in said) == 49
    assert chain.sign_offs.count() == 1


@pytest.mark.races
def test_c05_a_withdrawal_that_meets_the_start_and_the_start_never_both_win(racing):
    """The caller's change lock is left out on purpose: the chain's own lock must be enough."""
    for _ in rounds():
        chain = complete(racing, environment="production")
        row = chain.sign_offs.get(user=racing.sam)

        def withdraw(row=row):
            with transaction.atomic():
                return signoffs.withdraw(row.pk, by=Acting(racing.sam, "session"))

        started, withdrawn = at_once(lambda chain=chain: authorise(chain), withdraw)
        assert isinstance(started, Exception) != isinstance(withdrawn, Exception), (started, withdrawn)


def test_nobody_leaves_a_team_between_the_gates_look_and_its_commit(racing):
    chain = complete(racing)

    def leave_impatiently():
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '200ms'")
        leave(racing.sam, "security")

    known = {"told": told(chain), "judged": judge(chain)}
    with transaction.atomic():
        gate.authorise(start(chain, **known))
        (left,) = at_once(leave_impatiently)
    assert "lock timeout" in str(left)


@pytest.mark.races
def test_a_membership_that_ends_while_the_gate_looks_is_either_seen_or_held_off(racing):
    for _ in rounds():
        chain = complete(racing)
        started, left = at_once(lambda chain=chain: authorise(chain), lambda: leave(racing.sam, "security"))
        assert left is None
        assert started.__class__.__name__ in {"Permit", "QuorumLost"}, started
        join(racing.sam, "security")
