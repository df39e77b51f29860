"""Any walk over a change that plans first and asks a person at its end: what was signed is what is applied, once."""

import os
from collections import Counter
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from hypothesis.strategies import sampled_from

from audit.refusals import Refusal
from orchestration import planning
from orchestration.engine import cancel
from orchestration.engine.answers import answer
from orchestration.engine.claim import Claimed
from orchestration.engine.invariants import violations
from orchestration.engine.nodes import Node
from orchestration.engine.work import work
from orchestration.models import Run, Step
from tests.factories import Bank
from tests.orchestration.deeds import claimed, ended, holding
from tests.orchestration.planned import FILES, PLANNED, asked, fresh, newest

EXAMPLES = int(os.environ.get("STATE_EXAMPLES", "7"))
DEFINITION = f"""{PLANNED}    check: {{needs: [write], uses: manual, with: {{instructions: Look at it.}}}}
"""
BOUNDED = settings(
    max_examples=EXAMPLES,
    stateful_step_count=30,
    deadline=None,
    database=None,
    derandomize="STATE_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)
ACTS = [
    *["sign"] * 6,
    *["start"] * 4,
    *["go_on", "look_ends", "tick"] * 2,
    "find_otherwise",
    "move",
    "look",
    "stop",
]


class OnePlanned(RuleBasedStateMachine):
    """What stands there, what was found of it, who signed that, and how far it has come: in numbers and sets."""

    def __init__(self, bank: Bank, looked: Counter[str], place: Any) -> None:
        super().__init__()
        self.bank, self.looked, self.place = bank, looked, place
        self.ask()

    def ask(self) -> None:
        """The next change, and what its plan step finds at first."""
        self.world = self.found = 1
        self.revision, self.looking, self.state = 1, True, "draft"
        self.signed: set[str] = set()
        self.held: Claimed | None = None
        self.change = asked(self.bank, self.place)
        self.look_ends("")

    @rule(act=sampled_from(ACTS), who=sampled_from(["jonas", "noor", "jonas", "noor", "mara"]))
    def do(self, act: str, who: str) -> None:
        if self.state in {"succeeded", "cancelled"} and act in {"sign", "start"}:
            self.ask()
        getattr(self, act)(who)

    def expect(self, allowed: bool, act: Any, *, called: str) -> None:
        self.looked[f"{called} {'done' if allowed else 'refused'}"] += 1
        try:
            act()
        except Refusal:
            assert not allowed, called
        else:
            assert allowed, called

    # --- the world, and who looks at it -----------------------------------------------------------------------

    def move(self, _: str) -> None:
        self.world += 1

    def find_otherwise(self, _: str) -> None:
        for act in (self.move, self.look, self.look_ends):
            act("")

    def look(self, _: str) -> None:
        may = self.state in {"waiting", "approved"} and not self.looking
        self.expect(
            may, partial(planning.again, fresh(self.change), by=self.bank.people["mara"]), called="look"
        )
        self.looking |= may

    def look_ends(self, _: str) -> None:
        """What is found otherwise voids what was signed, unless it has started."""
        if not self.looking:
            return
        plan = newest(self.change)
        if self.state not in {"draft", "waiting", "approved"}:
            assert claimed(Step.objects.get(run__plan=plan)) is None, (
                "what has started is not planned any more"
            )
            return
        ended(holding(Step.objects.get(run__plan=plan)), artifacts={"next": str(self.world).encode()})
        planning.settle(plan.pk)
        self.looking = False
        if self.state == "draft":
            self.state = "waiting"
        elif self.world != self.found:
            self.looked["voided"] += bool(self.signed)
            self.revision, self.state = self.revision + 1, "waiting"
            self.signed.clear()
        else:
            return
        self.found = self.world

    # --- people -----------------------------------------------------------------------------------------------

    def sign(self, who: str) -> None:
        may = self.state == "waiting" and who != "mara" and who not in self.signed
        self.expect(may, lambda: self.bank.say(fresh(self.change), who), called="sign")
        if may:
            self.signed.add(who)
            self.state = "approved" if len(self.signed) == 2 else "waiting"

    def tick(self, who: str) -> None:
        """Whoever asked for the change does not; and it counts once."""
        step = Step.objects.filter(run__change=self.change, key="check").last()
        if step is None:
            return
        may = self.state == "asking" and who != "mara"
        said: dict[str, Any] = {"decision": "done", "note": "It is there.", "outputs": {}}
        self.expect(may, lambda: answer(step, by=self.bank.people[who], **said), called="tick")
        self.state = "succeeded" if may else self.state

    def stop(self, _: str) -> None:
        if self.state == "asking":
            cancel.cancel(self.run, by=self.bank.people["jonas"])
            self.state = "cancelled"
            self.looked["stopped"] += 1

    # --- the worker -------------------------------------------------------------------------------------------

    @property
    def run(self) -> Run:
        return Run.objects.applying().filter(change=self.change).latest("created_at")

    def start(self, _: str) -> None:
        """Every apply step that there is: the one that was approved starts, and is handed what was signed."""
        taken = [
            claimed(one)
            for one in Step.objects.filter(
                run__in=Run.objects.applying().filter(change=self.change), key="write"
            )
        ]
        held = [one for one in taken if one is not None]
        assert len(held) == (self.state == "approved")
        self.looked["start refused"] += len(taken) > len(held)
        if held:
            assert held[0].attempt.plans == {"look": {"next": str(self.found).encode()}}
            self.held, self.state = held[0], "running"
            self.looked["started"] += 1

    def go_on(self, _: str) -> None:
        """It has written; now a person is asked, and no worker waits for that."""
        if self.held is None:
            return
        ended(self.held)
        self.held = None
        node = Node()
        node.register()
        work(self.run.steps.get(key="check").pk, node=node)
        node.stop()
        self.state = "asking"

    # --- what must be so after each act -----------------------------------------------------------------------

    @invariant()
    def it_is_what_the_model_says(self) -> None:
        change = fresh(self.change)
        assert change.state == {"asking": "running"}.get(self.state, self.state)
        assert change.revision.number == self.revision
        assert (
            set(
                change.revision.chain.sign_offs.filter(withdrawn_at=None).values_list(
                    "user__username", flat=True
                )
            )
            == self.signed
        )
        check = Step.objects.filter(run__change=self.change, key="check", state="asking")
        assert check.exists() == (self.state == "asking")

    def teardown(self) -> None:
        assert {name: count for name, count in violations().items() if count} == {}


@pytest.mark.django_db(transaction=True)
def test_whatever_is_found_meanwhile_what_people_signed_is_applied_and_one_of_them_answers(tmp_path):
    looked: Counter[str] = Counter()
    bank = Bank(DEFINITION, FILES)
    run_state_machine_as_test(partial(OnePlanned, bank, looked, tmp_path), settings=BOUNDED)  # type: ignore[arg-type]
    for wanted in (
        "started",
        "start refused",
        "voided",
        "look refused",
        "sign refused",
        "tick done",
        "tick refused",
        "stopped",
    ):
        assert looked[wanted], looked
