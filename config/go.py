"""One door for every id that people say: `/go/CHG-2041/` opens the change. Tells nobody whether it exists."""

import re

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.views.decorators.http import require_safe

from audit.refusals import NotFound

PLACES = [
    (re.compile(r"CHG-[1-9][0-9]{0,17}", re.ASCII | re.IGNORECASE), "/changes/{}/"),
    (re.compile(r"RUN-[1-9][0-9]{0,17}", re.ASCII | re.IGNORECASE), "/runs/{}/"),
    (re.compile(r"CT-[0-9]{2}", re.ASCII), "/compliance/controls/{}/"),
    (re.compile(r"workflow:[a-z0-9_-]+", re.ASCII), "/workflows/{name}/"),
    (re.compile(r"(team:[a-z0-9_-]+|account:[0-9a-f-]{36})", re.ASCII), "/people/"),
    (re.compile(r"ledger"), "/audit/checkpoints/"),
    (re.compile(r"[0-9]{1,18}", re.ASCII), "/audit/{}/"),
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII), "/policies/decisions/{low}/"),
]


@require_safe
@login_required
def go(request: HttpRequest, key: str) -> HttpResponse:
    """To the page of this key; that page asks who may see it."""
    for shape, place in PLACES:
        if shape.fullmatch(key):
            return HttpResponseRedirect(place.format(key.upper(), low=key, name=key.rpartition(":")[2]))
    raise NotFound("No id looks like this. Changes are CHG-1, runs RUN-1, audit entries a number.")
