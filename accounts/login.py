"""Signing in and out: limited, recorded, with a new session key each time. Nobody signs up by themselves."""

from datetime import UTC, datetime
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import transaction
from django.http import HttpRequest
from django.utils.http import url_has_allowed_host_and_scheme

from accounts import rates
from accounts.bearer import client_address
from accounts.models import User
from accounts.sessions import begun, note_origin, tell_end
from audit.ledger.entry import Actor, system
from audit.ledger.record import record

PER_NAME_HERE = rates.Limit(10, seconds=300)
PER_NAME = rates.Limit(
    100, seconds=300
)  # far more than here, so that a stranger cannot lock somebody out soon
PER_ADDRESS = rates.Limit(60, seconds=300)


class LoginAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # the library carries no types
    """The hooks of allauth, in place of signals."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def is_safe_url(self, url: str) -> bool:
        """Only a path of this server: another host of ours is still another page."""
        return url.startswith("/") and url_has_allowed_host_and_scheme(url, allowed_hosts=None)

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        now = datetime.now(UTC)
        for key, limit in _keys(request, credentials):
            rates.spend(key, limit, at=now)

    def authenticate(self, request: HttpRequest, **credentials: Any) -> AbstractBaseUser | None:
        user: AbstractBaseUser | None = super().authenticate(request, **credentials)
        if user is not None:
            for key, _ in _keys(request, credentials):
                rates.refund(key)
        return user

    def _rollback_login_failed_rl_usage(self) -> None:
        """Nothing: `authenticate` gives back what was spent."""

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        """The name that was typed is not kept: it may be a password in the wrong field."""
        user = User.objects.filter(username=credentials.get("username", "")).first()
        subject = f"account:{user.pk}" if user else "account:unknown"
        with transaction.atomic():
            record("session.refused", of=None, subject=subject, actor=system("system:login"))

    def login(self, request: HttpRequest, user: AbstractBaseUser) -> None:
        with transaction.atomic():
            super().login(request, user)
            note_origin(request, at=datetime.now(UTC))
            request.session.cycle_key()  # also when the same person signs in once more
            _record("session.started", user, **begun(request))

    def set_password(self, user: AbstractBaseUser, password: str) -> None:
        """Only this column: a full save would write back what was read before."""
        with transaction.atomic():
            user.set_password(password)
            user.save(update_fields=["password"])
            _record("account.password_changed", user)

    def logout(self, request: HttpRequest) -> None:
        user, session = request.user, request.session.get("id")
        with transaction.atomic():
            super().logout(request)
            if isinstance(user, User):
                tell_end(user, session, by=_actor(user))


def _keys(request: HttpRequest, credentials: dict[str, Any]) -> list[tuple[str, rates.Limit]]:
    name = str(credentials.get("username", "")).casefold()
    address = client_address(request)
    return [
        (f"login:{rates.short(name + chr(0) + address)}", PER_NAME_HERE),
        (f"name:{rates.short(name)}", PER_NAME),
        (f"address:{address}", PER_ADDRESS),
    ]


def _record(kind: str, user: AbstractBaseUser, **told: str) -> None:
    record(kind, of=None, subject=f"account:{user.pk}", actor=_actor(user), **told)


def _actor(user: AbstractBaseUser) -> Actor:
    return Actor(id=str(user.pk), kind="person", auth="session")
