"""The tags and filters that every page may use: icons, states, people, time, digests.

Stands on the lowest floor so that all floors may draw with it. Must never query: it shows what it is given.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django import template
from django.http import HttpRequest
from django.template.defaultfilters import stringfilter
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from audit.templatetags import dag, schema_fields, states, terminal, words

register = template.Library()

THEMES = {"light", "dark"}
DENSITIES = {"compact"}


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """A symbol of the sprite; with a label it is an image, without one it is decoration."""
    role = (
        format_html('role="img" aria-label="{}"', label) if label else format_html('aria-hidden="{}"', "true")
    )
    return format_html('<svg class="i i-{0}" {1}><use href="#i-{0}"></use></svg>', name, role)


@register.simple_tag
def pill(state: object, text: str = "", url: str = "") -> SafeString:
    """A state as a pill: `{% pill change.state %}`, `{% pill "waiting" "Waiting for Security" %}`."""
    seen = states.look(state)
    inner = format_html("{}{}", icon(seen.icon), text or seen.words)
    if url:
        return format_html('<a class="pill s-{}" href="{}">{}</a>', seen.family, url, inner)
    return format_html('<span class="pill s-{}">{}</span>', seen.family, inner)


@register.simple_tag
def state_icon(state: object, label: str = "") -> SafeString:
    """The shape of a state in its colour, for a place where its word stands beside it."""
    seen = states.look(state)
    name = seen.icon
    return format_html('<span class="s-{}">{}</span>', seen.family, icon(name, label))


@register.filter
def family(state: object) -> str:
    """The colour family of a state, for a class `s-<family>`."""
    return states.look(state).family


@register.filter
def state_words(state: object) -> str:
    return states.look(state).words


@register.simple_tag
def risk(level: str, note: str = "") -> SafeString:
    """Risk is not a state: three bars and a word; only high is coloured."""
    level = level if level in {"low", "medium", "high"} else "medium"
    mark = format_html(
        '<span class="risk {0}">{1}{2}</span>', level, icon(f"risk-{level}"), level.capitalize()
    )
    return format_html('{} <span class="muted sm">{}</span>', mark, note) if note else mark


@register.simple_tag
def person(who: object, mark: str = "", size: str = "") -> SafeString:
    """A person chip. `who` is a name or anything that has one; mark says away, or for whom they act."""
    name = _name(who)
    machine = str(getattr(who, "kind", "")) in {"service", "system"} or "@" in name
    shape = " machine" if machine else " away" if mark.startswith("away") else ""
    avatar = format_html('<span class="avatar{}" aria-hidden="true">{}</span>', shape, words.initials(name))
    tail = format_html(' <span class="mark">{}</span>', mark) if mark else ""
    return format_html('<span class="person {}">{}<span>{}{}</span></span>', size, avatar, name, tail)


def _name(who: object) -> str:
    if isinstance(who, Mapping):
        return str(who.get("name", ""))
    named = getattr(who, "name", "") or getattr(getattr(who, "person", None), "name", "")
    return str(named or who)


@register.filter
def name_of(who: object) -> str:
    """The name of a person, an account or a text that already is one."""
    return _name(who)


@register.filter
def initials(name: object) -> str:
    return words.initials(_name(name))


@register.simple_tag
def ago(when: datetime | None, at: datetime | None = None) -> SafeString | str:
    """A moment as seen from now, with the exact one on hover: `3 d ago`, `in 1 h 18 m`."""
    if when is None:
        return ""
    text = words.relative(when, at=at or timezone.now())
    return format_html(
        '<time datetime="{}" title="{}" data-ago>{}</time>', when.isoformat(), _absolute(when), text
    )


@register.simple_tag
def moment(when: datetime | None, exact: bool = False) -> SafeString | str:
    """A moment in UTC with seconds: the form of audit and compliance; with milliseconds where `exact`."""
    if when is None:
        return ""
    utc = timezone.localtime(when, timezone.get_default_timezone())
    shown = f"{utc:%Y-%m-%d %H:%M:%S}{f'.{utc.microsecond // 1000:03}' if exact else ''}Z"
    return format_html('<time class="mono nowrap" datetime="{}">{}</time>', when.isoformat(), shown)


def _absolute(when: datetime) -> str:
    return f"{timezone.localtime(when):%Y-%m-%d %H:%M:%S %Z}"


@register.filter
def duration(seconds: float | None) -> str:
    """A length of time: 0.4 s, 40 s, 9 m, 1 h 18 m."""
    return "" if seconds is None else words.short_span(seconds)


@register.simple_tag
def digest(value: str) -> SafeString:
    """A digest in short, whole on hover and for a copy."""
    return format_html('<code class="nowrap" title="{}">{}</code>', value, words.short_digest(value))


@register.filter
@stringfilter
def short_digest(value: str) -> str:
    return words.short_digest(value)


@register.filter
@stringfilter
def ansi(text: str) -> SafeString:
    """A line of a log with the terminal's colours as classes; what else would act in a terminal is only shown."""
    return format_html_join("", '<span class="{}">{}</span>', terminal.parts(text))


@register.filter
@stringfilter
def diff_lines(text: str) -> list[tuple[str, str]]:
    return list(words.diff_lines(text))


@register.filter
def field_id(pointer: str) -> str:
    return schema_fields.field_id(pointer)


@register.simple_tag
def fields_of(
    schema: Mapping[str, Any],
    values: Mapping[str, Any] | None = None,
    errors: Iterable[Mapping[str, str]] = (),
) -> list[schema_fields.Field]:
    """Fields of a JSON Schema: `{% fields_of version.inputs_schema values errors as fields %}`."""
    return schema_fields.fields(schema, values, errors or ())


@register.inclusion_tag("components/dag.html")
def dag_of(steps: Iterable[Any], label: str = "Steps of this run") -> dict[str, Any]:
    """The graph of steps, drawn on the server: see audit/templatetags/dag.py for what a step carries."""
    return {"graph": dag.draw(steps), "label": label}


@register.simple_tag(takes_context=True)
def appearance(context: template.Context) -> SafeString:
    """Theme, density and shortcuts as attributes of <html>, from cookies: the first paint is right."""
    request: HttpRequest | None = context.get("request")
    cookies = request.COOKIES if request else {}
    chosen = [
        (name, cookies[name])
        for name, allowed in (("theme", THEMES), ("density", DENSITIES), ("shortcuts", {"off"}))
        if cookies.get(name) in allowed
    ]
    return format_html_join("", ' data-{}="{}"', chosen)


@register.filter
def common_state(stages: Iterable[Mapping[str, Any]]) -> str:
    """The state of stages that stand side by side: the one they share; else somebody is still waited for."""
    states = {str(stage["state"]) for stage in stages}
    return states.pop() if len(states) == 1 and not states & {"yours"} else "waiting"
