"""A governed act is requested, countersigned and run like any change; no edit of one person does the same."""

import threading
import time

import pytest

from accounts import permissions, teams
from accounts.models import Membership, User
from accounts.tokens import READING, BeyondCeiling
from approvals.models import SignOff
from approvals.signoffs import OwnChange
from audit.canonical import uuid7
from audit.models import Entry
from audit.refusals import Invalid, WeakensProtection
from orchestration import asking, catalogue, changes
from orchestration.actions.base import Cancelled, Context
from orchestration.definitions.source import BadDefinition
from orchestration.definitions.workflow import load
from orchestration.engine.nodes import Node
from orchestration.engine.work import work
from orchestration.governed.action import Govern, acts
from orchestration.governed.install import definition, install
from orchestration.models import Environment, Secret, Service, Step, Workflow
from orchestration.secrets import store
from tests import kept
from tests.accounts.cast import issue
from tests.factories import TEST, Bank

pytestmark = pytest.mark.django_db(transaction=True)
C = changes.C


class Governed(Bank):
    """The bank with its governed acts, about which its teams may be asked."""

    def __init__(self):
        kept.begin(self, Governed, self._build_governed)

    def _build_governed(self):
        super().__init__()
        install(self.teams["platform"], by=TEST)
        for slug in ("payments", "security", "platform"):
            for one in (*Workflow.objects.all(), *Environment.objects.all(), *Service.objects.all()):
                for verb in ("request", "sign_off"):
                    permissions.grant(self.teams[slug], verb, one, by=TEST)


@pytest.fixture
def bank():
    return Governed()


@pytest.fixture
def node():
    one = Node()
    one.register()
    yield one
    one.stop()


def ask(bank, act, *, by="mara", service="countersign", environment="control-room", **inputs):
    given = {"workflow": act, "service": service, "environment": environment, "inputs": inputs}
    return changes.request_change(asking.ask(**given, reason="Because.", by=bank.people[by]))


def agree(change, bank, *names):
    for name in names:
        change.refresh_from_db()
        chain = change.revision.chain
        by = bank.people[name]
        mine = [
            one for one in chain.stages.all() if set(one.teams) & {team.slug for team in by.user.teams.all()}
        ]
        changes.decide(
            change, stage=mine[0].pk, decision="approve", digest=change.revision.digest,
            chain_digest=chain.digest, comment="", condition="", by=by,
        )  # fmt: skip


def run(change, node):
    work(Step.objects.get(run__change=change).pk, node=node)
    change.refresh_from_db()
    return change


def members(team):
    return set(Membership.objects.open().filter(team__slug=team).values_list("user__username", flat=True))


def test_somebody_joins_a_team_only_when_owner_and_security_have_agreed(bank, node):
    change = ask(bank, "membership-start", team="security", account="ravi")
    agree(change, bank, "sam")
    assert "ravi" not in members("security")
    agree(change, bank, "noor")
    assert "ravi" not in members("security"), "nothing happens before a worker may start it"
    assert run(change, node).state == C.SUCCEEDED
    assert "ravi" in members("security")
    assert Entry.objects.get(kind="membership.started", subject="team:security", actor=f"change:{change.key}")


def test_whom_an_act_favours_never_agrees_to_it(bank):
    change = ask(bank, "membership-start", team="platform", account="noor")
    with pytest.raises(OwnChange):
        agree(change, bank, "noor")
    assert not SignOff.objects.exists()


def test_b07_an_admin_of_people_has_no_other_door_to_a_team(bank, client):
    client.force_login(bank.user("sam"), backend="django.contrib.auth.backends.ModelBackend")
    for verb in (client.post, client.patch, client.put):
        assert (
            verb(
                "/api/v1/teams/security/", {"members": ["ravi"]}, content_type="application/json"
            ).status_code
            == 405
        )
    assert "ravi" not in members("security")


@pytest.mark.parametrize(
    ("act", "inputs", "field"),
    [
        ("membership-start", {"team": "nowhere", "account": "ravi"}, "/inputs/team"),
        ("membership-start", {"team": "security", "account": "nobody"}, "/inputs/account"),
        ("membership-end", {"team": "security", "account": "ravi"}, "/inputs/account"),
        (
            "permission-grant",
            {"team": "security", "verb": "request", "kind": "service", "record": "nothing"},
            "/inputs/record",
        ),
        ("environment-tier", {"place": "nowhere", "tier": 3}, "/inputs/place"),
        ("service-owner", {"subject": "web-bank", "team": "nowhere"}, "/inputs/team"),
    ],
)
def test_what_does_not_exist_is_refused_at_its_field(bank, act, inputs, field):
    with pytest.raises(Invalid) as refused:
        ask(bank, act, **inputs)
    assert refused.value.errors[0]["pointer"] == field


def test_a_protection_is_lifted_by_an_act_and_by_no_edit(bank, node):
    staging = bank.environment("staging")
    with pytest.raises(WeakensProtection, match="environment-unprotect"):
        catalogue.edit_environment(staging, protected=False, by=TEST)
    with pytest.raises(WeakensProtection, match="environment-tier"):
        catalogue.edit_environment(staging, tier=9, by=TEST)
    change = ask(bank, "environment-unprotect", place="staging")
    agree(change, bank, "sam", "noor")
    run(change, node)
    assert not bank.environment("staging").protected


def test_d14_whatever_was_asked_of_an_environment_is_sent_back_when_its_protection_is_lifted(bank, node):
    waiting = ask(bank, "deploy", service="web-bank", environment="staging", version="1")
    change = ask(bank, "environment-unprotect", place="staging")
    agree(change, bank, "sam", "noor")
    run(change, node)
    waiting.refresh_from_db()
    assert waiting.state == C.SENT_BACK


def test_a_service_goes_to_another_owner_by_an_act_and_by_no_edit(bank, node):
    with pytest.raises(WeakensProtection, match="service-owner"):
        catalogue.edit_service(bank.service, owner=bank.teams["security"], by=TEST)
    change = ask(bank, "service-owner", subject="web-bank", team="security")
    agree(change, bank, "sam", "noor")
    run(change, node)
    assert Service.objects.get(slug="web-bank").owner == bank.teams["security"]


def test_a_grant_and_its_end(bank, node):
    given = {"team": "elsewhere", "verb": "request", "kind": "service", "record": "web-bank"}
    for act, expected in (("permission-grant", True), ("permission-revoke", False)):
        change = ask(bank, act, **given)
        agree(change, bank, "sam", "noor")
        assert run(change, node).state == C.SUCCEEDED
        assert permissions.may(bank.user("ravi"), "request", bank.service) is expected


def test_an_admin_is_made_by_an_act(bank, node):
    change = ask(bank, "account-admin", account="ravi")
    agree(change, bank, "sam", "noor")
    run(change, node)
    assert User.objects.get(username="ravi").is_superuser


def test_the_tokens_of_a_machine_do_more_only_when_others_have_agreed(bank, node):
    noor = bank.people["noor"]
    robot = teams.create_service_account(username="ci", name="ci", person=noor.user.person, by=TEST)
    change = ask(bank, "account-scopes", account="ci", scopes="runs:write changes:write")
    assert change.title == "Let tokens of ci have runs:write changes:write too"
    with pytest.raises(OwnChange):
        agree(change, bank, "noor")
    agree(change, bank, "sam", "ines")
    robot.refresh_from_db()
    with pytest.raises(BeyondCeiling):  # until a worker has done it, the old ceiling judges
        issue(robot, "runs:write", by=noor)
    assert run(change, node).state == C.SUCCEEDED
    robot.refresh_from_db()
    assert set(robot.ceiling) == {*READING, "runs:write", "changes:write"}
    assert Entry.objects.get(kind="account.scopes").actor == f"change:{change.key}"
    assert issue(robot, "runs:write", by=noor).token.usable == {"runs:write"}


def test_whoever_asks_for_more_scopes_never_agrees_even_without_answering_for_the_machine(bank):
    teams.create_service_account(username="ci", name="ci", person=bank.user("mara").person, by=TEST)
    change = ask(bank, "account-scopes", by="noor", account="ci", scopes="runs:write")
    with pytest.raises(OwnChange):
        agree(change, bank, "noor")


def test_only_a_machine_has_a_ceiling_and_only_scopes_are_in_it(bank, client):
    teams.create_service_account(username="ci", name="The pipeline", person=bank.user("mara").person, by=TEST)
    for field, given in (
        ("account", {"account": "ravi", "scopes": "runs:write"}),
        ("scopes", {"account": "ci", "scopes": "runs:write sign_off"}),
        ("scopes", {"account": "ci", "scopes": " "}),
    ):
        with pytest.raises(Invalid) as refused:
            ask(bank, "account-scopes", **given)
        assert refused.value.errors[0]["pointer"] == f"/inputs/{field}"
    client.force_login(bank.user("mara"), backend="django.contrib.auth.backends.ModelBackend")
    page = client.get("/workflows/account-scopes/new/").content.decode()
    assert '<option value="ci"' in page
    assert '<option value="ravi"' not in page


def test_what_is_so_already_is_not_done_twice(bank, node):
    change = ask(bank, "membership-start", team="security", account="ravi")
    agree(change, bank, "sam", "noor")
    teams.join(bank.teams["security"], bank.user("ravi"), by=TEST)
    assert run(change, node).state == C.SUCCEEDED
    assert Membership.objects.open().filter(team__slug="security", user__username="ravi").count() == 1


def test_an_attempt_that_lost_its_lease_does_nothing(bank):
    change = ask(bank, "membership-start", team="security", account="ravi")
    agree(change, bank, "sam", "noor")
    step = Step.objects.get(run__change=change)
    with pytest.raises(Cancelled):
        Govern().run(context(f"{step.pk}:1", act="membership.start", team="security", account="ravi"))
    with pytest.raises(Cancelled):
        Govern().run(context(f"{uuid7()}:1", act="membership.start", team="security", account="ravi"))
    assert "ravi" not in members("security")


def context(fence, **with_):
    late = time.monotonic() + 60
    return Context(with_, "key", fence, threading.Event(), late, print)


def test_no_other_place_may_use_the_action(bank):
    text = definition(acts()["membership.start"], bank.teams["platform"]).text
    with pytest.raises(BadDefinition, match="control-room only"):
        load(text.replace("- control-room", "- staging"))
    with pytest.raises(BadDefinition, match="control-room only"):
        load(text.replace("- control-room", "- control-room\n  - staging"))


@pytest.mark.parametrize(
    ("service", "environment"), [("web-bank", "control-room"), ("countersign", "staging")]
)
def test_nothing_but_countersign_itself_is_changed_in_the_control_room(bank, service, environment):
    workflow = "membership-start" if environment == "control-room" else "deploy"
    inputs = {"team": "security", "account": "ravi"} if workflow == "membership-start" else {"version": "1"}
    with pytest.raises(Invalid, match="control room"):
        ask(bank, workflow, service=service, environment=environment, **inputs)


def test_the_control_room_is_protected_from_the_start():
    with pytest.raises(WeakensProtection):
        catalogue.create_environment(slug="control-room", name="Lax", tier=9, position=1, by=TEST)


def test_installing_again_changes_nothing(bank):
    before = Workflow.objects.count(), Entry.objects.count()
    install(bank.teams["platform"], by=TEST)
    assert (Workflow.objects.count(), Entry.objects.count()) == before


def test_the_form_offers_the_records_there_are(bank, client):
    client.force_login(bank.user("mara"), backend="django.contrib.auth.backends.ModelBackend")
    page = client.get("/workflows/membership-start/new/").content.decode()
    assert '<option value="security"' in page
    assert "Ravi (ravi)" in page
    assert "Web bank" not in page, "Countersign itself is the only service here"


def test_a_secret_is_used_in_more_places_only_when_others_agree(bank, node):
    scope = {"environments": ["staging"], "services": ["web-bank"], "workflows": ["deploy"]}
    store.create(path="payments/key", owner=bank.teams["payments"], scope=scope, by=bank.people["mara"])
    wider = {"environments": "production staging", "services": "web-bank", "workflows": "deploy"}
    change = ask(bank, "secret-scope", path="payments/key", **wider)
    assert change.title == "Let payments/key be used in production staging"
    agree(change, bank, "sam", "noor")
    assert run(change, node).state == C.SUCCEEDED
    assert Secret.objects.get().environments == ["production", "staging"]
    assert Entry.objects.get(kind="secret.edited").actor == f"change:{change.key}"
    with pytest.raises(Invalid, match="There is no environment moon"):
        ask(bank, "secret-scope", path="payments/key", **{**wider, "environments": "moon"})
    with pytest.raises(Invalid, match="There is no such secret"):
        ask(bank, "secret-scope", path="payments/none", **wider)


def test_what_a_vault_keeps_is_named_only_when_others_agree(bank, node):
    where = {"environments": "production", "services": "", "workflows": ""}
    given = {"path": "payments/db", "provider": "vault", "source": "payments/db#password", "team": "payments"}
    change = ask(bank, "secret-register", **given, **where)
    agree(change, bank, "sam", "noor")
    assert run(change, node).state == C.SUCCEEDED
    made = Secret.objects.get()
    assert (made.provider, made.source, made.owner.slug) == ("vault", "payments/db#password", "payments")
    for wrong in ({"source": "../../sys"}, {"path": "payments/db", "source": "other"}, {"team": "moon"}):
        with pytest.raises(Invalid):
            ask(bank, "secret-register", **{**given, **wrong}, **where)
