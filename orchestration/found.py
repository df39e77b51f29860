"""What plan steps found, as a reviewer reads it: the riskiest first, texts as texts, and what differs from before.

Everything shown is held against the digests that are signed. It must never guess: what is no text is only named.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from django.http import HttpResponse

from audit.canonical import parse
from audit.refusals import NotFound
from orchestration.definitions import summary
from orchestration.models import Artifact, Change, Plan, Revision

TEXT_BYTES = 100_000  # of one artifact on a page; the rest is in the download
COMPARED_BYTES, COMPARED_LINES = 200_000, 4000  # beyond it two files are only said to differ
LIMIT = 200  # things of one plan on a page


@dataclass(frozen=True)
class File:
    """One artifact: its name, whether it is what was signed, and its text where it is one."""

    step: str
    name: str
    digest: str
    size: int
    intact: bool
    text: str | None
    cut: bool


@dataclass(frozen=True)
class Found:
    """All that one plan found."""

    plan: Plan
    items: Sequence[
        Mapping[str, Any]
    ]  # of every summary together, riskiest first; each with its step and an id
    left_out: int
    artifacts: Sequence[File]
    steps_without_summary: Sequence[str]

    @property
    def flagged(self) -> Sequence[Mapping[str, Any]]:
        """What a reviewer has to look at: what destroys, or what its step calls a high risk."""
        return [one for one in self.items if one["flagged"]]

    @property
    def is_intact(self) -> bool:
        return all(file.intact for file in self.artifacts)

    @property
    def files(self) -> Sequence[File]:
        """Those that are to be read as they are: a summary is told as the things that it names."""
        return [
            one for one in self.artifacts
            if one.name != summary.NAME or one.step in self.steps_without_summary
        ]  # fmt: skip


def of(plan: Plan, revision: Revision | None = None) -> Found:
    """What this plan found; held against the revision that names it, else against the rows' own digests."""
    rows = list(plan.artifacts.all())
    signed = _signed(revision) if revision else {(one.step, one.name): one.digest for one in rows}
    files = [_file(row, signed) for row in rows]
    summaries = {row.step: read for row in rows if (read := _summary(row)) is not None}
    items = [{**one, "step": step} for step, found in summaries.items() for one in found]
    items = [
        {**one, "id": f"found-{number}", "flagged": summary.destroys(one) or one["risk"] == "high"}
        for number, one in enumerate(sorted(items, key=summary.riskiest), start=1)
    ]
    silent = sorted({row.step for row in rows} - set(summaries))
    return Found(plan, items[:LIMIT], max(0, len(items) - LIMIT), files, silent)


def of_change(change: Change) -> Found | None:
    """What is to be agreed to, or of a draft what was found last; None where nothing was planned."""
    revision = change.revision
    if revision is not None and revision.plan is not None and change.state != Change.State.DRAFT:
        return of(revision.plan, revision)
    newest = change.plans.first()
    return of(newest) if newest is not None and newest.artifacts.exists() else None


def download(plan: Plan, step: str, name: str) -> HttpResponse:
    """The very bytes of one artifact, never opened by a browser."""
    row = plan.artifacts.filter(step=step, name=name).first()
    if row is None:
        raise NotFound(f"{plan.key} has no such file.")
    response = HttpResponse(bytes(row.data), content_type="application/octet-stream")
    response["Content-Disposition"] = f'attachment; filename="{row.step}-{row.name}"'
    response["X-Content-Type-Options"] = "nosniff"
    return response


def differences(revision: Revision) -> list[dict[str, Any]]:
    """Each file that is other than in the plan of the revision before, with its difference where both are texts."""
    before = revision.change.revisions.filter(number__lt=revision.number, plan__isnull=False).first()
    if revision.plan is None or before is None or before.plan is None:
        return []
    old, new = (
        {(one.step, one.name): one for one in plan.artifacts.all()} for plan in (before.plan, revision.plan)
    )
    return [
        {"step": step, "name": name, "text": _difference(old.get((step, name)), new.get((step, name)))}
        for step, name in sorted(old.keys() | new.keys())
        if _digest(old.get((step, name))) != _digest(new.get((step, name)))
    ]


def _signed(revision: Revision) -> dict[tuple[str, str], str]:
    named = parse(bytes(revision.document)).get("plan", [])
    return {(one["step"], one["name"]): one["digest"] for one in named}


def _file(row: Artifact, signed: Mapping[tuple[str, str], str]) -> File:
    data = bytes(row.data)
    intact = signed.get((row.step, row.name)) == "sha256:" + sha256(data).hexdigest()
    return File(
        row.step, row.name, row.digest, row.size, intact, _text(data[:TEXT_BYTES]), len(data) > TEXT_BYTES
    )


def _summary(row: Artifact) -> list[dict[str, Any]] | None:
    return summary.read(bytes(row.data)) if row.name == summary.NAME else None


def _text(data: bytes) -> str | None:
    """As text with every character visible that could hide or turn round what stands beside it; None for no text."""
    if b"\0" in data:
        return None
    text = data.decode(errors="replace")
    if text.count("\ufffd") > len(text) // 10:
        return None
    return visible(text)


def visible(text: str) -> str:
    """Line ends and tabs as they are, every other character that prints nothing by its number."""
    return "".join(one if one.isprintable() or one in "\n\t" else f"\\u{ord(one):04x}" for one in text)


def _difference(old: Artifact | None, new: Artifact | None) -> str:
    """A unified difference; a sentence where there is none to show."""
    before, after = _lines(old), _lines(new)
    if before is None or after is None:
        return ""
    lines = difflib.unified_diff(before, after, "signed before", "found now", lineterm="")
    return "\n".join(lines)[:COMPARED_BYTES]


def _lines(row: Artifact | None) -> list[str] | None:
    if row is None:
        return []
    text = _text(bytes(row.data)) if row.size <= COMPARED_BYTES else None
    lines = text.splitlines() if text is not None else None
    return lines if lines is not None and len(lines) <= COMPARED_LINES else None


def _digest(row: Artifact | None) -> str:
    return row.digest if row else ""
