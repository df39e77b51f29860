"""What people do with changes: request, revise, decide, withdraw, start, stop. The only writer of sign-offs.

Each writer locks the change first, then its run, then the chain, and leaves one entry for each act. What is asked
for comes judged from `asking.py`; no policy is evaluated here.
"""

from uuid import UUID

from django.db import transaction
from django.db.models.functions import Greatest, Now

from accounts.acting import Acting
from accounts.models import User
from approvals import claims, lapse, recusal, sealing, signoffs
from approvals.chain import Verdict
from approvals.clock import database_time
from approvals.models import Chain, SignOff
from approvals.passkeys import Assertion, Presented
from audit.ledger.entry import Actor
from audit.ledger.personal import Erasable
from audit.ledger.record import record
from audit.refusals import Invalid, MoveNotAllowed, NotFound, Refusal, StaleVersion
from orchestration import access, lifecycle, revisions, undoing
from orchestration.asking import BEFORE_START, EDITABLE, Asked, current_revision, state_word, window_of
from orchestration.definitions import digest as digests
from orchestration.definitions.source import CONTROL
from orchestration.draft import Draft
from orchestration.engine import cancel as cancelling
from orchestration.engine import dispatch, runs
from orchestration.engine.failpoints import failpoint
from orchestration.engine.rows import lock_change
from orchestration.models import Change, Comment, Environment, Revision, Run, Service, Step
from orchestration.sense import TEXT_MAX

C = Change.State


class NotWaiting(Refusal):
    """The change is not, or no longer, asking anybody."""

    code = "not_waiting"


def request_change(asked: Asked) -> Change:
    """Store the change, its first revision and its chain; it waits for people from here on.

    Where the workflow plans first, it stays a draft until that has been found out: orchestration/planning.py."""
    draft = asked.draft
    with transaction.atomic():
        revisions.hold(draft.service, draft.environment)
        undone = _hold_undone(draft)
        change = Change.objects.create(
            pk=draft.change_id,
            number=int(draft.change_key.removeprefix("CHG-")),
            workflow=draft.version.workflow,
            service=draft.service,
            environment=draft.environment,
            requester=draft.requester,
            title=digests.title(asked.content),
            kind=Change.Kind.BREAK_GLASS if draft.emergency else Change.Kind.NORMAL,
            rolls_back=undone,
        )
        record("change.drafted", of=change, subject=change.key, actor=asked.by.actor, change=change.key)
        _put(change, asked)
        failpoint("request.before_commit")
    return change


def revise(change: Change, asked: Asked) -> Change:
    """A new revision: whatever was signed is void, whoever agreed is asked again."""
    with transaction.atomic():
        revisions.hold(asked.draft.service, asked.draft.environment)
        change = lock_change(change.pk)
        if C(change.state) not in EDITABLE:
            raise MoveNotAllowed(f"{change.key} is {state_word(change)}; it was not edited.")
        last = change.revision.number if change.revision else 0
        if (asked.draft.number, asked.draft.plans) != (last + 1, change.plans.count()):
            raise StaleVersion(f"{change.key} was edited meanwhile; your edit was not saved. Reload it.")
        _put(change, asked)
    return change


def _put(change: Change, asked: Asked) -> None:
    if asked.draft.has_plan:
        revisions.plan(change, asked)
    else:
        revisions.put(change, asked, why="edited")


def decide(
    change: Change,
    *,
    stage: UUID,
    decision: str,
    digest: str,
    chain_digest: str,
    comment: str,
    condition: str,
    by: Acting,
    passkey: Assertion | None = None,
) -> Verdict:
    """One person's decision on one stage. The last approval makes the run; nothing else is needed to start it."""
    access.require_sign_off(by.user, change)
    _check_text(comment, "comment")
    _check_text(condition, "condition")
    with transaction.atomic():
        change = lock_change(change.pk)
        revision = current_revision(change)
        if (
            change.state != C.WAITING and digest == revision.digest
        ):  # whoever saw other content learns that first
            raise NotWaiting(
                f"{change.key} is {state_word(change)}, so nobody is asked. Your decision was not stored."
            )
        verdict = signoffs.give(
            chain=revision.chain,
            stage=stage,
            decision=decision,
            digest=digest,
            chain_digest=chain_digest,
            comment=comment,
            condition=condition,
            passkey=Presented(str(change.pk), revision.number, passkey) if passkey else None,
            by=by,
        )
        claims.decided(revision.chain, by=by)
        _follow(change, revision, verdict, by=by)
        sealing.after_commit(SignOff.objects.filter(stage=stage, person=by.user.person_id))
    return verdict


def withdraw_sign_off(change: Change, sign_off: UUID, *, by: Acting) -> None:
    """Take one's own sign-off back, until the start."""
    with transaction.atomic():
        change = lock_change(change.pk)
        if C(change.state) not in BEFORE_START:
            raise MoveNotAllowed(
                f"{change.key} is {state_word(change)}; a sign-off stays once the run has started."
            )
        revision = current_revision(change)
        if not revision.chain.sign_offs.filter(pk=sign_off).exists():
            raise NotFound("There is no such sign-off on this change.")
        again = window_of(revision).repeats is not None
        verdict = signoffs.withdraw(sign_off, by=by, starts_again=again)
        if verdict == Verdict.COMPLETE and change.state == C.WAITING:  # whoever had left is back, and counts
            _follow(change, revision, verdict, by=by)
        else:
            if verdict != Verdict.COMPLETE and change.state in {C.APPROVED, C.SCHEDULED}:
                lifecycle.move(change, C.WAITING, by=by.actor)
            lifecycle.tell(change)
        sealing.after_commit(SignOff.objects.filter(pk=sign_off))


def recuse(change: Change, *, reason: str, by: Acting) -> None:
    """Say that one has a conflict of interest: what one signed is taken back, and one is never asked again."""
    access.require_sign_off(by.user, change)
    _check_text(reason, "reason")
    with transaction.atomic():
        change = lock_change(change.pk)
        if C(change.state) not in BEFORE_START:
            raise MoveNotAllowed(f"{change.key} is {state_word(change)}; nobody is asked. Nothing was done.")
        revision = current_revision(change)
        chain, again = revision.chain, window_of(revision).repeats is not None
        recusal.declare(chain, reason=reason, by=by)
        claims.decided(chain, by=by)
        for one in chain.sign_offs.filter(person=by.user.person_id, withdrawn_at=None):
            signoffs.withdraw(one.pk, by=by, starts_again=again)
        lapse.reopen(chain, by=by.actor)  # what somebody signed in their place counts no more either
        if chain.state == Chain.State.OPEN and change.state in {C.APPROVED, C.SCHEDULED}:
            lifecycle.move(change, C.WAITING, by=by.actor)
        lifecycle.tell(change)
        sealing.after_commit(chain.sign_offs.filter(person=by.user.person_id))


def withdraw(change: Change, *, by: Acting) -> None:
    """The requester takes the request back."""
    if change.requester_id != by.user.pk:
        access.require_operate(by.user, change)
    with transaction.atomic():
        change = lock_change(change.pk)
        revisions.stop_plans(change, by=by.actor, why="withdrawn")
        if change.revision is not None:
            revisions.void(change, change.revision, by=by.actor, why="withdrawn")
        lifecycle.move(change, C.WITHDRAWN, by=by.actor)
        lifecycle.tell(change)


def start(change: Change, *, by: Acting) -> None:
    """Only asks: a worker wakes and puts the question to the gate."""
    access.require_operate(by.user, change)
    with transaction.atomic():
        change = lock_change(change.pk)
        if change.state not in {C.APPROVED, C.SCHEDULED}:
            raise MoveNotAllowed(f"{change.key} is {state_word(change)}; there is nothing to start.")
        ready = Step.objects.filter(run__revision=change.revision, state=Step.State.READY)
        run = change.runs.filter(occurs_at__isnull=False, state=Run.State.READY).first()
        begins = run.occurs_at if run else current_revision(change).not_before
        ready.update(
            not_before=Greatest(Now(), begins) if begins else Now()
        )  # whatever held it is looked at again
        told = record("change.start_asked", of=None, subject=change.key, actor=by.actor, change=change.key)
        for step_id in ready.values_list("pk", flat=True):
            dispatch.wake(step_id)
        if current_revision(change).chain.stages.filter(sealed=True).exists():
            transaction.on_commit(lambda: sealing.settle_all([(told.stream, told.stream_version)]))


def cancel(change: Change, *, by: Acting) -> None:
    """Stop the run; running steps end within seconds."""
    access.require_operate(by.user, change)
    runs = change.runs.planning() if change.state == C.DRAFT else change.runs.applying()
    run = runs.order_by("-number").first()
    if run is None:
        raise MoveNotAllowed(f"{change.key} has no run; withdraw the change instead.")
    cancelling.cancel(run, by=by, reason="stopped by a person")


def comment(
    change: Change,
    *,
    text: str,
    by: Acting,
    kind: Comment.Kind = Comment.Kind.COMMENT,
    answers: Comment | None = None,
) -> Comment:
    """A remark, a question or an answer, for everybody who may see the change."""
    text = text.strip()
    _check_text(text, "text")
    if not text:
        detail = "Write something."
        raise Invalid(f"Nothing was saved. {detail}", errors=[{"pointer": "/text", "detail": detail}])
    return remark(change, text=text, author=by.user, by=by.actor, kind=kind, answers=answers)


def remark(
    change: Change,
    *,
    text: str,
    author: User,
    by: Actor,
    kind: Comment.Kind = Comment.Kind.COMMENT,
    answers: Comment | None = None,
) -> Comment:
    """A comment as it is stored; `by` is the act of a worker where the author asked for what it tells about."""
    with transaction.atomic():
        change = lock_change(change.pk)
        made = Comment.objects.create(change=change, author=author, text=text, kind=kind, answers=answers)
        record(
            "change.commented", of=None, subject=change.key, actor=by, change=change.key,
            comment=str(made.pk), text=Erasable(text), comment_kind=str(kind),
            answers=str(answers.pk) if answers else None,
        )  # fmt: skip
        lifecycle.tell(change)
    return made


def recall(*, by: Actor, why: str, **about: Service | Environment) -> list[str]:
    """Send back whatever was asked of a record that has another version now; in the caller's transaction."""
    asking = [C.WAITING, C.APPROVED, C.SCHEDULED]
    found = Change.objects.filter(**about, state__in=asking).order_by("number")
    recalled = []
    for change_id in found.values_list("pk", flat=True):
        change = lock_change(change_id)
        if change.state in asking:  # started, or ended, since
            revisions.void(change, current_revision(change), by=by, why=why)
            if change.state != C.WAITING:
                lifecycle.move(change, C.WAITING, by=by, why=why)
            lifecycle.move(change, C.SENT_BACK, by=by, why=why)
            recalled.append(change.key)
    return recalled


def _hold_undone(draft: Draft) -> Change | None:
    """The change that is to be rolled back, held so that of two people who ask at once one does."""
    if draft.undo is None:
        return None
    undone = lock_change(draft.undo.change_id)
    undoing.check_free(undone)
    return undone


def _check_text(text: str, name: str) -> None:
    if len(text) > TEXT_MAX or CONTROL.search(text):
        detail = f"At most {TEXT_MAX} characters, and no control characters."
        raise Invalid(f"Nothing was saved. {detail}", errors=[{"pointer": f"/{name}", "detail": detail}])


def _follow(change: Change, revision: Revision, verdict: Verdict, *, by: Acting) -> None:
    """What a verdict makes of the change."""
    if verdict == Verdict.COMPLETE:
        now = database_time()
        lifecycle.move(change, C.APPROVED, by=by.actor)
        run = runs.create(change, revision=revision, by=by.actor, at=now)
        begins = run.occurs_at if run and run.occurs_at else revision.not_before
        if begins is not None and begins > now:
            lifecycle.move(change, C.SCHEDULED, by=by.actor)
    elif verdict == Verdict.REJECTED:
        runs.void(change, by=by.actor, reason="rejected")
        lifecycle.move(change, C.REJECTED, by=by.actor)
    elif verdict == Verdict.SENT_BACK:
        runs.void(change, by=by.actor, reason="sent back")
        lifecycle.move(change, C.SENT_BACK, by=by.actor)
    lifecycle.tell(change)
