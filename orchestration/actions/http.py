"""`http`: one request to a named place, and what its answer must be. Goes out through `egress`, in its own process.

It must never follow a redirect unasked, carry a credential to another place, or say a header.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote_plus, urljoin

from orchestration.actions import egress, web
from orchestration.actions.base import SECRET, ChildAction, Context, Effect, Failed, Result

READ_ONLY = frozenset({"GET", "HEAD"})
MOVED = frozenset({301, 302, 303, 307, 308})
SHOWN_CHARACTERS = 4000
OUTPUT_CHARACTERS = 4096
# Set by us, or a credential, which comes from a secret and never stands in a definition.
NOT_GIVEN = (
    "host|content-length|transfer-encoding|connection|upgrade|te|trailer|expect|accept-encoding|cookie|"
    "authorization|proxy-.*|idempotency-key"
)


class Http(ChildAction):
    name = "http"
    summary = "Sends one HTTP request and checks the answer."
    inherits = egress.INHERITS
    schema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["url"],
        "not": {"required": ["body", "json"]},
        "properties": {
            "url": {
                "type": "string",
                "pattern": f"^{egress.URL}$(?!\\n)",
                "maxLength": 2048,
                "description": "http or https, without name, password or fragment",
            },
            "query": {
                "type": "object",
                "maxProperties": 50,
                "propertyNames": {"pattern": "^[\\x21-\\x7e]{1,100}$(?!\\n)"},
                "additionalProperties": {"type": ["string", "integer", "boolean"], "maxLength": 2000},
                "description": "added to the address, encoded",
            },
            "method": {
                "enum": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
                "description": "`GET` unless given; a step with `GET` or `HEAD` is `read_only` by default",
            },
            "headers": {
                "type": "object",
                "maxProperties": 50,
                "propertyNames": {
                    "pattern": f"^(?i:(?!({NOT_GIVEN})$)[!#$%&'*+.^_`|~0-9a-z-]{{1,100}})$(?!\\n)"
                },
                "additionalProperties": {
                    "type": "string",
                    "pattern": "^[\\x20-\\x7e]*$(?!\\n)",
                    "maxLength": 4000,
                },
                "description": "not those that carry a credential: see `auth`",
            },
            "auth": {
                "type": "object",
                "additionalProperties": False,
                "minProperties": 1,
                "maxProperties": 1,
                "description": "one of these; each names a secret of the step",
                "properties": {
                    "bearer": SECRET,
                    "basic": {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["user", "password"],
                        "properties": {
                            "user": {"type": "string", "pattern": "^[^:\\x00-\\x1f]{1,200}$(?!\\n)"},
                            "password": SECRET,
                        },
                    },
                    "header": {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["name", "value"],
                        "properties": {
                            "name": {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9-]{0,99}$(?!\\n)"},
                            "value": SECRET,
                        },
                    },
                },
            },
            "body": {"type": "string", "maxLength": 1_000_000},
            "json": {"description": "sent as JSON; not together with `body`"},
            "expect": {
                "anyOf": [
                    {"type": "integer", "minimum": 100, "maximum": 599},
                    {
                        "type": "array",
                        "minItems": 1,
                        "maxItems": 50,
                        "items": {"type": "integer", "minimum": 100, "maximum": 599},
                    },
                ],
                "description": "the status, or several; 200 unless given",
            },
            "contains": {"type": "string", "maxLength": 1000, "description": "a text that the answer holds"},
            "outputs": {
                "type": "object",
                "maxProperties": 20,
                "propertyNames": {"pattern": "^(?!status$)[a-z][a-z0-9_]{0,63}$(?!\\n)"},
                "additionalProperties": {
                    "type": "string",
                    "pattern": "^(/[^/]*)+$(?!\\n)",
                    "maxLength": 500,
                },
                "description": "values of the JSON answer by their JSON pointer; each a text, a whole number or true or"
                " false",
            },
            "follow": {
                "type": "integer",
                "minimum": 0,
                "maximum": 5,
                "description": "redirects of a `GET` or `HEAD` that are followed, each judged anew; 0 unless given",
            },
            "timeout": {
                "type": "integer",
                "minimum": 1,
                "maximum": 600,
                "description": "seconds for one answer; 30 unless given",
            },
        },
    }

    def effect_of(self, with_: Mapping[str, Any]) -> Effect:
        return "read_only" if with_.get("method", "GET") in READ_ONLY else "at_most_once"

    def run(self, context: Context) -> Result:
        given = context.with_
        place = egress.place(_with_query(given["url"], given.get("query", {})))
        plain, secret = _headers(given, context), _credential(given.get("auth", {}), context)
        answer = _ask(given, place, plain, secret, context)
        return _judge(given, answer, context)


def _with_query(url: str, query: Mapping[str, Any]) -> str:
    if not query:
        return url
    pairs = [f"{quote_plus(name)}={quote_plus(_text(value))}" for name, value in query.items()]
    return url + ("&" if "?" in url else "?") + "&".join(pairs)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _headers(given: Mapping[str, Any], context: Context) -> dict[str, str]:
    usual = {"Accept": "*/*", "Content-Type": "application/json"} if "json" in given else {"Accept": "*/*"}
    own = {name.lower() for name in given.get("headers", {})}
    kept = {name: value for name, value in usual.items() if name.lower() not in own}
    return {**kept, **given.get("headers", {}), "Idempotency-Key": context.idempotency_key}


def _credential(auth: Mapping[str, Any], context: Context) -> dict[str, str]:
    """The one header that holds a secret; it goes to the place that the step names and to no other."""
    if "bearer" in auth:
        return web.bearer(auth["bearer"], context)
    if "header" in auth:
        name = auth["header"]["value"]
        return {auth["header"]["name"]: web.fit(name, context)}
    if "basic" in auth:
        return web.basic(auth["basic"]["user"], auth["basic"]["password"], context)
    return {}


def _ask(
    given: Mapping[str, Any],
    place: egress.Place,
    plain: Mapping[str, str],
    secret: Mapping[str, str],
    context: Context,
) -> web.Answer:
    """The answer, after the redirects that the step allows."""
    method, left, first = given.get("method", "GET"), given.get("follow", 0), place
    body = json.dumps(given["json"]).encode() if "json" in given else given.get("body", "").encode()
    while True:
        context.say(f"{method} {place}")
        headers = {**plain, **(secret if place.origin == first.origin else {})}
        answer = web.send(
            context,
            method,
            place,
            headers=headers,
            body=body,
            seconds=given.get("timeout", web.ANSWER_SECONDS),
        )
        context.say(f"status {answer.status}")
        if not left or answer.status not in MOVED or "location" not in answer.headers:
            return answer
        left -= 1
        place = _next(method, place, answer.headers["location"])


def _next(method: str, place: egress.Place, location: str) -> egress.Place:
    if method not in READ_ONLY:
        raise Failed(f"{place.authority} answers a {method} with a redirect, which is not followed.")
    following = egress.place(urljoin(str(place), location).partition("#")[0])
    if (place.scheme, following.scheme) == ("https", "http"):
        raise egress.PlaceRefused(f"{place.authority} sends on to http; it was not followed.")
    return following


def _judge(given: Mapping[str, Any], answer: web.Answer, context: Context) -> Result:
    text, status = answer.text, answer.status
    context.say(text[:SHOWN_CHARACTERS])
    expected = given.get("expect", 200)
    allowed = expected if isinstance(expected, list) else [expected]
    if status not in allowed:
        return _not(f"Status {status}, not {' or '.join(map(str, allowed))}.", status)
    if given.get("contains", "") not in text:
        return _not(f"The answer does not contain {given['contains']!r}.", status)
    wanted = given.get("outputs", {})
    whole = answer.json() if wanted else None
    found = {name: _value(whole, pointer) for name, pointer in wanted.items()}
    return Result(succeeded=True, outputs={**found, "status": status})


def _not(reason: str, status: int) -> Result:
    return Result(succeeded=False, reason=reason, outputs={"status": status})


def _value(whole: Any, pointer: str) -> str | int | bool:
    """What stands at a JSON pointer (RFC 6901): a text, a whole number, true or false."""
    found = whole
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict) and key in found:
            found = found[key]
        elif isinstance(found, list) and re.fullmatch(r"0|[1-9][0-9]{0,8}", key) and int(key) < len(found):
            found = found[int(key)]
        else:
            raise web.NotUnderstood(f"The answer has nothing at {pointer}.")
    if not isinstance(found, str | int | bool):
        raise web.NotUnderstood(f"What stands at {pointer} is no text, whole number, true or false.")
    if len(str(found)) > OUTPUT_CHARACTERS:
        raise web.NotUnderstood(f"What stands at {pointer} is longer than {OUTPUT_CHARACTERS} characters.")
    return found
