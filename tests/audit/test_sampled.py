"""A bundle of a sample: it is drawn again and each item proved, without us; what was changed or is missing is said."""

import io
import json
import zipfile

import pytest

from audit.canonical import canonical
from audit.ledger import checkpoint, pack
from audit.ledger.entry import Actor
from audit.ledger.proofs import of_entry
from audit.models import Checkpoint, Export, Leaf
from audit.refusals import Invalid, MoveNotAllowed
from audit.reports import exports, samples
from tests.audit.log import sequence, write
from tests.audit.offline import check
from tests.audit.reported import ROGUE, Reported

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("own_key")]
NONCE = "four words of mine"


@pytest.fixture
def world():
    return Reported()


@pytest.fixture
def by(world):
    return Actor(str(world.petra.pk), "person", "session")


@pytest.fixture
def drawn(world, by):
    """Three of five executions."""
    for number in range(3):
        write(1, kind="run.running", **{**ROGUE, "run": f"RUN-{number}"})
    sequence()
    one = samples.ask("CT-01", {"size": "3", "nonce": NONCE}, by=by)
    sequence()
    write(1)
    return samples.draw(one, "", by=by)


@pytest.fixture
def bundle(drawn, by):
    """The members of a bundle of that sample, in their order."""
    return bundled(drawn, by)


def bundled(sample, by):
    sequence()
    asked = exports.ask({"format": "bundle", "sample": str(sample.pk)}, by=by)
    exports.work(asked.pk)
    made = Export.objects.get(pk=asked.pk)
    assert made.state == "done", made.problem
    with zipfile.ZipFile(io.BytesIO(b"".join(exports.hand_out(made, by=by)))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture
def judged(capsys, tmp_path):
    def judge(members):
        with (tmp_path / "log.zip").open("wb") as file:
            pack.write(file, ((name, [data]) for name, data in members.items()))
        return check(capsys, "bundle", tmp_path / "log.zip", "--key", checkpoint.verifier())

    return judge


def proofs(members):
    return [name for name in members if name.startswith("proofs/")]


def test_the_bundle_draws_again_and_proves_each_item(bundle, drawn, judged):
    indexes = [row["index"] for _, row in samples.rows(drawn)]
    assert proofs(bundle) == [f"proofs/{one}.tlog-proof" for one in indexes]
    code, said = judged(bundle)
    assert code == 0, said
    assert (
        "the sample of CT-01: anybody draws the same 3 of 5 items, and the log holds the entry of each"
        in said
    )
    assert "the population of the sample" in said.partition("Not checked")[2]


def about(**told):
    return lambda members: {
        **members, "sample.json": canonical({**json.loads(members["sample.json"]), **told})
    }  # fmt: skip


def swapped(members):
    first, second, _ = proofs(members)
    return {**members, first: members[second], second: members[first]}


def flipped(members):
    """A hash in the middle of a proof is another one."""
    first = proofs(members)[0]
    lines = members[first].split(b"\n")
    lines[3] = lines[4]
    return {**members, first: b"\n".join(lines)}


def older(members):
    """A true proof, of the same entry, under an older checkpoint."""
    first = proofs(members)[0]
    index = int(first.split("/")[1].split(".")[0])
    entry = Leaf.objects.get(index=index).entry
    old = Checkpoint.objects.filter(size__gt=index).order_by("size")[0]
    return {**members, first: of_entry(entry, under=old).text().encode()}


def without(which):
    return lambda members: {name: data for name, data in members.items() if name != which(members)}


CHANGES = {
    "two proofs in each other's place": (swapped, 1, "is of another entry or checkpoint"),
    "a hash of a proof": (flipped, 1, "does not lead from its entry to the checkpoint"),
    "a proof under an older checkpoint": (older, 1, "is of another entry or checkpoint"),
    "a proof more": (lambda members: {**members, "proofs/0.tlog-proof": b""}, 1, "does not hold exactly"),
    "a proof less": (without(lambda members: proofs(members)[1]), 2, "the proof of an item of its sample"),
    "other items": (about(indexes=[0, 1, 2]), 2, "has no proofs/0.tlog-proof"),
    "an item that is none": (about(indexes=["0"]), 1, "names something that is no entry"),
    "another control test": (about(control="CT-02"), 1, "names other items than were drawn"),
    "another sample": (about(sample="another"), 2, "leaves out entries of its sample"),
    "nothing about it": (lambda members: {**members, "sample.json": b"{}"}, 1, "exactly the fields"),
    "proofs alone": (without(lambda _: "sample.json"), 1, "does not hold exactly"),
}


def test_what_was_changed_is_found_and_what_is_missing_is_named(bundle, judged):
    for name, (change, code, words) in CHANGES.items():
        answer, said = judged(change(bundle))
        assert (answer, words in said) == (code, True), f"{name}: {said}"
    gone = proofs(bundle)[1]
    assert gone in judged(without(lambda _: gone)(bundle))[1]


def test_whoever_drew_with_a_later_root_or_other_items_is_found(drawn, by, judged, monkeypatch):
    """The server itself lied: its entry says another draw than root and nonce decide."""
    write(1)
    sequence()
    lied = samples.ask("CT-01", {"size": "1", "nonce": NONCE}, by=by)
    sequence()
    due = samples.choose
    monkeypatch.setattr(samples, "choose", lambda *asked: [1 - min(1, due(*asked)[0])])
    samples.draw(lied, "", by=by)
    code, said = judged(bundled(lied, by))
    assert (code, "other items were drawn than the root and the nonce decide" in said) == (1, True), said


def test_whoever_waited_for_a_root_that_suits_is_found(drawn, by, judged, monkeypatch):
    late = samples.ask("CT-01", {"size": "1", "nonce": NONCE}, by=by)
    for _ in range(2):
        write(1)
        sequence()
    monkeypatch.setattr(samples, "sealed_by", lambda _: checkpoint.latest())
    samples.draw(late, "", by=by)
    code, said = judged(bundled(late, by))
    assert (code, "a later checkpoint than the first over its request" in said) == (1, True), said


def test_only_a_whole_bundle_of_a_sealed_draw_is_made(drawn, by):
    key = str(drawn.pk)
    with pytest.raises(MoveNotAllowed, match="no checkpoint covers the draw"):
        exports.ask({"format": "bundle", "sample": key}, by=by)
    sequence()
    for form, where in (({"format": "csv", "sample": key}, "/sample"), ({"format": "bundle", "sample": "x"}, "/sample"),
                        ({"format": "bundle", "sample": key, "from": "2026-01-01"}, "/from")):  # fmt: skip
        with pytest.raises(Invalid) as refused:
            exports.ask(form, by=by)
        assert refused.value.errors[0]["pointer"] == where
    assert not Export.objects.exists()


def test_the_page_of_a_sample_asks_for_its_bundle_and_hands_out_each_proof(drawn, world):
    sequence()
    page = world.client().get(f"/compliance/samples/{drawn.pk}/").content.decode()
    assert f'name="sample" value="{drawn.pk}"' in page
    place = drawn.places[0]
    address = f"/compliance/samples/{drawn.pk}/{place}/proof"
    assert f'href="{address}"' in page
    answer = world.client().get(address)
    assert answer.content.startswith(b"c2sp.org/tlog-proof@v1\nindex ")
    assert f"\n{drawn.checkpoint_size}\n".encode() in answer.content
    assert world.client().get(f"/compliance/samples/{drawn.pk}/99/proof").status_code == 404
    sent = world.client().post("/compliance/exports/", {"format": "bundle", "sample": str(drawn.pk)})
    assert "with the proofs of a sample" in world.client().get(sent.headers["Location"]).content.decode()
