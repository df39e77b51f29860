"""Any walk of people, clocks and workers over one change comes to what the model says; STATE_EXAMPLES asks for more."""

import os
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from hypothesis.strategies import sampled_from

from accounts import teams
from accounts.acting import Acting
from accounts.models import User
from approvals import freezes, periods
from approvals.models import Freeze, Permit, SignOff
from audit.refusals import Refusal
from orchestration import asking, changes
from orchestration.engine.claim import Claimed
from orchestration.engine.reconcile import reconcile
from orchestration.models import Change, Step, StepAttempt
from tests.approvals.cast import sql
from tests.audit.log import sequence
from tests.factories import TEST, Bank
from tests.orchestration.deeds import claimed, ended
from tests.state.model import OPEN, OVER, Model, People

EXAMPLES = int(os.environ.get("STATE_EXAMPLES", "12"))
ROLES = {"jonas": "Service owner", "lena": "Service owner", "noor": "Security", "ines": "Security"}
TEAM = {"Service owner": "payments", "Security": "security"}
BOUNDED = settings(
    max_examples=EXAMPLES,
    stateful_step_count=30,
    deadline=None,
    database=None,
    derandomize="STATE_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)
_numbers = count()
# By how often it should come: most of a walk is people who agree, things that come between, and workers that look.
ACTS = [
    *["whoever_is_asked_agrees", "two_workers_look", "ask_anew"] * 5,
    *["approve", "leave", "come_back", "take_back", "freeze_or_lift", "edit"] * 2,
    *[
        "the_requester_approves",
        "reject",
        "send_back",
        "withdraw",
        "deactivate",
        "pass_time",
        "sweep",
        "finish",
    ],
]


class OneChange(RuleBasedStateMachine):
    """A change of its own with people of its own, in a bank that all walks share. Each act is offered a person."""

    def __init__(self, bank: Bank, looked: Counter[bool]) -> None:
        super().__init__()
        self.bank, self.looked = bank, looked
        self.frozen: Freeze | None = None
        self.held: Claimed | None = None
        self.who: dict[str, Acting] = {}
        self.gone: set[str] = set()
        for role, stage in ROLES.items():
            user = teams.create_person(username=f"{role}-{next(_numbers)}", name=role.title(), by=TEST)
            teams.join(self.bank.teams[TEAM[stage]], user, by=TEST)
            self.who[role] = Acting(user, "session")
        stages = {stage: frozenset(one for one in ROLES if ROLES[one] == stage) for stage in TEAM}
        self.model = Model(People(stages))
        self.change = self.bank.change()

    @rule(act=sampled_from(ACTS), who=sampled_from(sorted(ROLES)))
    def do(self, act: str, who: str) -> None:
        """One rule for all, as rules of their own would come equally often, and hardly a walk would come to a start."""
        getattr(self, act)(who)

    def approve(self, who: str) -> None:
        self.decide_as(who, "approve")

    def reject(self, who: str) -> None:
        self.decide_as(who, "reject")

    def send_back(self, who: str) -> None:
        self.decide_as(who, "send_back")

    def decide_as(self, who: str, said: str) -> None:
        self.expect(self.model.decide(who, said), partial(self.say, who, said))

    def whoever_is_asked_agrees(self, _: str) -> None:
        for who in ROLES:
            if self.model.state == "waiting":
                self.decide_as(who, "approve")

    def ask_anew(self, _: str) -> None:
        anew = Model(self.model.people, frozen=self.model.frozen)
        if self.model.state in OVER and all(anew.people.stages.values()):
            self.change, self.model = self.bank.change(), anew

    def the_requester_approves(self, _: str) -> None:
        self.expect((False, self.model), lambda: self.bank.say(self.change, "mara"))

    def take_back(self, who: str) -> None:
        mine = SignOff.objects.filter(chain=self.now().revision.chain, user=self.who[who].user)
        mine = mine.filter(withdrawn_at=None)
        expected = self.model.take_back(who) if who not in self.gone else (False, self.model)
        for one in mine:
            back = partial(changes.withdraw_sign_off, self.change, one.pk, by=self.who[who])
            self.expect(expected, back)

    def edit(self, _: str) -> None:
        self.expect(self.model.edit(), self.revised)

    def withdraw(self, _: str) -> None:
        mara = self.bank.people["mara"]
        self.expect(self.model.withdraw(), lambda: changes.withdraw(self.change, by=mara))

    def leave(self, who: str) -> None:
        if self.model.people.may(who):
            teams.leave(self.bank.teams[TEAM[ROLES[who]]], self.who[who].user, by=TEST)
            self.model = _with(self.model, people=self.model.people.without(who))

    def come_back(self, who: str) -> None:
        if not self.model.people.may(who) and who not in self.gone:
            teams.join(self.bank.teams[TEAM[ROLES[who]]], self.who[who].user, by=TEST)
            self.model = _with(self.model, people=self.model.people.joined(who, ROLES[who]))

    def deactivate(self, who: str) -> None:
        if who not in self.gone and len(self.gone) < 2:
            user = self.who[who].user
            teams.deactivate(user, by=TEST)
            self.gone.add(who)
            self.model = _with(self.model, people=self.model.people.without(who))

    def freeze_or_lift(self, _: str) -> None:
        if self.model.frozen:
            self.thaw()
        else:
            self.freeze()
        self.model = _with(self.model, frozen=not self.model.frozen)

    def freeze(self) -> None:
        now, sam = timezone.now(), self.bank.people["sam"]
        self.frozen = freezes.create(
            name="Quarter's end", reason="Because.", environments=["production"], known={"production"},
            starts_at=now - timedelta(days=1), ends_at=now + timedelta(days=1), by=sam,
        )  # fmt: skip

    def pass_time(self, _: str) -> None:
        if self.model.state not in OPEN or self.model.expired:
            return
        chain = self.now().revision.chain
        sql("UPDATE approvals_chain SET expires_at = now() WHERE id = %s", chain.pk)
        self.model = _with(self.model, expired=True)

    def sweep(self, _: str) -> None:
        reconcile()
        self.model = self.model.sweep()

    def two_workers_look(self, _: str) -> None:
        """I9, I10: whoever comes second finds nothing."""
        Step.objects.filter(run__change=self.change, state="ready").update(not_before=timezone.now())
        steps = Step.objects.filter(run__change=self.change).order_by("pk")
        held = [one for step in steps for one in (claimed(step), claimed(step)) if one is not None]
        started, self.model = self.model.start()
        assert len(held) == started
        self.looked[started] += 1
        self.held = held[0] if held else self.held

    def finish(self, _: str) -> None:
        if self.model.state != "running":
            return
        assert self.held is not None
        ended(self.held)
        self.model = self.model.finish()[1]

    @invariant()
    def the_database_says_what_the_model_says(self) -> None:
        now = self.now()
        assert (now.state, now.revision.number) == (self.model.state, self.model.revision)
        attempts = StepAttempt.objects.filter(step__run__change=self.change).count()
        permits = Permit.objects.filter(run_id__in=self.change.runs.values("pk")).count()
        assert (attempts, permits) == (self.model.starts, self.model.starts)

    def teardown(self) -> None:
        for role, stage in ROLES.items():
            if self.model.people.may(role):
                teams.leave(self.bank.teams[TEAM[stage]], self.who[role].user, by=TEST)
        self.thaw()
        sequence()

    def thaw(self) -> None:
        """As the governed act does, once others have agreed."""
        if self.frozen is not None:
            periods.lift(self.frozen, reason="It is over.", by=TEST)
        self.frozen = None

    def now(self) -> Any:
        return Change.objects.select_related("revision__chain").get(pk=self.change.pk)

    def say(self, who: str, said: str) -> None:
        now = self.now()
        changes.decide(
            now, stage=now.revision.chain.stages.get(name=ROLES[who]).pk, decision=said,
            digest=now.revision.digest, chain_digest=now.revision.chain.digest,
            comment="Because.", condition="", by=Acting(User.objects.get(pk=self.who[who].user.pk), "session"),
        )  # fmt: skip

    def revised(self) -> None:
        mara = self.bank.people["mara"]
        asked = asking.ask_again(self.now(), inputs={"version": "43"}, reason="Again.", by=mara)
        changes.revise(self.change, asked)

    def expect(self, expected: tuple[bool, Model], act: Callable[[], Any]) -> None:
        """The act is done, or refused, as the model says."""
        done, self.model = expected
        refusal = refused(act)
        assert (refusal is None) == done, refusal or "it was done"


def refused(act: Callable[[], Any]) -> Refusal | None:
    try:
        act()
    except Refusal as refusal:
        return refusal
    return None


def _with(model: Model, **changed: Any) -> Model:
    return Model(**{**vars(model), **changed})


@pytest.mark.django_db(transaction=True)
def test_whatever_happens_to_a_change_is_what_may_happen_to_it():
    bank = Bank()
    for name, team in (("jonas", "payments"), ("noor", "security"), ("ines", "security")):
        teams.leave(bank.teams[team], bank.user(name), by=TEST)
    looked: Counter[bool] = Counter()

    run_state_machine_as_test(partial(OneChange, bank, looked), settings=BOUNDED)  # type: ignore[arg-type]
    assert min(looked[True], looked[False]) > EXAMPLES // 4, "walks that start nothing prove nothing"
