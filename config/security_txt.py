"""Whom to tell about a hole (RFC 9116). Not there until somebody is named."""

from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from audit.refusals import NotFound

VALID = timedelta(days=90)


@require_safe
def security_txt(request: HttpRequest) -> HttpResponse:
    """Contact and expiry, the two fields that must be there."""
    if not settings.SECURITY_CONTACT:
        raise NotFound("There is nothing at this address.")
    until = (datetime.now(UTC) + VALID).strftime("%Y-%m-%dT00:00:00Z")
    text = f"Contact: {settings.SECURITY_CONTACT}\nExpires: {until}\nPreferred-Languages: en\n"
    return HttpResponse(text, content_type="text/plain; charset=utf-8")
