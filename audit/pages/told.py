"""An entry in words: what its sealed bytes say, for a list, a page or a cell. Reads no table."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from audit.canonical import NotCanonical, parse
from audit.models import ActorName, Leaf

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
WENT_TO = re.compile(r"(CHG|RUN)-[1-9][0-9]*", re.ASCII)
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
    detail: str


def told(leaf: Leaf, names: Mapping[str, str]) -> Told:
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
        actor=names.get(actor["id"]) or short(actor["id"]),
        actor_kind=actor["kind"],
        subject=short(subject),
        url=f"/go/{subject}/" if WENT_TO.fullmatch(subject) else "",
        detail=summary(said["data"]) if said else "Its bytes cannot be read: see its page.",
    )


def sealed(leaf: Leaf) -> dict[str, Any]:
    """What the sealed bytes say; empty when they are not an entry."""
    try:
        said = parse(bytes(leaf.entry.body))
    except NotCanonical:
        return {}
    return said if isinstance(said, dict) else {}


def short(text: str) -> str:
    """A name that holds an id, with its first digits only; the entry's own page shows it whole."""
    return ID.sub(r"\1…", text)


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


def names_of(leaves: Iterable[Leaf]) -> dict[str, str]:
    """The names that belong to the pseudonyms of these entries, as far as they were not erased."""
    actors = {leaf.entry.actor for leaf in leaves}
    return dict(ActorName.objects.filter(actor__in=actors).values_list("actor", "name"))
