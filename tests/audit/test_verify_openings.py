"""Texts that came with a bundle, an export or a list are what their entries committed to; what is absent is told."""

import hashlib
import hmac
import json

import pytest

from audit.canonical import canonical, parse
from audit.ledger import personal
from tests.audit.offline import Log, check, entry, listed

SALT = bytes(range(32))
TEXT = "Ravi Rao is \u00fcber the limit."


def committed(number, **texts):
    """An entry that commits to these texts, as record() writes it, and their openings."""
    openings = [personal.Opened(f"data.{name}", SALT, text) for name, text in sorted(texts.items())]
    said = parse(entry(number, environment="test"))
    return canonical({**said, "v": 2, "sd": {one.path: one.commitment for one in openings}}), openings


ONE, OPENED = committed(1, reason=TEXT, detail="x")
BODIES = [entry(0), ONE, entry(2), committed(3, reason="Because.")[0]]


def line(index, one, **changed):
    told = {"index": index, "path": one.path, "salt": one.salt.hex(), "value": one.value, **changed}
    return canonical(told) + b"\n"


RIGHT = [line(1, one) for one in OPENED]


class WithTexts(Log):
    """The same log, with texts where they belong."""

    texts: tuple[bytes, ...] = ()

    @property
    def members(self):
        made = super().members
        behind = list(made.items())
        return dict([*behind[:5], ("openings.jsonl", b"".join(self.texts)), *behind[5:]])


@pytest.fixture
def verdict(tmp_path, capsys):
    def judge(*texts, bodies=BODIES, **about):
        log = WithTexts(bodies, **about)
        log.texts = texts
        log.write(tmp_path / "log.zip")
        return check(capsys, "bundle", tmp_path / "log.zip", "--key", log.key)

    return judge


def test_the_commitment_is_the_one_that_the_page_describes():
    message = b"data.reason\0" + json.dumps(TEXT, ensure_ascii=False).encode()
    assert OPENED[1].commitment == hmac.new(SALT, message, hashlib.sha256).hexdigest()


def test_texts_that_fit_are_verified_and_those_that_are_gone_are_told(verdict):
    code, said = verdict(*RIGHT)
    assert (code, "2 texts are what their entries committed to" in said) == (0, True), said
    assert "1 texts that entries commit to and that are not here" in said
    code, said = verdict(RIGHT[1])
    assert (code, "1 texts are what" in said, "2 texts that entries commit to" in said) == (0, True, True), (
        said
    )
    code, said = verdict()
    assert (code, "3 texts that entries commit to" in said) == (0, True), said


def test_a_bundle_of_a_period_holds_the_texts_of_its_entries_alone(verdict):
    assert verdict(*RIGHT, first=1, end=3)[0] == 0
    assert verdict(*RIGHT, first=2, end=4)[0] == 1


@pytest.mark.parametrize(
    "texts",
    [
        [line(1, OPENED[1], value="Somebody else.")],
        [line(1, OPENED[1], salt="00" * 32)],
        [line(1, OPENED[1], salt="00")],
        [line(1, OPENED[1], path="data.detail")],
        [line(1, OPENED[1], value=1)],
        [line(1, OPENED[1], more="x")],
        [line(0, OPENED[1])],
        [line(9, OPENED[1])],
        RIGHT[::-1],
        [RIGHT[0], RIGHT[0], RIGHT[1]],
        [RIGHT[0][:-1]],
        [b" " + RIGHT[0]],
        [b"x" * 200_000 + b"\n"],
    ],
)
def test_no_text_passes_that_its_entry_did_not_commit_to(verdict, texts):
    code, said = verdict(*texts)
    assert code == 1, said


SAID = parse(ONE)


@pytest.mark.parametrize(
    "changed",
    [
        {"sd": {}},
        {"sd": {"data.reason": "00"}},
        {"sd": {"data.reason": 7}},
        {"sd": {"reason": "00" * 32}},
        {"sd": {"data.environment": "00" * 32}},
        {"sd": None},
        {"v": 1},
        {"v": 3},
    ],
)
def test_commitments_are_written_in_one_form(verdict, changed):
    assert verdict(bodies=[canonical({**SAID, **changed})])[0] == 1


def test_an_export_with_texts_is_verified_and_one_with_another_text_is_not(tmp_path, capsys):
    log = Log(BODIES)
    (tmp_path / "entries.jsonl").write_bytes(b"".join(one + b"\n" for one in BODIES))
    (tmp_path / "checkpoints.txt").write_text(log.checkpoint())
    for texts, expected in ((RIGHT, 0), ([], 0), ([line(1, OPENED[1], value="x")], 1)):
        (tmp_path / "openings.jsonl").write_bytes(b"".join(texts))
        code, said = check(capsys, "export", tmp_path, "--key", log.key)
        assert code == expected, said


def row(log, cell):
    """The row of the one entry, with this cell of texts."""
    said = parse(ONE)
    return [
        1, said["time"], said["type"], said["subject"], said["actor"]["id"], "", said["actor"]["kind"],
        said["actor"]["auth"], said["stream"], said["stream_version"], log.leaves[1].hex(),
        canonical(said["data"]).decode(), canonical(cell).decode(),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("cell", "texts", "expected", "words"),
    [
        ({"data.detail": "x", "data.reason": TEXT}, RIGHT, 0, "each of the 1 rows"),
        (
            {"data.detail": "x", "data.reason": TEXT},
            [],
            0,
            "2 texts of the list, which the bundle does not open",
        ),
        ({"data.detail": None, "data.reason": None}, RIGHT, 0, "each of the 1 rows"),
        ({"data.detail": None, "data.reason": "Other."}, RIGHT, 1, "another text"),
        ({"data.reason": TEXT}, RIGHT, 1, "texts of another entry"),
        ([], RIGHT, 1, "texts of another entry"),
    ],
)
def test_the_texts_of_a_list_are_those_of_its_entries(tmp_path, capsys, cell, texts, expected, words):
    log = WithTexts(BODIES)
    log.texts = tuple(texts)
    log.write(tmp_path / "log.zip")
    listed(tmp_path, log, [row(log, cell)], query="x")
    code, said = check(
        capsys, "population", tmp_path / "manifest.json", "--bundle", tmp_path / "log.zip", "--key", log.key
    )
    assert (code, words in said) == (expected, True), said
