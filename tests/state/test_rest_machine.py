"""Two people at the same instant, over HTTP: what both come to is what one order of the two would have come to."""

import os
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from hypothesis.strategies import booleans, sampled_from

from accounts import permissions, teams
from accounts.models import Delegation
from approvals.models import SignOff
from audit.refusals import Refusal
from orchestration.models import Change, Environment, Review, Run, Step, StepAttempt
from tests.abuse.attack import Case
from tests.browser import REQUEST, decision
from tests.factories import TEST
from tests.orchestration.deeds import claimed
from tests.races import Together
from tests.state.model import Act, Model, People, Rank, orders
from tests.state.rules import OWNER, SECURITY, TEAM

EXAMPLES = int(os.environ.get("STATE_EXAMPLES", "8"))
STAGES = {
    "jonas": (OWNER,),
    "lena": (OWNER,),
    "dana": (OWNER, SECURITY),
    "noor": (SECURITY,),
    "ines": (SECURITY,),
}
RANKS = {OWNER: Rank(1, 1), SECURITY: Rank(1, 1)}
AGREE: list[Act] = [
    ("decide", (who, stage, "approve"))
    for who, stage in (
        *(("jonas", OWNER), ("lena", OWNER), ("dana", OWNER), ("noor", SECURITY), ("ines", SECURITY)),
        *(("dana", SECURITY), ("omar", SECURITY), ("jonas", OWNER), ("noor", SECURITY)),
    )
]
ACTS: list[Act] = [
    *AGREE,
    ("decide", ("jonas", OWNER, "reject")),
    ("decide", ("ines", SECURITY, "send_back")),
    ("take_back", ("jonas",)),
    ("take_back", ("noor",)),
    ("edit", ()),
    ("withdraw", ()),
    ("cancel", ()),
    *[("start", ()), ("start", ())],
    ("leave", ("noor",)),
    ("come_back", ("noor", SECURITY)),
    ("lend", ("noor", "omar")),
    ("lend", ("omar", "noor")),
    ("lend", ("mara", "jonas")),
    ("back", ("noor",)),
    ("back", ("mara",)),
    ("conclude", ("omar",)),
    ("conclude", ("ines",)),
]
BOUNDED = settings(
    max_examples=EXAMPLES,
    stateful_step_count=6,
    deadline=None,
    database=None,
    derandomize="STATE_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],  # an example is a few pairs: short enough as it is
)
_numbers = count(1)


class Brief(NamedTuple):
    """What can be read of a change from outside."""

    state: str
    revision: int
    votes: frozenset[tuple[str, str, str]]  # who, in whose place, at which stage
    starts: int
    away: frozenset[tuple[str, str]]
    concluded: frozenset[str]


class Desk(RuleBasedStateMachine):
    """Everybody has the change open, as it was before both act; each act is one request."""

    def __init__(self, case: Case, together: Together) -> None:
        super().__init__()
        self.case, self.together = case, together

    @initialize(emergency=booleans())
    def ask(self, emergency: bool) -> None:
        if emergency:
            answer = self.case.at["mara"].post("break-glass/", {**REQUEST, "incident": "INC-77"})
            assert answer.status_code == 201, answer.content
            self.change = answer.json()
        else:
            self.change = self.case.asked()
        members = {stage: frozenset(one for one in STAGES if stage in STAGES[one]) for stage in TEAM}
        self.model = Model(People(members), RANKS, emergency=emergency)

    @rule(one=sampled_from(ACTS), other=sampled_from(ACTS))
    def pair(self, one: Act, other: Act) -> None:
        """Both at once, against what either order would have made of them."""
        self.change = self.case.seen(self.change)
        self.tag = f'"{self.change["version"]}"'
        requests = [self.request(*act) for act in (one, other)]
        done = tuple(not isinstance(did, Refusal) and did for did in self.together.at_once(*requests))
        possible = orders(self.model, self.seen(one), self.seen(other))
        found = self.found()
        ends = [end for did, end in possible if (did, brief(end)) == (done, found)]
        assert ends, (one, other, done, found, [(did, brief(end)) for did, end in possible])
        self.model = ends[0]

    @rule(one=sampled_from(AGREE), other=sampled_from(AGREE))
    def two_agree(self, one: Act, other: Act) -> None:
        """The same, more often: without agreement nothing else has a chance to go wrong."""
        self.pair(one, other)

    def seen(self, act: Act) -> Act:
        """The act with the revision that its person saw, or with a number of its own."""
        name, given = act
        if name in {"decide", "take_back", "edit"}:
            return name, (*given, self.model.revision)
        return (name, (*given, next(_numbers))) if name == "lend" else act

    def found(self) -> Brief:
        row = Change.objects.select_related("revision__chain").get(pk=self.change["id"])
        assert row.revision is not None
        signed = SignOff.objects.filter(chain=row.revision.chain, withdrawn_at=None, decision="approve")
        names = {one.person_id: who for who, acting in self.case.bank.people.items() for one in [acting.user]}
        away = Delegation.objects.standing().values_list("delegator__username", "delegate__username")
        review = Review.objects.filter(change=row).first()
        concluded = review.conclusions.values_list("user__username", flat=True) if review else []
        return Brief(
            row.state,
            row.revision.number,
            frozenset(
                (one.user.username, names[one.owner_id or one.person_id], one.stage.name) for one in signed
            ),
            StepAttempt.objects.filter(step__run__change=row).count(),
            frozenset(away),
            frozenset(concluded),
        )

    def request(self, name: str, given: tuple[Any, ...]) -> Any:
        return partial(getattr(self, f"_{name}"), *given)

    def _decide(self, who: str, stage: str, said: str) -> bool:
        return self._post(who, "sign-offs/", decision(self.change, stage, said))

    def _take_back(self, who: str) -> bool:
        mine = SignOff.objects.filter(chain=self.change["chain"]["id"], user__username=who, withdrawn_at=None)
        key = mine.values_list("pk", flat=True).first()
        return key is not None and self._post(who, f"sign-offs/{key}/withdraw/")

    def _withdraw(self) -> bool:
        return self._post("mara", "withdraw/")

    def _cancel(self) -> bool:
        return self._post("mara", "cancel/")

    def _conclude(self, who: str) -> bool:
        return self._post(who, "review/", {"conclusion": "It was one."})

    def _edit(self) -> bool:
        path = f"changes/{self.change['key']}/"
        answer = self.case.at["mara"].patch(path, {"reason": "Again."}, **{"If-Match": self.tag})
        return answered(answer)

    def _start(self) -> bool:
        step = Step.objects.filter(run__change=self.change["id"], state="ready").first()
        return step is not None and claimed(step) is not None

    def _leave(self, who: str) -> bool:
        """As the governed act does, once others have agreed; so does `come_back`."""
        teams.leave(self.case.bank.teams[TEAM[SECURITY]], self.case.bank.user(who), by=TEST)
        return True

    def _come_back(self, who: str, stage: str) -> bool:
        teams.join(self.case.bank.teams[TEAM[stage]], self.case.bank.user(who), by=TEST)
        return True

    def _lend(self, who: str, to: str) -> bool:
        ends = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        return answered(self.case.at[who].post("me/delegations/", {"delegate": to, "ends_at": ends}))

    def _back(self, who: str) -> bool:
        lent = Delegation.objects.standing().filter(delegator__username=who).first()
        return lent is not None and answered(self.case.at[who].post(f"me/delegations/{lent.pk}/end/"))

    def _post(self, who: str, path: str, body: dict[str, Any] | None = None) -> bool:
        return answered(self.case.at[who].post(f"changes/{self.change['key']}/{path}", body))

    def teardown(self) -> None:
        for who in ("noor", "omar", "mara"):
            self._back(who)
        if not self.case.bank.user("noor").memberships.filter(ended_at=None, team__slug="security").exists():
            self._come_back("noor", SECURITY)


def brief(model: Model) -> Brief:
    return Brief(
        model.state,
        model.revision,
        frozenset((one.place.who, one.place.owner, one.stage) for one in model.votes),
        model.starts,
        frozenset((one.owner, one.to) for one in model.people.away),
        model.concluded,
    )


def answered(answer: Any) -> bool:
    """Done, or refused as a refusal must be: never a fault of ours."""
    assert answer.status_code in {200, 201, 202, 403, 404, 409, 422}, answer.content
    return bool(answer.status_code < 300)


@pytest.fixture
def together():
    threads = Together(2)
    yield threads
    threads.close()


def test_two_requests_at_once_come_to_what_one_order_of_them_would_have(case, together):
    bank = case.bank
    bank.teams["deputies"] = teams.create_team(slug="deputies", name="Deputies", by=TEST)
    for one in (bank.workflow, bank.service, *Environment.objects.all()):
        permissions.grant(bank.teams["deputies"], "sign_off", one, by=TEST)
    for name, slugs in {"lena": ["payments"], "dana": ["payments", "security"], "omar": []}.items():
        case.enter(user := teams.create_person(username=name, name=name.title(), by=TEST))
        for slug in (*slugs, "deputies"):
            teams.join(bank.teams[slug], user, by=TEST)
    for name in ("jonas", "noor", "ines"):
        teams.join(bank.teams["deputies"], bank.user(name), by=TEST)

    run_state_machine_as_test(partial(Desk, case, together), settings=BOUNDED)  # type: ignore[arg-type]
    assert Run.objects.exists(), "pairs that agree to nothing prove nothing"
