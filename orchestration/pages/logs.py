"""The doors of a step's log: lines for the page, a search over all of it, the text for whoever downloads it."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET, require_safe

from audit.refusals import Invalid, Refusal
from orchestration import access
from orchestration.logs import reading, searching
from orchestration.logs.bodies import LogUnavailable
from orchestration.logs.download import download
from orchestration.models import Step


@require_GET
@login_required
def lines(request: HttpRequest, key: str, step: str) -> JsonResponse:
    """Whole lines from `?first=` on, at most `?count=`."""
    found = _step(request, key, step)
    first, count = _number(request, "first", 1), _number(request, "count", reading.PAGE_LINES)
    try:
        return JsonResponse(dict(reading.window(found, first, count)))
    except LogUnavailable as refusal:
        return _said(refusal)


@require_GET
@login_required
def search(request: HttpRequest, key: str, step: str) -> JsonResponse:
    """The numbers of the lines with `?q=` in them, from `?first=` on."""
    found = _step(request, key, step)
    flags = {name: request.GET.get(name) == "1" for name in ("regex", "case")}
    try:
        first, last = _number(request, "first", 1), _number(request, "last", 0)
        return JsonResponse(
            dict(searching.search(found, request.GET.get("q", ""), first=first, last=last, **flags))
        )
    except (Invalid, LogUnavailable) as refusal:
        return _said(refusal)


@require_safe
@login_required
def text(request: HttpRequest, key: str, step: str) -> HttpResponseBase:
    """The whole log as text, all attempts, or the range of it that is asked for."""
    found = _step(request, key, step)
    return download(request, found, name=f"{key}-{found.key}.txt")


def _said(refusal: Refusal) -> JsonResponse:
    """To the page's own script, which shows the sentence."""
    return JsonResponse({"detail": str(refusal), "code": refusal.code}, status=refusal.status)


def _number(request: HttpRequest, name: str, default: int) -> int:
    given = request.GET.get(name, "")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 13 else default


def _step(request: HttpRequest, key: str, step: str) -> Step:
    return get_object_or_404(Step, run=access.get_run_or_404(request.user, key), key=step)
