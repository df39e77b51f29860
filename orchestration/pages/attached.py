"""The evidence of a change as its page shows it: what there is of what is needed, and who attached it."""

from typing import Any

from django.http import HttpRequest

from audit.names import Names
from orchestration import evidence, lifecycle
from orchestration.models import Change, Plan, Revision

ENDED = {"rejected", "withdrawn", "expired", "superseded"}


def context(request: HttpRequest, change: Change, content: Revision | Plan) -> dict[str, Any]:
    """The context of parts/evidence.html."""
    found = evidence.attached(change)
    names, kept = (
        Names(one.actor for one in found),
        set(change.evidence_files.values_list("digest", flat=True)),
    )
    rows = [_row(request, one, names, content, kept) for one in reversed(found)]
    needed, gaps = evidence.required(change), evidence.missing(change, found)
    is_open = (
        change.revision is not None and change.state not in ENDED and not lifecycle.is_terminal(change.state)
    )
    return {
        "evidence": sorted(rows, key=lambda row: not row["current"]),
        "needed": [(evidence.TITLES[kind], kind not in gaps) for kind in needed],
        "lacking": [evidence.TITLES[kind] for kind in gaps],
        "kinds": [(kind, evidence.TITLES[kind].capitalize(), kind in gaps) for kind in evidence.KINDS],
        "may_attach": is_open,
        "most_kb": evidence.MAX_BYTES // 1000,
    }


def fact(change: Change) -> tuple[str, str] | None:
    """`2 of 4 attached`, and what is missing; None where nothing is needed."""
    needed = evidence.required(change)
    if not needed:
        return None
    kinds = evidence.missing(change, evidence.attached(change))
    said = f"missing: {', '.join(evidence.TITLES[kind] for kind in kinds)}" if kinds else ""
    return f"{len(needed) - len(kinds)} of {len(needed)} attached", said


def lacking(change: Change) -> str:
    """What a reviewer is told before they approve without it; empty where nothing is missing."""
    kinds = evidence.missing(change, evidence.attached(change))
    return ", ".join(evidence.TITLES[kind] for kind in kinds)


def _row(
    request: HttpRequest, one: evidence.Attached, names: Names, content: Revision | Plan, kept: set[str]
) -> dict[str, Any]:
    here = one.address.startswith("/changes/")
    mine = one.actor == str(request.user.pk) or request.user.is_superuser
    return {
        "title": one.title.capitalize(),
        "digest": one.digest,
        "address": one.address,
        "here": here,
        "removed": here and one.digest not in kept,
        "may_remove": here and one.digest in kept and mine,
        "who": names.both(one.actor, one.at),
        "at": one.at,
        "current": one.of == content.digest,
        "index": one.entry.leaf.index if hasattr(one.entry, "leaf") else None,
    }
