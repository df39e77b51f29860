"""What a form offers, and what was typed into it, as the types of its JSON Schema. Never decides what is valid."""

from collections.abc import Callable, Mapping
from typing import Any

from django.db.models import QuerySet

from accounts.models import Team, User
from approvals import periods, switches
from approvals.models import Freeze, Passkey, PolicyCommit, Window
from orchestration.models import Environment, Service

PREFIX = "inputs."  # keeps a workflow's own names apart from the form's


def values(schema: Mapping[str, Any], posted: Mapping[str, str], prefix: str = PREFIX) -> dict[str, Any]:
    """Typed values; text that does not read as its type stays text, so that validation can say what is wrong."""
    typed: dict[str, Any] = {}
    for name, rule in schema.get("properties", {}).items():
        text = posted.get(prefix + name, "")
        if rule.get("type") == "boolean":
            typed[name] = text == "true"
        elif text != "":
            typed[name] = _typed(text, rule)
    return typed


def offered(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema with the records that there are now, where an input asks for one of them."""
    rules = {name: _offer(rule) for name, rule in schema.get("properties", {}).items()}
    return {**schema, "properties": rules}


def _offer(rule: Mapping[str, Any]) -> dict[str, Any]:
    among = rule.get("x-ui", {}).get("choices")
    return {**rule, "x-options": CHOICES[among]()} if among in CHOICES else dict(rule)


def _rows(rows: QuerySet[Any], value: str) -> list[tuple[str, str]]:
    return [(getattr(row, value), f"{row.name} ({getattr(row, value)})") for row in rows.order_by("name")]


def _standing(kind: type[Freeze] | type[Window]) -> list[tuple[str, str]]:
    return [(one.key, f"{one.name}: {one.words}") for one in periods.standing(kind).order_by("-starts_at")]


CHOICES: dict[str, Callable[[], list[tuple[str, str]]]] = {
    "accounts": lambda: _rows(User.objects.filter(is_active=True), "username"),
    "machines": lambda: _rows(User.objects.filter(is_active=True, kind=User.Kind.SERVICE), "username"),
    "bundles": lambda: [
        (one.digest, f"{one.commit[:12]} of {one.branch}: {one.summary}")
        for one in PolicyCommit.objects.filter(faults=[])[:50]
    ],
    "environments": lambda: _rows(Environment.objects.all(), "slug"),
    "freezes": lambda: _standing(Freeze),
    "passkeys": lambda: [
        (str(one.pk), f"{one.user.name}: {one.name}, {one.rp_id}")
        for one in Passkey.objects.filter(state=Passkey.State.ASKED)
        .select_related("user")
        .order_by("-created_at")
    ],
    "kill_switches": lambda: [(one.key, f"{one.about}: {one.reason}"[:100]) for one in switches.standing()],
    "services": lambda: _rows(Service.objects.all(), "slug"),
    "teams": lambda: _rows(Team.objects.all(), "slug"),
    "windows": lambda: _standing(Window),
}


def _typed(text: str, rule: Mapping[str, Any]) -> Any:
    if rule.get("type") == "integer":
        try:
            return int(text)
        except ValueError:
            return text
    if rule.get("type") == "array":
        return [line.strip() for line in text.splitlines() if line.strip()]
    return text
