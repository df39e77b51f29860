"""The emergency path: its own door, its own chain, one hour, and nothing that opens it by the way."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client

from accounts import permissions
from accounts.acting import Acting
from approvals import emergency as kernel
from approvals import freezes, permit
from approvals.clock import database_time
from approvals.models import Permit
from approvals.policy import bundles
from audit.canonical import parse
from audit.refusals import Invalid, NotAllowed
from orchestration import asking, changes, emergency
from orchestration.definitions.digest import Emergency
from orchestration.governed import install
from orchestration.models import Change, Step
from tests.accounts.cast import bearer, issue
from tests.approvals.cast import STARTER
from tests.factories import TEST, Bank
from tests.orchestration.deeds import claimed, holding

INCIDENT = Emergency("INC-77")
BODY: dict[str, Any] = {
    "workflow": "deploy", "service": "web-bank", "environment": "production", "inputs": {"version": "42"},
    "reason": "Transfers fail.", "incident": "INC-77",
}  # fmt: skip


@pytest.fixture
def bank(db) -> Bank:
    return Bank()


@pytest.fixture
def committing(transactional_db) -> Bank:
    return Bank()


def freeze(bank):
    now = database_time()
    freezes.create(
        name="Year end", reason="Books close.", environments=["production"], by=bank.people["sam"],
        starts_at=now - timedelta(hours=1), ends_at=now + timedelta(hours=9), known=["production"],
    )  # fmt: skip


def post(bank, who, path, body):
    client = Client()
    client.force_login(bank.user(who))
    headers = {"Idempotency-Key": str(uuid4())}
    return client.post(f"/api/v1/{path}", body, content_type="application/json", headers=headers)


def test_an_emergency_is_signed_as_one_and_policy_is_told(bank):
    change = bank.change(emergency=INCIDENT)
    revision = asking.current_revision(change)
    assert change.kind == "break_glass"
    assert parse(bytes(revision.document))["emergency"] == {"incident": "INC-77"}
    assert revision.chain.decision.input["change"]["emergency"] is True
    assert revision.chain.expires_at - revision.chain.opened_at == timedelta(hours=1)


def test_a_normal_change_is_none(bank):
    change = bank.change()
    assert change.kind == "normal"
    assert parse(bytes(asking.current_revision(change).document))["emergency"] is None


def test_an_edit_leaves_an_emergency_one(bank):
    change = bank.change(emergency=INCIDENT)
    again = asking.ask_again(change, inputs={"version": "43"}, reason="Worse.", by=bank.people["mara"])
    changes.revise(change, again)
    now = asking.current_revision(Change.objects.get(pk=change.pk))
    assert parse(bytes(now.document))["emergency"] == {"incident": "INC-77"}
    assert now.chain.expires_at - now.chain.opened_at == timedelta(hours=1)


# --- the gate -----------------------------------------------------------------------------------------------


def test_an_emergency_starts_through_a_freeze_under_a_permit_of_one_hour(committing):
    freeze(committing)
    change = committing.approved(emergency=INCIDENT)
    holding(change.runs.get().steps.get())
    issued = Permit.objects.get()
    assert issued.expires_at - issued.issued_at == timedelta(hours=1)
    document = permit.read(issued)
    assert document is not None
    assert document["emergency"] is True


def test_d13_a_column_alone_opens_no_freeze(committing):
    """Whoever can write the row still cannot write what was signed."""
    freeze(committing)
    change = committing.approved()
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("UPDATE orchestration_change SET kind = 'break_glass' WHERE id = %s", [change.pk])
        cursor.execute("SET session_replication_role = DEFAULT")
    assert claimed(change.runs.get().steps.get()) is None
    assert "frozen" in Step.objects.get().held_reason


def test_a_normal_change_waits_for_the_end_of_the_freeze(committing):
    freeze(committing)
    change = committing.approved()
    assert claimed(change.runs.get().steps.get()) is None


# --- who, and what they must say ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "pointer"),
    [
        ({"emergency": Emergency(" ")}, "/incident"),
        ({"emergency": Emergency("INC\n77")}, "/incident"),
        ({"emergency": Emergency("x" * 201)}, "/incident"),
        ({"emergency": INCIDENT, "reason": " "}, "/reason"),
    ],
)
def test_d12_without_a_reason_or_an_incident_nothing_is_sent(bank, said, pointer):
    with pytest.raises(Invalid) as refused:
        bank.change(**said)
    assert refused.value.errors[0]["pointer"] == pointer
    assert not Change.objects.exists()


@pytest.mark.parametrize("missing", ["reason", "incident"])
def test_d12_the_door_refuses_without_them(committing, missing):
    body = {name: value for name, value in BODY.items() if name != missing}
    answer = post(committing, "mara", "break-glass/", body)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, f"/{missing}")


@pytest.mark.parametrize("more", [{"emergency": True}, {"incident": "INC-77"}, {"kind": "break_glass"}])
def test_d13_the_normal_door_knows_no_emergency(committing, more):
    body = {name: value for name, value in BODY.items() if name != "incident"}
    answer = post(committing, "mara", "changes/", {**body, **more})
    assert answer.status_code == 422
    assert not Change.objects.exists()


def test_the_door_of_its_own_makes_one_and_lists_it(committing):
    made = post(committing, "mara", "break-glass/", BODY)
    assert made.status_code == 201
    assert (made.json()["kind"], made.json()["incident"]) == ("break_glass", "INC-77")
    committing.change()
    client = Client()
    client.force_login(committing.user("noor"))
    listed = client.get("/api/v1/break-glass/").json()["results"]
    assert [one["key"] for one in listed] == [made.json()["key"]]
    assert len(client.get("/api/v1/changes/").json()["results"]) == 2
    assert len(client.get("/api/v1/changes/", {"q": "is:break-glass"}).json()["results"]) == 1


def test_breaking_glass_is_granted_and_nobody_has_it_otherwise(bank):
    with pytest.raises(NotAllowed, match="You can see this but not break glass in it"):
        bank.change("noor", emergency=INCIDENT)
    permissions.revoke(bank.teams["payments"], "break_glass", bank.environment("production"), by=TEST)
    with pytest.raises(NotAllowed, match="no team yet"):
        bank.change(emergency=INCIDENT)
    assert bank.change()


def test_the_grant_is_for_one_environment(bank):
    with pytest.raises(NotAllowed):
        bank.change(emergency=INCIDENT, environment="staging")


def test_a_token_never_breaks_glass(committing):
    mara = committing.user("mara")
    with pytest.raises(NotAllowed, match="in a browser"):
        asking.ask(
            **{name: value for name, value in BODY.items() if name != "incident"},
            emergency=INCIDENT, by=Acting(mara, "token"),
        )  # fmt: skip
    headers = {**bearer(issue(mara, "changes:write")), "HTTP_IDEMPOTENCY_KEY": str(uuid4())}
    answer = Client().post("/api/v1/break-glass/", BODY, content_type="application/json", **headers)
    assert answer.status_code == 403


# --- the kernel, whatever policy says -------------------------------------------------------------------------


def lax(bank):
    """A policy that is content with one person, for three days, in an emergency too."""
    sources = {path.name: path.read_text() for path in STARTER.glob("*.rego")}
    for name in ("emergency.rego", "emergency_test.rego"):
        sources.pop(name)
    bundles.activate(bundles.examine(sources), source="test", by=TEST)


def test_an_emergency_needs_two_people_even_where_policy_asks_one(bank):
    lax(bank)
    with pytest.raises(kernel.TooFewForEmergency, match="needs 2 people"):
        bank.change(emergency=INCIDENT)
    assert not Change.objects.exists()


@pytest.mark.parametrize(
    ("demands", "enough"),
    [
        ([(1, "chain")], False),
        ([(2, "chain")], True),
        ([(1, "chain"), (1, "chain")], True),
        ([(1, "stage"), (1, "stage")], False),
        ([(1, "stage"), (2, "stage")], True),
        ([(1, "stage"), (1, "chain")], True),
    ],
)
def test_two_people_are_counted_as_people_and_not_as_stages(demands, enough):
    told = [{"quorum": quorum, "distinct": distinct, "why": {"rule": "x:1"}} for quorum, distinct in demands]
    if enough:
        kernel.check_demands(told)
        return
    with pytest.raises(kernel.TooFewForEmergency):
        kernel.check_demands(told)


def test_nobody_breaks_glass_over_who_must_agree(bank):
    install.install(bank.teams["payments"], by=TEST)
    room = bank.environment("control-room")
    with pytest.raises(NotAllowed, match="over who must agree"):
        emergency.require(INCIDENT, room, by=bank.people["mara"])
