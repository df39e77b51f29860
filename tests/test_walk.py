"""The walk of one request in docs/architecture.md: a real change goes it, and each function is called in its turn."""

import re
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client

from accounts.models import User
from orchestration import asking, tasks
from orchestration.engine import nodes
from orchestration.models import Change, Step
from orchestration.pages import facts
from tests.orchestration.bank import Bank

ROOT = Path(__file__).resolve().parents[1]
CALL = re.compile(r"(?:([\w/]+\.py) )?(\b\w+)\(\)")
PLACES = ("", "orchestration/", "audit/ledger/")


def place(name):
    """The one file of this name, as a page of the documents spells it."""
    return next(found for found in (ROOT / folder / name for folder in PLACES) if found.is_file())


def told():
    """Every `file.py function()` of the drawing, in its order; a name without a file is of the one before it."""
    page = (ROOT / "docs/architecture.md").read_text("utf-8")
    drawing = page.partition("## The walk of one request")[2].split("```")[1]
    file = None
    for line in drawing.splitlines():
        for name, function in CALL.findall(line):
            file = place(name) if name else file
            yield line[:2].strip(), file, function


WALK = list(told())
LAST = next(at for at, (number, _, _) in enumerate(WALK) if number == "16")


@contextmanager
def watched():
    """What of the product is called meanwhile: (file, function, whether a transaction was open)."""
    seen = []

    def note(frame, event, _):
        if event == "call" and frame.f_code.co_filename.startswith(str(ROOT)):
            seen.append((frame.f_code.co_filename, frame.f_code.co_name, connection.in_atomic_block))

    sys.setprofile(note)
    try:
        yield seen
    finally:
        sys.setprofile(None)


def browser(bank, name):
    client = Client()
    user = User.objects.get(pk=bank.people[name].user.pk)
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def sign_off(bank, name, stage):
    change = Change.objects.get()
    revision = asking.current_revision(change)
    answer = browser(bank, name).post(f"/changes/{change.key}/decide/", {
        "stage": revision.chain.stages.get(name=stage).pk, "decision": "approve",
        "digest": revision.digest, "chain_digest": revision.chain.digest,
        "comment": "", "condition": "", "opened": [flag["id"] for flag in facts.flags(revision)],
    })  # fmt: skip
    assert answer.status_code == 302


@pytest.fixture
def seen(transactional_db, monkeypatch):
    """A change that was asked for, signed off and run through the doors that the drawing names."""
    bank, node = Bank(), nodes.Node()
    node.register()
    monkeypatch.setattr(nodes, "this", lambda: node)
    form = {
        "service": "payments-api",
        "environment": "production",
        "inputs.version": "42",
        "reason": "Because.",
    }
    with watched() as calls:
        assert browser(bank, "mara").post("/workflows/deploy/new/", form).status_code == 302
        sign_off(bank, "jonas", "Service owner")
        sign_off(bank, "noor", "Security")
        tasks.wake(v=1, id=str(Step.objects.get(state="ready").pk))
    assert Change.objects.get().state == "succeeded"
    return calls


def test_every_function_of_the_walk_exists():
    assert LAST > 20
    for _, file, function in WALK:
        assert re.search(rf"^ *(async )?def {function}\(", file.read_text("utf-8"), re.MULTILINE), (
            file,
            function,
        )


def test_a_change_walks_the_way_that_is_drawn(seen):
    calls = iter((file, function) for file, function, _ in seen)
    for number, file, function in WALK[:LAST]:
        assert (str(file), function) in calls, f"step {number}: {file.name} {function}() was not called here"


def test_no_effect_is_inside_a_transaction_and_the_gate_is(seen):
    atomic: dict[tuple[str, str], set[bool]] = {}
    for file, function, inside in seen:
        atomic.setdefault((str(Path(file).relative_to(ROOT)), function), set()).add(inside)
    assert atomic["approvals/policy/decisions.py", "decide"] == {False}
    assert atomic["approvals/policy/pool.py", "evaluate"] == {False}
    assert atomic["orchestration/engine/supervise.py", "supervise"] == {False}
    assert atomic["approvals/gate.py", "authorise"] == {True}
    assert atomic["audit/ledger/record.py", "record"] == {True}
