"""What an entry changed in the row that it tells about: each fact before and after, as the row's entries say it."""

from dataclasses import dataclass
from typing import Any

from audit.canonical import canonical
from audit.ledger import openings
from audit.models import Leaf
from audit.pages import told

READ = 200  # versions of a row before this one that are read for what was last said


@dataclass(frozen=True)
class Fact:
    """One fact; `state` is new, changed or same. `before` is empty where nothing was said yet."""

    name: str
    before: str
    after: str
    state: str
    url: str

    @property
    def words(self) -> str:
        return {"new": "said for the first time", "changed": "changed", "same": "as before"}[self.state]


def changes(leaf: Leaf) -> list[Fact]:
    """What this entry says, beside what the entries before it of the same row said last; what changed comes first."""
    said = told.sealed(leaf)
    known = _before(leaf)
    data = openings.data(leaf.entry) if said else {}
    facts = [_fact(name, known, value) for name, value in _facts(said, data).items()]
    return sorted(facts, key=lambda one: one.state == "same")


def _before(leaf: Leaf) -> dict[str, Any]:
    """Each fact as it was said last before this entry."""
    version = leaf.entry.stream_version
    if version == 1:
        return {}
    earlier = (
        Leaf.objects.select_related("entry")
        .filter(entry__stream=leaf.entry.stream, entry__stream_version__range=(version - READ, version - 1))
        .order_by("entry__stream_version")
    )
    known: dict[str, Any] = {}
    readable = [(one.entry, said) for one in earlier if (said := told.sealed(one))]
    data = openings.datas(entry for entry, _ in readable)
    for entry, said in readable:
        known |= _facts(said, data[entry.pk])
    return known


def _facts(said: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    """The data of an entry, with its texts, and the digest of the row as it was then."""
    state = said.get("state")
    return {**data, **({"row": state["digest"]} if state else {})}


def _fact(name: str, known: dict[str, Any], value: Any) -> Fact:
    after = _shown(value)
    before = _shown(known[name]) if name in known else ""
    state = "new" if name not in known else "same" if before == after else "changed"
    words = "digest of the row" if name == "row" else name.replace("_", " ")
    return Fact(words, before, after, state, told.way(name, value))


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "none"
    return value if isinstance(value, str) else canonical(value).decode()
