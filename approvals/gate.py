"""The gate: the only function that returns a permit. Called by the claim, in its transaction, the change locked.

It must never trust a message, a cached verdict or a state alone: it looks at the rows again, under locks, verifies
each signature with keys from outside the database, and says no when anything is unclear.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from approvals import chain as chains
from approvals import (
    current,
    demand,
    directory,
    emergency,
    exempt,
    freezes,
    passkeys,
    planned,
    sealing,
    signoffs,
    switches,
)
from approvals import permit as permits
from approvals.chain import Verdict
from approvals.clock import database_time
from approvals.closed import (
    ApprovalExpired,
    ChainAltered,
    ChainNotComplete,
    EmergencyTooWide,
    Frozen,
    LedgerBehind,
    LedgerForked,
    NotOnlyReading,
    NotRunnable,
    OtherContent,
    OutsideWindow,
    PasskeyUnproved,
    PermitExpired,
    PermitWrong,
    PlanUnsigned,
    QuorumLost,
    SignOffForged,
    StopAsked,
    TakenBack,
    TooEarly,
    TooLate,
    Vetoed,
)
from approvals.models import Chain, Decision, Permit, SignOff, Stage
from approvals.periods import Place
from audit.canonical import Json
from audit.ledger.entry import Actor
from audit.ledger.record import record, timestamp
from audit.models import Entry

__all__ = [
    "ApprovalExpired",
    "ChainAltered",
    "ChainNotComplete",
    "EmergencyTooWide",
    "Frozen",
    "LedgerBehind",
    "LedgerForked",
    "NotOnlyReading",
    "NotRunnable",
    "OtherContent",
    "OutsideWindow",
    "PasskeyUnproved",
    "PermitExpired",
    "PermitWrong",
    "PlanUnsigned",
    "QuorumLost",
    "SignOffForged",
    "Start",
    "StopAsked",
    "TakenBack",
    "TooEarly",
    "TooLate",
    "Vetoed",
    "authorise",
]  # fmt: skip

TAKEN_BACK = ["sign_off.withdrawn", "passkey.revoked"]
_PERMIT = "SELECT * FROM approvals_permit WHERE id = %s AND run_id = %s"
BEFORE = {"approved", "scheduled"}
DURING = {"running"}


@dataclass(frozen=True)
class Start:
    """What the claim knows from rows it has locked, and from the bytes that it will run."""

    run_id: UUID
    change_key: str
    digest: str  # recomputed from the document that will run
    document_digest: str  # of its bytes
    chain_id: UUID | None  # None: plan steps, for which nobody has agreed to anything
    place: Place
    change_state: str
    cancel_requested: bool
    not_before: datetime | None
    not_after: datetime | None
    permit_id: UUID | None
    first: bool
    by: Actor
    emergency: bool = False  # as the bytes that will run say
    content: Mapping[str, Any] = field(default_factory=dict)  # the document whose digest is `digest`, read
    told: Mapping[str, Any] = field(default_factory=dict)  # what it says about what policy was asked, by path
    judged: demand.Judged | None = None  # the worker's own answer; None where nobody asked
    step: Mapping[str, Any] = field(default_factory=dict)  # the step that would start, as `content` has it
    purpose: str = Permit.Purpose.APPLY
    signature: str = ""  # of whoever asked for a plan

    @property
    def environment(self) -> str:
        return self.place.environment


def authorise(start: Start) -> Permit:
    """The permit under which this step may start now; GateClosed when it may not."""
    if not connection.in_atomic_block:
        raise RuntimeError("the gate needs the transaction of the claim")
    _check_state(start)
    switches.check(environment=start.environment, action=start.step.get("uses", ""))  # an emergency too
    if start.purpose == Permit.Purpose.PLAN:
        return _plan(start)
    if planned.only_reads(start.step):
        raise NotOnlyReading(f"A plan step of {start.change_key} starts under a plan's permit only.")
    said = freezes.active(start.place)
    now = said.now
    _check_window(start, now)
    passed = _check_calendar(start, said)
    size = current.check()
    return _first(start, now, size, passed) if start.first else _later(start, now)


def _check_state(start: Start) -> None:
    if start.cancel_requested:
        raise StopAsked(f"{start.change_key} was asked to stop, so no further step starts.")
    plans = start.purpose == Permit.Purpose.PLAN
    if start.change_state not in (planned.BEFORE_START if plans else BEFORE if start.first else DURING):
        state = start.change_state.replace("_", " ")
        raise NotRunnable(f"{start.change_key} is {state}, so nothing of it may start.")


def _check_window(start: Start, now: datetime) -> None:
    if start.not_before is not None and now < start.not_before:
        raise TooEarly(f"{start.change_key} may not start before {_at(start.not_before)}.")
    if start.not_after is not None and now >= start.not_after:
        raise TooLate(f"{start.change_key} had to start before {_at(start.not_after)}. Request it again.")


def _check_calendar(start: Start, said: freezes.Judged) -> list[UUID]:
    """At every start, not only the first: a freeze that begins during a run holds its next step.

    What lets it through the freezes that hold: the exceptions, none for an emergency.
    """
    if start.emergency:
        return []
    passed = exempt.through(start.digest, [one.id for one in said.held]) if said.held else {}
    for freeze in (one for one in said.held if one.id not in passed):
        raise Frozen(f"{start.environment} is frozen by {freeze.name} until {_at(freeze.ends_at)}.")
    if said.shut:
        opens = f"opens {_at(said.opens_at)}" if said.opens_at else "is not planned: an admin can plan one"
        raise OutsideWindow(f"{start.change_key} starts only inside a window, and the next {opens}.")
    return list(passed.values())


def _plan(start: Start) -> Permit:
    """What only reads starts before anybody agreed: under a permit that is good for nothing else."""
    planned.check(
        change=start.change_key, digest=start.digest, signature=start.signature, content=start.content,
        step=start.step,
    )  # fmt: skip
    now, size = database_time(), current.check()
    if not start.first:
        return _later(start, now)
    _check_unpermitted(start)
    demand.check_plan(start.judged, start.told)
    expires_at = now + permits.lifetime(is_emergency=False)
    document = planned.document(
        run_id=start.run_id, change=start.change_key, digest=start.digest, document_digest=start.document_digest,
        environment=start.environment, at=now, expires_at=expires_at, size=size,
    )  # fmt: skip
    return _write(start, None, document, now, expires_at)


def _check_unpermitted(start: Start) -> None:
    if start.permit_id is not None:
        raise PermitWrong(f"{start.change_key} has a permit already; its run has started before.")


# --- the first start: everything again -------------------------------------------------------------------


def _first(start: Start, now: datetime, size: int, passed: list[UUID]) -> Permit:
    _check_unpermitted(start)
    chain = _locked(start.chain_id)
    stages = list(chain.stages.all())
    _check_chain(start, chain, stages, now)
    demand.check(start.judged, chain, stages, start.told)
    _check_policy_windows(start, chain.decision, now)
    directory.check_fresh(stages)
    counted = chains.standing(chain, stages, share=True)
    _check_sign_offs(start, chain, counted)
    _check_passkeys(start, stages, counted)
    _check_not_taken_back(start, counted)
    _check_verdict(start, chain, stages, counted)
    if start.emergency:
        _check_emergency(start, chain, counted)
    sealed = sealing.check(start.change_key, stages, counted)
    return _issue(start, chain, stages, counted, passed, now, size, sealed=sealed)


def _locked(chain_id: UUID | None) -> Chain:
    locked = Chain.objects.select_for_update(no_key=True, of=("self",)).select_related("decision__bundle")
    chain = locked.filter(pk=chain_id).first() if chain_id else None
    if chain is None:
        raise ChainNotComplete("There is no approval chain for this change, so it may not start.")
    return chain


def _check_chain(start: Start, chain: Chain, stages: list[Stage], now: datetime) -> None:
    if chain.state != Chain.State.COMPLETE:
        raise ChainNotComplete(f"The approval chain of {start.change_key} is {chain.state}, not complete.")
    if chain.subject != start.digest:
        raise OtherContent(
            f"What would run is not what was signed off: {start.digest} is not {chain.subject}."
        )
    if not chains.is_intact(chain, stages):
        raise ChainAltered(f"The approval chain of {start.change_key} was altered after it was opened.")
    if now >= chain.expires_at:
        raise ApprovalExpired(
            f"The approval of {start.change_key} ended {_at(chain.expires_at)}. Request it again."
        )


def _check_policy_windows(start: Start, decision: Decision, now: datetime) -> None:
    """Where policy names windows, a run begins within one of them. The chain's signature covers them."""
    read = datetime.fromisoformat
    spans = [(read(one["not_before"]), read(one["not_after"])) for one in decision.output["windows"]]
    if not spans or any(begin <= now < end for begin, end in spans):
        return
    later = [begin for begin, _ in spans if begin > now]
    if later:
        raise TooEarly(f"By policy {start.change_key} may not start before {_at(min(later))}.")
    last = max(end for _, end in spans)
    raise TooLate(f"By policy {start.change_key} had to start before {_at(last)}. Request it again.")


def _check_sign_offs(start: Start, chain: Chain, counted: list[SignOff]) -> None:
    """Each counted one names what runs, was never turned back after a withdrawal, and is signed by our key."""
    for one in counted:
        if one.subject != start.digest or one.chain_digest != chain.digest:
            raise OtherContent(f"A sign-off of {start.change_key} names other content.")
        if one.version != 1 or not signoffs.is_authentic(one):
            raise SignOffForged(f"A sign-off of {start.change_key} does not carry a true signature.")


def _check_passkeys(start: Start, stages: list[Stage], counted: list[SignOff]) -> None:
    """No key of ours is asked: the person's own device signed what runs, or the approval does not count."""
    demanded = {stage.pk: stage.name for stage in stages if stage.signature == "passkey"}
    about = {"change": start.content.get("change", ""), "revision": start.content.get("revision", 0)}
    for one in counted:
        if one.approves and one.stage_id in demanded and not passkeys.is_proved(one, **about):
            raise PasskeyUnproved(
                f"{demanded[one.stage_id]} of {start.change_key} demands a passkey, and an approval is not proved by"
                " one that is trusted. It must be withdrawn and given again."
            )


def _check_not_taken_back(start: Start, counted: list[SignOff]) -> None:
    """A row can be turned back to what it was, key and all; what was taken back stands in the ledger."""
    streams = {one.pk for one in counted} | {one.passkey_id for one in counted if one.passkey_id}
    if Entry.objects.filter(stream__in=streams, kind__in=TAKEN_BACK).exists():
        raise TakenBack(
            f"A sign-off of {start.change_key}, or the passkey behind it, was taken back by the ledger, but counts in"
            " the database. Nothing starts; tell who looks after the database."
        )


def _check_verdict(start: Start, chain: Chain, stages: list[Stage], counted: list[SignOff]) -> None:
    outcome = chains.verdict(stages, counted, conflicted=chain.conflicted)  # `counted` is without the recused
    if outcome == Verdict.COMPLETE:
        return
    if outcome != Verdict.WAITING:
        raise Vetoed(f"{start.change_key} was {outcome.replace('_', ' ')}, so it may not start.")
    done = chains.completed(stages, counted, conflicted=chain.conflicted)
    open_ = " and ".join(stage.name for stage in stages if stage.pk not in done) or "any stage"
    raise QuorumLost(
        f"{start.change_key} lacks sign-offs for {open_}: only people who are eligible now count."
        " Somebody else has to approve.",
    )


def _check_emergency(start: Start, chain: Chain, counted: list[SignOff]) -> None:
    """What opens through a freeze needs two people and an hour's limit, whatever policy was content with."""
    agreed = emergency.persons(counted, conflicted=chain.conflicted)
    if agreed < emergency.MIN_PERSONS or chain.expires_at - chain.opened_at > emergency.LIFETIME:
        raise EmergencyTooWide(
            f"{start.change_key} is an emergency that {agreed} agreed to until {_at(chain.expires_at)}."
            f" It needs {emergency.MIN_PERSONS} people, and ends within an hour. Request it again."
        )


def _issue(
    start: Start, chain: Chain, stages: list[Stage], counted: list[SignOff], passed: list[UUID], now: datetime,
    size: int, *, sealed: bool,
) -> Permit:  # fmt: skip
    expires_at = now + permits.lifetime(is_emergency=start.emergency)
    document: dict[str, Json] = {
        "v": 1,
        "run": str(start.run_id),
        "change": start.change_key,
        "digest": start.digest,
        "document_digest": start.document_digest,
        "chain": str(chain.pk),
        "chain_digest": chain.digest,
        "decision": str(chain.decision_id),
        "bundle": chain.decision.bundle.digest,
        "environment": start.environment,
        "emergency": start.emergency,
        "stages": [{"stage": str(one.pk), "name": one.name, "quorum": one.quorum} for one in stages],
        "sign_offs": sorted(str(one.pk) for one in counted),
        "obligations": sorted(str(one.pk) for one in chain.obligations.owed()),  # open when it started
        "freeze_exceptions": sorted(str(one) for one in passed),
        "issued_at": timestamp(now),
        "expires_at": timestamp(expires_at),
        "checkpoint_size": size,
        **({"sealed": True} if sealed else {}),
    }
    return _write(start, chain, document, now, expires_at)


def _write(
    start: Start, chain: Chain | None, document: dict[str, Json], now: datetime, expires_at: datetime
) -> Permit:
    permit = permits.issue(run_id=start.run_id, chain=chain, document=document, at=now, expires_at=expires_at)
    told = ("run", "digest", "chain", "sign_offs", "document_digest", "checkpoint_size", "expires_at")
    record(
        "permit.issued", of=permit, subject=start.change_key, actor=start.by, permit=str(permit.pk),
        signature=permit.signature, **{name: document[name] for name in told},
        **({"purpose": str(permit.purpose)} if chain is None else {}),
    )  # fmt: skip
    return permit


# --- each later start: the permit ------------------------------------------------------------------------


def _later(start: Start, now: datetime) -> Permit:
    permit = next(iter(Permit.objects.raw(_PERMIT, [start.permit_id, start.run_id])), None)
    if permit is None:
        raise PermitWrong(f"The run of {start.change_key} has no permit, so no step of it may start.")
    document = permits.read(permit)
    if document is None:
        raise PermitWrong(f"The permit of {start.change_key} does not carry a true signature.")
    names = ("digest", "document_digest", "environment", "chain")
    told = [permits.purpose_of(document), *(document[name] for name in names)]
    chain = str(start.chain_id) if start.chain_id else None
    if told != [start.purpose, start.digest, start.document_digest, start.environment, chain]:
        raise OtherContent(f"What would run is not what the permit of {start.change_key} names.")
    if timestamp(now) >= document["expires_at"]:
        raise PermitExpired(f"The permit of {start.change_key} ended {_at(permit.expires_at)}.")
    return permit


def _at(moment: datetime) -> str:
    return f"{moment:%d %B %Y %H:%M} UTC"
