"""People, teams and chains as these tests need them; every governed row has the entry that it must have."""

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from accounts import teams
from accounts.acting import Acting
from accounts.models import Membership, Person, Team, User
from approvals import chain as chains
from approvals import demand, gate, passkeys, signoffs
from approvals.models import Bundle, Chain, SignOff, Stage
from approvals.periods import Place
from approvals.policy import bundles, decide
from audit.canonical import uuid7
from audit.ledger.entry import system
from audit.ledger.record import record
from tests.approvals.authenticator import Authenticator

STARTER = Path("examples/policies/starter")
TEST = system("system:test")
DIGEST = "sha256:" + "a" * 64
OTHER = "sha256:" + "b" * 64


def person(
    name: str, *slugs: str, of: Person | None = None, kind: str = "person", active: bool = True
) -> User:
    """An account with its memberships; `of` makes it a second account of the same person."""
    with transaction.atomic():
        user = User.objects.create(
            username=f"{name}-{uuid7().hex[-6:]}",
            name=name,
            person=of or Person.objects.create(name=name),
            kind=kind,
        )
        record("account.created", of=user, subject=name, actor=TEST)
    for slug in slugs:
        join(user, slug)
    if not active:
        teams.deactivate(user, by=TEST)
    return user


def become(user: User, who: Person) -> None:
    """The account turns out to be another person's."""
    with transaction.atomic():
        user.person, user.version = who, user.version + 1
        user.save()
        record("account.linked", of=user, subject=user.username, actor=TEST)


def team(slug: str) -> Team:
    found = Team.objects.filter(slug=slug).first()
    return found or teams.create_team(slug=slug, name=slug.title(), by=TEST)


def join(user: User, slug: str) -> Membership:
    return teams.join(team(slug), user, by=TEST)


def leave(user: User, slug: str) -> None:
    teams.leave(team(slug), user, by=TEST)


def facts(
    requester: User, *, environment: str = "production", tier: int = 1, **changed: Any
) -> dict[str, Any]:
    base = {
        "api": "v1",
        "phase": "request",
        "now": "2026-01-05T09:00:00.000000Z",
        "change": {
            "id": "CHG-1", "revision": 1, "inputs": {"version": "1.4.2"}, "reason": "Fix", "emergency": False,
            "plan": None,
        },
        "workflow": {
            "slug": "deploy-service", "title": "Deploy a service", "version": 1, "digest": OTHER,
            "owner": "platform", "effects": ["idempotent"],
        },
        "service": {"slug": "payments", "tier": tier, "owner": "payments"},
        "environment": {"slug": environment, "tier": 1, "protected": True, "frozen_by": []},
        "requester": {"id": str(requester.pk), "teams": ["payments"], "kind": "person"},
        "authors": [],
        "history": {"last_success": None, "recent_failures": 0, "similar_changes": 0},
        "evidence": {},
        "claims": {},
    }  # fmt: skip
    return {**base, **changed}


class Bank:
    """A requester, two owners, two from Security, and the starter policy."""

    def __init__(self) -> None:
        self.noor = person("Noor", "payments")
        self.ines = person("Ines", "payments")
        self.omar = person("Omar", "payments")
        self.sam = person("Sam", "security")
        self.lena = person("Lena", "security")
        there = User.objects.filter(username="adam").first()  # of another world in the same database
        self.admin = there or teams.create_person(username="adam", name="Adam", by=TEST, superuser=True)
        self.bundle = bundles.first_start(STARTER, by=TEST)

    def chain(self, *, digest: str = DIGEST, is_emergency: bool = False, **of: Any) -> Chain:
        """A chain that was really decided and opened."""
        decision = decide(facts(self.noor, **of))
        with transaction.atomic():
            return chains.open_chain(
                digest=digest,
                decision=decision,
                conflicted={self.noor.person_id},
                by=Acting(self.noor, "session").actor,
                is_emergency=is_emergency,
            )


def stage(chain: Chain, name: str) -> Stage:
    return chain.stages.get(name=name)


def sign(chain: Chain, user: User, name: str, decision: str = "approve", **changed: Any) -> chains.Verdict:
    """One decision, as the page would send it."""
    words = {"comment": "Read it.", "condition": "Watch it." if decision == "approve_with_condition" else ""}
    said: dict[str, Any] = {
        "stage": stage(chain, name).pk if isinstance(name, str) else name,
        "decision": decision,
        "digest": chain.subject,
        "chain_digest": chain.digest,
        "by": Acting(user, "session"),
        **words,
        **changed,
    }
    with transaction.atomic():
        return signoffs.give(chain=chain, **said)


def demand_passkeys(bank: Any, stage: str = "Security", *, source: str = "with passkeys") -> Bundle:
    """The starter policy, but this stage takes nothing less than a passkey."""
    sources = {path.name: path.read_text() for path in STARTER.glob("*.rego")}
    head, found, tail = sources["production.rego"].partition(f'"stage": "{stage}"')
    assert found
    sources["production.rego"] = head + found + tail.replace('"session"', '"passkey"', 1)
    bundle = bundles.activate(bundles.examine(sources), source=source, by=TEST)
    bank.bundle = bundle
    return bundle


def presented(
    chain: Chain, user: User, name: str, device: Authenticator, **changed: Any
) -> passkeys.Presented:
    """What a browser sends beside the decision, about revision 1 of the change "c"."""
    said = {
        "change": "c", "revision": 1, "digest": chain.subject, "chain_digest": chain.digest,
        "stage": str(stage(chain, name).pk), "decision": "approve",
        "condition_digest": passkeys.digest_of_text(""), **changed,
    }  # fmt: skip
    return passkeys.Presented("c", 1, device.get(passkeys.Statement(**said).challenge))


def complete(bank: Bank, **of: Any) -> Chain:
    chain = bank.chain(**of)
    sign(chain, bank.ines, "Service owner")
    assert sign(chain, bank.sam, "Security") == chains.Verdict.COMPLETE
    return chain


def start(chain: Chain, **changed: Any) -> gate.Start:
    known: dict[str, Any] = {
        "run_id": uuid7(),
        "change_key": "CHG-1",
        "digest": chain.subject,
        "document_digest": OTHER,
        "chain_id": chain.pk,
        "place": Place("production", "payments", "deploy-service"),
        "change_state": "approved",
        "cancel_requested": False,
        "not_before": None,
        "not_after": None,
        "permit_id": None,
        "first": True,
        "by": TEST,
    }
    return gate.Start(**{**known, **changed})


def told(chain: Chain) -> dict[str, Any]:
    """What the bytes would say about what policy was asked."""
    return {"input.environment.slug": chain.decision.input["environment"]["slug"]}


def judge(chain: Chain) -> demand.Judged:
    """The worker's own answer, before its transaction."""
    chain.refresh_from_db()
    return demand.judge(chain.pk, told=told(chain), requesters=map(str, chain.conflicted))


def authorise(chain: Chain, **changed: Any):
    if changed.get("first", True) and "judged" not in changed:
        changed = {"told": told(chain), "judged": judge(chain), **changed}
    with transaction.atomic():
        return gate.authorise(start(chain, **changed))


def sql(text: str, *values: Any) -> None:
    """What somebody with a superuser's SQL does: the guards asleep."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(text, values)


def forge(chain: Chain, user: User, stage_id: UUID) -> SignOff:
    """A row and an entry as good as SQL can make them: everything but the key."""
    with transaction.atomic():
        row = SignOff.objects.create(
            chain=chain, stage_id=stage_id, person_id=user.person_id, user=user, decision="approve",
            subject=chain.subject, chain_digest=chain.digest, signature="ed25519:0000000000000000:AAAA",
            given_at=timezone.now() - timedelta(seconds=1),
        )  # fmt: skip
        record("sign_off.given", of=row, subject=chain.subject, actor=TEST)
    return row
