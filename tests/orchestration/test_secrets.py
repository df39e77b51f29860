"""Secrets from the hand that writes them to the step that reads them, and what is refused on the way."""

import json
import shutil
from pathlib import Path
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import connection

from audit.canonical import parse
from audit.models import Entry
from audit.refusals import Invalid, NotAllowed, WeakensProtection
from orchestration.actions import registry
from orchestration.engine import supervise
from orchestration.models import Secret, SecretVersion, Step
from orchestration.secrets import envelope, store
from tests.abuse.attack import Case, printed, state, work
from tests.factories import Bank
from tests.orchestration.probe import Probe
from tests.orchestration.test_supervise import Watched

SCOPE = {"environments": ["production"], "services": ["web-bank"], "workflows": ["deploy"]}
VALUE = "Tr0ub4dor&3-of-the-bank"
WITH = """{argv: [/bin/sh, -c, 'cd "$STEP_SECRETS"; wc -c < DB_PASSWORD; cat DB_PASSWORD; SEEN']}"""
READS = """
apiVersion: countersign.dev/v1
kind: Workflow
metadata: {name: deploy, title: Deploy, owner: payments}
spec:
  summary: Deploy {{service}} {{version}} to {{environment}}
  inputs:
    version: {type: string, maxLength: 4000, title: Version}
  environments: [staging, production]
  steps:
    use:
      uses: command
      with: WITH
      secrets: {DB_PASSWORD: payments/db-password}
"""


READS = READS.replace("WITH", WITH)


def reading(script="true", secrets="{DB_PASSWORD: payments/db-password}"):
    return READS.replace("SEEN", script).replace("{DB_PASSWORD: payments/db-password}", secrets)


def stored(bank: Bank, value=VALUE, **scope) -> Secret:
    made = store.create(
        path="payments/db-password",
        owner=bank.teams["payments"],
        scope={**SCOPE, **scope},
        by=bank.people["mara"],
    )
    store.write(made, value, by=bank.people["mara"])
    return made


@pytest.fixture
def case(transactional_db):
    found = Case(reading())
    stored(found.bank)
    return found


def told(kind):
    return parse(bytes(Entry.objects.filter(kind=kind).latest("id").body))["data"]


def test_a_step_finds_its_secret_in_memory_and_what_it_prints_of_it_is_masked(case):
    change = case.approved()
    work()
    assert state(change) == "succeeded"
    assert printed().split() == [str(len(VALUE)), "***"]
    assert list(Path("/dev/shm").glob(f"countersign-*-{Step.objects.get().pk}-*")) == []


def test_the_version_that_was_asked_for_stands_in_what_is_signed(case):
    change = case.asked()
    version = SecretVersion.objects.get()
    (signed,) = case.seen(change)["secrets"]
    assert signed == {
        "step": "use", "name": "DB_PASSWORD", "path": "payments/db-password", "provider": "store",
        "source": "", "version": "1", "digest": signed["digest"],
    }  # fmt: skip
    assert told("secret_version.created")["digest"] == signed["digest"]
    assert bytes(version.ciphertext) != VALUE.encode()


def test_which_version_a_step_was_handed_is_in_the_ledger(case):
    change = case.approved()
    work()
    handed = told("secret.handed_over")
    assert handed["secrets"] == [
        {
            "name": "DB_PASSWORD",
            "path": "payments/db-password",
            "provider": "store",
            "version": "1",
            "latest": False,
        }
    ]
    assert (handed["step"], handed["attempt"]) == ("use", 1)
    assert change["state"] == "approved"


def test_a_newer_version_is_not_what_an_approved_change_gets(case):
    change = case.approved()
    store.write(Secret.objects.get(), "another-value-entirely", by=case.bank.people["mara"])
    work()
    assert printed().split() == [str(len(VALUE)), "***"]
    assert told("secret.handed_over")["secrets"][0]["version"] == "1"
    assert state(change) == "succeeded"


def test_latest_says_so_to_reviewers_and_gets_the_newest_at_the_start(transactional_db):
    case = Case(reading(secrets="{DB_PASSWORD: {path: payments/db-password, version: latest}}"))
    secret = stored(case.bank)
    change = case.approved()
    assert (case.seen(change)["secrets"][0]["version"], case.seen(change)["secrets"][0]["digest"]) == (
        "latest",
        "",
    )
    assert "newest at the start" in case.at["jonas"].client.get(f"/changes/{change['key']}/").content.decode()
    store.write(secret, "another-value-entirely", by=case.bank.people["mara"])
    work()
    assert printed().split() == [str(len("another-value-entirely")), "***"]
    assert told("secret.handed_over")["secrets"][0] == {
        "name": "DB_PASSWORD", "path": "payments/db-password", "provider": "store", "version": "2", "latest": True,
    }  # fmt: skip


def test_a_destroyed_version_is_gone_from_the_database_and_its_change_does_not_start(case):
    change = case.approved()
    secret = Secret.objects.get()
    store.write(secret, "another-value-entirely", by=case.bank.people["mara"])
    store.destroy(secret, 1, by=case.bank.people["jonas"])
    assert bytes(secret.versions.get(number=1).ciphertext) == b""
    work()
    assert printed() == ""
    assert "version 1 is no longer there" in Step.objects.get().held_reason
    assert state(change) == "approved"


def test_sealed_bytes_that_were_exchanged_in_the_database_stop_the_step(case):
    """Even with a value that was really sealed for the workers, under the very same number."""
    case.approved()
    version = SecretVersion.objects.get()
    forged = store._seal("a-value-of-the-insider", version)
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(
            "UPDATE orchestration_secretversion SET key_id = %s, wrapped = %s, nonce = %s, ciphertext = %s",
            [forged.key_id, forged.wrapped, forged.nonce, forged.ciphertext],
        )
        cursor.execute("RESET session_replication_role")
    work()
    assert printed() == ""
    assert "is not what was signed off" in Step.objects.get().held_reason


def test_a_value_opens_only_under_the_name_and_number_that_it_was_sealed_for(case):
    """Somebody swaps two rows before a change is asked for: the digest is signed, and yet nothing opens."""
    secret = Secret.objects.get()
    store.write(secret, "another-value-entirely", by=case.bank.people["mara"])
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("UPDATE orchestration_secretversion SET number = 7 WHERE number = 1")
        cursor.execute("RESET session_replication_role")
    change = case.approved()
    work()
    assert printed() == ""
    assert "not what was sealed under this name" in Step.objects.get().attempts.get().reason
    assert state(change) == "failed"


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        ({}, True),
        ({"environments": ["staging"]}, False),
        ({"services": ["vault"]}, False),
        ({"services": []}, True),
        ({"workflows": []}, True),
        ({"workflows": [], "owner": "security"}, False),
        ({"services": [], "owner": "security"}, False),
    ],
)
def test_it_is_for_the_places_that_it_names_and_for_no_other(db, scope, allowed):
    bank = Bank(reading())
    owner = bank.teams[scope.pop("owner", "payments")]
    store.install(
        path="payments/db-password", owner=owner, scope={**SCOPE, **scope}, by=bank.people["sam"].actor
    )
    secret = Secret.objects.get()
    store.put(secret, VALUE, author=None, by=bank.people["sam"].actor)
    if allowed:
        assert bank.asked().draft.secrets[0]["version"] == "1"
        return
    with pytest.raises(
        Invalid, match="There is no secret payments/db-password that deploy may use for web-bank"
    ):
        bank.asked()


def test_a_secret_without_a_value_cannot_be_asked_for(db):
    bank = Bank(reading())
    store.create(
        path="payments/db-password", owner=bank.teams["payments"], scope=SCOPE, by=bank.people["mara"]
    )
    with pytest.raises(Invalid, match="has no value yet; Payments can write one"):
        bank.asked()


def test_a_scope_that_was_narrowed_after_the_approval_holds_the_step(case):
    change = case.approved()
    store.edit_governed(
        Secret.objects.get(), {**SCOPE, "environments": ["staging"]}, by=case.bank.people["mara"].actor
    )
    work()
    assert "may no longer be used for web-bank in production" in Step.objects.get().held_reason
    assert state(change) == "approved"


def test_its_team_narrows_it_and_nobody_widens_it_alone(case):
    secret, mara = Secret.objects.get(), case.bank.people["mara"]
    for wider in (
        {"environments": ["staging", "production"]},
        {"services": ["web-bank", "vault"]},
        {"workflows": list[str]()},
    ):
        with pytest.raises(WeakensProtection):
            store.narrow(secret, {**SCOPE, **wider}, by=mara)
    with pytest.raises(NotAllowed):
        store.narrow(secret, SCOPE, by=case.bank.people["sam"])


def test_only_its_team_writes_it_an_administrator_neither(case):
    secret = Secret.objects.get()
    for who in ("sam", "noor", "ravi"):
        with pytest.raises(NotAllowed):
            store.write(secret, VALUE, by=case.bank.people[who])
        with pytest.raises(NotAllowed):
            store.destroy(secret, 1, by=case.bank.people[who])
    with pytest.raises(NotAllowed):
        store.create(
            path="payments/x", owner=case.bank.teams["payments"], scope=SCOPE, by=case.bank.people["sam"]
        )


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("abc", "cannot be masked"),
        ("  a b  \n", "cannot be masked"),
        ("x" * 16_385, "at most 16384"),
        ("abc\0def", "zero"),
    ],
)
def test_a_value_that_could_not_be_masked_is_refused_and_not_repeated(case, value, said):
    with pytest.raises(Invalid, match=said) as refused:
        store.write(Secret.objects.get(), value, by=case.bank.people["mara"])
    assert value.strip() not in str(refused.value)


def test_the_web_server_seals_and_could_not_open(case, settings, tmp_path):
    """Its keys are the public half: where no worker has made one, it says so and stores nothing."""
    settings.SIGNS_AS, settings.KEY_DIR = "web", tmp_path
    with pytest.raises(store.NoSealingKey):
        store.write(Secret.objects.get(), VALUE, by=case.bank.people["mara"])
    assert not (tmp_path / "worker").exists()


def test_a_step_without_secrets_has_no_such_directory(transactional_db):
    case = Case(READS.replace("secrets: {DB_PASSWORD: payments/db-password}", "").replace("SEEN", "env"))
    case.approved()
    work()
    assert "STEP_SECRETS" not in printed()


@pytest.mark.parametrize(
    ("secrets", "said"),
    [
        ("{db: payments/x}", "db"),
        ("{DB: '{{inputs.version}}'}", "refers to nothing; known are environment, service"),
        ("{DB: {path: payments/x, version: '3'}}", "DB"),
        ("{DB: {path: payments/x}}", "DB"),
    ],
)
def test_a_definition_cannot_let_a_requester_choose_a_secret(db, secrets, said):
    with pytest.raises(Invalid, match=said):
        Bank(reading(secrets=secrets))


def test_an_action_without_a_process_of_its_own_is_given_none(db):
    with pytest.raises(Invalid, match="wait runs in no process of its own"):
        Bank(READS.replace("uses: command", "uses: wait").replace(WITH, "{seconds: 1}"))


def test_a_path_may_be_told_by_the_service_and_the_environment(db):
    bank = Bank(reading(secrets='{DB_PASSWORD: "{{service}}/{{environment}}"}'))
    made = store.create(
        path="web-bank/production", owner=bank.teams["payments"], scope=SCOPE, by=bank.people["mara"]
    )
    store.write(made, VALUE, by=bank.people["mara"])
    assert bank.asked().draft.secrets[0]["path"] == "web-bank/production"


def test_no_value_is_in_what_describes_a_row(case):
    text = json.dumps([str(one) + repr(one) for one in (*Secret.objects.all(), *SecretVersion.objects.all())])
    assert VALUE not in text
    assert not (Path(settings.KEY_DIR) / "web" / "secrets.key").exists()


def test_what_a_dead_worker_left_in_memory_is_swept_and_what_a_living_one_holds_is_not():
    dead, living = f"{uuid4()}:1:0", supervise.boot_marker(uuid4())
    places = [supervise.IN_MEMORY / f"countersign-{one}-{uuid4()}-1" for one in (dead, living)]
    for place in places:
        place.mkdir(mode=0o700)
        (place / "PASSWORD").write_text(VALUE)
    try:
        supervise.sweep_secrets()  # or another worker of this machine was first
        assert [place.exists() for place in places] == [False, True]
    finally:
        shutil.rmtree(places[1])


def test_an_action_of_our_own_reads_it_by_its_name(monkeypatch):
    """A `ChildAction` in its own process, as a plug-in would be."""
    step = Watched({"secret": "TOKEN"}, uses="probe", secrets=sealed("TOKEN", VALUE))
    monkeypatch.setattr(registry, "known", lambda: {"probe": Probe()})
    outcome = step.run()
    assert (outcome.state, outcome.outputs["read"]) == ("succeeded", "***")
    assert outcome.outputs["length"] == len(VALUE)
    none = Watched({"secret": "OTHER"}, uses="probe", secrets=sealed("TOKEN", VALUE))
    assert none.run().reason == "LookupError: The step lists no secret OTHER."


@pytest.mark.parametrize("form", [str, lambda value: value.encode().hex()])
def test_what_a_plan_step_leaves_never_holds_a_secret(monkeypatch, form):
    monkeypatch.setattr(registry, "known", lambda: {"probe": Probe()})
    kept = Watched({"leaves": "all well"}, uses="probe", secrets=sealed("TOKEN", VALUE), phase="plan")
    assert kept.run().artifacts == {"found": b"all well"}
    leaking = Watched(
        {"leaves": f"and {form(VALUE)}"}, uses="probe", secrets=sealed("TOKEN", VALUE), phase="plan"
    )
    outcome = leaking.run()
    assert (outcome.state, outcome.artifacts) == ("failed", {})
    assert "holds the value of a secret" in outcome.reason


def sealed(name, value):
    """What a claim hands over, without a row."""
    envelope.make_key(settings.KEY_DIR)
    made = envelope.seal(value.encode(), folder=settings.KEY_DIR, bound_to="here")
    given = envelope.carried(made, folder=settings.KEY_DIR, bound_to="here")
    return [{"name": name, "path": "payments/x", "provider": "store", **given}]


ENDINGS = [
    ("cancelled", lambda control: control.cancel("enough")),
    ("fenced", lambda control: control.fence()),
]


@pytest.mark.parametrize(("became", "ending"), ENDINGS)
def test_a_step_that_is_stopped_while_its_secrets_are_opened_ends_at_once(
    monkeypatch, tmp_path, became, ending
):
    """An opener that hangs, as one does before a Vault that hangs: the step is never started."""
    hangs = tmp_path / "opener.py"
    hangs.write_text("import time; time.sleep(60)")
    monkeypatch.setattr(supervise, "OPENER", hangs)
    step = Watched(["/bin/echo", "started"], secrets=sealed("TOKEN", VALUE))
    ending(step.control)
    assert (step.run().state, step.text) == (became, "")
    assert step.left() == []
    late = Watched(["/bin/echo", "started"], secrets=sealed("TOKEN", VALUE), timeout_seconds=0.3)
    assert (late.run().state, late.text) == ("timed_out", "")


def test_an_opener_that_dies_starts_nothing_and_is_no_fault_of_the_step(monkeypatch, tmp_path):
    dies = tmp_path / "opener.py"
    dies.write_text("raise SystemExit(1)")
    monkeypatch.setattr(supervise, "OPENER", dies)
    step = Watched(["/bin/echo", "started"], secrets=sealed("TOKEN", VALUE))
    assert (step.run().state, step.text) == ("unstarted", "")
