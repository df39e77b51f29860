"""Bundles: read from a directory, compiled, linted, tested, signed, made active. Serials only rise.

A bundle that does not compile, or whose tests fail, never replaces the active one. What is evaluated is checked
against its digest and its signature each time, so that one edited in the database is refused.
It must never evaluate a change, nor compile or test inside a transaction.
"""

import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from django.db import connection, transaction
from django.db.models import Max

from approvals import keys, known
from approvals.models import Bundle
from approvals.policy import lint, pool
from approvals.policy.engine import Fault, PolicyRefused, PolicyUnavailable, Sources, TestResult, illegible
from audit.ledger.entry import Actor
from audit.ledger.record import record

MAX_FILES = 200
MAX_BYTES = 500_000
ACTIVATION = 0x636F756E  # advisory lock: one activation at a time, so that serials have no gap


@dataclass(frozen=True)
class Candidate:
    """A bundle that compiles and says about itself what it must; not yet stored."""

    sources: Sources
    digest: str
    rules: list[lint.Annotated]
    warnings: list[lint.Warned]
    tests: list[TestResult]
    said: str = ""  # what people call it, where no version and no commit has its digest

    @property
    def failures(self) -> list[TestResult]:
        return [one for one in self.tests if not one.passed]


def load(directory: Path) -> Candidate:
    """Read, compile, lint and test the Rego files below `directory`; PolicyRefused at the first fault."""
    return examine(_read(directory))


def examine(sources: Sources) -> Candidate:
    """The same for sources at hand."""
    if wrong := illegible(sources):
        raise PolicyRefused(f"{wrong[0].place}: {wrong[0].message}", faults=wrong)
    engine = pool.trial()
    rules = engine.compile(sources)
    annotated = lint.annotate(rules, sources)
    return Candidate(sources, digest(sources), annotated, lint.warnings(rules), engine.test(sources))


def digest(sources: Sources) -> str:
    """SHA-256 over the sorted paths and bytes, each with its length, so that no two bundles share one."""
    hashed = hashlib.sha256(b"countersign/bundle/v1\0")
    for path, text in sorted(sources.items()):
        for part in (path.encode(), text.encode()):
            hashed.update(len(part).to_bytes(8, "big") + part)
    return f"sha256:{hashed.hexdigest()}"


def activate(candidate: Candidate, *, source: str, by: Actor) -> Bundle:
    """Let this bundle judge from now on. Its serial is the next one; an older bundle never comes back as it was."""
    if candidate.failures or not candidate.tests:
        raise PolicyRefused(_untested(candidate))
    with transaction.atomic():
        one_at_a_time()
        active = Bundle.objects.filter(active=True).first()
        judged = Bundle.objects.filter(digest=candidate.digest).exists()
        if judged and (active is None or active.digest != candidate.digest):
            raise PolicyRefused(
                "This bundle judged before and was replaced. Going back is a governed act: ask for its activation."
            )
        return _succeed(active, candidate, source=source, by=by)


def activate_approved(candidate: Candidate, *, source: str, by: Actor) -> Bundle:
    """The same for a bundle that a governed act names: it may have judged before, and returns as the next serial."""
    if candidate.failures or not candidate.tests:
        raise PolicyRefused(_untested(candidate))
    with transaction.atomic():
        one_at_a_time()
        return _succeed(Bundle.objects.filter(active=True).first(), candidate, source=source, by=by)


def first_start(directory: Path, *, by: Actor) -> Bundle:
    """The starter pack, where no bundle was ever active: recorded like any other activation."""
    newest = Bundle.objects.filter(active=True).first()
    return newest or activate(load(directory), source="starter pack", by=by)


def active() -> Bundle:
    """The bundle that judges now, checked; PolicyUnavailable where there is none or it was tampered with."""
    bundles = list(Bundle.objects.order_by("-serial")[:1])
    if not bundles:
        raise PolicyUnavailable("No policy is active, so nothing can be decided. Activate a bundle first.")
    verify(bundles[0])
    if not bundles[0].active:
        raise PolicyUnavailable(
            f"Policy {bundles[0].serial} is the newest but not the active one: somebody turned it back in the"
            " database. Nothing was decided; tell who looks after policy."
        )
    return bundles[0]


def verify(bundle: Bundle) -> None:
    """Refuse a bundle whose files are not those that were signed."""
    intact = digest(bundle.sources) == bundle.digest
    if not intact or not keys.verify("policy", _statement(bundle), bundle.signature):
        raise PolicyUnavailable(
            f"Policy {bundle.serial} is not what was signed: its files, its digest or its signature were altered."
            " Nothing was decided; tell who looks after policy."
        )


def places(bundle: Bundle) -> dict[str, str]:
    """Rule id -> file and line, as compiled when the bundle was activated."""
    return {row["id"]: row["place"] for row in bundle.rules}


def _read(directory: Path) -> dict[str, str]:
    paths = sorted(path for path in directory.rglob("*.rego") if path.is_file() and not path.is_symlink())
    if not paths or len(paths) > MAX_FILES or sum(path.stat().st_size for path in paths) > MAX_BYTES:
        raise PolicyRefused(
            f"A bundle has 1 to {MAX_FILES} Rego files and at most {MAX_BYTES} bytes; {directory} does not."
        )
    return {path.relative_to(directory).as_posix(): _text(path, directory) for path in paths}


def _text(path: Path, directory: Path) -> str:
    raw, name = path.read_bytes(), path.relative_to(directory).as_posix()
    try:
        return raw.decode().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        fault = Fault(name, raw.count(b"\n", 0, error.start) + 1, "It is not UTF-8 text.")
        raise PolicyRefused(f"{fault.place}: {fault.message}", faults=[fault]) from error


def one_at_a_time() -> None:
    """One activation, or one commit seen, at a time: for the rest of the caller's transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ACTIVATION])


def _succeed(active: Bundle | None, candidate: Candidate, *, source: str, by: Actor) -> Bundle:
    """Nothing where it judges already."""
    if active is not None and active.digest == candidate.digest:
        return active
    if active is not None:
        _retire(active, by=by)
    return _store(candidate, source=source, by=by)


def _store(candidate: Candidate, *, source: str, by: Actor) -> Bundle:
    serial = max(Bundle.objects.aggregate(newest=Max("serial"))["newest"] or 0, known.policy()) + 1
    bundle = Bundle(
        digest=candidate.digest,
        serial=serial,
        sources=dict(candidate.sources),
        rules=[vars(one) for one in candidate.rules],
        tests=[{"name": one.name, "file": one.file, "line": one.line} for one in candidate.tests],
        source=source,
        active=True,
    )
    bundle.signature = keys.sign("policy", _statement(bundle))
    bundle.save(force_insert=True)
    transaction.on_commit(partial(known.see_policy, serial))
    tests, warnings = len(candidate.tests), len(candidate.warnings)
    record(
        "bundle.activated", of=bundle, subject=bundle.digest, actor=by, bundle=bundle.digest, serial=serial,
        source=source, tests=tests, warnings=warnings,
    )  # fmt: skip
    return bundle


def _retire(bundle: Bundle, *, by: Actor) -> None:
    bundle.active, bundle.version = False, bundle.version + 1
    bundle.save(update_fields=["active", "version"])
    record(
        "bundle.retired",
        of=bundle,
        subject=bundle.digest,
        actor=by,
        bundle=bundle.digest,
        serial=bundle.serial,
    )


def _statement(bundle: Bundle) -> dict[str, object]:
    return {"bundle": bundle.digest, "serial": bundle.serial, "rules": bundle.rules}


def _untested(candidate: Candidate) -> str:
    if not candidate.tests:
        return "The bundle has no tests, so it was not activated. Write a *_test.rego beside the rules."
    first = candidate.failures[0]
    return (
        f"{len(candidate.failures)} of {len(candidate.tests)} policy tests fail, so the bundle was not activated."
        f" The first: {first.file}:{first.line} {first.name}: {first.message}"
    )
