"""The chain: what one decision demands for one digest, and whether it is complete.

`verdict` is pure and does not care in which order it is told. It must never know a change, look at a clock,
or count anybody by anything but the person.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from django.db import connection

from approvals import eligibility, emergency, keys, obligations
from approvals.clock import database_time
from approvals.models import Chain, Decision, SignOff, Stage
from approvals.policy.engine import PolicyRefused
from approvals.seats import Seat
from audit.canonical import digest as digest_of
from audit.ledger.entry import Actor
from audit.ledger.record import record, timestamp
from audit.refusals import StaleVersion


class Verdict(StrEnum):
    """What the sign-offs amount to."""

    WAITING = "waiting"
    COMPLETE = "complete"
    SENT_BACK = "sent_back"
    REJECTED = "rejected"


class Demand(Protocol):
    """What the verdict needs of a stage."""

    @property
    def pk(self) -> Any: ...
    @property
    def order(self) -> int: ...
    @property
    def quorum(self) -> int: ...
    @property
    def distinct(self) -> str: ...


class Said(Protocol):
    """What the verdict needs of a sign-off."""

    @property
    def stage_id(self) -> Any: ...
    @property
    def person_id(self) -> Any: ...
    @property
    def owner_id(self) -> Any: ...
    @property
    def decision(self) -> str: ...
    @property
    def given_at(self) -> datetime: ...


@dataclass(frozen=True)
class Progress:
    """One stage as the page shows it."""

    stage: Stage
    given: int
    complete: bool
    open: bool


DOMAIN = "countersign/chain/v1"
APPROVING = {SignOff.Kind.APPROVE.value, SignOff.Kind.APPROVE_WITH_CONDITION.value}


def verdict(
    stages: Collection[Demand], sign_offs: Collection[Said], *, conflicted: Collection[UUID]
) -> Verdict:
    """A reject is a veto; a person counts once; nothing conflicted counts; an empty chain is never complete."""
    said = {one.decision for one in sign_offs if not persons(one) & set(conflicted)}
    if SignOff.Kind.REJECT in said:
        return Verdict.REJECTED
    if SignOff.Kind.SEND_BACK in said:
        return Verdict.SENT_BACK
    done = completed(stages, sign_offs, conflicted=conflicted)
    return Verdict.COMPLETE if stages and len(done) == len(stages) else Verdict.WAITING


def completed(
    stages: Collection[Demand], sign_offs: Iterable[Said], *, conflicted: Collection[UUID]
) -> dict[UUID, datetime]:
    """Stage -> the moment its quorum was reached. A later order counts only what was given after the earlier."""
    votes = _one_a_person(stages, sign_offs, conflicted)
    done: dict[UUID, datetime] = {}
    opened: datetime | None = None
    for order in sorted({stage.order for stage in stages}):
        rank = [stage for stage in stages if stage.order == order]
        for stage in rank:
            moments = _moments(stage, votes, after=opened)
            if len(moments) >= stage.quorum >= 1:
                done[stage.pk] = moments[stage.quorum - 1]
        if not all(stage.pk in done for stage in rank):
            break
        opened = max(done[stage.pk] for stage in rank)
    return done


def persons(one: Said) -> frozenset[UUID]:
    """Whoever a sign-off counts for: who gave it, and in whose place. Neither counts once more."""
    return frozenset({one.person_id, one.owner_id or one.person_id})


def may_sign_also(stage: UUID, signed: Collection[UUID], stages: Iterable[Demand]) -> bool:
    """Whether somebody who signed these stages may sign this one too: only where each of them says so aloud."""
    repeatable = {one.pk for one in stages if one.distinct == Stage.Distinct.STAGE}
    return not signed or (stage not in signed and {stage, *signed} <= repeatable)


def _one_a_person(
    stages: Collection[Demand], sign_offs: Iterable[Said], conflicted: Collection[UUID]
) -> list[Said]:
    """Of several approvals for one person the first counts, and others only where the stages allow more than one."""
    counted: list[Said] = []
    for one in sorted(sign_offs, key=lambda one: (one.given_at, str(one.stage_id), str(one.person_id))):
        if one.decision in APPROVING and not persons(one) & set(conflicted):
            signed = {vote.stage_id for vote in counted if persons(vote) & persons(one)}
            if may_sign_also(one.stage_id, signed, stages):
                counted.append(one)
    return counted


def _moments(stage: Demand, votes: Iterable[Said], *, after: datetime | None) -> list[datetime]:
    mine = [vote.given_at for vote in votes if vote.stage_id == stage.pk]
    return sorted(moment for moment in mine if after is None or moment > after)


def is_open(stage: Demand, stages: Collection[Demand], done: Mapping[UUID, datetime]) -> bool:
    """Whether every stage of an earlier order is complete."""
    return all(one.pk in done for one in stages if one.order < stage.order)


def progress(chain: Chain) -> list[Progress]:
    """Each stage of the chain with what counts now."""
    stages = list(chain.stages.all())
    counted = standing(chain, stages)
    done = completed(stages, counted, conflicted=chain.barred)
    votes = _one_a_person(stages, counted, chain.barred)
    return [
        Progress(
            stage,
            given=sum(vote.stage_id == stage.pk for vote in votes),
            complete=stage.pk in done,
            open=chain.state == Chain.State.OPEN and is_open(stage, stages, done) and stage.pk not in done,
        )
        for stage in stages
    ]


def standing(
    chain: Chain, stages: Sequence[Stage], *, barred: Collection[UUID] | None = None, share: bool = False
) -> list[SignOff]:
    """The sign-offs of this chain that are not withdrawn and whose givers may still decide.

    `barred` is the chain's own, where the caller holds its lock and has asked already.
    """
    conflicted = chain.barred if barred is None else barred
    return eligibility.standing(stages, given(chain), conflicted=conflicted, share=share)


def free(
    places: Iterable[Seat], stage: UUID, *, stages: Collection[Demand], given: Collection[Said]
) -> Seat | None:
    """The first of these places from which the stage may be signed: it counts for nobody whom `given` counts for."""
    for seat in places:
        signed = {one.stage_id for one in given if persons(one) & seat.persons}
        if may_sign_also(stage, signed, stages):
            return seat
    return None


def given(chain: Chain) -> list[SignOff]:
    """What was decided on this chain and not taken back."""
    return list(chain.sign_offs.filter(withdrawn_at=None))


def open_chain(
    *, digest: str, decision: Decision, conflicted: Collection[UUID], by: Actor, is_emergency: bool = False
) -> Chain:
    """Store the stages that the decision demands for this digest, teams pinned by id. In the caller's transaction."""
    if not connection.in_atomic_block:
        raise RuntimeError("open_chain() needs the transaction of the revision it belongs to")
    demands = decision.output["require"]
    if not demands:
        raise PolicyRefused("The decision demands no stage; a chain without one can never be complete.")
    if is_emergency:
        emergency.check_demands(demands)
    now = database_time()
    chain = Chain(
        subject=digest,
        decision=decision,
        conflicted=sorted(conflicted),
        opened_at=now,
        expires_at=now + emergency.lifetime(demands, emergency=is_emergency),
    )
    stages = [_stage(chain, demand) for demand in demands]
    document = _document(chain, stages)
    chain.digest, chain.signature = digest_of(DOMAIN, document), keys.sign("chain", document)
    chain.save(force_insert=True)
    Stage.objects.bulk_create(stages)
    _record(
        chain, "chain.opened", by=by,
        decision=str(decision.pk), bundle=decision.bundle.digest,
        stages=[_pinned(stage) for stage in stages],
        conflicted=[str(person) for person in chain.conflicted], expires_at=timestamp(chain.expires_at),
    )  # fmt: skip
    obligations.open_by_policy(chain, decision.output["obligations"], at=now)
    return chain


def is_intact(chain: Chain, stages: Iterable[Stage]) -> bool:
    """Whether the chain still demands what it did when it was opened: its digest holds, and our key signed it."""
    document = _document(chain, stages)
    return digest_of(DOMAIN, document) == chain.digest and keys.verify("chain", document, chain.signature)


def void(chain: Chain, *, by: Actor, why: str) -> None:
    """Close a chain whose content is no longer what was asked for; a closed one stays as it is."""
    if chain.state in {Chain.State.OPEN, Chain.State.COMPLETE}:
        move(chain, Chain.State.VOID, by=by, why=why)


def move(chain: Chain, to: Chain.State, *, by: Actor, **data: Any) -> None:
    """One guarded UPDATE and one entry, in the caller's transaction."""
    seen = Chain.objects.filter(pk=chain.pk, state=chain.state, version=chain.version)
    if not seen.update(state=to, version=chain.version + 1):
        raise StaleVersion("Somebody decided at the same moment; nothing was done. Reload the page.")
    was, chain.state, chain.version = chain.state, to, chain.version + 1
    kind = (
        "chain.reopened" if to == Chain.State.OPEN else {"complete": "chain.completed"}.get(to, f"chain.{to}")
    )
    _record(chain, kind, by=by, was=was, **data)


def _stage(chain: Chain, demand: Mapping[str, Any]) -> Stage:
    rule = demand["why"]["rule"]
    teams, users = eligibility.pin(demand["teams"], demand.get("users", []), rule=rule)
    later, _ = eligibility.pin(demand.get("escalate_to", []), [], rule=rule)
    stage = Stage(
        chain=chain,
        name=demand["stage"],
        order=demand["order"],
        quorum=demand["quorum"],
        teams=list(teams),
        team_ids=list(teams.values()),
        user_ids=users,
        signature=demand["signature"],
        distinct=demand.get("distinct", Stage.Distinct.CHAIN),
        member_for=demand.get("member_for", 0),
        sealed=demand.get("sealed", False),
        due_at=chain.opened_at + timedelta(seconds=demand["due_in"]) if "due_in" in demand else None,
        escalate_to=list(later),
        escalate_ids=list(later.values()),
        why=demand["why"],
    )
    can = eligibility.votes(eligibility.places(stage, conflicted=chain.conflicted, until=chain.expires_at))
    if can < stage.quorum:
        raise PolicyRefused(
            f"Rule {rule} asks for {stage.quorum} to sign {stage.name}, but only {can} may. The change cannot proceed."
        )
    return stage


def _document(chain: Chain, stages: Iterable[Stage]) -> dict[str, Any]:
    """What a sign-off names besides the content: an altered stage, expiry or conflict changes its digest."""
    return {
        "chain": str(chain.pk),
        "subject": chain.subject,
        "decision": str(chain.decision_id),
        "windows": chain.decision.output["windows"],
        "conflicted": sorted(str(person) for person in chain.conflicted),
        "expires_at": timestamp(chain.expires_at),
        "stages": sorted((_pinned(stage) for stage in stages), key=lambda row: str(row["stage"])),
    }


def _row(stage: Stage) -> dict[str, Any]:
    return {
        "stage": str(stage.pk),
        "name": stage.name,
        "order": stage.order,
        "quorum": stage.quorum,
        "teams": list(stage.teams),
    }


def _pinned(stage: Stage) -> dict[str, Any]:
    return {
        **_row(stage),
        "team_ids": sorted(str(team) for team in stage.team_ids),
        "user_ids": sorted(str(user) for user in stage.user_ids),
        "signature": stage.signature,
        "rule": stage.why["rule"],
        **_besides(stage),
    }


def _besides(stage: Stage) -> dict[str, Any]:
    """What a stage may say beyond the usual; what it does not say is left out, so that each chain keeps its digest."""
    said = {
        "distinct": stage.distinct if stage.distinct != Stage.Distinct.CHAIN else None,
        "member_for": stage.member_for,
        "sealed": stage.sealed,
        "due_at": timestamp(stage.due_at) if stage.due_at else None,
        "escalate_to": list(stage.escalate_to),
        "escalate_ids": sorted(str(team) for team in stage.escalate_ids),
    }
    return {name: value for name, value in said.items() if value}


def _record(chain: Chain, kind: str, *, by: Actor, **data: Any) -> None:
    record(kind, of=chain, subject=chain.subject, actor=by, chain=str(chain.pk), digest=chain.digest, **data)
