"""Policy in Git as people see it: where it is kept, each commit, what is wrong with it, what it would change.

Shows, and looks again when an admin asks. It must never activate: that is a governed act.
"""

import difflib
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from accounts.acting import acting
from approvals.models import Bundle, PolicyCommit, PolicySource
from approvals.policy import commits
from audit.refusals import NotAllowed, NotFound

ACT = "/workflows/policy-activate/new/"
LINES = 3  # around a line with a fault


def kept(request: HttpRequest) -> dict[str, Any]:
    """The repository for the page of policies; empty where none is set."""
    place = commits.place()
    if place is None:
        return {}
    named = {"source": place.shown[:500], "branch": place.branch, "folder": place.folder}
    return {
        "place": place,
        "source": PolicySource.objects.filter(**named).first(),
        "commits": [_row(one) for one in PolicyCommit.objects.filter(**named)[:20]],
        "may_sync": acting(request).user.is_superuser,
    }


@require_POST
@login_required
def sync(request: HttpRequest) -> HttpResponse:
    """Look at the repository now."""
    by = acting(request)
    if not by.user.is_superuser:
        raise NotAllowed(
            "Only an admin reads the repository at once; nothing was read. It is read every minute."
        )
    commits.sync(by=by.actor)
    return redirect("/policies/#repository")


@require_GET
@login_required
def detail(request: HttpRequest, commit: str) -> HttpResponse:
    """One commit: its faults with their lines, or what it would change."""
    row = PolicyCommit.objects.filter(commit=commit).first()
    if row is None:
        raise NotFound("No such commit of the policy was seen.")
    active = Bundle.objects.filter(active=True).first()
    context = {
        **_row(row),
        "faults": [_fault(row, one) for one in row.faults],
        "authors": row.authors,
        "rules": _rules(active.rules if active else [], row.rules),
        "files": list(_files(active.sources if active else {}, row.sources)),
        "ask": f"{ACT}?{urlencode(ASKED | {'inputs.bundle': row.digest})}",
    }
    return render(request, "approvals/policy_commit.html", context)


ASKED = {"service": "countersign", "environment": "control-room"}


def _row(row: PolicyCommit) -> dict[str, Any]:
    return {
        "commit": row,
        "short": row.commit[:12],
        "url": f"/policies/commits/{row.commit}/",
        "state": _state(row),
    }


def _state(row: PolicyCommit) -> str:
    """Broken for ever, or as the bundles say."""
    if row.faults:
        return "broken"
    judged = list(Bundle.objects.filter(digest=row.digest).values_list("active", flat=True))
    return "active" if any(judged) else "retired" if judged else "checked"


def _fault(row: PolicyCommit, fault: dict[str, Any]) -> dict[str, Any]:
    """With the lines around it."""
    text = row.sources.get(fault["file"], "").split("\n")
    at = min(fault["line"], len(text))  # what is missing at the end of a file is missing on its last line
    first = max(at - LINES, 1)
    shown = text[first - 1 : at + LINES] if at else []
    lines = [{"number": n, "text": line, "here": n == at} for n, line in enumerate(shown, start=first)]
    return {**fault, "lines": lines}


def _rules(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Which rules come, go and read differently, by their ids."""
    before, after = ({one["id"]: one for one in rows} for rows in (old, new))
    found = []
    for key in sorted(before.keys() | after.keys()):
        if key not in before:
            found.append({"words": "Added", "title": after[key]["title"], "place": after[key]["place"]})
        elif key not in after:
            found.append({"words": "Removed", "title": before[key]["title"], "place": before[key]["place"]})
        elif _said(before[key]) != _said(after[key]):
            found.append(
                {"words": "Described anew", "title": after[key]["title"], "place": after[key]["place"]}
            )
    return found


def _said(rule: dict[str, Any]) -> tuple[str, ...]:
    return rule["title"], rule["description"], rule["answers"]


def _files(old: dict[str, str], new: dict[str, str]) -> Any:
    """What differs in each file, as a unified diff."""
    for path in sorted(old.keys() | new.keys()):
        before, after = (side.get(path, "").splitlines() for side in (old, new))
        text = "\n".join(difflib.unified_diff(before, after, f"judges now: {path}", path, lineterm=""))
        if text:
            yield {"path": path, "text": text}
