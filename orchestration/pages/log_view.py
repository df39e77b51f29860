"""What a page shows of a step's log: where its script finds the lines, and one page of them for whoever has none."""

from typing import Any
from urllib.parse import quote

from django.http import HttpRequest

from orchestration.logs import reading
from orchestration.logs.bodies import LogUnavailable
from orchestration.models import Run, Step

DRAWN_BYTES = 262_144  # of a page that the server draws
LAST = 0  # as the first line: the page with the end


def first_line(request: HttpRequest) -> int | None:
    """Which page of the log is asked for, as whoever has no script asks; None for a part of a page, drawn anew."""
    if request.headers.get("HX-Request"):
        return None
    asked = request.GET.get("line", "")
    return int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 13 else LAST


def context(run: Run, step: Step, first: int | None = None) -> dict[str, Any]:
    """The context of templates/components/log.html; `first` is the line with which a page without script begins."""
    base = f"/runs/{run.key}/steps/{quote(step.key)}"
    known = reading.totals(step)
    return {
        "url": f"{base}/log/",
        "search_url": f"{base}/log/search/",
        "raw_url": f"{base}/log.txt" if not known.removed_at else "",
        "link": f"/runs/{run.key}/?step={quote(step.key)}",
        "title": step.title or step.key,
        "state": step.state,
        "topic": f"run:{run.pk}",
        "active": run.state in {Run.State.READY, Run.State.RUNNING},
        "prefix": "",
        "notes": [*_removed(known), *_lost(known)],
        "waiting": "There are no lines any more." if known.removed_at else "",
        **(_page(run, step, known, first) if first is not None else {"lines": None, "pages": []}),
    }


def _removed(known: reading.Totals) -> list[dict[str, str]]:
    if known.removed_at is None:
        return []
    text = f"Its root is {known.root}; the ledger tells it, and that it was removed."
    return [
        {"state": "warning", "title": f"The log was removed on {known.removed_at:%-d %B %Y}.", "text": text}
    ]


def _lost(known: reading.Totals) -> list[dict[str, str]]:
    if not known.lost:
        return []
    text = f"The database did not take {known.lost} bytes of what was printed. The step itself went on."
    return [{"state": "warning", "title": "Truncated: storage.", "text": text}]


def _page(run: Run, step: Step, known: reading.Totals, first: int) -> dict[str, Any]:
    """Lines and the ways to the others. A storage that does not answer is told, and breaks no page."""
    last_page = max(1, known.lines - reading.PAGE_LINES + 1)
    first = min(first, known.lines) if first else last_page
    try:
        lines = reading.window(step, max(1, first), most=DRAWN_BYTES)["results"]
    except LogUnavailable as refusal:
        notes = [{"state": "failed", "title": "The log cannot be shown.", "text": str(refusal)}]
        return {"lines": [], "pages": [], "notes": [*notes, *_lost(known)]}
    ways = {
        "First": 1,
        "Earlier": max(1, first - reading.PAGE_LINES),
        "Later": first + len(lines),
        "Last": last_page,
    }
    wanted = [
        (label, at) for label, at in ways.items()
        if (at < first if label in {"First", "Earlier"} else first + len(lines) <= known.lines)
    ]  # fmt: skip
    url = f"/runs/{run.key}/?step={quote(step.key)}&line="
    return {"lines": lines, "pages": [{"label": label, "url": f"{url}{at}#L{at}"} for label, at in wanted]}
