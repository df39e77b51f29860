"""Who pinned the first key of a log follows it to each later one by the log's own word, and to no other."""

import base64
import random
import re
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import StringIO

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management import call_command
from django.test import Client

from approvals import known
from approvals import witness as worker
from audit import tasks, verify, witness
from audit.canonical import canonical, parse
from audit.ledger import checkpoint, cosigning, examine, note, proofs, succession, witnesses
from audit.models import Checkpoint, Entry
from audit.pages import integrity
from audit.reports import bundle
from tests.audit import witnesses as running
from tests.audit.log import TESTER, as_insider, newest, write
from tests.audit.offline import ORIGIN, Log, check, entry, flips
from tests.audit.test_rotation import Product

DATABASE = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("own_key")]


def database(test):
    for mark in DATABASE:
        test = mark(test)
    return test


@pytest.fixture
def product(monkeypatch, tmp_path):
    made = Product(monkeypatch, tmp_path)
    made.go_on(3)
    return made


def twice(product):
    """Two more keys, each of which is alone at last; the trust.json of before."""
    pinned = product.trust("pinned.json")
    for _ in range(2):
        product.rotate()
        product.go_on(2)
        product.rotate("--retire")
        product.go_on(2)
    assert checkpoint.verifier().end is None
    return pinned


def mirror(folder):
    """What anybody may fetch: `tiles` names those that are missing."""
    client = Client()
    folder.mkdir()
    for name in ("checkpoint", "keys"):
        (folder / name).write_bytes(client.get(f"/audit/log/{name}").content)
    return lambda name: fetched(client, folder, name)


def fetched(client, folder, name):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(client.get(f"/audit/log/{name}").content)


@database
def test_who_pinned_the_first_key_verifies_all_that_leaves_the_house_two_keys_later(
    product, capsys, settings
):
    pinned, out = twice(product), product.folder
    old = checkpoint.notes(newest().size)[0]
    late = {"from": str(Entry.objects.latest("id").occurred_at.isoformat())}
    for name, period in (("all", {}), ("late", late)):
        (out / f"{name}.zip").write_bytes(b"".join(bundle.take(period, by=TESTER).pieces()))
    call_command("ledger", "export", out / "export", stdout=StringIO())
    call_command("ledger", "archive", str(out / "archive"), stdout=StringIO())
    fetch = mirror(out / "tiles")
    code, said = check(capsys, "tiles", out / "tiles", "--trust", pinned)
    assert (code, "tiles are missing" in said) == (2, True)
    for name in re.findall(r"^- (tile/.*)$", said, re.MULTILINE):
        fetch(name)
    (out / "old").write_text(old)
    (out / "new").write_text(newest().note)
    growth = proofs.consistency(Checkpoint.objects.order_by("size")[0], newest())
    (out / "growth").write_text("\n".join(base64.b64encode(one).decode() for one in growth))
    proof = proofs.of_entry(Entry.objects.earliest("id"))
    (out / "entry").write_bytes(bytes(Entry.objects.earliest("id").body))
    (out / "proof").write_text(proof.text())
    keys = ["--keys", out / "tiles/keys"]
    asked = [
        ["bundle", out / "all.zip"], ["bundle", out / "late.zip"], ["export", out / "export"],
        ["archive", out / "archive"], ["tiles", out / "tiles"], ["proof", out / "entry", out / "proof", *keys],
        ["consistency", out / "old", out / "new", out / "growth", *keys],
    ]  # fmt: skip
    for one in asked:
        code, said = check(capsys, *one, "--trust", pinned)
        assert (code, f"vouch in the log for {checkpoint.verifier().name}" in said) == (0, True), (one, said)
    for one in (asked[-2][:-2], asked[-1][:-2]):
        assert check(capsys, *one, "--trust", pinned)[0] == 1, (
            "without the steps nothing leads to the new key"
        )


@database
def test_the_state_remembers_the_steps_and_that_a_key_is_at_its_end(product, capsys):
    thief = product.keeper._load(product.keeper.memory.at(3)[0])
    pinned, state = twice(product), product.folder / "seen.json"
    (product.folder / "log.zip").write_bytes(b"".join(bundle.take({}, by=TESTER).pieces()))
    assert check(capsys, "bundle", product.folder / "log.zip", "--trust", pinned, "--state", state)[0] == 0
    seen = parse(state.read_bytes())
    assert (seen["v"], len(seen["keys"])) == (2, 4)
    # the log goes on; the mirror has no steps, which the auditor has kept, and the thief signs it once more
    product.go_on(1)
    fetch = mirror(product.folder / "tiles")
    (product.folder / "tiles/keys").unlink()
    for name in re.findall(
        r"^- (tile/.*)$",
        check(capsys, "tiles", product.folder / "tiles", "--trust", pinned, "--state", state)[1],
        re.MULTILINE,
    ):
        fetch(name)
    asked = ["tiles", product.folder / "tiles", "--trust", pinned, "--state", state]
    assert check(capsys, *asked)[0] == 0
    text = newest().note.partition("\n\n")[0] + "\n"
    (product.folder / "tiles/checkpoint").write_text(thief.sign(text))
    code, said = check(capsys, *asked)
    assert (code, "not signed by a key that you trust at its size" in said) == (1, True)


@database
def test_x22_an_entry_that_an_insider_wrote_about_a_key_of_their_own_is_believed_by_nobody(product, capsys):
    pinned = product.trust("pinned.json")
    thief = note.Signer(checkpoint.verifier().name, Ed25519PrivateKey.generate())
    mine = note.Verifier(thief.name, thief.verifier.key, 4)
    word = thief.line(note.word(note.ADDED, mine)).split(" ")[-1].strip()
    write(1, note.ADDED, key=str(mine), **{"from": 4}, signature=word)
    write(1, note.ADDED, key="nonsense")
    product.go_on()
    assert [one.index for one in succession.steps(newest().size)] == [3, 4]
    assert succession.followed(checkpoint.keys(), newest().size) == checkpoint.keys()
    tasks.examine()
    assert [one["title"] for one in integrity.look()] == ["The log was altered, beside its entries"]
    told = [one.text for one in examine.examine(checkpoint.keys()).findings]
    assert told == [
        f"Entry {n} is key.added, and the signer of this log knows nothing of it." for n in (3, 4)
    ]
    (product.folder / "log.zip").write_bytes(b"".join(bundle.take({}, by=TESTER).pieces()))
    code, said = check(capsys, "bundle", product.folder / "log.zip", "--trust", pinned)
    assert (code, "they are not believed: 3, 4" in said) == (0, True), said
    as_insider(
        "UPDATE audit_checkpoint SET note = %s WHERE size = %s", thief.sign(newest().text), newest().size
    )
    (product.folder / "log.zip").write_bytes(b"".join(bundle.take({}, by=TESTER).pieces()))
    assert check(capsys, "bundle", product.folder / "log.zip", "--trust", pinned)[0] == 1


@database
def test_an_examination_with_the_key_that_somebody_noted_first_follows_too(product):
    first = checkpoint.verifier()
    twice(product)
    product.keeper.published.unlink()  # on a host that has nothing of the signer's
    out = StringIO()
    call_command("ledger", "verify", "--key", str(first), stdout=out)
    assert "Everything fits." in out.getvalue()


@database
def test_a_worker_with_an_old_copy_of_the_keys_follows_the_log_to_the_new_one(product, settings):
    worker.check()
    published = product.keeper.published
    copy = published.read_text()
    twice(product)
    published.write_text(copy)
    worker.check()
    assert known.log() == (newest().size, bytes(newest().root))


@database
@pytest.mark.parametrize("away", [False, True])
def test_a_witness_follows_too_also_when_it_was_away_meanwhile(product, away):
    with running.running(product.folder / "w", checkpoint.verifier()) as (key, url):
        poster = cosigning.Poster(witnesses.parse_witness(key, url))
        poster.step()
        thief = product.keeper._load(product.keeper.memory.at(3)[0])
        for _ in range(2):
            for more in ((), ("--retire",)):
                product.rotate(*more)
                product.go_on(1)
                if not away:
                    poster.step()
        product.go_on(1)
        if away:
            poster = cosigning.Poster(poster.witness)  # and the sequencer was started anew
        poster.step()
        assert (poster.done, poster.told, poster.pause) == (newest().size, 4, cosigning.LOOK_SECONDS)
        poster.told = 0
        poster.introduce(newest().size)  # once more changes nothing
        size = newest().size
        answer = running.submit(url, size, [], thief.sign(newest().text))
        assert (answer.status_code, answer.text) == (
            403,
            "no signature is by a key of this log that is known here\n",
        )
    with running.running(product.folder / "w", checkpoint.keys()[0]) as (_, url):  # it remembers them
        assert running.submit(url, size, [], newest().note).status_code == 200


# --- the rules, without a database --------------------------------------------------------------------------------

FIRST, SECOND, THIEF = 1, 2, 9


def signer(seed):
    return note.Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


def step(kind, of, by, *, begin=0, name=ORIGIN, **told):
    """The entry with which one key vouches for another."""
    about = note.Verifier(name, signer(of).verifier.key, begin)
    word = signer(by).line(note.word(kind, about)).split(" ")[-1].strip()
    said = {"key": str(about), **({"from": begin} if kind == note.ADDED else {}), "signature": word}
    return entry(100, kind, **{**said, **told})


@dataclass
class Story:
    """Five entries and a step behind them; who signed the log of six, and how each step is proved."""

    entry: bytes
    seeds: tuple[int, ...] = (FIRST, SECOND)
    before: tuple[bytes, ...] = ()
    proof: str = ""
    log: Log = field(init=False)

    def __post_init__(self):
        self.log = Log([*(entry(n) for n in range(5)), *self.before, self.entry])

    def lines(self):
        size = len(self.log.bodies)
        for index in range(5, size):
            path, _, text = self.log.proof(index).partition("\n\n")
            text = text.partition("\n\n")[0] + "\n"
            signed = f"{text}\n" + "".join(signer(one).line(text) for one in self.seeds)
            body = self.log.bodies[index]
            yield canonical({"entry": body.decode(), "proof": self.proof or f"{path}\n\n{signed}"})


ADD = step(note.ADDED, SECOND, FIRST, begin=6)
STORIES = {
    "the old key vouches, and signed the log": (Story(ADD), True),
    "nobody vouches": (Story(entry(100, note.ADDED, key=str(signer(SECOND).verifier), **{"from": 6})), False),
    "the new key vouches for itself": (Story(step(note.ADDED, SECOND, SECOND, begin=6)), False),
    "a stranger vouches": (Story(step(note.ADDED, SECOND, THIEF, begin=6)), False),
    "the old key vouches for another size": (Story(step(note.ADDED, SECOND, FIRST, begin=6, **{"from": 1})), False),
    "the old key vouches for another key": (
        Story(step(note.ADDED, THIEF, FIRST, begin=6, key=str(signer(SECOND).verifier))), False),
    "it vouches for an end where a beginning is told": (
        Story(step(note.RETIRED, SECOND, FIRST, **{"from": 0}).replace(b"key.retired", b"key.added")), False),
    "an entry of another kind": (Story(ADD.replace(b"key.added", b"key.other")), False),
    "a key of another log": (Story(step(note.ADDED, SECOND, FIRST, begin=6, name="other.example")), False),
    "no key in force signed the log": (Story(ADD, (SECOND, THIEF)), False),
    "the old key was at its end before": (
        Story(step(note.ADDED, THIEF, FIRST, begin=7), (SECOND, FIRST), (ADD, step(note.RETIRED, FIRST, SECOND))),
        False),
}  # fmt: skip


@pytest.mark.parametrize("name", STORIES)
def test_g01_only_a_key_in_force_leads_to_another(name, capsys, tmp_path):
    story, counts = STORIES[name]
    wanted = signer(THIEF if "at its end" in name else SECOND)
    assert asked(capsys, tmp_path, story, wanted)[0] == (0 if counts else 1)
    with following(tmp_path / "w", story) as one:
        known_there = any(term.public == wanted.verifier.key for term in one.logs[ORIGIN].values())
    assert known_there == (counts or name == "no key in force signed the log"), "it cosigned that log itself"


@pytest.mark.parametrize(("by", "ends"), [(SECOND, True), (FIRST, False), (THIEF, False)])
def test_g01_a_key_ends_by_the_word_of_the_one_that_goes_on_alone(by, ends, capsys, tmp_path):
    story = Story(step(note.RETIRED, FIRST, by), before=(ADD,))
    assert asked(capsys, tmp_path, story, signer(FIRST))[0] == (1 if ends else 0)
    assert asked(capsys, tmp_path, story, signer(SECOND))[0] == 0
    with following(tmp_path / "w", story) as one:
        assert one.logs[ORIGIN][signer(FIRST).verifier.key].covers(7) is not ends


def asked(capsys, folder, story, wanted):
    """What the verifier answers to a checkpoint of this key, with the steps of the story."""
    (folder / "trust.json").write_bytes(story.log.trust())
    (folder / "keys").write_bytes(b"".join(line + b"\n" for line in story.lines()))
    text = story.log.checkpoint().partition("\n\n")[0] + "\n"
    for file in ("old", "new"):
        (folder / file).write_text(wanted.sign(text))
    (folder / "proof").write_text("")
    files = [folder / one for one in ("old", "new", "proof")]
    code, said = check(
        capsys, "consistency", *files, "--keys", folder / "keys", "--trust", folder / "trust.json"
    )
    assert code == 0 or "not signed by a key that you trust at its size" in said, said
    return code, said


@contextmanager
def following(folder, story):
    """The witness, which cosigned this log, after each step was brought to it."""
    size = len(story.log.bodies)
    witness.make(folder, "w")
    one = witness.Witness(folder, [story.log.key])
    one.seen = {ORIGIN: [size, story.log.root(size).hex()]}
    for index in range(5, size):
        lines = story.log.proof(index).partition("\n\n")[0].split("\n")[2:]
        body = "\n".join([ORIGIN, str(size), str(index), *lines]) + "\n\n" + story.log.bodies[index].decode()
        with suppress(witness.Answer):
            one.add_key(body.encode())
    yield one
    one.lock.close()


def test_a_step_whose_proof_does_not_hold_is_altered(capsys, tmp_path):
    story = Story(ADD)
    (tmp_path / "trust.json").write_bytes(story.log.trust())
    (line,) = story.lines()
    told = parse(line)
    wrong = [
        {**told, "entry": told["entry"].replace('"from":6', '"from":0')},
        {**told, "proof": told["proof"].replace("index 5", "index 4")},
        {**told, "proof": told["proof"].replace("index 5", "index x")},
        {**told, "proof": told["proof"].replace("\n6\n", "\n7\n")},
        {**told, "more": ""},
    ]
    for one in wrong:
        (tmp_path / "keys").write_bytes(canonical(one) + b"\n")
        for file in ("old", "new"):
            (tmp_path / file).write_text(story.log.checkpoint())
        (tmp_path / "proof").write_text("")
        asked = [
            "consistency",
            *(tmp_path / name for name in ("old", "new", "proof")),
            "--keys",
            tmp_path / "keys",
        ]
        assert check(capsys, *asked, "--trust", tmp_path / "trust.json")[0] == 1, one


def test_no_flipped_bit_of_a_step_leads_to_a_key():
    (line,) = Story(ADD, (FIRST,)).lines()
    assert len(led_to(line).keys) == 2
    places = 0
    for _, altered in flips(line, range(len(line)), most=80, choose=random.Random(6)):  # noqa: S311
        with suppress(verify.Altered, verify.CannotTell):
            assert len(led_to(altered).keys) == 1
        places += 1
    assert places >= 80


def led_to(line):
    keys = verify.Keys(verify.Trust([verify.read_key(str(signer(FIRST).verifier))]))
    keys.take([line])
    return keys.trust


def test_the_witness_takes_no_step_that_it_cannot_place(tmp_path):
    story = Story(ADD)
    with running.running(tmp_path / "w", story.log.key) as (_, url):
        assert running.submit(url, 0, [], story.log.checkpoint()).status_code == 200
        lines = story.log.proof(5).partition("\n\n")[0].split("\n")[2:]

        def asked(origin=ORIGIN, size="6", index="5", proof=lines, body=ADD):
            head = "\n".join([origin, size, index, *proof]) + "\n\n"
            return httpx.post(f"{url}/add-key", content=head.encode() + body).status_code

        wrong = [
            asked("other.example"), asked(size="5"), asked(size="x"), asked(index="4"), asked(index="6"),
            asked(proof=lines[:-1]), asked(proof=[*lines, lines[0]]), asked(proof=["!"]), asked(body=ADD + b" "),
        ]  # fmt: skip
        assert (wrong, asked(), asked()) == ([404, 409, 400, 422, 422, 422, 422, 400, 422], 200, 200)
