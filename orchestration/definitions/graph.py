"""The steps as a graph: every need names another step, and nothing needs itself, however far around. Pure."""

from collections.abc import Mapping, Sequence


def faults(needs: Mapping[str, Sequence[str]]) -> list[tuple[str, int, str]]:
    """(step, place of the need in its list, what is wrong), in the order of the steps."""
    wrong = [
        (
            step,
            place,
            f"{step} needs {name}, and there is no such step" if name != step else f"{step} needs itself",
        )
        for step, names in needs.items()
        for place, name in enumerate(names)
        if name not in needs or name == step
    ]
    return wrong or [
        (step, 0, f"{step} waits for itself: {' needs '.join(around)}") for step, around in _circle(needs)
    ]


def before(needs: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Every step that a step needs, directly or not, in the order of the steps; of a graph without faults."""
    found: dict[str, set[str]] = {}

    def walk(step: str) -> set[str]:
        way = [step]
        while way:  # no recursion: a chain may be longer than Python's stack
            at = way[-1]
            left = [name for name in needs[at] if name not in found]
            if left:
                way.extend(left)
            elif at in found:  # it was put on the way twice
                way.pop()
            else:
                found[way.pop()] = set(needs[at]).union(*(found[name] for name in needs[at]))
        return found[step]

    place = {step: number for number, step in enumerate(needs)}
    return {step: sorted(walk(step), key=place.__getitem__) for step in needs}


def _circle(needs: Mapping[str, Sequence[str]]) -> list[tuple[str, list[str]]]:
    """One way around, when there is one: what is left after everything that can run was taken away."""
    waits = {step: len(names) for step, names in needs.items()}
    behind: dict[str, list[str]] = {step: [] for step in needs}
    for step, names in needs.items():
        for name in names:
            behind[name].append(step)
    free = [step for step, count in waits.items() if not count]
    while free:
        for step in behind[free.pop()]:
            waits[step] -= 1
            if not waits[step]:
                free.append(step)
    left = {step for step, count in waits.items() if count}
    return [(first, _around(first, needs, left)) for first in [step for step in needs if step in left][:1]]


def _around(first: str, needs: Mapping[str, Sequence[str]], left: set[str]) -> list[str]:
    """Walk from need to need until a step comes again."""
    way, at = [], first
    while at not in way:
        way.append(at)
        at = next(name for name in needs[at] if name in left)
    return [*way[way.index(at) :], at]
