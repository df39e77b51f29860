"""Two people at the same instant, over HTTP: what both come to is what one order of the two would have come to."""

import os
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from hypothesis.strategies import sampled_from

from accounts import teams
from approvals.models import SignOff
from orchestration.models import Change, Step, StepAttempt
from tests.abuse.attack import STAGES, Case
from tests.browser import decision
from tests.factories import TEST
from tests.orchestration.deeds import claimed
from tests.races import Together
from tests.state.model import Act, Model, People, orders

EXAMPLES = int(os.environ.get("STATE_EXAMPLES", "8"))
OWNERS, SECURITY = frozenset({"jonas", "lena"}), frozenset({"noor", "ines"})
ACTS: list[Act] = [
    *(("decide", (who, "approve")) for who in STAGES if who != "mara"),
    *(("decide", (who, "approve")) for who in ("jonas", "noor")),
    ("decide", ("jonas", "reject")),
    ("decide", ("ines", "send_back")),
    ("take_back", ("jonas",)),
    ("take_back", ("noor",)),
    ("edit", ()),
    ("withdraw", ()),
    ("start", ()),
]
BOUNDED = settings(
    max_examples=EXAMPLES,
    stateful_step_count=5,
    deadline=None,
    database=None,
    derandomize="STATE_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],  # an example is five pairs at most: short enough as it is
)


class Desk(RuleBasedStateMachine):
    """Everybody has the change open, as it was before both act; each act is one request."""

    def __init__(self, case: Case, together: Together) -> None:
        super().__init__()
        self.case, self.together = case, together
        self.change = case.asked()
        self.model = Model(People({"Service owner": OWNERS, "Security": SECURITY}))

    @rule(one=sampled_from(ACTS), other=sampled_from(ACTS))
    def pair(self, one: Act, other: Act) -> None:
        """Both at once, against what either order would have made of them."""
        self.change = self.case.seen(self.change)
        self.tag = f'"{self.change["version"]}"'
        acts = (self.seen(one), self.seen(other))
        requests = [self.request(*act) for act in (one, other)]
        done = tuple(self.together.at_once(*requests))
        possible = orders(self.model, *acts)
        self.model = next((end for did, end in possible if (did, end) == (done, self.found(end))), self.model)
        assert (done, self.found(self.model)) in possible, (
            one,
            other,
            done,
            self.found(self.model),
            possible,
        )

    def seen(self, act: Act) -> Act:
        """The act with the revision that its person saw."""
        name, given = act
        return (name, (*given, self.model.revision)) if name in {"decide", "take_back", "edit"} else act

    def found(self, end: Model) -> Model:
        """What the database says, in the model's words."""
        row = Change.objects.select_related("revision__chain").get(pk=self.change["id"])
        assert row.revision is not None
        rows = SignOff.objects.filter(chain=row.revision.chain, withdrawn_at=None, decision="approve")
        votes = frozenset(rows.values_list("user__username", "stage__name"))
        starts = StepAttempt.objects.filter(step__run__change=row).count()
        return Model(end.people, row.state, row.revision.number, votes, starts=starts)

    def request(self, name: str, given: tuple[Any, ...]) -> Any:
        return partial(getattr(self, f"_{name}"), *given)

    def _decide(self, who: str, said: str) -> bool:
        body = decision(self.change, STAGES[who], said)
        return self._post(who, "sign-offs/", body)

    def _take_back(self, who: str) -> bool:
        mine = SignOff.objects.filter(chain=self.change["chain"]["id"], user__username=who, withdrawn_at=None)
        key = mine.values_list("pk", flat=True).first()
        return key is not None and self._post(who, f"sign-offs/{key}/withdraw/")

    def _withdraw(self) -> bool:
        return self._post("mara", "withdraw/")

    def _edit(self) -> bool:
        path = f"changes/{self.change['key']}/"
        answer = self.case.at["mara"].patch(path, {"reason": "Again."}, **{"If-Match": self.tag})
        assert answer.status_code in {200, 409}, answer.content
        return bool(answer.status_code == 200)

    def _start(self) -> bool:
        step = Step.objects.filter(run__change=self.change["id"], state="ready").first()
        return step is not None and claimed(step) is not None

    def _post(self, who: str, path: str, body: dict[str, Any] | None = None) -> bool:
        answer = self.case.at[who].post(f"changes/{self.change['key']}/{path}", body)
        assert answer.status_code in {200, 201, 403, 409}, answer.content
        return bool(answer.status_code < 300)


@pytest.fixture
def together():
    threads = Together(2)
    yield threads
    threads.close()


def test_two_requests_at_once_come_to_what_one_order_of_them_would_have(case, together):
    lena = teams.create_person(username="lena", name="Lena", by=TEST)
    teams.join(case.bank.teams["payments"], lena, by=TEST)
    case.enter(lena)

    run_state_machine_as_test(partial(Desk, case, together), settings=BOUNDED)  # type: ignore[arg-type]
