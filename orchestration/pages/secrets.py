"""Secrets: which there are, where they may be used, new values for them. No page shows a value, typed or kept."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.acting import acting
from accounts.models import Team
from audit.ledger.record import record_refusal
from audit.refusals import NotAllowed, Refusal
from orchestration import access
from orchestration.models import CONTROL_ROOM, ITSELF, Environment, Secret
from orchestration.pages import story
from orchestration.secrets import store


@require_GET
@login_required
def index(request: HttpRequest) -> HttpResponse:
    """Those of one's teams, by path."""
    secrets = store.visible(request.user).prefetch_related("versions")
    rows = [{"secret": one, "newest": _newest(one), "used_by": store.used_by(one)} for one in secrets]
    new = {"label": "New secret", "url": "/secrets/new/", "icon": "plus", "primary": True}
    actions = [new] if Team.objects.of(acting(request).user).exists() else []
    return render(request, "orchestration/secrets.html", {"rows": rows, "page_actions": actions})


@never_cache
@require_http_methods(["GET", "POST"])
@login_required
def new(request: HttpRequest) -> HttpResponse:
    """A name, where it may be used, and its first value at once or later."""
    given = request.POST
    if request.method == "GET":
        return _form(request)

    def save() -> Secret:
        owner = Team.objects.filter(slug=given.get("owner", "")).first()
        if owner is None:
            raise NotAllowed("Choose one of your teams as the owner; nothing was created.")
        return store.create(
            path=given.get("path", ""), owner=owner, scope=_scope(request), by=acting(request)
        )

    return _tried(request, save, "secret.create", given.get("path", ""), lambda said: _form(request, said))


@never_cache
@require_GET
@login_required
def detail(request: HttpRequest, key: UUID) -> HttpResponse:
    return _page(request, _secret(request, key))


@require_POST
@login_required
def write(request: HttpRequest, key: UUID) -> HttpResponse:
    """A new version; what was typed is never shown again, not even beside an error."""
    secret, value = _secret(request, key), request.POST.get("value", "").replace("\r\n", "\n")

    def save() -> Secret:
        store.write(secret, value, by=acting(request))
        return secret

    return _tried(request, save, "secret.write", secret.path, lambda said: _page(request, secret, said))


@require_POST
@login_required
def destroy(request: HttpRequest, key: UUID, number: int) -> HttpResponse:
    secret = _secret(request, key)
    store.destroy(secret, number, by=acting(request))
    return redirect("orchestration:secret", key=secret.pk)


@require_POST
@login_required
def narrow(request: HttpRequest, key: UUID) -> HttpResponse:
    """Fewer places; a form that asks for more is told how to ask others."""
    secret = _secret(request, key)

    def save() -> Secret:
        store.narrow(secret, _scope(request), by=acting(request))
        return secret

    return _tried(request, save, "secret.narrow", secret.path, lambda said: _page(request, secret, said))


def _tried(
    request: HttpRequest,
    save: Callable[[], Secret],
    attempted: str,
    subject: str,
    again: Callable[[Refusal], HttpResponse],
) -> HttpResponse:
    try:
        saved = save()
    except Refusal as refusal:
        record_refusal(refusal, attempted=attempted, subject=subject[:150], actor=acting(request).actor)
        return again(refusal)
    return redirect("orchestration:secret", key=saved.pk)


def _page(request: HttpRequest, secret: Secret, refused: Refusal | None = None) -> HttpResponse:
    context = {
        "secret": secret,
        "newest": _newest(secret),
        "versions": secret.versions.select_related("author"),
        "used_by": store.used_by(secret),
        "destinations": secret.destinations.standing(),
        "may_write": store.is_owner(secret, acting(request).user),
        "entries": story.of_row(secret.pk),
        "page_actions": _actions(request, secret),
        **_shown(refused),
    }
    return render(request, "orchestration/secret.html", context, status=refused.status if refused else 200)


def _form(request: HttpRequest, refused: Refusal | None = None) -> HttpResponse:
    flows = access.visible_workflows(request.user).select_related("active")
    chosen = {name: request.POST.getlist(name) for name in store.SCOPE}
    context = {
        "given": request.POST,
        "chosen": chosen,
        "teams": Team.objects.of(acting(request).user),
        "environments": _environments(request.user),
        "services": access.visible_services(request.user).exclude(slug=ITSELF),
        "workflows": [one for one in flows if one.active and one.active.environments != [CONTROL_ROOM]],
        **_shown(refused),
    }
    return render(
        request, "orchestration/secret_form.html", context, status=refused.status if refused else 200
    )


def _environments(user: Any) -> QuerySet[Environment]:
    """Where a secret may be used; in the control room by what admins look after, such as destinations."""
    found = access.visible_environments(user)
    return found if user.is_superuser else found.exclude(slug=CONTROL_ROOM)


def _shown(refused: Refusal | None) -> dict[str, Any]:
    errors = refused.errors if refused else []
    return {"errors": errors or ([{"pointer": "", "detail": str(refused)}] if refused else [])}


def _actions(request: HttpRequest, secret: Secret) -> list[dict[str, Any]]:
    """More places are asked for as a governed act, with what holds now filled in."""
    if not access.visible_workflows(request.user, "request").filter(slug="secret-scope").exists():
        return []
    now = {f"inputs.{name}": " ".join(slugs) for name, slugs in store.scope_of(secret).items()}
    asked = {"inputs.path": secret.path, **now, "service": "countersign", "environment": "control-room"}
    return [{"label": "Ask for more places", "url": f"/workflows/secret-scope/new/?{urlencode(asked)}"}]


def _newest(secret: Secret) -> Any:
    standing = [one for one in secret.versions.all() if one.destroyed_at is None]
    return max(standing, key=lambda one: one.number, default=None)


def _scope(request: HttpRequest) -> dict[str, list[str]]:
    return {name: request.POST.getlist(name) for name in store.SCOPE}


def _secret(request: HttpRequest, key: UUID) -> Secret:
    return store.get_or_404(request.user, key)
