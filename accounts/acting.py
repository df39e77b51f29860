"""Who acts, and through what: made once at each door, handed down as `by=`. Nothing below asks a request."""

from dataclasses import dataclass
from typing import Literal

from django.contrib.auth import BACKEND_SESSION_KEY
from django.http import HttpRequest
from rest_framework.request import Request

from accounts.models import Token, User
from audit.ledger.entry import Actor
from audit.refusals import NotAllowed

PERSONA_BACKEND = "accounts.personas.PersonaBackend"


@dataclass(frozen=True)
class Acting:
    """An account and the credential it came with. A token may request, never sign off.

    There is no "log in as". A session that the demo's switch made says so, and each of its sign-offs records it.
    """

    user: User
    auth: Literal["session", "token"]
    persona_switched: bool = False
    token: Token | None = None

    @property
    def actor(self) -> Actor:
        """The same, as the ledger keeps it."""
        kind: Literal["person", "service"] = "person" if self.user.kind == User.Kind.PERSON else "service"
        return Actor(id=str(self.user.pk), kind=kind, auth=self.auth)


def acting(request: HttpRequest | Request) -> Acting:
    """Who sent this request. NotAllowed when nobody is signed in: a door without its lock fails closed."""
    user = request.user
    if not isinstance(user, User) or not user.is_active:
        raise NotAllowed("Nobody is signed in, so nothing was done. Sign in and send it again.")
    token = getattr(request, "auth", None)
    if isinstance(token, Token):
        return Acting(user=user, auth="token", token=token)
    switched = request.session.get(BACKEND_SESSION_KEY) == PERSONA_BACKEND
    return Acting(user=user, auth="session", persona_switched=switched)
