"""`manage.py policy test|lint|replay|activate DIRECTORY` and `policy sync`, for a terminal and for CI.

Exit code 0 good, 1 refused, 2 usage, 3 where a replay differs. What is refused is said by file and line, all of it.
"""

import json
from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError

from approvals.models import PolicyCommit, PolicySource
from approvals.policy import bundles, commits, replay
from approvals.policy.bundles import Candidate
from approvals.policy.engine import PolicyRefused
from audit.ledger.entry import system
from audit.refusals import Refusal

MAX_DAYS = 3660  # ten years
STARTER = Path(settings.BASE_DIR) / "examples" / "policies" / "starter"


class Command(BaseCommand):
    help = (
        "Check a policy bundle: its tests, what it says about itself, what it would have decided; let it judge; or"
        " read the head in Git."
    )
    requires_system_checks: list[str] = []  # also where nothing is installed, as in CI

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("act", choices=["test", "lint", "activate", "first-start", "sync", "replay"])
        parser.add_argument("directory", nargs="?", type=Path, default=STARTER)
        parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
        parser.add_argument("--markdown", action="store_true", help="replay: a table for a pull request")
        parser.add_argument("--days", type=_days, default=30, help="replay: how far back, 30 unless told")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["act"] == "replay":
                self._replay(options)
                return
            told, lines = self._act(options["act"], options["directory"])
        except Refusal as refusal:
            told, lines = _refused(refusal)
        except OperationalError as error:
            said = f"The database does not answer, so nothing was done: {str(error).strip()[:200]}"
            raise CommandError(said, returncode=1) from error
        self.stdout.write(json.dumps(told) if options["json"] else "\n".join(lines))
        if not told["passed"]:
            raise CommandError(lines[-1], returncode=1)

    def _replay(self, options: dict[str, Any]) -> None:
        """Judge what was decided again; exit code 3 where anything would be otherwise."""
        candidate = bundles.load(options["directory"])
        tally, risky = replay.Tally(), 0
        differing: list[replay.Judged] = []
        for batch in replay.replay(candidate, replay.recorded(options["days"]).iterator(replay.BATCH)):
            for one in batch:
                tally.add(one)
                risky += one.risky
                differing += [one] if one.kind != replay.Kind.SAME and len(differing) < replay.ROWS else []
            if not options["json"]:
                self.stderr.write(f"{tally.total} judged, {tally.differs} differ", ending="\r")
        self.stdout.write(_told_of(tally, differing, risky, options))
        if tally.differs:
            raise CommandError(
                f"{tally.differs} of {tally.total} decisions would be otherwise.", returncode=3
            )

    def _act(self, act: str, directory: Path) -> tuple[dict[str, Any], list[str]]:
        by = system("system:terminal")
        match act:
            case "test":
                return _tests(bundles.load(directory))
            case "lint":
                return _lint(bundles.load(directory))
            case "sync":
                return _sync(commits.sync(by=by))
            case "activate":
                source = f"terminal: {directory.name}"[:200]
                bundle = bundles.activate(bundles.load(directory), source=source, by=by)
            case _:
                bundle = bundles.first_start(directory, by=by)
        told = {"passed": True, "digest": bundle.digest, "serial": bundle.serial}
        return told, [f"Policy {bundle.serial} judges now: {bundle.digest}"]


def _days(text: str) -> int:
    """So far back that it is kept, and no date of a calendar is left."""
    if not (text.isdecimal() and 1 <= int(text) <= MAX_DAYS):
        raise ArgumentTypeError(f"give 1 to {MAX_DAYS} days")
    return int(text)


def _sync(source: PolicySource) -> tuple[dict[str, Any], list[str]]:
    told: dict[str, Any] = {"source": source.source, "branch": source.branch, "head": source.head}
    if source.problem:
        return {**told, "passed": False, "problem": source.problem}, [source.problem]
    head = PolicyCommit.objects.filter(source=source.source, branch=source.branch, folder=source.folder)
    seen = head.get(commit=source.head)
    lines = [f"{one['file']}:{one['line']} {one['message']}" for one in seen.faults]
    words = "can never judge" if lines else "may be asked for on the page of policies"
    told |= {"passed": not lines, "digest": seen.digest, "faults": seen.faults}
    return told, [*lines, f"Commit {seen.commit[:12]} {words}: {seen.digest}"]


def _refused(refusal: Refusal) -> tuple[dict[str, Any], list[str]]:
    """Each place that is wrong, as compilers say it; the sentence alone where there is no place."""
    faults = refusal.faults if isinstance(refusal, PolicyRefused) else []
    lines = [f"{one.place}: {one.message}" for one in faults]
    told = {"passed": False, "problem": str(refusal), "faults": [vars(one) for one in faults]}
    return told, [*lines, f"{len(lines)} to mend." if lines else str(refusal)]


def _told_of(tally: replay.Tally, differing: list[replay.Judged], risky: int, options: dict[str, Any]) -> str:
    if options["json"]:
        rows = [{"change": one.subject, "kind": one.kind, "decision": one.decision, "words": replay.words(one)}
                for one in differing]  # fmt: skip
        load = {team: more for team, more in sorted(tally.load.items()) if more}
        told = {"days": options["days"], "kinds": tally.kinds, "risky": risky, "load": load, "rows": rows}
        return json.dumps(told)
    if options["markdown"]:
        listed = ((one.subject, one.kind, replay.words(one)) for one in differing)
        return replay.markdown(tally, listed, span=f"the last {options['days']} days", risky=risky)
    lines = [f"{one.subject:10} {one.kind.replace('_', ' '):22} {replay.words(one)}" for one in differing]
    counts = [f"{kind.replace('_', ' ')}: {tally.kinds[kind]}" for kind in replay.Kind]
    warned = [f"{risky} of the newly allowed are in protected environments."] if risky else []
    return "\n".join([*lines, *warned, ", ".join(counts)])


def _tests(candidate: Candidate) -> tuple[dict[str, Any], list[str]]:
    rows = [vars(one) for one in candidate.tests]
    lines = [f"{'ok  ' if one.passed else 'FAIL'} {one.file}:{one.line} {one.name} {one.message}".rstrip()
             for one in candidate.tests]  # fmt: skip
    failed, count = len(candidate.failures), len(candidate.tests)
    words = f"{count - failed} of {count} tests pass." if count else "The bundle has no tests."
    return {"passed": bool(count) and not failed, "tests": rows}, [*lines, words]


def _lint(candidate: Candidate) -> tuple[dict[str, Any], list[str]]:
    rules = [f"{one.place} {one.answers}: {one.title}" for one in candidate.rules]
    warned = [f"{one.place} warning: {one.message}" for one in candidate.warnings]
    told = {
        "passed": True,
        "digest": candidate.digest,
        "rules": [vars(one) for one in candidate.rules],
        "warnings": [vars(one) for one in candidate.warnings],
    }
    return told, [*rules, *warned, f"{len(rules)} rules, {len(warned)} warnings, {candidate.digest}"]
