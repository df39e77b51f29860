"""Sign-offs: one person's decision on one stage of one digest, signed with a key outside the database.

Runs in the caller's transaction, which holds the lock of what is signed off; locks the chain itself. It must never
take a digest for granted: the person names what they saw, and anything else is refused.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, connection, transaction

from accounts.acting import Acting
from accounts.models import User
from approvals import chain as chains
from approvals import eligibility, keys, obligations, passkeys, stepup
from approvals.chain import Verdict
from approvals.clock import database_time
from approvals.models import Chain, Permit, SignOff, Stage
from approvals.seats import Seat
from audit.canonical import Json
from audit.ledger import personal
from audit.ledger.personal import Erasable
from audit.ledger.record import record, timestamp
from audit.refusals import Invalid, NotAllowed, NotFound, Refusal, StaleVersion

Kind = SignOff.Kind
MAX_WORDS = 10_000  # characters of a comment or a condition


class NotInteractive(NotAllowed):
    """Only a person in a session of their own signs off."""

    code = "not_interactive"


class OwnChange(NotAllowed):
    """The requester set never counts."""

    code = "own_change"


class NotEligible(NotAllowed):
    """The person is not asked by this stage."""

    code = "not_eligible"


class StageNotOpen(Refusal):
    """An earlier stage is not complete."""

    code = "stage_not_open"


class AlreadyDecided(Refusal):
    """A person counts once per chain, or once per stage where policy says so."""

    code = "already_decided"


class ChainClosed(Refusal):
    """The chain is complete, rejected, void or expired."""

    code = "chain_closed"


class WordsMissing(Invalid):
    """This decision needs a sentence for those who read it."""

    code = "words_missing"


@dataclass(frozen=True)
class Seen:
    """What the person read before deciding, and what they say about it."""

    digest: str
    chain_digest: str
    decision: SignOff.Kind
    comment: str
    condition: str


def give(
    *,
    chain: Chain,
    stage: UUID,
    decision: str,
    digest: str,
    chain_digest: str,
    comment: str,
    condition: str,
    by: Acting,
    passkey: passkeys.Presented | None = None,
) -> Verdict:
    """Store one decision and say what all of them now amount to; a refusal changes nothing."""
    seen = Seen(digest, chain_digest, _kind(decision), comment.strip(), condition.strip())
    _check_person(by)
    _lock(chain)
    stages = list(chain.stages.all())
    asked, barred = _asked(stages, stage), chain.barred
    _check_conflict(chain, asked, barred, by)
    now = database_time()
    _check_current(chain, seen, now)
    seat = _free(_places(asked, barred, by), chain, asked, stages)
    _check_turn(chain, asked, stages, barred)
    _check_words(seen)
    signed = stepup.check(asked, _stated(asked, seen), passkey, by=by)
    _store(chain, asked, seen, signed, seat=seat, by=by, at=now)
    return _settle(chain, stages, barred, by=by)


def withdraw(sign_off_id: UUID, *, by: Acting, starts_again: bool = False) -> Verdict:
    """Take one's own sign-off back, until the start; a complete chain opens again.

    `starts_again`: of what comes back each time is a start of its own, so one that was leaves the next to withdraw.
    """
    _check_person(by)
    found = SignOff.objects.filter(pk=sign_off_id).select_related("chain").first()
    if found is None:
        raise NotFound("There is no such sign-off.")
    chain = found.chain
    _lock(chain)
    sign_off = SignOff.objects.get(pk=sign_off_id)
    _check_withdrawable(chain, sign_off, by, starts_again=starts_again)
    sign_off.withdrawn_at, sign_off.version = database_time(), sign_off.version + 1
    sign_off.save(update_fields=["withdrawn_at", "version"])
    _record("sign_off.withdrawn", sign_off, sign_off.stage, by=by)
    return _settle(chain, list(chain.stages.all()), chain.barred, by=by)


def is_authentic(sign_off: SignOff) -> bool:
    """Whether our key made this sign-off's signature over exactly what the row says."""
    return keys.verify("signoff", _statement(sign_off), sign_off.signature)


def _kind(decision: str) -> SignOff.Kind:
    try:
        return Kind(decision)
    except ValueError as error:
        names = ", ".join(Kind.values)
        raise Invalid(
            f"{decision[:50]!r} is no decision; it is one of {names}.",
            errors=[{"pointer": "/decision", "detail": f"one of {names}"}],
        ) from error


def _check_person(by: Acting) -> None:
    if not connection.in_atomic_block:
        raise RuntimeError("a sign-off needs the transaction that holds the lock of what is signed")
    if by.user.kind != User.Kind.PERSON:
        raise NotInteractive("A service account cannot sign off. A person must decide, in the browser.")
    if by.auth != "session":
        raise NotInteractive("A token cannot sign off. Sign in to the browser and decide there.")
    if not by.user.is_active:
        raise NotInteractive("This account is not active, so it cannot sign off.")


def _lock(chain: Chain) -> None:
    """Lock the row and see it as it is now."""
    chain.refresh_from_db(from_queryset=Chain.objects.select_for_update(no_key=True))


def _asked(stages: list[Stage], stage: UUID) -> Stage:
    for one in stages:
        if one.pk == stage:
            return one
    raise StaleVersion(
        "This stage is no part of the approval chain any more. Reload the page to see what is asked."
    )


def _check_conflict(chain: Chain, stage: Stage, barred: frozenset[UUID], by: Acting) -> None:
    if by.user.person_id in chain.conflicted:
        raise OwnChange(
            "You requested this change or wrote a part of it, so someone else must approve it."
            f" Rule {stage.why['rule']} asks for {_teams(stage)}."
        )
    if by.user.person_id in barred:
        raise OwnChange("You said that you have a conflict of interest here, so someone else must decide.")
    if by.user.person_id in eligibility.in_conflict(barred):
        raise OwnChange(
            "You stand in for somebody who requested this change, wrote a part of it or has a conflict of interest, so"
            f" someone else must approve it. Rule {stage.why['rule']} asks for {_teams(stage)}."
        )


def _check_current(chain: Chain, seen: Seen, now: datetime) -> None:
    if seen.digest != chain.subject:
        raise StaleVersion(
            "The content was changed while you were reading. Your decision was not stored; read the new revision.",
            errors=[{"pointer": "/digest", "detail": f"it is {chain.subject} now"}],
        )
    if seen.chain_digest != chain.digest:
        raise StaleVersion(
            "The approval chain was changed while you were reading. Your decision was not stored; reload the page.",
            errors=[{"pointer": "/chain_digest", "detail": f"it is {chain.digest} now"}],
        )
    if chain.state != Chain.State.OPEN:
        raise ChainClosed(f"{CLOSED[Chain.State(chain.state)]} Your decision was not stored.")
    if now >= chain.expires_at:
        raise ChainClosed(
            f"The time to decide ended on {chain.expires_at:%d %B %Y at %H:%M} UTC. Your decision was not stored;"
            " the requester can ask again."
        )


CLOSED = {
    Chain.State.COMPLETE: "Everybody who was asked has agreed already.",
    Chain.State.REJECTED: "This change was rejected.",
    Chain.State.VOID: "This approval chain was closed, because the change was edited, sent back or withdrawn.",
}


def _places(stage: Stage, barred: frozenset[UUID], by: Acting) -> list[Seat]:
    """The places from which this person may decide the stage; NotEligible, with who can, when there is none."""
    found = eligibility.places(stage, conflicted=barred, only=[by.user.pk])
    if found:
        return found
    people = [row.name for row in eligibility.people(stage, conflicted=barred)]
    who = ", ".join(people[:5]) + (f" and {len(people) - 5} more" if len(people) > 5 else "") or "nobody"
    begins = eligibility.from_when(stage, by.user, conflicted=barred)
    if begins is not None:
        raise NotEligible(
            f"{stage.name} needs people who have been in {_teams(stage)} for longer: you can decide from"
            f" {begins:%d %B %Y %H:%M} UTC. Now these can: {who}."
        )
    raise NotEligible(f"{stage.name} is for {_teams(stage)}, and you are not in it. Now these can: {who}.")


def _free(places: list[Seat], chain: Chain, stage: Stage, stages: list[Stage]) -> Seat:
    """The first of these places that counts for nobody who has decided; AlreadyDecided when there is none."""
    given = chains.given(chain)
    seat = chains.free(places, stage.pk, stages=stages, given=given)
    if seat is not None:
        return seat
    seat = places[0]
    if any(one.person_id == seat.person for one in given):
        raise AlreadyDecided(
            "You have decided on this change already. A person counts once; withdraw that first."
        )
    if any(one.owner_id == seat.person for one in given):
        raise AlreadyDecided("Somebody has decided on this change in your place. You and they count once.")
    raise AlreadyDecided(
        f"{seat.owner_name} has decided on this change already, so you cannot in their place: both count once."
    )


def _check_turn(chain: Chain, stage: Stage, stages: list[Stage], barred: frozenset[UUID]) -> None:
    counted = chains.standing(chain, stages, barred=barred)
    done = chains.completed(stages, counted, conflicted=barred)
    if not chains.is_open(stage, stages, done):
        earlier = next(one for one in stages if one.order < stage.order and one.pk not in done)
        raise StageNotOpen(
            f"{stage.name} opens when {earlier.name} is complete. Your decision was not stored."
        )


def _check_words(seen: Seen) -> None:
    needed = {
        Kind.APPROVE_WITH_CONDITION: ("condition", seen.condition, "Write the condition that must be met."),
        Kind.SEND_BACK: ("comment", seen.comment, "Write what the requester should change."),
        Kind.REJECT: ("comment", seen.comment, "Write why this change must not happen."),
    }
    name, text, sentence = needed.get(seen.decision, ("comment", "given", ""))
    if not text:
        raise WordsMissing(sentence, errors=[{"pointer": f"/{name}", "detail": sentence}])
    if seen.condition and seen.decision != Kind.APPROVE_WITH_CONDITION:
        detail = "Only an approval with a condition carries one. Remove it, or choose that decision."
        raise WordsMissing(detail, errors=[{"pointer": "/condition", "detail": detail}])
    if max(len(seen.comment), len(seen.condition)) > MAX_WORDS:
        detail = f"A comment or a condition has at most {MAX_WORDS} characters."
        raise WordsMissing(detail, errors=[{"pointer": f"/{name}", "detail": detail}])


def _check_withdrawable(chain: Chain, sign_off: SignOff, by: Acting, *, starts_again: bool) -> None:
    if sign_off.person_id != by.user.person_id:
        raise NotAllowed("This is somebody else's sign-off; only they can withdraw it.")
    if sign_off.withdrawn_at is not None:
        raise AlreadyDecided("You have withdrawn this sign-off already.")
    if not starts_again and Permit.objects.filter(chain=chain).exists():
        raise ChainClosed(
            "The run has started, so this sign-off can no longer be withdrawn. You can ask to stop the run."
        )
    if chain.state not in {Chain.State.OPEN, Chain.State.COMPLETE}:
        raise ChainClosed(f"{CLOSED[Chain.State(chain.state)]} Your sign-off stays as it is.")


def _stated(stage: Stage, seen: Seen) -> stepup.Stated:
    return stepup.Stated(
        digest=seen.digest,
        chain_digest=seen.chain_digest,
        stage=str(stage.pk),
        decision=str(seen.decision),
        condition_digest=_hash(seen.condition),
    )


def _store(
    chain: Chain,
    stage: Stage,
    seen: Seen,
    signed: stepup.Signed | None,
    *,
    seat: Seat,
    by: Acting,
    at: datetime,
) -> None:
    sign_off = SignOff(
        chain=chain, stage=stage, person_id=by.user.person_id, user=by.user, decision=seen.decision,
        subject=seen.digest, chain_digest=seen.chain_digest, comment=seen.comment, condition=seen.condition,
        comment_salt=personal.new_salt(), given_at=at, passkey=signed[0] if signed else None,
        assertion=signed[1].assertion.kept if signed else None,
        delegation_id=seat.delegation, owner_id=seat.owner if seat.delegation else None,
    )  # fmt: skip
    sign_off.signature = keys.sign("signoff", _statement(sign_off))
    try:
        with transaction.atomic():  # a savepoint: the refusal must leave the caller's transaction usable
            sign_off.save(force_insert=True)
    except IntegrityError as error:
        if "sign_off_one_per_" not in str(error):
            raise
        raise AlreadyDecided("You have decided on this change already. A person counts once.") from error
    _record("sign_off.given", sign_off, stage, by=by, **stepup.proof(signed))
    if seen.decision == Kind.APPROVE_WITH_CONDITION:
        obligations.open_by_condition(sign_off, by=by.actor)


def _settle(chain: Chain, stages: list[Stage], barred: frozenset[UUID], *, by: Acting) -> Verdict:
    """Bring the chain to the state that its sign-offs amount to."""
    counted = chains.standing(chain, stages, barred=barred)
    outcome = chains.verdict(stages, counted, conflicted=barred)
    to = STATES[outcome]
    if to != chain.state:
        why = {"why": "sent back"} if outcome == Verdict.SENT_BACK else {}
        chains.move(chain, to, by=by.actor, **why)
    return outcome


STATES = {
    Verdict.WAITING: Chain.State.OPEN,
    Verdict.COMPLETE: Chain.State.COMPLETE,
    Verdict.SENT_BACK: Chain.State.VOID,
    Verdict.REJECTED: Chain.State.REJECTED,
}


def _statement(sign_off: SignOff) -> dict[str, object]:
    """What is signed: all that the sign-off means, so that no column can be turned without the key."""
    return {
        "sign_off": str(sign_off.pk),
        "chain": str(sign_off.chain_id),
        "chain_digest": sign_off.chain_digest,
        "digest": sign_off.subject,
        "stage": str(sign_off.stage_id),
        "decision": str(sign_off.decision),
        "condition": sign_off.condition,
        **_commented(sign_off),
        "person": str(sign_off.person_id),
        "account": str(sign_off.user_id),
        "time": timestamp(sign_off.given_at),
        **({"passkey": str(sign_off.passkey_id)} if sign_off.passkey_id else {}),
        **_in_place_of(sign_off),
    }


def _commented(sign_off: SignOff) -> dict[str, object]:
    """Of the comment a salted commitment, as in its entry: from a signature alone nobody guesses what it said."""
    if sign_off.comment_salt is None:  # of a version before there were salts
        return {"comment_digest": _hash(sign_off.comment)}
    return {"comment": personal.commitment(bytes(sign_off.comment_salt), "data.comment", sign_off.comment)}


def _in_place_of(sign_off: SignOff) -> dict[str, str]:
    """Whose place it was given from, and what lent it; nothing when it was the giver's own."""
    if sign_off.delegation_id is None:
        return {}
    return {"owner": str(sign_off.owner_id), "delegation": str(sign_off.delegation_id)}


def _record(kind: str, sign_off: SignOff, stage: Stage, *, by: Acting, **proof: Json) -> None:
    record(
        kind, of=sign_off, subject=sign_off.subject, actor=by.actor,
        chain=str(sign_off.chain_id), chain_digest=sign_off.chain_digest, stage=str(stage.pk), stage_name=stage.name,
        digest=sign_off.subject, decision=str(sign_off.decision), person=str(sign_off.person_id),
        comment=Erasable(sign_off.comment, salt=sign_off.comment_salt), condition_digest=_hash(sign_off.condition),
        signature=sign_off.signature, persona_switched=by.persona_switched, **_in_place_of(sign_off), **proof,
    )  # fmt: skip


def _hash(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _teams(stage: Stage) -> str:
    return " and ".join(stage.teams) or "the people whom the policy names"
