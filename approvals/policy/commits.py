"""Policy from Git: sees each new head once, says all that is wrong with it, and offers the sound ones.

A sync never changes who judges: a commit becomes the policy by a governed act, which the bundle before it judges.
It must never read, compile or test inside a transaction, nor let a commit judge that was not examined again.
"""

from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Lower

from accounts.models import User
from approvals.clock import database_time
from approvals.models import Bundle, PolicyCommit, PolicySource
from approvals.policy import bundles, lint, pool, repository
from approvals.policy.bundles import Candidate
from approvals.policy.committed import Head, Writer
from approvals.policy.engine import Fault, PolicyRefused, PolicyUnavailable, Rule, Sources, TestResult
from approvals.policy.repository import Place, RepositoryUnreachable
from audit.ledger.entry import Actor
from audit.ledger.record import record
from audit.refusals import Refusal


class NoPolicyRepository(Refusal):
    """No setting names a repository."""

    code = "no_policy_repository"


def place() -> Place | None:
    """Where the settings say that policy is kept."""
    if not settings.POLICY_REPOSITORY:
        return None
    return Place(settings.POLICY_REPOSITORY, settings.POLICY_BRANCH, settings.POLICY_FOLDER.strip("/"))


def sync(*, by: Actor) -> PolicySource:
    """Look at the head of the branch; a new commit is examined and kept. A repository that is away changes nothing."""
    kept = place()
    if kept is None:
        raise NoPolicyRepository(
            "No repository is set, so nothing was read. Set COUNTERSIGN_POLICY_REPOSITORY and start again."
        )
    before = PolicySource.objects.filter(**_named(kept)).first()
    try:
        head = repository.head(kept)
        if not PolicyCommit.objects.filter(commit=head, **_named(kept)).exists():
            after = before.head if before else None
            _see(kept, repository.read(kept, since=_judging(kept), after=after or None), by=by)
    except (RepositoryUnreachable, PolicyUnavailable) as refusal:
        return _note(kept, before, head="", problem=str(refusal), by=by)
    return _note(kept, before, head=head, problem="", by=by)


def examined(digest: str) -> Candidate:
    """The bundle of this digest as a sound commit has it, examined again now."""
    return bundles.examine(sound(digest).sources)


def sound(digest: str) -> PolicyCommit:
    """The newest commit with this bundle; PolicyRefused where none is without a fault, or where one was altered."""
    commit = _commits(digest).first()
    if commit is None:
        raise PolicyRefused(
            "No sound commit has this bundle, so nothing was activated. Look at the commits on the page of policies."
        )
    if bundles.digest(commit.sources) != digest:
        raise PolicyRefused(
            f"The files kept of commit {commit.commit[:12]} are not those that were seen: somebody altered them in the"
            " database. Nothing was activated; tell who looks after policy."
        )
    return commit


def activate(candidate: Candidate, *, by: Actor) -> Bundle:
    """Let a commit's bundle judge, as the next serial, also when it judged before. The governed act's writer."""
    commit = sound(candidate.digest)
    source = f"{commit.branch} {commit.commit[:12]}"
    return bundles.activate_approved(candidate, source=source, by=by)


def authors_of(digest: str) -> list[User]:
    """The accounts of whoever wrote what this bundle brings: known when it was seen, or by their e-mail today."""
    told = [one for commit in _commits(digest) for one in commit.authors]
    emails = {one["email"] for one in told if one["email"]}
    pinned = {one["user"] for one in told if one["user"]}
    lower = User.objects.annotate(lower=Lower("email"))
    return list(lower.filter(Q(pk__in=pinned) | Q(lower__in=emails)).order_by("name"))


def faults(sources: Sources) -> tuple[list[Fault], list[Rule], list[TestResult]]:
    """Everything that keeps these files from judging: what does not compile, says too little, or fails."""
    engine = pool.trial()
    try:
        rules = engine.compile(sources)
    except PolicyRefused as refused:
        return refused.faults, [], []
    found: list[Fault] = []
    try:
        lint.annotate(rules, sources)
    except PolicyRefused as refused:
        found += refused.faults
    try:
        tests = engine.test(sources)
    except PolicyRefused as refused:
        return [*found, *refused.faults], rules, []
    found += [
        Fault(one.file, one.line, f"{one.name} fails: {one.message}") for one in tests if not one.passed
    ]
    if not tests:
        found.append(Fault("", 0, "The bundle has no tests; write a *_test.rego beside the rules."))
    return found, rules, tests


def _see(kept: Place, head: Head, *, by: Actor) -> None:
    """Examine a new head, then keep it with its entry."""
    wrong = list(head.faults)
    rules: list[Rule] = []
    tests: list[TestResult] = []
    if head.sources:
        found, rules, tests = faults(head.sources)
        wrong += found
    annotated = lint.annotate(rules, head.sources) if not wrong else []
    warned = [vars(one) for one in lint.warnings(rules)] + _doubts(head)
    row = PolicyCommit(
        **_named(kept),
        commit=head.commit,
        summary=head.summary,
        digest=bundles.digest(head.sources),
        sources=head.sources,
        faults=[vars(one) for one in wrong],
        warnings=warned,
        rules=[vars(one) for one in annotated],
        tests=[vars(one) for one in tests],
        authors=_authors(head.writers),
    )
    with transaction.atomic():
        bundles.one_at_a_time()
        if PolicyCommit.objects.filter(commit=head.commit, **_named(kept)).exists():
            return  # another sync was faster
        row.save(force_insert=True)
        _record(row, by=by)


def _record(row: PolicyCommit, *, by: Actor) -> None:
    """Two kinds, so that a refused commit is found by its name. People stand there by account only."""
    told = {"commit": row.commit, "source": row.source, "branch": row.branch, "folder": row.folder}
    accounts = sorted({one["user"] for one in row.authors if one["user"]})
    if row.faults:
        first = [f"{one['file']}:{one['line']} {one['message']}"[:300] for one in row.faults[:20]]
        record("policy.refused", of=row, subject=row.digest, actor=by, **told, faults=first, authors=accounts)
    else:
        record(
            "policy.synced",
            of=row,
            subject=row.digest,
            actor=by,
            **told,
            tests=len(row.tests),
            authors=accounts,
        )


def _note(kept: Place, before: PolicySource | None, *, head: str, problem: str, by: Actor) -> PolicySource:
    """When it was asked and what it said; an entry only where it stops or begins to answer."""
    at = database_time()
    seen = {"asked_at": at, "problem": problem}
    if not problem:
        seen |= {"answered_at": at, "head": head}
    with transaction.atomic():
        row, _ = PolicySource.objects.update_or_create(**_named(kept), defaults=seen)
        if bool(problem) != bool(before and before.problem):
            subject = kept.shown[:200]
            if problem:
                record(
                    "policy.unreachable",
                    of=None,
                    subject=subject,
                    actor=by,
                    branch=kept.branch,
                    problem=problem[:500],
                )
            else:
                record("policy.reachable", of=None, subject=subject, actor=by, branch=kept.branch)
    return row


def _judging(kept: Place) -> str | None:
    """The commit that judges now, where it came from this repository."""
    active = Bundle.objects.filter(active=True).first()
    found = PolicyCommit.objects.filter(digest=active.digest if active else "", **_named(kept)).first()
    return found.commit if found else None


def _commits(digest: str) -> QuerySet[PolicyCommit]:
    return PolicyCommit.objects.filter(digest=digest, faults=[])


def _doubts(head: Head) -> list[dict[str, str]]:
    told = []
    if not head.follows:
        told.append("It does not follow the commit that was seen before: the history was rewritten.")
    if not head.complete:
        told.append("Its history is longer than what was read, so earlier authors are not known.")
    return [{"place": "the history", "message": one} for one in told]


def _authors(writers: list[Writer]) -> list[dict[str, str | None]]:
    """Everybody that the commits name; an account where one has the e-mail."""
    known = User.objects.annotate(lower=Lower("email")).filter(
        lower__in={one.email for one in writers} - {""}
    )
    accounts = {user.email.lower(): str(user.pk) for user in known}
    return [{"name": one.name, "email": one.email, "user": accounts.get(one.email)} for one in writers]


def _named(kept: Place) -> dict[str, Any]:
    return {"source": kept.shown[:500], "branch": kept.branch, "folder": kept.folder}
