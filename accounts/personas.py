"""The demo's switch of person: in a demo everybody may continue as somebody else, and each switch is an entry.

Outside a demo nothing here opens: the address is not found, and a session made by a switch signs nobody in.
"""

from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.backends import BaseBackend
from django.db import transaction
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest

from accounts.acting import PERSONA_BACKEND
from accounts.models import Membership, User
from accounts.sessions import note_origin
from audit.ledger.entry import Actor, system
from audit.ledger.record import record
from audit.refusals import NotFound


class PersonaBackend(BaseBackend):
    """Knows the account of a switched session while the demo is on. Authenticates nobody."""

    def get_user(self, user_id: Any) -> User | None:
        return User.objects.filter(pk=user_id, is_active=True).first() if settings.DEMO else None


def people() -> QuerySet[User]:
    """Whom one can continue as: the people of the demo, in the order in which they were made."""
    if not settings.DEMO:
        return User.objects.none()
    opened = Membership.objects.open().select_related("team").order_by("team__name")
    found = User.objects.filter(kind=User.Kind.PERSON, is_active=True).order_by("id")
    return found.prefetch_related(Prefetch("memberships", queryset=opened, to_attr="opened"))


def switch(request: HttpRequest, persona: str) -> User:
    """Continue as this person, in a new session. NotFound outside a demo and for everybody who is not in it."""
    to = next((one for one in people() if str(one.pk) == persona), None)
    if to is None:
        raise NotFound("There is no such person in this demo.")
    before = request.user if isinstance(request.user, User) else None
    with transaction.atomic():
        request.session.flush()  # a new key and nothing of the person before
        login(request, to, backend=PERSONA_BACKEND)
        note_origin(request, at=datetime.now(UTC))
        record(
            "persona.switched",
            of=None,
            subject=f"account:{to.pk}",
            actor=_actor(before),
            **{"from": str(before.pk) if before else None, "to": str(to.pk)},
        )
    return to


def shown(request: HttpRequest) -> list[dict[str, Any]]:
    """The switch in the account menu."""
    return [
        {"id": str(one.pk), "name": one.name, "title": one.title, "current": one.pk == request.user.pk}
        for one in people().prefetch_related(None)
    ]


def _actor(before: User | None) -> Actor:
    if before is None:
        return system("system:welcome")
    return Actor(id=str(before.pk), kind="person", auth="session")
