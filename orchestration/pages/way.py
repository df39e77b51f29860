"""How the way through steps is shown: conditions, failures that are borne, verification, matrices folded with counts.

A page stays readable with a hundred members of a matrix. It must never decide what follows.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from math import prod
from typing import Any

from audit.templatetags.states import look
from orchestration.definitions import flow
from orchestration.models import Step

S = Step.State
FOLD_FROM = 6  # members of a matrix: as many are shown one by one, more as one with counts
# What a folded matrix is, as soon as one of its members is that.
FIRST = (S.FAILED, S.TIMED_OUT, S.UNKNOWN, S.RUNNING, S.READY, S.BLOCKED, S.CANCELLED, S.SKIPPED)


def notes(spec: Mapping[str, Any]) -> list[str]:
    """What was signed about a step's way, in words."""
    said = [f"only if {spec['when']}"] if spec.get("when") else []
    said += ["verifies what was done"] if spec.get("phase") == "verify" else []
    said += ["may fail without stopping the run"] if spec.get("continue_on_error") else []
    most = (spec.get("matrix") or {}).get("max_parallel")
    return [*said, *([f"at most {most} at a time"] if most else [])]


def kind(written: Mapping[str, Any]) -> str:
    """In the drawing of a definition: how many it becomes, whether it verifies, or what it uses."""
    if "matrix" in written:
        return f"{prod(map(len, written['matrix'].values()))} of {written['uses']}"
    if written.get("when"):
        return f"{written['uses']}, conditional"
    return "verifies" if written.get("phase") == "verify" else str(written["uses"])


def graph(nodes: Iterable[dict[str, Any]], specs: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The nodes for a drawing, each wide matrix as one."""
    folds = _folds(specs)
    drawn: dict[str, dict[str, Any]] = {}
    members: dict[str, list[dict[str, Any]]] = {}
    for node in nodes:
        group = folds.get(node["key"])
        needs = list(dict.fromkeys(folds.get(need, need) for need in node["needs"]))
        if group is None:
            drawn[node["key"]] = {**node, "needs": needs}
        else:
            members.setdefault(group, []).append(node)
            title = _title(group, node["title"], specs[node["key"]])
            drawn.setdefault(group, {**node, "key": group, "title": title, "needs": needs})
    for group, folded in members.items():
        drawn[group] |= _folded(folded)
    return list(drawn.values())


def rows(shown: Iterable[dict[str, Any]], specs: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows of a table, each wide matrix as one row that opens: `members`, with counts by state."""
    folds = _folds(specs)
    found: list[dict[str, Any]] = []
    groups: dict[str, dict[str, Any]] = {}
    for row in shown:
        group = folds.get(row["step"].key)
        if group is None:
            found.append(row)
        elif group in groups:
            groups[group]["members"].append(row)
        else:
            title = _title(group, row["step"].title, row["step"].spec)
            groups[group] = {"group": title, "members": [row], "notes": row["notes"]}
            found.append(groups[group])
    for one in groups.values():
        states = [S(row["step"].state) for row in one["members"]]
        one |= {"state": together(states), "counts": counts(states)}
    return found


def plan(planned: Iterable[dict[str, Any]], specs: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What will run, each wide matrix as one that opens to its members."""
    folds = _folds(specs)
    found: dict[str, dict[str, Any]] = {}
    for one in planned:
        group = folds.get(one["key"])
        if group is None:
            found[one["key"]] = one
        else:
            title = _title(group, one["title"], specs[one["key"]])
            of = {"key": group, "title": title, "omitted": False, "undo": None, "lines": []}
            found.setdefault(group, {**one, **of, "members": []})["members"].append(one)
    return list(found.values())


def together(states: Iterable[S]) -> S:
    """What a matrix is, seen as one."""
    seen = set(states)
    worst = next((state for state in FIRST if state in seen), None)
    return worst or (S.OMITTED if seen == {S.OMITTED} else S.SUCCEEDED)


def counts(states: Iterable[str]) -> str:
    """`97 succeeded, 2 running, 1 failed`."""
    return ", ".join(f"{count} {look(state).words.lower()}" for state, count in Counter(states).most_common())


def _folds(specs: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The members of wide matrices, each with the step that its author wrote."""
    of = {key: spec["matrix"]["step"] for key, spec in specs.items() if spec.get("matrix")}
    wide = {group for group, count in Counter(of.values()).items() if count > FOLD_FROM}
    return {key: group for key, group in of.items() if group in wide}


def _title(group: str, title: str, spec: Mapping[str, Any]) -> str:
    """What its author called the matrix: a member's title without its values."""
    told = flow.values_told(spec["matrix"]["values"].values())
    return title.removesuffix(f" ({told})") if title.endswith(f" ({told})") else group


def _folded(members: list[dict[str, Any]]) -> dict[str, Any]:
    states = [S(node["state"]) for node in members if node.get("state")]
    if not states:
        return {"note": f"{len(members)} steps", "url": ""}
    state = together(states)
    done = sum(one in {S.SUCCEEDED, S.OMITTED} for one in states)
    shown = next(
        node for node, one in zip(members, states, strict=True) if one == state or state == S.SUCCEEDED
    )
    failed = sum(one in {S.FAILED, S.TIMED_OUT} for one in states)
    note = f"{done} of {len(states)}" + (f", {failed} failed" if failed else "")
    return {"state": state, "note": note, "url": shown["url"]}
