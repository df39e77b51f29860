"""An entry in words: what its sealed bytes say, for a list, a page or a cell. Reads no table but that of names."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from audit import search
from audit.canonical import NotCanonical, parse
from audit.ledger.personal import ERASED
from audit.models import Leaf
from audit.names import Names

# What a reader asks first, in this order; everything else is on the entry's own page.
FIRST = (
    "was",
    "decision",
    "stage_name",
    "environment",
    "code",
    "attempted",
    "step",
    "attempt",
    "exit_code",
    "name",
)
ID = re.compile(r"([0-9a-f]{8})(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
WENT_TO = re.compile(  # what has a page of its own; the floor above knows where
    r"(CHG|RUN)-[1-9][0-9]*|CT-[0-9]{2}|(team|workflow):[a-z0-9_-]+|account:[0-9a-f-]{36}|ledger", re.ASCII
)
DECISIONS = ("decision", "policy_decision")  # ids of decisions of a policy, which have pages too
SHOWN = 3
LENGTH = 90


@dataclass(frozen=True)
class Told:
    """One entry as the list shows it."""

    index: int
    kind: str
    words: str
    state: str
    at: datetime
    actor: str
    actor_kind: str
    subject: str
    url: str
    has_page: bool
    detail: str


def told(leaf: Leaf, names: Names) -> Told:
    """An entry of the list; one whose bytes cannot be read says so and is still listed."""
    entry = leaf.entry
    said = sealed(leaf)
    kind, subject = str(said.get("type", entry.kind)), str(said.get("subject", entry.subject))
    actor = said.get("actor", {"id": entry.actor, "kind": ""})
    return Told(
        index=leaf.index,
        kind=kind,
        words=in_words(kind),
        state=kind.rpartition(".")[2],
        at=entry.occurred_at,
        actor=called(names, actor["id"], entry.occurred_at),
        actor_kind=actor["kind"],
        subject=short(subject),
        url=where(subject),
        has_page=WENT_TO.fullmatch(subject) is not None,
        detail=summary(said["data"]) if said else "Its bytes cannot be read: see its page.",
    )


def sealed(leaf: Leaf) -> dict[str, Any]:
    """What the sealed bytes say; empty when they are not an entry."""
    try:
        said = parse(bytes(leaf.entry.body))
    except NotCanonical:
        return {}
    return said if isinstance(said, dict) else {}


def where(subject: str) -> str:
    """To what an entry tells about; to all entries of it, where it has no page."""
    if WENT_TO.fullmatch(subject):
        return f"/go/{subject}/"
    return f"/audit/?{urlencode({'q': search.spell([search.Term('subject', subject)])})}"


def way(name: str, value: Any) -> str:
    """To what a fact of an entry names by its id or key."""
    if not isinstance(value, str):
        return ""
    named = WENT_TO.fullmatch(value) or (name in DECISIONS and ID.fullmatch(value))
    return f"/go/{value}/" if named else ""


def short(text: str) -> str:
    """A name that holds an id, with its first digits only; the entry's own page shows it whole."""
    return ID.sub(r"\1…", text)


def called(names: Names, actor: str, at: datetime) -> str:
    """By name, or by the id where there is none, with a word on why."""
    name = names.both(actor, at)
    return name if name not in ("", ERASED) else f"{short(actor)} {name}".strip()


def in_words(kind: str) -> str:
    """`sign_off.given` as "Sign-off given"."""
    noun, _, verb = kind.partition(".")
    noun = noun.replace("sign_off", "sign-off").replace("_", " ")
    return f"{noun.capitalize()} {verb.replace('_', ' ')}".strip()


def summary(data: Mapping[str, Any]) -> str:
    """The few facts of an entry that fit into a line."""
    facts = [(name, data[name]) for name in FIRST if data.get(name) not in (None, "")]
    text = ", ".join(
        f"{name.removesuffix('_name').replace('_', ' ')} {value}" for name, value in facts[:SHOWN]
    )
    return text if len(text) <= LENGTH else text[: LENGTH - 1] + "…"


def names_of(leaves: Iterable[Leaf]) -> Names:
    """The names that belong to the pseudonyms of these entries, as far as they were not erased."""
    return Names(leaf.entry.actor for leaf in leaves)
