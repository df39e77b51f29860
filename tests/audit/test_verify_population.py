"""The offline verifier and lists of entries: each row is held against its entry, each total against the rows."""

import hashlib
import json

import pytest

from audit.canonical import canonical
from audit.reports import population
from tests.audit.offline import Log, check, entry, listed

KINDS = ["change.approved", "attempt.refused", "run.started"]
LOG = Log([entry(number, KINDS[number % 3], text="=1+1") for number in range(30)])
APPROVED = list(range(0, 30, 3))


def row(index):
    said = json.loads(LOG.bodies[index])
    return [
        index, said["time"], said["type"], said["subject"], said["actor"]["id"], "Sam", said["actor"]["kind"],
        said["actor"]["auth"], said["stream"], said["stream_version"], LOG.leaves[index].hex(),
        canonical(said["data"]).decode(), "{}",
    ]  # fmt: skip


def line(index):
    said = json.loads(LOG.bodies[index])
    told = {
        "index": index, "leaf_hash": LOG.leaves[index].hex(), "entry": said, "actor_name": "Sam", "texts": {},
    }  # fmt: skip
    return canonical(told) + b"\n"


def written(folder, rows, /, form="csv", query="kind:change.approved", **changed):
    lines = [line(one[0]) for one in rows] if form == "jsonl" else None
    listed(folder, LOG, rows, query=query, lines=lines, **changed)


@pytest.fixture
def judged(capsys, tmp_path):
    LOG.write(tmp_path / "log.zip")

    def judge(*more, log="log.zip"):
        call = ["population", tmp_path / "manifest.json"]
        return check(capsys, *call, *(more or ("--bundle", tmp_path / log, "--key", LOG.key)))

    return judge


def test_a_list_is_verified_row_by_row(judged, tmp_path):
    written(tmp_path, list(map(row, APPROVED)))
    code, said = judged()
    assert code == 0, said
    assert "each of the 10 rows says what its entry says" in said
    assert "whether more entries fit the query than are listed" in said
    assert "the names of people" in said
    assert "whether the server made this list: no entry here tells of its manifest" in said


def test_lines_of_json_are_verified_as_rows_are(judged, tmp_path):
    rows = list(map(row, APPROVED))
    written(tmp_path, rows, form="jsonl")
    code, said = judged()
    assert (code, "each of the 10 rows says what its entry says" in said) == (0, True), said
    data = (tmp_path / "entries.jsonl").read_bytes()
    written(tmp_path, rows, form="jsonl", files=[{"name": "entries.jsonl", "rows": 10, "sha256":
            hashlib.sha256(data.replace(b"=1+1", b"=1+2", 1)).hexdigest()}])  # fmt: skip
    (tmp_path / "entries.jsonl").write_bytes(data.replace(b"=1+1", b"=1+2", 1))
    code, said = judged()
    assert (code, "does not say what the entry says" in said) == (1, True), said


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_list_alone_is_counted_and_what_that_leaves_open_is_said(judged, tmp_path, capsys, form):
    written(tmp_path, list(map(row, APPROVED)), form=form)
    code, said = check(capsys, "population", tmp_path / "manifest.json")
    assert code == 0, said
    assert "10 rows; the files, their rows and totals are those of the manifest" in said
    open_ends = said.partition("Not checked")[2]
    for words in (
        "its checkpoint: give --trust",
        "give --bundle",
        "no entry here tells of its",
    ):
        assert words in open_ends
    code, said = judged("--key", LOG.key)
    assert (code, "the checkpoint of 30 entries that test.example/ledger signed" in said) == (0, True), said
    assert judged("--key", Log(LOG.bodies, seed=2).key)[0] == 1
    assert judged("--bundle", tmp_path / "log.zip")[0] == 3, "a bundle is worth nothing without a key"
    assert judged("--key", LOG.key, "--state", tmp_path / "seen.json")[0] == 3
    written(tmp_path, list(map(row, APPROVED)), form=form, rows=11)
    assert check(capsys, "population", tmp_path / "manifest.json")[0] == 1
    written(tmp_path, list(map(row, APPROVED))[::-1], form=form, min_index=0, max_index=27)
    assert check(capsys, "population", tmp_path / "manifest.json")[0] == 1


def test_a_list_of_everything_leaves_nothing_out(judged, tmp_path):
    written(tmp_path, list(map(row, range(30))), query="")
    code, said = judged()
    assert (code, "more entries fit" in said) == (0, False), said
    written(tmp_path, list(map(row, range(29))), query="")
    assert judged()[0] == 1


def test_an_empty_list_is_one(judged, tmp_path):
    written(tmp_path, [])
    assert judged()[0] == 0


def edited(index, column, value):
    changed = row(index)
    changed[population.COLUMNS.index(column)] = value
    return changed


ROWS = list(map(row, APPROVED))
WRONG = {
    "a row too many": lambda: [*ROWS, row(28), row(28)],
    "a row twice": lambda: [ROWS[0], *ROWS],
    "rows in another order": lambda: ROWS[::-1],
    "a row of no entry": lambda: [*ROWS, edited(27, "index", 30)],
    "another kind": lambda: [edited(0, "kind", "change.rejected"), *ROWS[1:]],
    "another time": lambda: [edited(0, "time", "2026-11-24T09:00:00.000000Z"), *ROWS[1:]],
    "another actor": lambda: [edited(0, "actor", "account-2"), *ROWS[1:]],
    "another digest": lambda: [edited(0, "leaf_hash", "00" * 32), *ROWS[1:]],
    "other data": lambda: [edited(0, "data", "{}"), *ROWS[1:]],
    "a column less": lambda: [ROWS[0][:-1], *ROWS[1:]],
    "a column more": lambda: [[*ROWS[0], "x"], *ROWS[1:]],
}


@pytest.mark.parametrize("name", WRONG)
def test_g05_a_row_that_no_entry_bears_out_is_found(judged, tmp_path, name):
    written(tmp_path, WRONG[name]())
    assert judged()[0] == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"rows": 11},
        {"min_index": 1},
        {"max_index": 28},
        {"totals": {"change.approved": 9}},
        {"totals": {"change.approved": 10, "x": 0}},
        {"files": [{"name": "../entries.csv", "sha256": "", "rows": 10}]},
        {"files": [{"name": "entries.csv", "sha256": "00" * 32, "rows": 10}]},
        {"files": []},
        {"checkpoint": "nonsense"},
        {"checkpoint": Log(LOG.bodies, seed=2).checkpoint()},
        {"checkpoint": Log([entry(number) for number in range(30)]).checkpoint()},
        {"v": 2},
        {"size": 29},
        {"query_digest": "sha256:00"},
        {"of": "control tests"},
        {"more": 1},
    ],
    ids=repr,
)
def test_a_manifest_that_does_not_fit_its_rows_is_found(judged, tmp_path, changed):
    written(tmp_path, ROWS, **changed)
    assert judged()[0] in {1, 2}


def test_no_flipped_byte_of_list_or_manifest_is_verified(judged, tmp_path):
    written(tmp_path, ROWS[:2])
    for name, step in (("manifest.json", 11), ("entries.csv", 17)):
        right = (tmp_path / name).read_bytes()
        for place in range(0, len(right), step):
            altered = bytearray(right)
            altered[place] ^= 1 << place % 8
            (tmp_path / name).write_bytes(altered)
            assert judged()[0] in {1, 2}, f"{name}, byte {place}"
        (tmp_path / name).write_bytes(right)


def test_a_list_without_its_file_or_its_log_cannot_be_told(judged, tmp_path):
    written(tmp_path, ROWS)
    assert judged(log="none.zip")[0] == 2
    (tmp_path / "entries.csv").unlink()
    assert judged()[0] == 2
