"""The log as a list: search, saved views, who did what when, what is new, an export."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from audit import search, views
from audit.access import require_reader
from audit.ledger.entry import Actor
from audit.ledger.record import record_refusal
from audit.models import Leaf
from audit.pages import proving, told
from audit.refusals import Invalid
from audit.reports import population
from audit.rest.streamed import attachment

PAGE = 50
PRINTED = 500  # entries on paper
EMPTY = -1  # the place before the first
NEWS = 99  # more than that is only "more"
READY = (("Everything", ""), ("Refusals", "outcome:refused"), ("Decisions", "type:sign_off.*"))
KEYS = [
    ("/", "search"),
    ("j k", "move"),
    ("Enter", "open"),
    ("[ ]", "newer, older"),
    ("v", "verify"),
    ("y", "copy the link"),
    ("s", "save this search"),
]
ASKED = (("actor", "who"), ("after", "since"), ("before", "until"))  # qualifier, field of the form


@require_GET
@login_required
def log(request: HttpRequest) -> HttpResponse:
    """GET /audit/: what fits the search, newest first."""
    require_reader(request.user)
    text = request.GET.get("q", "")
    try:
        if any(request.GET.get(field) for _, field in ASKED):
            return _spelled(request)
        return _listed(request, text, search.parse(text))
    except Invalid as fault:
        return _faulty(request, text, fault)


@require_GET
@login_required
def news(request: HttpRequest) -> HttpResponse:
    """GET /audit/news/: how many entries that fit came after the one that the page knows; nothing of what they say."""
    require_reader(request.user)
    terms = search.parse(request.GET.get("q", ""))
    after = _number(request, "after")
    count = search.count_after(terms, after if after is not None else EMPTY, most=NEWS + 1)
    words = (
        f"{count} new entr{'y' if count == 1 else 'ies'}"
        if count <= NEWS
        else f"More than {NEWS} new entries"
    )
    return HttpResponse(words if count else "", content_type="text/plain; charset=utf-8")


@require_POST
@login_required
def save(request: HttpRequest) -> HttpResponseRedirect:
    """POST /audit/views/: keep this search under a name, for oneself or for every reader."""
    require_reader(request.user)
    view = views.save(
        owner=str(request.user.pk), name=request.POST.get("name", ""), query=request.POST.get("q", ""),
        shared=request.POST.get("shared") == "on",
    )  # fmt: skip
    return redirect(f"/audit/{_url(view.query)}")


@require_POST
@login_required
def forget(request: HttpRequest, key: str) -> HttpResponseRedirect:
    """POST /audit/views/<id>/forget/: remove a view of one's own."""
    require_reader(request.user)
    views.forget(key, owner=str(request.user.pk))
    return redirect("/audit/")


def exporter(actor_of: Callable[[HttpRequest], Actor]) -> Callable[[HttpRequest], Any]:
    """POST /audit/export/: what fits the search, with its manifest. Who acts is known to the floor above."""

    @require_POST
    @login_required
    def export(request: HttpRequest) -> HttpResponseBase:
        require_reader(request.user)
        text, by = request.POST.get("q", ""), actor_of(request)
        try:
            terms, form = search.parse(text), request.POST.get("format", "")
            name, pieces = population.take(search.find(terms), form, query=search.spell(terms), by=by)
        except Invalid as fault:
            record_refusal(fault, attempted="entries.export", subject="ledger", actor=by)
            return _faulty(request, text, fault)
        return attachment(request, pieces, name=name, content_type="application/zip")

    return export


def _faulty(request: HttpRequest, text: str, fault: Invalid) -> HttpResponse:
    """The page with what is wrong in the place of a list."""
    context = {
        "q": text, "fault": fault, "strip": proving.strip(), "views": _views(request, text), "keys": KEYS,
    }  # fmt: skip
    return render(request, "audit/log.html", context, status=fault.status)


def _listed(request: HttpRequest, text: str, terms: list[search.Term]) -> HttpResponse:
    printed = "print" in request.GET
    cursor = {name: _number(request, name) for name in ("before", "after")}
    found = search.page(terms, size=PRINTED if printed else PAGE, **cursor)
    names = told.names_of(found.rows)
    newest = Leaf.objects.order_by("-index").first()
    holds = _holds(newest)
    context = {
        "q": text,
        "chips": _chips(terms),
        "entries": [told.told(leaf, names) for leaf in found.rows],
        "found": found,
        "older_url": _url(text, before=found.older) if found.older is not None else "",
        "newer_url": _url(text, after=found.newer) if found.newer is not None else "",
        "news_url": f"/audit/news/{_url(text, after=newest.index if newest else EMPTY)}",
        "print_url": f"{_url(text)}&print=1" if text else "?print=1",
        "views": _views(request, text),
        "totals": _totals(terms),
        "strip": proving.strip(),
        "holds": holds,
        "nothing": f"{text}: none of it. {holds}",
        "now": timezone.now(),
        "keys": KEYS,
        "clear": {"label": "Clear the search", "url": "/audit/"},
    }
    return render(request, "audit/print.html" if printed else "audit/log.html", context)


def _spelled(request: HttpRequest) -> HttpResponseRedirect:
    """The form of "who did what" as the search that it stands for: an address to keep."""
    asked = [search.term(key, request.GET[field]) for key, field in ASKED if request.GET.get(field)]
    kept = [one for one in search.parse(request.GET.get("q", "")) if one.key not in {key for key, _ in ASKED}]
    return redirect(f"/audit/{_url(search.spell([*kept, *asked]))}")


def _views(request: HttpRequest, text: str) -> list[dict[str, Any]]:
    """Searches to choose from: ours, then the reader's own and the shared ones."""
    kept = views.of(str(request.user.pk))
    shown: list[dict[str, Any]] = [{"label": name, "q": query} for name, query in READY]
    shown += [
        {"label": one.name, "q": one.query, "view": one, "own": one.owner == str(request.user.pk)}
        for one in kept
    ]
    return [{**one, "url": f"/audit/{_url(one['q'])}", "current": one["q"] == text} for one in shown]


def _totals(terms: list[search.Term]) -> list[dict[str, Any]]:
    """What of it there is, by kind, where somebody or a period is asked for."""
    if not any(one.key in {"actor", "after", "before"} for one in terms):
        return []
    rest = [one for one in terms if one.key != "type"]
    return [
        {
            "words": told.in_words(kind),
            "count": f"{search.COUNTED}+" if count > search.COUNTED else str(count),
            "url": _url(search.spell([*rest, search.Term("type", kind)])),
        }
        for kind, count in search.totals(terms)
    ]


def _number(request: HttpRequest, name: str) -> int | None:
    """A place in the log; none where the address names none, or the end of an empty log."""
    given = request.GET.get(name, "")
    if given in ("", str(EMPTY)):
        return None
    if not re.fullmatch(r"[0-9]{1,18}", given, re.ASCII):
        raise Invalid(f"Nothing was searched: {name}={given!a:.20} is not the number of an entry.")
    return int(given)


def _url(text: str, **where: int) -> str:
    asked = {**({"q": text} if text else {}), **where}
    return f"?{urlencode(asked)}" if asked else ""


def _chips(terms: list[search.Term]) -> list[dict[str, str]]:
    rest = [search.spell([other for other in terms if other is not term]) for term in terms]
    return [
        {"key": term.key or "words", "value": term.value, "remove_url": f"/audit/{_url(without)}"}
        for term, without in zip(terms, rest, strict=True)
    ]


def _holds(newest: Leaf | None) -> str:
    first = Leaf.objects.order_by("index").first()
    if first is None or newest is None:
        return ""
    return f"It holds {newest.index + 1} entries since {first.occurred_at:%Y-%m-%d %H:%M} UTC."
