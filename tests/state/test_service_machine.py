"""Any walk of people, clocks and workers over one change comes to what the model says; STATE_EXAMPLES asks for more."""

import os
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from itertools import count, cycle
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from hypothesis.strategies import sampled_from

from accounts import delegation, permissions, teams
from accounts.acting import Acting
from accounts.models import Delegation, User
from approvals import freezes, periods
from approvals.models import Freeze, Permit, SignOff
from audit.refusals import Refusal
from orchestration import asking, changes, reviewing
from orchestration.definitions.digest import Emergency
from orchestration.engine.claim import Claimed
from orchestration.engine.invariants import violations
from orchestration.engine.reconcile import reconcile
from orchestration.models import Change, Environment, Review, Step, StepAttempt
from tests.approvals.cast import sql
from tests.audit.log import sequence
from tests.factories import TEST, Bank
from tests.orchestration.deeds import claimed, ended
from tests.state.model import OPEN, OVER, REQUESTER, Model, People
from tests.state.rules import ASKS, OWNER, SECURITY, TEAM, judge

EXAMPLES = int(os.environ.get("STATE_EXAMPLES", "20"))
# Dana is in both teams, Omar and Olga in none that is asked: Omar decides for others, Olga looks on and reviews.
STAGES: dict[str, tuple[str, ...]] = {
    "jonas": (OWNER,), "lena": (OWNER,), "dana": (OWNER, SECURITY), "noor": (SECURITY,), "ines": (SECURITY,),
    "omar": (), "olga": (),
}  # fmt: skip
BOUNDED = settings(
    max_examples=EXAMPLES,
    stateful_step_count=40,
    deadline=None,
    database=None,
    derandomize="STATE_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)
_numbers = count(1)
_between = cycle(
    [
        "leave",
        "pass_time",
        "take_back",
        "freeze",
        "edit_too_late",
        "cancel",
        "deactivate",
        "edit",
        "pass_time",
    ]
)
# By how often it should come: most of a walk is people who agree, things that come between, and workers that look.
ACTS = [
    *["go_ahead", "two_workers_look"] * 9,
    *["whoever_is_asked_agrees", "ask_anew", "finish"] * 4,
    *["something_comes_between"] * 4,
    *["lend"] * 7,
    *["everybody_is_back"] * 2,
    *["approve", "leave", "come_back", "take_back", "edit", "lift"] * 2,
    *["reject", "send_back", "cancel", "approve_what_was_seen_before"] * 2,
    *["the_requester_approves", "withdraw"],
    *["deactivate", "pass_time", "sweep", "be_back", "conclude", "freeze"],
    *["the_requester_lends"] * 2,
]


class OneChange(RuleBasedStateMachine):
    """A change of its own with people of its own, in a bank that all walks share. Each act is offered a person."""

    def __init__(self, bank: Bank, looked: Counter[str]) -> None:
        super().__init__()
        self.bank, self.looked = bank, looked
        self.frozen: Freeze | None = None
        self.held: Claimed | None = None
        self.who: dict[str, Acting] = {REQUESTER: bank.people[REQUESTER]}
        for role, stages in STAGES.items():
            user = teams.create_person(username=f"{role}-{next(_numbers)}", name=role.title(), by=TEST)
            for team in ("deputies", *(TEAM[stage] for stage in stages)):
                teams.join(self.bank.teams[team], user, by=TEST)
            self.who[role] = Acting(user, "session")
        asked = {stage: frozenset(one for one in STAGES if stage in STAGES[one]) for stage in TEAM}
        self.kinds = sorted(ASKS)
        self.ask(People(asked), frozen=False)

    def ask(self, people: People, *, frozen: bool) -> None:
        """The next change, of each kind in turn."""
        kind = self.kinds[next(_numbers) % len(self.kinds)]
        emergency = kind == "emergency"
        self.model = Model(people, ASKS[kind], emergency=emergency, frozen=frozen)
        place = {"environment": "production" if emergency else kind}
        self.change = self.bank.change(**place, emergency=Emergency("INC-77") if emergency else None)

    @rule(act=sampled_from(ACTS), who=sampled_from(sorted(STAGES)), other=sampled_from(sorted(STAGES)))
    def do(self, act: str, who: str, other: str) -> None:
        """One rule for all, as rules of their own would come equally often, and hardly a walk would come to a start."""
        self.look_at(act, who, other)

    def look_at(self, act: str, who: str, other: str) -> None:
        before = self.model
        getattr(self, act)(who, other)
        self.looked[act] += self.model != before

    # --- deciding ---------------------------------------------------------------------------------------------

    def approve(self, who: str, other: str) -> None:
        """At one's own stage, or at one that is another's."""
        for stage in STAGES[other]:
            self.decide_as(who, stage, "approve")

    def reject(self, first: str, _: str) -> None:
        self.somebody_says("reject", first)

    def send_back(self, first: str, _: str) -> None:
        self.somebody_says("send_back", first)

    def somebody_says(self, said: str, first: str) -> None:
        """Beginning with anybody, until one of them may: about what is asked now, or is asked once more."""
        self.ask_anew("", "")
        self.edit("", "")
        for who in in_turn(first):
            for stage in STAGES[who]:
                if self.model.state == "waiting":
                    self.decide_as(who, stage, said)

    def decide_as(self, who: str, stage: str, said: str) -> None:
        self.expect(self.model.decide(who, stage, said), partial(self.say, who, stage, said))

    def whoever_is_asked_agrees(self, first: str, _: str) -> None:
        """Beginning with anybody, so that deputies and those who could sign twice come first as well."""
        for stage in (OWNER, SECURITY):
            for who in in_turn(first):
                if self.model.state == "waiting" and stage not in self.model.done():
                    self.decide_as(who, stage, "approve")

    def go_ahead(self, first: str, _: str) -> None:
        """Out of whatever holds it up, and everybody agrees: else most walks would stand still half way."""
        self.ask_anew("", "")
        if self.model.expired or self.model.state == "sent_back":
            self.edit("", "")
        self.lift("", "")
        self.whoever_is_asked_agrees(first, "")

    def something_comes_between(self, who: str, other: str) -> None:
        """Everybody has agreed, this person first, and before a worker looks it is no longer so."""
        self.go_ahead(who, "")
        self.look_at(next(_between), who, other)
        self.two_workers_look("", "")

    def the_requester_approves(self, who: str, other: str) -> None:
        for stage in TEAM:
            self.decide_as(REQUESTER, stage, "approve")

    def approve_what_was_seen_before(self, who: str, _: str) -> None:
        """Of the content, or of the chain, as it was before the edit: the rest is as the page shows it now."""
        old = self.now().revisions.filter(number__lt=self.model.revision).order_by("-number").first()
        if old is not None:
            for stage in STAGES[who]:
                for seen in ({"digest": old.digest}, {"chain_digest": old.chain.digest}):
                    stale = self.model.decide(who, stage, "approve", self.model.revision - 1)
                    self.expect(stale, partial(self.say, who, stage, "approve", **seen))

    def take_back(self, who: str, _: str) -> None:
        mine = SignOff.objects.filter(chain=self.now().revision.chain, user=self.who[who].user)
        off = who in self.model.people.off
        for one in mine.filter(withdrawn_at=None):
            expected = (False, self.model) if off else self.model.take_back(who)
            back = partial(changes.withdraw_sign_off, self.change, one.pk, by=self.acting(who))
            self.expect(expected, back)

    # --- asking and stopping ------------------------------------------------------------------------------------

    def ask_anew(self, _: str, __: str) -> None:
        people = self.model.people
        if self.model.state in OVER and all(people.answerable(ranks) for ranks in ASKS.values()):
            self.ask(people, frozen=self.model.frozen)

    def edit(self, _: str, __: str) -> None:
        """Whoever has the page of before still open decides at once: rarely would a walk come to that by itself."""
        before = self.model.revision
        self.expect(self.model.edit(), self.revised)
        if self.model.revision > before:
            for who in STAGES:
                self.approve_what_was_seen_before(who, "")

    def edit_too_late(self, first: str, _: str) -> None:
        self.edit(first, "")
        self.pass_time(first, "")

    def withdraw(self, _: str, __: str) -> None:
        self.expect(self.model.withdraw(), lambda: changes.withdraw(self.change, by=self.who[REQUESTER]))

    def cancel(self, _: str, __: str) -> None:
        self.expect(self.model.cancel(), lambda: changes.cancel(self.now(), by=self.who[REQUESTER]))

    def conclude(self, who: str, _: str) -> None:
        concluding = partial(reviewing.conclude, self.now(), text="It was one.", by=self.acting(who))
        if who not in self.model.people.off:
            self.expect(self.model.conclude(who), concluding)

    # --- people -------------------------------------------------------------------------------------------------

    def leave(self, who: str, _: str) -> None:
        for stage in STAGES[who]:
            if who in self.model.people.teams[stage]:
                teams.leave(self.bank.teams[TEAM[stage]], self.who[who].user, by=TEST)
        self.model = self.model.leave(who)[1]

    def come_back(self, who: str, _: str) -> None:
        if who in self.model.people.off:
            return
        for stage in STAGES[who]:
            if who not in self.model.people.teams[stage]:
                teams.join(self.bank.teams[TEAM[stage]], self.who[who].user, by=TEST)
        self.model = self.model.come_back(who, *STAGES[who])[1]

    def everybody_is_back(self, _: str, __: str) -> None:
        for who in STAGES:
            self.come_back(who, "")

    def deactivate(self, who: str, _: str) -> None:
        off = self.model.people.off
        if who not in off and len(off) < 2:
            teams.deactivate(self.who[who].user, by=TEST)
            self.model = _with(self.model, people=self.model.people.switched_off(who))

    def lend(self, who: str, other: str) -> None:
        """Somebody is away, and another decides in their place."""
        if who not in self.model.people.off:
            to = self.who[other].user.username
            lending = partial(
                delegation.start, delegate=to, teams=[], starts_at=None,
                ends_at=timezone.now() + timedelta(days=7), by=self.who[who],
            )  # fmt: skip
            self.expect(self.model.lend(who, other, next(_numbers)), lending)

    def the_requester_lends(self, _: str, other: str) -> None:
        """I6: nobody is judged by their own deputy, who tries at once."""
        self.lend(REQUESTER, other)
        self.approve(other, other)

    def be_back(self, who: str, _: str) -> None:
        for one in (who, REQUESTER):
            for lent in Delegation.objects.standing().filter(delegator=self.who[one].user):
                delegation.end(lent, by=self.who[one])
            self.model = self.model.back(one)[1]

    # --- clocks and workers ----------------------------------------------------------------------------------------

    def freeze(self, _: str, __: str) -> None:
        if self.frozen is not None:
            return
        now, sam = timezone.now(), self.bank.people["sam"]
        places = ["production", "staging"]
        self.frozen = freezes.create(
            name="Quarter's end", reason="Because.", environments=places, known=set(places),
            starts_at=now - timedelta(days=1), ends_at=now + timedelta(days=1), by=sam,
        )  # fmt: skip
        self.model = _with(self.model, frozen=True)

    def lift(self, _: str, __: str) -> None:
        """As the governed act does, once others have agreed."""
        if self.frozen is not None:
            periods.lift(self.frozen, reason="It is over.", by=TEST)
        self.frozen = None
        self.model = _with(self.model, frozen=False)

    def pass_time(self, first: str, _: str) -> None:
        """The time to decide is over: nobody signs any more, and no worker starts what everybody agreed to."""
        if self.model.state not in OPEN or self.model.expired:
            return
        chain = self.now().revision.chain
        sql("UPDATE approvals_chain SET expires_at = now() WHERE id = %s", chain.pk)
        self.model = _with(self.model, expired=True)
        self.whoever_is_asked_agrees(first, "")
        self.two_workers_look("", "")

    def sweep(self, _: str, __: str) -> None:
        """The reconciler, which counts the invariants too: none is ever broken."""
        found = reconcile()
        assert {name: number for name, number in found.items() if name.startswith("I") and number} == {}
        self.model = self.model.sweep()

    def two_workers_look(self, _: str, __: str) -> None:
        """I9, I10: whoever comes second finds nothing."""
        Step.objects.filter(run__change=self.change, state="ready").update(not_before=timezone.now())
        steps = Step.objects.filter(run__change=self.change).order_by("pk")
        held = [one for step in steps for one in (claimed(step), claimed(step)) if one is not None]
        started, self.model = self.model.start()
        assert len(held) == started
        self.looked["started" if started else "not"] += 1
        self.looked["emergency"] += started and self.model.emergency
        self.looked["in place of another"] += started and any(one.place.lent for one in self.model.standing)
        self.held = held[0] if held else self.held

    def finish(self, _: str, __: str) -> None:
        if self.model.state != "running":
            return
        assert self.held is not None
        ended(self.held)
        self.model = self.model.finish()[1]

    # --- what must be so after each -----------------------------------------------------------------------------

    @invariant()
    def the_database_says_what_the_model_says(self) -> None:
        now = self.now()
        assert (now.state, now.revision.number) == (self.model.state, self.model.revision)
        attempts = StepAttempt.objects.filter(step__run__change=self.change).count()
        permits = Permit.objects.filter(run_id__in=self.change.runs.values("pk")).count()
        assert (attempts, permits) == (self.model.starts, self.model.starts)
        review = Review.objects.filter(change=self.change).first()
        assert (review is not None) == self.model.reviewed
        assert (review is not None and review.closed_at is not None) == (len(self.model.concluded) == 2)

    def teardown(self) -> None:
        assert not any(violations().values())
        for role, stages in STAGES.items():
            for stage in stages:
                if role in self.model.people.teams[stage]:
                    teams.leave(self.bank.teams[TEAM[stage]], self.who[role].user, by=TEST)
        self.be_back(REQUESTER, "")
        self.lift("", "")
        sequence()

    def now(self) -> Any:
        return Change.objects.select_related("revision__chain").get(pk=self.change.pk)

    def acting(self, who: str) -> Acting:
        """As the door finds them now."""
        return Acting(User.objects.get(pk=self.who[who].user.pk), "session")

    def say(self, who: str, stage: str, said: str, **seen: str) -> None:
        now = self.now()
        shown = {"digest": now.revision.digest, "chain_digest": now.revision.chain.digest, **seen}
        changes.decide(
            now, stage=now.revision.chain.stages.get(name=stage).pk, decision=said, **shown,
            comment="Because.", condition="", by=self.acting(who),
        )  # fmt: skip

    def revised(self) -> None:
        asked = asking.ask_again(
            self.now(), inputs={"version": "43"}, reason="Again.", by=self.who[REQUESTER]
        )
        changes.revise(self.change, asked)

    def expect(self, expected: tuple[bool, Any], act: Callable[[], Any]) -> None:
        """The act is done, or refused, as the model says."""
        done, self.model = expected
        refusal = refused(act)
        assert (refusal is None) == done, refusal or "it was done"


def in_turn(first: str) -> list[str]:
    """Everybody, beginning with this person."""
    everybody = [*STAGES, *STAGES]
    begin = everybody.index(first)
    return everybody[begin : begin + len(STAGES)]


def refused(act: Callable[[], Any]) -> Refusal | None:
    try:
        act()
    except Refusal as refusal:
        return refusal
    return None


def _with(model: Model, **changed: Any) -> Model:
    return Model(**{**vars(model), **changed})


def empty(bank: Bank) -> None:
    """Nobody but the walk's own people is asked; all of them may sign wherever they are asked to."""
    for name, team in (("jonas", "payments"), ("noor", "security"), ("ines", "security")):
        teams.leave(bank.teams[team], bank.user(name), by=TEST)
    bank.teams["deputies"] = teams.create_team(slug="deputies", name="Deputies", by=TEST)
    for one in (bank.workflow, bank.service, *Environment.objects.all()):
        permissions.grant(bank.teams["deputies"], "sign_off", one, by=TEST)


@pytest.mark.django_db(transaction=True)
def test_whatever_happens_to_a_change_is_what_may_happen_to_it():
    bank = Bank()
    judge()
    empty(bank)
    looked: Counter[str] = Counter()

    run_state_machine_as_test(partial(OneChange, bank, looked), settings=BOUNDED)  # type: ignore[arg-type]
    assert min(looked["started"], looked["not"]) > EXAMPLES // 4, "walks that start nothing prove nothing"
    assert min(looked["emergency"], looked["in place of another"]) > 0, looked
    done = {act for act in ACTS if looked[act]}
    assert done >= {"reject", "send_back", "cancel", "take_back", "edit", "finish", "pass_time", "lend"}, (
        looked
    )
