"""The offline verifier and lists of entries: each row is held against its entry, each total against the rows."""

import hashlib
import json

import pytest

from audit.canonical import canonical
from audit.reports import population, sheet
from tests.audit.offline import Log, check, entry

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


def written(folder, lines, /, **changed):
    """A list and its manifest, as population.write() makes them from tables."""
    data = b"".join(sheet.line(one) for one in (population.COLUMNS, *lines))
    totals: dict[str, int] = {}
    for one in lines:
        totals[one[2]] = totals.get(one[2], 0) + 1
    told = {
        "v": 1, "of": "entries", "checkpoint": LOG.checkpoint(), "query": "kind:change.approved",
        "made_at": "2026-11-23T10:00:00.000000Z", "rows": len(lines), "totals": totals,
        "files": [{"name": "entries.csv", "sha256": hashlib.sha256(data).hexdigest(), "rows": len(lines)}],
        "min_index": lines[0][0] if lines else None, "max_index": lines[-1][0] if lines else None,
    } | changed  # fmt: skip
    (folder / "entries.csv").write_bytes(data)
    told["digest"] = hashlib.sha256(canonical(told)).hexdigest()
    (folder / "manifest.json").write_bytes(canonical(told))


@pytest.fixture
def judged(capsys, tmp_path):
    LOG.write(tmp_path / "log.zip")

    def judge(*, log="log.zip"):
        call = ["population", tmp_path / "manifest.json", "--bundle", tmp_path / log, "--key", LOG.key]
        return check(capsys, *call)

    return judge


def test_a_list_is_verified_row_by_row(judged, tmp_path):
    written(tmp_path, list(map(row, APPROVED)))
    code, said = judged()
    assert code == 0, said
    assert "each of the 10 rows says what its entry says" in said
    assert "whether more entries fit the query than are listed" in said
    assert "the names of people" in said


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
