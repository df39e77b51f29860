"""What each case of abuse needs: people at their browsers, refusals in the ledger, a worker that starts nothing.

Everything goes through the doors: HTTP as a browser sends it, SQL as a superuser of the database does.
"""

from datetime import UTC, datetime
from typing import Any

from accounts.acting import Acting
from accounts.models import User
from approvals.models import Permit
from approvals.policy import bundles
from audit.canonical import parse
from audit.models import Entry
from orchestration.models import Change, LogChunk, Step, StepAttempt
from tests.browser import REQUEST, Browser, decision, run_all
from tests.factories import TEST, Bank

OWNERS, SECURITY = ("mara", "jonas", "lena"), ("noor", "ines")
STAGES = {**dict.fromkeys(OWNERS, "Service owner"), **dict.fromkeys(SECURITY, "Security")}
ECHO = """
apiVersion: countersign.dev/v1
kind: Workflow
metadata: {name: deploy, title: Deploy, owner: payments}
spec:
  summary: Deploy {{service}} {{version}} to {{environment}}
  inputs:
    version: {type: string, maxLength: 4000, title: Version}
  environments: [staging, production]
  steps:
    say: {uses: command, with: {argv: [/bin/echo, "one {{inputs.version}} {{service}}"]}}
"""


class Case:
    """The bank with everybody at a browser of their own."""

    def __init__(self, definition: str = ECHO, files: dict[str, str] | None = None) -> None:
        self.bank = Bank(definition, files)
        self.at = {name: Browser(self.bank, name) for name in self.bank.people}

    def enter(self, user: User) -> None:
        """One more person, at a browser."""
        self.bank.people[user.username] = Acting(user, "session")
        self.at[user.username] = Browser(self.bank, user.username)

    def asked(self, who: str = "mara", **changed: Any) -> dict[str, Any]:
        """A change as its requester got it back."""
        answer = self.at[who].post("changes/", {**REQUEST, **changed})
        assert answer.status_code == 201, answer.content
        return dict(answer.json())

    def seen(self, change: dict[str, Any], who: str = "jonas") -> dict[str, Any]:
        """The change as it is now."""
        return dict(self.at[who].get(f"changes/{change['key']}/").json())

    def says(self, who: str, change: dict[str, Any], said: str = "approve", **changed: Any) -> Any:
        """A decision on what `change` shows, at the stage that asks this person unless another is named."""
        at_stage = changed.pop("at_stage", None) or STAGES.get(who, "Service owner")
        body = {**decision(change, at_stage, said), **changed}
        return self.at[who].post(f"changes/{change['key']}/sign-offs/", body)

    def approved(self, **changed: Any) -> dict[str, Any]:
        change = self.asked(**changed)
        for who in ("jonas", "noor"):
            answer = self.says(who, change)
            assert answer.status_code == 201, answer.content
        return self.seen(change)

    def refused(self, who: str, answer: Any, status: int, code: str) -> None:
        """Refused so, and the ledger says whom and why."""
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.content
        was_refused(code, self.at[who].user)

    def nothing_started(self) -> None:
        """Not even when a worker had its chance at each step."""
        work()
        assert not StepAttempt.objects.exists()
        assert not LogChunk.objects.exists()
        assert not Permit.objects.exists()


def work() -> None:
    """A worker looks at everything that is ready, whatever held it before."""
    Step.objects.filter(state="ready").update(not_before=datetime.now(UTC))
    run_all()


def was_refused(code: str, user: User | None = None) -> None:
    """The newest refused attempt in the ledger is this one; without a user it was a worker's."""
    entry = Entry.objects.filter(kind="attempt.refused").latest("id")
    assert parse(bytes(entry.body))["data"]["code"] == code
    assert entry.actor == str(user.pk) if user else entry.actor.startswith("worker:")


def printed() -> str:
    """All that any step has printed: what happened, beside what the product says about it."""
    return b"".join(bytes(one.data or b"") for one in LogChunk.objects.order_by("attempt", "seq")).decode()


def state(change: dict[str, Any]) -> str:
    return str(Change.objects.get(pk=change["id"]).state)


def activate(**sources: str) -> None:
    """Make these the rules, by file; a test is among them because every bundle has one."""
    files = {f"{name}.rego": text for name, text in sources.items()}
    bundles.activate(bundles.examine({**files, "a_test.rego": PASSES}), source="test", by=TEST)


PASSES = "package a_test\ntest_it if { true }\n"
