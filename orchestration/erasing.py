"""Erases what people typed: the openings of entries, and every copy that the tables of the product keep of them.

The log stays as it is. It must never erase a text while something that was agreed to with it may still start.
"""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from django.db import transaction

from accounts.models import User
from approvals.models import Chain, Permit, SignOff
from audit.canonical import parse
from audit.ledger import openings
from audit.ledger.entry import Actor
from audit.ledger.openings import Erasure
from audit.ledger.personal import ERASED
from audit.models import Entry, Leaf, Opening
from audit.refusals import NotFound, Refusal
from orchestration import lifecycle
from orchestration.models import Change, Comment, Conclusion, Run, RunEvent, Step, StepAttempt

TOO_FEW = 2  # people who have to agree


class TextHeld(Refusal):
    """What was typed belongs to something that is not over."""

    code = "text_held"


class TooFewAgreed(Refusal):
    """To erase something takes two people beside the one who asks."""

    code = "too_few_agreed"


def found(numbers: list[int]) -> list[Entry]:
    """The entries of these places of the log; NotFound when one has no text left."""
    leaves = {one.index: one.entry for one in Leaf.objects.select_related("entry").filter(index__in=numbers)}
    streams = [entry.stream for entry in leaves.values()]
    left = set(Opening.objects.filter(entry__stream__in=streams).values_list("entry__stream", flat=True))
    for number in numbers:
        if number not in leaves or leaves[number].stream not in left:
            raise NotFound(f"Entry {number} has no text that could be erased, or none any more.")
    return [leaves[number] for number in numbers]


def check(entries: list[Entry]) -> None:
    """TextHeld when one of them belongs to something that is not over."""
    streams = {entry.stream for entry in entries}
    if User.objects.filter(pk__in=streams).exists():
        raise TextHeld(
            "Nothing was erased: a name is erased by the act privacy-name, with its own conditions."
        )
    going = [run for run in Run.objects.filter(pk__in=streams) if not lifecycle.is_terminal(run.state)]
    going += [
        one.run for one in Step.objects.filter(pk__in=streams) if not lifecycle.is_terminal(one.run.state)
    ]
    if going:
        raise TextHeld(f"Nothing was erased: {going[0].key} has not ended. Ask again when it has.")
    alive = SignOff.objects.filter(pk__in=streams, chain__state__in=[Chain.State.OPEN, Chain.State.COMPLETE])
    started = Permit.objects.values("chain")
    if alive.exclude(chain__in=started).exists():
        raise TextHeld("Nothing was erased: what was signed off with this comment may still start.")


@transaction.atomic
def erase(numbers: list[int], why: Erasure, *, by: Actor) -> None:
    """The writer of the governed act `privacy.texts`: all that was typed about the same things, wherever it stands."""
    entries = found(numbers)
    check(entries)
    for entry in {one.stream: one for one in entries}.values():
        typed = list(Opening.objects.filter(entry__stream=entry.stream).values_list("value", flat=True))
        for one in Entry.objects.filter(stream=entry.stream):
            COPIES.get(one.kind.partition(".")[0], _nowhere)(one, parse(bytes(one.body))["data"], typed)
        openings.erase(entry.stream, why, subject=entry.subject, by=by)


def agreed(change: Change) -> list[str]:
    """The persons whose sign-offs the gate counted when it let this start; TooFewAgreed below two."""
    run = change.runs.applying().exclude(permit=None).order_by("-number").select_related("permit").first()
    counted = parse(bytes(run.permit.document))["sign_offs"] if run and run.permit else []
    persons = sorted({str(one.person_id) for one in SignOff.objects.filter(pk__in=counted) if one.approves})
    if len(persons) < TOO_FEW:
        raise TooFewAgreed(f"Nothing was erased: {TOO_FEW} people have to agree, and {len(persons)} did.")
    return persons


def authors(entries: list[Entry]) -> frozenset[UUID]:
    """The accounts that typed it, and so never agree that it is erased."""
    actors = {entry.actor for entry in entries if ":" not in entry.actor}
    return frozenset(User.objects.filter(pk__in=actors).values_list("pk", flat=True))


Copy = Callable[[Entry, Mapping[str, Any], list[str]], None]


def _nowhere(_entry: Entry, _said: Mapping[str, Any], _typed: list[str]) -> None:
    """Its only copy is in its row, if it has one."""


def _comment(_entry: Entry, said: Mapping[str, Any], _typed: list[str]) -> None:
    if "comment" in said:
        Comment.objects.filter(pk=said["comment"]).update(text=ERASED)


def _conclusion(entry: Entry, said: Mapping[str, Any], _typed: list[str]) -> None:
    Conclusion.objects.filter(review=entry.stream, person=said.get("person")).update(text=ERASED)


def _run(entry: Entry, _said: Mapping[str, Any], typed: list[str]) -> None:
    _live(RunEvent.objects.filter(run=entry.stream, payload__reason__in=typed))


def _step(entry: Entry, _said: Mapping[str, Any], typed: list[str]) -> None:
    StepAttempt.objects.filter(step=entry.stream, reason__in=typed).update(reason=ERASED)
    run = Step.objects.filter(pk=entry.stream).values("run")
    _live(RunEvent.objects.filter(run__in=run, payload__reason__in=typed))


def _live(events: Any) -> None:
    for one in events:
        one.payload = {**one.payload, "reason": ERASED}
        one.save(update_fields=["payload"])


COPIES: dict[str, Copy] = {"change": _comment, "review": _conclusion, "run": _run, "step": _step}
