"""What a bundle of a sample holds besides the log: which items were drawn, and a proof of each (C2SP tlog-proof)."""

from collections.abc import Iterator, Mapping
from uuid import UUID

from audit.canonical import canonical, parse
from audit.ledger import proofs
from audit.models import Checkpoint, Export, Leaf, Sample
from audit.refusals import Invalid, MoveNotAllowed
from audit.reports import samples

NAME = "sample.json"
FIRST = 60  # characters of an id that are told back


def check(kind: str, asked: Mapping[str, str], signed: Checkpoint, *, undone: str) -> None:
    """Invalid unless this is a bundle of the whole log and a drawn sample; MoveNotAllowed before that is sealed."""
    if kind != Export.Format.BUNDLE:
        raise _fault(undone, "/sample", "only an evidence bundle holds the proofs of a sample.")
    for name in ("from", "to", "environment", "framework"):
        if asked[name]:
            raise _fault(undone, f"/{name}", f"a bundle of a sample holds the whole log; leave {name} empty.")
    sample = _drawn(asked["sample"])
    if sample is None:
        raise _fault(undone, "/sample", f"no sample {asked['sample'][:FIRST]!a} was drawn.")
    if _indexes(sample, signed.size) is None:
        raise MoveNotAllowed(
            f"{undone}: no checkpoint covers the draw of this sample yet. Try again in a few seconds."
        )


def members(asked: Mapping[str, str], signed: Checkpoint) -> Iterator[tuple[str, Iterator[bytes]]]:
    """The files; none where no sample was asked for."""
    sample = _drawn(asked.get("sample", ""))
    if sample is None:
        return
    indexes = _indexes(sample, signed.size) or []
    drawn_with = samples.drawn_with(sample)
    about = {
        "v": 1, "sample": str(sample.pk), "control": sample.control, "checkpoint": drawn_with.note, "indexes": indexes,
    }  # fmt: skip
    yield NAME, iter([canonical(about)])
    places = sorted({index for index in indexes if index is not None})
    for index, text in proofs.of_places(places, under=signed, node=proofs.reader()).items():
        yield f"proofs/{index}.tlog-proof", iter([text.encode()])


def _drawn(key: str) -> Sample | None:
    try:
        return Sample.objects.exclude(drawn_at=None).filter(pk=UUID(key)).first() if key else None
    except ValueError:
        return None


def _indexes(sample: Sample, size: int) -> list[int | None] | None:
    """The places in the log of its items, as the entry of the draw has them; None before that is sealed."""
    told = Leaf.objects.filter(kind="sample.drawn", subject=sample.control, index__lt=size)
    for body in told.order_by("-index").values_list("entry__body", flat=True).iterator(chunk_size=100):
        data = parse(bytes(body))["data"]
        if data["sample"] == str(sample.pk):
            indexes: list[int | None] = data["indexes"]
            return indexes
    return None


def _fault(undone: str, pointer: str, words: str) -> Invalid:
    return Invalid(f"{undone}: {words}", errors=[{"pointer": pointer, "detail": words.capitalize()}])
