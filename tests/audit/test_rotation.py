"""Another key for the log: everybody can follow from the old one to the new one, and the old one dies."""

import base64
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from audit.canonical import parse
from audit.ledger import checkpoint, examine, rotation
from audit.ledger.note import gave_word
from audit.ledger.sequencer import Sequencer
from audit.models import Checkpoint, Entry
from tests.audit.log import as_insider, newest, write
from tests.audit.offline import check

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("own_key")]


class Product:
    """A log at work with its signer in this process; whoever waits has it go on."""

    def __init__(self, monkeypatch, tmp_path):
        self.folder = tmp_path
        self.keeper = checkpoint.keeper()
        monkeypatch.setattr(checkpoint, "ask", self.ask)
        monkeypatch.setattr(rotation, "pause", self.go_on)
        self.leader = Sequencer.start(self.ask)
        self.now = 0.0

    def ask(self, asked):
        return self.keeper.answer(dict(asked))

    def go_on(self, entries=0):
        if entries:
            write(entries)
        self.now += 10
        self.leader.step(now=self.now)

    def rotate(self, *more):
        out = StringIO()
        call_command("ledger", "rotate-key", *more, stdout=out)
        return out.getvalue()

    def trust(self, name):
        (self.folder / name).write_bytes(checkpoint.trust(0))
        return self.folder / name

    def checked(self, capsys, trust):
        call_command("ledger", "export", self.folder / "out", stdout=StringIO())
        return check(capsys, "export", self.folder / "out", "--trust", trust)


@pytest.fixture
def product(monkeypatch, tmp_path):
    made = Product(monkeypatch, tmp_path)
    made.go_on(3)
    return made


def lines(note):
    return note.partition("\n\n")[2].splitlines()


def test_g01_who_trusts_the_old_key_follows_to_the_new_one_and_the_old_one_signs_no_more(product, capsys):
    only_old = product.trust("only-old.json")
    old = product.keeper.memory.at(3)[0]
    stolen = product.keeper._load(old)  # by somebody who keeps it
    said = product.rotate()
    product.go_on()
    assert (len(lines(newest().note)), newest().size) == (2, 4)
    both = product.trust("both.json")
    assert [product.checked(capsys, one)[0] for one in (only_old, both)] == [0, 0]
    assert str(checkpoint.verifier()) in said

    said = product.rotate("--retire")
    product.go_on(1)
    assert f"{old} signs no log of 6 entries or more" in said
    assert [(one.begin, one.end) for one in product.keeper.memory.keys] == [(0, 6), (4, None)]
    assert (len(lines(newest().note)), newest().size) == (1, 6)
    assert not (product.folder / "signer" / f"{old.id.hex()}.key").exists()
    after = product.trust("after.json")
    assert [product.checked(capsys, one)[0] for one in (only_old, both, after)] == [0, 0, 0]
    assert examine.examine(checkpoint.keys()).findings == []

    # the thief of the retired key signs the newest head with it
    text = f"{old.name}\n6\n{base64.b64encode(bytes(newest().root)).decode()}\n"
    as_insider("UPDATE audit_checkpoint SET note = %s WHERE size = 6", stolen.sign(text))
    code, told = product.checked(capsys, after)
    assert (code, "not signed by a key that you trust at its size" in told) == (1, True)
    assert "does not sign a log of 6 entries" in examine.examine(checkpoint.keys()).findings[0].text


def test_each_step_is_an_entry_that_the_old_key_has_signed_for(product):
    old = checkpoint.verifier()
    product.rotate()
    product.rotate("--retire")
    told = [parse(bytes(one.body)) for one in Entry.objects.filter(kind__startswith="key.").order_by("id")]
    new = checkpoint.verifier()
    words = [one["data"].pop("signature") for one in told]
    assert [(one["type"], one["data"]) for one in told] == [
        ("key.added", {"key": str(new), "from": 4}),
        ("key.retired", {"key": str(old)}),
    ]
    assert gave_word("key.added", new, words[0], old)
    assert gave_word("key.retired", old, words[1], new)
    covering = Checkpoint.objects.filter(size__gt=Entry.objects.get(kind="key.retired").leaf.index).first()
    assert covering is not None
    assert checkpoint.read(covering.note, [old]).size == covering.size


def test_a_rotation_that_was_ended_half_way_goes_on_and_is_told_once(product):
    product.ask({"do": "add-key"})  # and the command died
    product.rotate()
    product.rotate()
    product.go_on()
    assert Entry.objects.filter(kind="key.added").count() == 1
    assert len(checkpoint.keys()) == 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rotation, "SEALED_SECONDS", 0)
        with pytest.raises(CommandError, match="Run it again"):
            product.rotate("--retire")
    assert product.keeper.memory.keys[0].end is None
    product.rotate("--retire")
    assert Entry.objects.filter(kind="key.retired").count() == 1
    with pytest.raises(CommandError, match="the log signs with one"):
        product.rotate("--retire")


def test_the_old_key_stays_until_the_new_one_has_signed(product):
    product.rotate()
    with pytest.raises(rotation.KeysStay, match="has signed nothing yet"):
        rotation._answer("retire-key")


def test_without_a_signer_the_keys_stay(settings, tmp_path):
    settings.SIGNER_SOCKET = tmp_path / "nobody.sock"
    with pytest.raises(CommandError, match="The keys are as they were: the signer does not answer"):
        call_command("ledger", "rotate-key")
    assert not Entry.objects.exists()
