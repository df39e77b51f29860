"""Passkeys on a real change: the ceremony at both doors, and how a key becomes trusted."""

import base64

import pytest

from accounts import permissions
from approvals import enrolment, passkeys
from approvals.models import Passkey, SignOff
from audit.models import Entry
from audit.refusals import Invalid
from orchestration import asking, changes
from orchestration.engine.nodes import Node
from orchestration.engine.work import work
from orchestration.governed.install import install
from orchestration.models import Change, Environment, Service, Step, Workflow
from orchestration.pages import facts
from tests.approvals.authenticator import Authenticator, asked, trusted
from tests.approvals.cast import demand_passkeys
from tests.factories import TEST, Bank

pytestmark = pytest.mark.django_db(transaction=True)
C = changes.C


@pytest.fixture
def bank():
    bank = Bank()
    install(bank.teams["platform"], by=TEST)
    for slug in ("payments", "security", "platform"):
        for one in (*Workflow.objects.all(), *Environment.objects.all(), *Service.objects.all()):
            for verb in ("request", "sign_off"):
                permissions.grant(bank.teams[slug], verb, one, by=TEST)
    return bank


@pytest.fixture
def phone(bank):
    device = Authenticator()
    trusted(bank.user("noor"), device)
    return device


@pytest.fixture
def node():
    one = Node()
    one.register()
    yield one
    one.stop()


def signed_in(client, bank, name):
    client.force_login(bank.user(name), backend="django.contrib.auth.backends.ModelBackend")
    return client


def said(change, stage):
    change.refresh_from_db()
    chain = change.revision.chain
    return {
        "stage": str(chain.stages.get(name=stage).pk),
        "decision": "approve",
        "digest": change.revision.digest,
        "chain_digest": chain.digest,
        "condition": "",
    }


def signed(client, change, stage, device):
    """The decision with what the device signed, by way of the challenge that the server computes."""
    decision = said(change, stage)
    url = f"/api/v1/changes/{change.key}/sign-offs/challenge/"
    told = client.post(url, decision, content_type="application/json")
    assert told.status_code == 200, told.content
    told = told.json()
    made = device.get(base64.urlsafe_b64decode(told["challenge"] + "="))
    assert made.credential_id in told["credentials"]
    assert told["statement"]["change"] == str(change.pk)
    return decision, made


def approve(bank, change, device, *, owner="jonas"):
    """The owner in a session, Noor with her passkey: as the page does it."""
    change.refresh_from_db()
    assert change.revision is not None
    chain = change.revision.chain
    statement = passkeys.Statement(
        change=str(change.pk), revision=1, digest=chain.subject, chain_digest=chain.digest,
        stage=str(chain.stages.get(name="Security").pk), decision="approve",
        condition_digest=passkeys.digest_of_text(""),
    )  # fmt: skip
    for name, stage, proof in (
        (owner, "Service owner", None),
        ("noor", "Security", device.get(statement.challenge)),
    ):
        given = {**said(change, stage), "stage": chain.stages.get(name=stage).pk}
        changes.decide(change, **given, comment="", passkey=proof, by=bank.people[name])


def test_a_change_whose_stage_demands_a_passkey_runs_when_one_has_signed_it(bank, phone, node, client):
    demand_passkeys(bank)
    change = bank.change()
    page = signed_in(client, bank, "noor").get(f"/changes/{change.key}/").content.decode()
    assert f'data-passkey="/api/v1/changes/{change.key}/sign-offs/challenge/"' in page
    assert f"it signs your decision on revision 1 of {change.key}" in page
    decision, made = signed(client, change, "Security", phone)
    decision["opened"] = [flag["id"] for flag in facts.flags(change.revision)]
    sent = {f"passkey_{name}": value for name, value in vars(made).items()}
    without = client.post(f"/changes/{change.key}/decide/", decision)
    assert "counts only approvals that are signed with a passkey" in without.content.decode()
    assert client.post(f"/changes/{change.key}/decide/", {**decision, **sent}).status_code == 302
    bank.say(change, "jonas")
    work(Step.objects.get(run__change=change).pk, node=node)
    change.refresh_from_db()
    assert change.state == C.SUCCEEDED


def test_the_api_takes_what_a_passkey_signed_and_a_token_gets_no_challenge(bank, phone, client):
    demand_passkeys(bank)
    change = bank.change()
    decision, made = signed(signed_in(client, bank, "noor"), change, "Security", phone)
    send = {"content_type": "application/json", "headers": {"Idempotency-Key": "one"}}
    url = f"/api/v1/changes/{change.key}/sign-offs/"
    answer = client.post(url, {**decision, "passkey": vars(made)}, **send)
    assert answer.status_code == 201, answer.content
    assert SignOff.objects.get().passkey == Passkey.objects.get()
    wrong = {**decision, "passkey": {**vars(made), "more": "x"}}
    assert (
        client.post(
            url, wrong, content_type="application/json", headers={"Idempotency-Key": "two"}
        ).status_code
        == 422
    )


def test_whoever_has_no_passkey_is_told_so_before_the_device_is_asked(bank, phone, client):
    demand_passkeys(bank)
    change = bank.change()
    url = f"/api/v1/changes/{change.key}/sign-offs/challenge/"
    answer = signed_in(client, bank, "jonas").post(
        url, said(change, "Security"), content_type="application/json"
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "no_passkey")


def enrol(bank, passkey):
    return changes.request_change(
        asking.ask(
            workflow="passkey-enrol", service="countersign", environment="control-room",
            inputs={"account": passkey.user.username, "passkey": str(passkey.pk)},
            reason="A new laptop.", by=bank.people["mara"],
        )
    )  # fmt: skip


def run(change, node):
    work(Step.objects.get(run__change=change).pk, node=node)
    change.refresh_from_db()
    return change


def test_a_passkey_is_trusted_by_a_governed_act_that_a_trusted_passkey_signed(bank, phone, node):
    laptop = asked(bank.user("jonas"), Authenticator())
    change = enrol(bank, laptop)
    approve(bank, change, phone, owner="sam")
    laptop.refresh_from_db()
    assert not passkeys.is_trusted(laptop), "nothing happens before a worker may start it"
    assert run(change, node).state == C.SUCCEEDED
    laptop.refresh_from_db()
    assert passkeys.is_trusted(laptop)
    assert Entry.objects.get(kind="passkey.trusted", actor=f"change:{change.key}")


def test_a_worker_trusts_no_key_on_the_word_of_sessions_alone(bank, phone, node):
    """What a weaker policy would let through, the kernel does not."""
    laptop = asked(bank.user("jonas"), Authenticator())
    change = enrol(bank, laptop)
    approve(bank, change, phone, owner="sam")
    revision = Change.objects.get(pk=change.pk).revision
    assert revision is not None
    enrolment.revoke(Passkey.objects.get(user=bank.user("noor")).pk, by=bank.people["noor"])
    with pytest.raises(enrolment.NobodyVouched, match="Nobody else approved"):
        enrolment.trust_passkey(
            str(laptop.pk), chain_id=revision.chain_id, document=bytes(revision.document), by=TEST
        )


def test_an_approval_of_one_key_vouches_for_no_other(bank, phone, node):
    one, other = (asked(bank.user(name), Authenticator()) for name in ("jonas", "ravi"))
    change = enrol(bank, one)
    approve(bank, change, phone, owner="sam")
    revision = Change.objects.get(pk=change.pk).revision
    assert revision is not None
    for document in (
        bytes(revision.document),
        bytes(revision.document).replace(str(one.pk).encode(), str(other.pk).encode()),
    ):
        with pytest.raises(enrolment.NobodyVouched, match="does not name this passkey"):
            enrolment.trust_passkey(str(other.pk), chain_id=revision.chain_id, document=document, by=TEST)


def test_the_form_offers_the_keys_that_wait(bank, phone, client):
    asked(bank.user("jonas"), Authenticator(), name="New laptop")
    page = signed_in(client, bank, "mara").get("/workflows/passkey-enrol/new/").content.decode()
    assert "Jonas: New laptop, testserver" in page
    assert "Noor: Laptop" not in page


def test_what_is_signed_says_whose_key_it_is(bank, phone):
    laptop = asked(bank.user("jonas"), Authenticator())
    assert "of jonas" in enrol(bank, laptop).title
    with pytest.raises(Invalid, match="not a passkey of this account"):
        asking.ask(
            workflow="passkey-enrol", service="countersign", environment="control-room",
            inputs={"account": "ravi", "passkey": str(laptop.pk)}, reason="x", by=bank.people["mara"],
        )  # fmt: skip
