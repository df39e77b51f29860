"""Input that is what it seems: JSON without duplicate keys, without unknown fields, not too deep.

Two readers of the same bytes must never see two documents, so anything ambiguous is refused, not repaired.
"""

import json
from collections.abc import Mapping
from typing import IO, Any

from rest_framework import serializers
from rest_framework.parsers import JSONParser
from rest_framework.settings import api_settings

from audit.refusals import Invalid, Refusal

MAX_DEPTH = 32
MAX_NODES = 20_000  # values in one document; a workflow definition has some hundreds


class Malformed(Refusal):
    """These bytes are no JSON."""

    code = "malformed"
    status = 400


class StrictJSONParser(JSONParser):
    """UTF-8 JSON with unique keys, finite numbers and a bounded shape."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        try:
            text = stream.read().decode("utf-8")
            value = json.loads(text, object_pairs_hook=_unique, parse_constant=_finite)
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            raise Malformed(f"Nothing was done: the body is not JSON in UTF-8 ({error}).") from error
        except (RecursionError, ValueError) as error:
            raise Invalid(
                "Nothing was done: the body is nested too deeply or holds an endless number."
            ) from error
        _bound(value)
        return value


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses every field that it does not take, also those that it only shows."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            taken = {name for name, field in self.fields.items() if not field.read_only}
            if unknown := {name: ["This field is not taken here."] for name in data if name not in taken}:
                raise serializers.ValidationError(unknown)
        return super().to_internal_value(data)


def pointers(detail: Any, at: str = "") -> list[dict[str, str]]:
    """A serializer's nested errors as a flat list by JSON pointer (RFC 6901)."""
    if isinstance(detail, Mapping):
        return [one for name, inner in detail.items() for one in pointers(inner, _step(at, str(name)))]
    if isinstance(detail, list):
        if all(isinstance(inner, str) for inner in detail):
            return [{"pointer": at, "detail": str(inner)} for inner in detail]
        return [one for n, inner in enumerate(detail) for one in pointers(inner, _step(at, str(n)))]
    return [{"pointer": at, "detail": str(detail)}]


def _step(at: str, name: str) -> str:
    if name == api_settings.NON_FIELD_ERRORS_KEY:
        return at
    return at + "/" + name.replace("~", "~0").replace("/", "~1")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        names = [name for name, _ in pairs]
        twice = sorted({name for name in names if names.count(name) > 1})[:5]
        raise Invalid(
            f"Nothing was done: the body names a key twice ({', '.join(twice)[:200]!a}).",
            errors=[{"pointer": _step("", name), "detail": "This key is there twice."} for name in twice],
        )
    return value


def _finite(text: str) -> Any:
    raise Invalid(f"Nothing was done: {text} is no JSON number.")


def _bound(value: Any) -> None:
    """Breadth first, without recursion: a deep document must not reach one."""
    level, nodes, depth = [value], 0, 0
    while level:
        depth, nodes = depth + 1, nodes + len(level)
        if depth > MAX_DEPTH or nodes > MAX_NODES:
            raise Invalid(
                f"Nothing was done: the body is deeper than {MAX_DEPTH} or larger than {MAX_NODES} values."
            )
        for one in level:
            _clean(one)
        level = [inner for one in level for inner in _inside(one)]


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    return value if isinstance(value, list) else []


def _clean(value: Any) -> None:
    """No NUL and no half surrogate: neither PostgreSQL nor the canonical bytes can hold them."""
    if isinstance(value, str) and ("\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value)):
        raise Invalid("Nothing was done: a text holds a NUL or half a surrogate pair.")
