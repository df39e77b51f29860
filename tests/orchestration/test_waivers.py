"""The register of exceptions: granted by others, owned by somebody, over at its end; it opens nothing."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client

from accounts import permissions
from accounts.acting import Acting
from approvals.clock import database_time
from audit.canonical import parse
from audit.ledger.entry import system
from audit.models import Entry
from audit.refusals import Invalid, NotAllowed, NotFound
from orchestration import asking, changes, waivers
from orchestration.engine.nodes import Node
from orchestration.engine.work import work
from orchestration.governed.install import install
from orchestration.models import Environment, Service, Step, Waiver, Workflow
from tests.factories import TEST, Bank

ACT = system("change:CHG-7")


@pytest.fixture
def bank(db) -> Bank:
    return Bank()


def day(after):
    return f"{database_time() + timedelta(days=after):%Y-%m-%d}"


def granted(**changed):
    given = {"rule": "CT-03", "kind": "service", "name": "web-bank", "owner": "jonas", "until": day(30)}
    return waivers.grant(**{**given, "reason": "Two people only until May.", **changed}, by=ACT)


def end(bank, waiver, who, reason="It is mended."):
    return waivers.end(waiver.pk, reason=reason, by=bank.people[who])


def test_an_exception_has_a_scope_an_owner_and_an_end(bank):
    waiver = granted()
    assert (waiver.scope, waiver.owner.username, waiver.granted_by) == (
        "service web-bank",
        "jonas",
        "change:CHG-7",
    )
    assert f"{waiver.ends_at - timedelta(seconds=1):%Y-%m-%d}" == day(30)
    told = parse(bytes(Entry.objects.get(kind="exception.granted").body))["data"]
    assert (told["rule"], told["scope_name"], told["scope_id"]) == ("CT-03", "web-bank", str(bank.service.pk))


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"rule": "CT-99"}, "rule"),
        ({"name": "nowhere"}, "name"),
        ({"kind": "person", "name": "web-bank"}, "name"),
        ({"owner": "nobody"}, "owner"),
        ({"until": "soon"}, "until"),
        ({"until": "2020-01-01"}, "until"),
        ({"until": "366"}, "until"),
    ],
)
def test_an_exception_names_things_that_there_are_and_ends_within_a_year(bank, changed, fault):
    if changed.get("until") == "366":
        changed = {"until": day(366)}
    with pytest.raises(Invalid):
        granted(**changed)
    given = {"rule": "CT-03", "kind": "service", "name": "web-bank", "owner": "jonas", "until": day(30)}
    assert set(waivers.faults(**{**given, **changed})) == {fault}


def test_the_longest_is_a_year_and_a_rule_of_the_policy_can_be_named(bank):
    assert granted(until=day(365), rule="security-signs-tier-1").rule == "security-signs-tier-1"


@pytest.mark.django_db(transaction=True)
def test_the_database_takes_none_without_an_end_in_a_year(bank):
    now = database_time()
    with pytest.raises(IntegrityError), transaction.atomic():
        Waiver.objects.create(
            rule="CT-03", service=bank.service, reason="x", owner=bank.user("jonas"), granted_by="x",
            starts_at=now, ends_at=now + timedelta(days=400),
        )  # fmt: skip


@pytest.mark.parametrize("who", ["jonas", "sam"])
def test_its_owner_or_an_admin_ends_it_once(bank, who):
    waiver = granted()
    assert end(bank, waiver, who).ended_at is not None
    with pytest.raises(waivers.WaiverEnded):
        end(bank, waiver, who)


def test_nobody_else_ends_it_and_a_token_never(bank):
    waiver = granted()
    with pytest.raises(NotAllowed):
        end(bank, waiver, "mara")
    with pytest.raises(NotFound):
        end(bank, waiver, "ravi")
    with pytest.raises(NotAllowed):
        waivers.end(waiver.pk, reason="x", by=Acting(bank.user("jonas"), "token"))
    with pytest.raises(Invalid):
        end(bank, waiver, "jonas", " ")


def test_the_one_that_ends_soonest_comes_first_and_what_is_over_is_shown_as_over(bank):
    late, soon, ended = granted(until=day(90)), granted(until=day(3)), granted(until=day(9))
    end(bank, ended, "jonas")
    assert list(waivers.standing(bank.user("mara"))) == [soon, late]
    assert waivers.ending(bank.user("jonas")) == 1
    assert waivers.ending(bank.user("mara")) == 0
    client = Client()
    client.force_login(bank.user("jonas"))
    page = client.get("/exceptions/").content.decode()
    assert page.index("To a rule") < page.index(f"reason-{soon.pk}") < page.index(f"reason-{late.pk}")
    assert "It is mended." in page[page.index("Over") :]


def test_who_sees_neither_the_service_nor_the_log_sees_none(bank):
    granted()
    assert not waivers.visible(bank.user("ravi")).exists()
    assert waivers.visible(bank.user("sam")).exists()
    client = Client()
    client.force_login(bank.user("ravi"))
    assert client.get("/api/v1/exceptions/").json()["results"] == []
    assert "CT-03" not in client.get("/exceptions/").content.decode()


@pytest.mark.django_db(transaction=True)
def test_one_is_asked_for_countersigned_and_granted_once():
    bank = Bank()
    install(bank.teams["platform"], by=TEST)
    for slug in ("payments", "security", "platform"):
        for one in (*Workflow.objects.all(), *Environment.objects.all(), *Service.objects.all()):
            for verb in ("request", "sign_off"):
                permissions.grant(bank.teams[slug], verb, one, by=TEST)
    inputs = {
        "rule": "CT-03",
        "kind": "service",
        "name": "web-bank",
        "owner": "noor",
        "until": day(30),
        "why": "Two only.",
    }
    change = changes.request_change(
        asking.ask(
            workflow="exception-grant",
            service="countersign",
            environment="control-room",
            inputs=inputs,
            reason="Until May.",
            by=bank.people["mara"],
        )
    )
    chain = asking.current_revision(change).chain
    assert bank.user("noor").person_id in chain.conflicted  # its owner never agrees to it
    for name in ("sam", "ines"):
        mine = next(
            one
            for one in chain.stages.all()
            if {team.slug for team in bank.user(name).teams.all()} & set(one.teams)
        )
        changes.decide(
            change, stage=mine.pk, decision="approve", digest=chain.subject, chain_digest=chain.digest,
            comment="", condition="", by=bank.people[name],
        )  # fmt: skip
    node = Node()
    node.register()
    work(Step.objects.get().pk, node=node)
    node.stop()
    waiver = Waiver.objects.get()
    assert (waiver.granted_by, waiver.owner.username) == (f"change:{change.key}", "noor")


def test_neither_policy_nor_the_gate_reads_the_register(bank):
    """An exception to the rule that Security signs does not take Security out of the chain."""
    granted(rule="security-signs-tier-1")
    with connection.execute_wrapper(_no_waiver):
        change = bank.change()
    assert {one.name for one in asking.current_revision(change).chain.stages.all()} == {
        "Security",
        "Service owner",
    }


def _no_waiver(execute, sql, params, many, context):
    assert "orchestration_waiver" not in sql
    return execute(sql, params, many, context)
