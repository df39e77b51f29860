"""Who is here and in which team: for everybody who is signed in, to read."""

from django.contrib.auth.decorators import login_required
from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from accounts import delegation
from accounts.models import Membership, Team, User


@require_GET
@login_required
def people(request: HttpRequest) -> HttpResponse:
    """GET /people/: two lists of the same memberships."""
    opened = Membership.objects.open().select_related("user", "team")
    teams = Team.objects.order_by("name").prefetch_related(
        Prefetch("memberships", queryset=opened.order_by("-lead", "user__name"), to_attr="opened")
    )
    accounts = User.objects.order_by("-is_active", "kind", "name").prefetch_related(
        Prefetch("memberships", queryset=opened.order_by("team__name"), to_attr="opened")
    )
    accounts = accounts.select_related("person")
    away = delegation.away()
    people = list(accounts)
    for one in people:
        setattr(one, "away", away.get(one.pk))  # noqa: B010 - what the page shows beside the row
    return render(request, "accounts/people.html", {"teams": teams, "people": people})
