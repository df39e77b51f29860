"""Samples that neither side can steer.

The auditor fixes a nonce by its SHA-256 before the root exists that the draw will use; the server fixes that root, of
the first checkpoint over this request, before it needs to know the nonce. The seed is SHA-256(root ‖ test ‖ nonce); the
items whose SHA-256(seed ‖ place) is smallest are drawn, so that anybody repeats it.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from audit.access import may_read
from audit.canonical import digest
from audit.controls.catalogue import controls
from audit.controls.evaluate import Tested, evaluate
from audit.ledger import checkpoint, proofs
from audit.ledger.entry import Actor
from audit.ledger.record import record
from audit.models import Checkpoint, Entry, Leaf, Sample
from audit.refusals import Invalid, MoveNotAllowed, NotAllowed, NotFound
from audit.reports.controls import scope
from audit.reports.material import JUDGED

MOST = 500
SHORTEST, LONGEST = 8, 200  # characters of a nonce
ASKED = ("from", "to", "environment")
MARKS = {"agrees": "Agrees", "differs": "Differs"}
UNDONE = "No sample was asked for"
DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


def ask(key: str, form: Mapping[str, str], *, by: Actor) -> Sample:
    """Ask for a sample; its nonce comes with it, or only its SHA-256 and the nonce when it is drawn."""
    chosen = controls().get(key)
    if chosen is None:
        raise _fault(
            UNDONE, "control", "Choose a control test." if not key else "There is no such control test."
        )
    asked = read(form)
    wanted, (commitment, nonce) = _wanted(str(form.get("size") or "")), _committed(form)
    made = Sample(
        control=chosen.id, asked=asked, wanted=wanted, commitment=commitment, nonce=nonce, actor=by.id
    )
    with transaction.atomic():
        made.entry = record(
            "sample.asked", of=None, subject=chosen.id, actor=by, sample=str(made.pk), control=chosen.id,
            definition=chosen.digest, wanted=wanted, scope=asked, commitment=commitment,
        )  # fmt: skip
        made.save()
    return made


def read(form: Mapping[str, str]) -> dict[str, str]:
    """What the population is, as it is kept; Invalid when it cannot be read."""
    if form.get("control") and form["control"] not in controls():
        raise _fault(UNDONE, "control", f"There is no control test {form['control']!a:.20}.")
    asked = {name: str(form.get(name) or "") for name in ASKED}
    scope(asked, undone=UNDONE, under=checkpoint.latest())
    return asked


def _wanted(size: str) -> int:
    if not (size.isascii() and size.isdigit() and 0 < int(size[:6]) <= MOST):
        raise _fault(UNDONE, "size", f"The number of items is one from 1 to {MOST}.")
    return int(size)


def _committed(form: Mapping[str, str]) -> tuple[str, str]:
    """The SHA-256 and the nonce, which stays unknown where only the former was told."""
    nonce, told = str(form.get("nonce") or ""), str(form.get("commitment") or "")
    if bool(nonce) == bool(told) or (told and not DIGEST.fullmatch(told)):
        raise _fault(UNDONE, "nonce", "Give a nonce, or only its SHA-256 as 64 hexadecimal digits.")
    if nonce and not SHORTEST <= len(nonce) <= LONGEST:
        raise _fault(UNDONE, "nonce", f"A nonce has {SHORTEST} to {LONGEST} characters.")
    return (told or hashlib.sha256(nonce.encode()).hexdigest()), nonce


def visible(user: Any) -> QuerySet[Sample]:
    """For every reader of the log: both sides see what was drawn."""
    return Sample.objects.all() if may_read(user) else Sample.objects.none()


def get(key: UUID, *, user: Any) -> Sample:
    found = visible(user).filter(pk=key).first()
    if found is None:
        raise NotFound("There is no such sample.")
    return found


def sealed_by(sample: Sample) -> Checkpoint | None:
    """The first checkpoint over the entry that asked for it; none yet for some seconds."""
    leaf = Leaf.objects.filter(entry=sample.entry_id).first()
    if leaf is None:
        return None
    return Checkpoint.objects.filter(size__gt=leaf.index).order_by("size").first()


def drawn_with(sample: Sample) -> Checkpoint:
    """The checkpoint whose root decided, once it was drawn."""
    return Checkpoint.objects.get(size=sample.checkpoint_size or 0)


def draw(sample: Sample, nonce: str, *, by: Actor) -> Sample:
    """Draw it, once. The nonce must be the one that was fixed."""
    _check_mine(sample, by)
    nonce = sample.nonce or nonce
    signed = sealed_by(sample)
    if signed is None:
        raise MoveNotAllowed(
            "Nothing was drawn: no checkpoint covers the request yet. Try again in a few seconds."
        )
    if hashlib.sha256(nonce.encode()).hexdigest() != sample.commitment:
        words = "This is not the nonce that was fixed when the sample was asked for."
        raise _fault("Nothing was drawn", "nonce", words)
    tested = _tested(sample, signed)
    seed = seed_of(bytes(signed.root), sample.control, nonce)
    places = choose(seed, tested.population, sample.wanted)
    with transaction.atomic():
        drawn = Sample.objects.filter(pk=sample.pk, drawn_at=None).update(
            nonce=nonce, checkpoint_size=signed.size, seed=seed.hex(), population=tested.population, places=places,
            drawn_at=Now(),
        )  # fmt: skip
        if not drawn:
            raise MoveNotAllowed("This sample was drawn already, and is never drawn twice.")
        record(
            "sample.drawn", of=None, subject=sample.control, actor=by, sample=str(sample.pk), control=sample.control,
            definition=tested.control.digest, size=signed.size, root=bytes(signed.root).hex(), nonce=nonce,
            seed=seed.hex(), population=tested.population, population_digest=population_digest(tested),
            places=places, indexes=[tested.rows[place].get("index") for place in places],
        )  # fmt: skip
    sample.refresh_from_db()
    return sample


def seed_of(root: bytes, control: str, nonce: str) -> bytes:
    """What decides which items are drawn."""
    return hashlib.sha256(root + control.encode() + nonce.encode()).digest()


def choose(seed: bytes, population: int, wanted: int) -> list[int]:
    """The places of the items that are drawn, in the order of the population."""

    def rank(place: int) -> bytes:
        return hashlib.sha256(seed + place.to_bytes(8, "big")).digest()

    return sorted(sorted(range(population), key=rank)[:wanted])


def rows(sample: Sample) -> list[tuple[int, dict[str, Any]]]:
    """The evidence of each item that was drawn, with its place; as it was under the checkpoint of the draw."""
    if sample.drawn_at is None:
        return []
    tested = _tested(sample, drawn_with(sample))
    return [(place, tested.rows[place]) for place in sample.places]


def proof(sample: Sample, place: int) -> tuple[int, str]:
    """The place in the log of an item that was drawn, and a .tlog-proof of it under the checkpoint of the draw."""
    index = next((row.get("index") for at, row in rows(sample) if at == place), None)
    if index is None:
        raise NotFound("No item was drawn at this place.")
    return index, proofs.of_entry(Entry.objects.get(leaf__index=index), under=drawn_with(sample)).text()


def mark(sample: Sample, place: str, found: str, *, by: Actor) -> None:
    """What whoever drew it found when looking at an item for themselves; each mark is an entry."""
    _check_mine(sample, by)
    if place not in {str(one) for one in sample.places}:
        raise _fault("Nothing was marked", "place", "This is not the place of an item that was drawn.")
    if found not in MARKS:
        raise _fault("Nothing was marked", "mark", f"A mark is one of {', '.join(MARKS)}.")
    with transaction.atomic():
        held = Sample.objects.select_for_update().get(pk=sample.pk)
        Sample.objects.filter(pk=sample.pk).update(marks={**held.marks, place: found})
        record(
            "sample.marked", of=None, subject=sample.control, actor=by, sample=str(sample.pk), place=int(place),
            mark=found,
        )  # fmt: skip


def _fault(undone: str, field: str, words: str) -> Invalid:
    return Invalid(f"{undone}. {words}", errors=[{"pointer": f"/{field}", "detail": words}])


def _check_mine(sample: Sample, by: Actor) -> None:
    if sample.actor != by.id:
        raise NotAllowed("Only whoever asked for this sample draws and marks it; nothing was done.")


def _tested(sample: Sample, signed: Checkpoint) -> Tested:
    return evaluate(signed, scope(sample.asked, undone="Nothing was drawn")).of(sample.control)


def population_digest(tested: Tested) -> str:
    """Of the items in their order, whatever a test found about them."""
    items = [{name: value for name, value in row.items() if name not in JUDGED} for row in tested.rows]
    return digest("countersign/population/v1", items)
