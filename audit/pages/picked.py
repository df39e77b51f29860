"""What was picked in the address of a report and cannot be read: named at its field, on the page that was asked for."""

from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from audit.controls.catalogue import controls
from audit.controls.environments import environments
from audit.ledger import checkpoint
from audit.refusals import Invalid
from audit.reports.frameworks import frameworks
from audit.templatetags.schema_fields import field_id

View = Callable[..., HttpResponse]
ALWAYS = ("from", "to", "environment")
DAYS = ("from", "to")
LABELS = {
    "control": "Control test", "size": "Items", "from": "From", "to": "Before", "environment": "Environment",
    "framework": "Framework", "service": "Service", "checkpoint": "Checkpoint", "result": "Result",
    "first": "First row", "nonce": "Words or digits of your own", "commitment": "Or only their SHA-256",
}  # fmt: skip
NONE = {"environment": "All environments", "framework": "All frameworks"}
OWN = ("nonce", "commitment")  # words of whoever asks
REQUIRED = ("control", "size")
LONGEST = 200  # characters of what was typed that are shown again


def or_named(title: str) -> Callable[[View], View]:
    """A view that reads its address: what it refuses as invalid becomes a form with what was typed, under its title."""

    def around(view: View) -> View:
        @wraps(view)
        def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            try:
                return view(request, *args, **kwargs)
            except Invalid as fault:
                return _again(request, fault, " ".join([title, *map(str, kwargs.values())]).strip())

        return inner

    return around


def _again(request: HttpRequest, fault: Invalid, title: str) -> HttpResponse:
    named = {one["pointer"].removeprefix("/") for one in fault.errors}
    names = [name for name in LABELS if name in {*ALWAYS, *request.GET, *named}]
    context = {"title": title, "errors": fault.errors, "fields": fields(names, request.GET, fault.errors)}
    return render(request, "audit/picked.html", context, status=fault.status)


def fields(
    names: Iterable[str],
    given: Mapping[str, str],
    errors: Iterable[Mapping[str, str]] = (),
    hints: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """As components/field.html: what was picked or typed, and at its field what is wrong with it."""
    problems = {one["pointer"].removeprefix("/"): one["detail"] for one in errors}
    return [
        _field(name, given.get(name, ""), problems.get(name, ""), (hints or {}).get(name, ""))
        for name in names
    ]


def _field(name: str, typed: str, error: str, hint: str) -> dict[str, Any]:
    """A day that is none is shown as it was typed; a browser's field for days would leave it out."""
    here, choices = field_id(f"/{name}"), _choices(name)
    notes = [f"{here}-{kind}" for kind, words in (("hint", hint), ("error", error)) if words]
    return {
        "name": name, "id": here, "label": LABELS[name], "value": typed[:LONGEST], "error": error, "hint": hint,
        "kind": "number" if name == "size" and not error else "text" if choices is None else "select",
        "type": "date" if name in DAYS and not error else "text", "required": name in REQUIRED,
        "options": [(value, label, value == typed) for value, label in choices or ()],
        "described_by": " ".join(notes), "mono": name == "commitment", "wide": name in OWN, "plain": True,
        "none": NONE.get(name, "Choose"),
    }  # fmt: skip


def _choices(name: str) -> list[tuple[str, str]] | None:
    match name:
        case "control":
            return [(one.id, f"{one.id} {one.title}") for one in controls().values()]
        case "environment":
            return [(one, one) for one in environments(checkpoint.latest())]
        case "framework":
            return [(one, one) for one in frameworks()]
    return None
