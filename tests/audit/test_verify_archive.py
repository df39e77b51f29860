"""The offline verifier reads an archive that somebody else may have written: every lie of a manifest has its answer."""

import hashlib
import json

import pytest

from audit.archive import layout
from audit.canonical import canonical
from audit.ledger import tiles
from tests.audit import offline

LOG = offline.Log([offline.entry(number) for number in range(600)])
SIZES = (200, 600)


def contents(old, new):
    """The files that a night adds, made with the server's pure parts."""
    stored = tiles.Edge().extend(LOG.leaves[:new])
    for file in layout.between(old, new):
        if file.level is None:
            first, end = layout.entries_of(file)
            yield file.name, layout.packed(LOG.bodies[first:end])
        else:
            yield file.name, stored[file.level, file.index][: file.width * 32]


@pytest.fixture
def folder(tmp_path):
    before = {"size": 0, "digest": ""}
    for size in SIZES:
        files = dict(contents(before["size"], size))
        for name, data in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(data)
        told = [
            {"name": name, "sha256": hashlib.sha256(data).hexdigest(), "version": ""}
            for name, data in files.items()
        ]
        manifest = {
            "v": 1, "origin": offline.ORIGIN, "size": size, "checkpoint": LOG.checkpoint(size), "files": told,
            "from": before["size"], "before": before["digest"], "before_version": "",
        }  # fmt: skip
        write(tmp_path, size, manifest)
        before = {"size": size, "digest": digest(tmp_path, size)}
    return tmp_path


def write(folder, size, manifest):
    path = folder / layout.manifest_name(size)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(canonical(manifest))


def digest(folder, size):
    return "sha256:" + hashlib.sha256((folder / layout.manifest_name(size)).read_bytes()).hexdigest()


def newest(folder):
    return json.loads((folder / layout.manifest_name(SIZES[-1])).read_bytes())


def answer(capsys, folder, *more):
    return offline.check(capsys, "archive", folder, "--key", LOG.key, *more)


def test_two_nights_are_verified_and_what_was_not_checked_is_said(capsys, folder, tmp_path):
    code, said = answer(capsys, folder, "--state", tmp_path / "seen.json")
    assert code == 0, said
    assert "600 entries in 9 files of 2 manifests" in said
    assert "whether anything newer was archived" in said
    (folder / layout.manifest_name(SIZES[-1])).unlink()
    assert answer(capsys, folder)[0] == 0, "an older archive by itself"
    code, said = answer(capsys, folder, "--state", tmp_path / "seen.json")
    assert (code, "the end is missing" in said) == (1, True)


def replaced(name, data):
    """The file and its digest in the manifest: whoever writes one can write the other."""

    def change(folder, manifest):
        (folder / name).write_bytes(data((folder / name).read_bytes()))
        [told] = [one for one in manifest["files"] if one["name"] == name]
        told["sha256"] = hashlib.sha256((folder / name).read_bytes()).hexdigest()

    return change


def told(**changed):
    return lambda _folder, manifest: manifest.update(changed)


def first_file(**changed):
    return lambda _folder, manifest: manifest["files"][0].update(changed)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (first_file(name="../secret"), "names a file that is none of an archive"),
        (first_file(name="/etc/passwd"), "names a file that is none of an archive"),
        (first_file(name="tile/0/../000"), "names a file that is none of an archive"),
        (lambda _, manifest: manifest["files"].pop(0), "the archive has a hole"),
        (lambda _, manifest: manifest["files"].append({**manifest["files"][0], "sha256": "0"}), "mean different files"),
        (told(**{"from": 600}), "does not say which entries it adds"),
        (told(**{"from": -1}), "does not say which entries it adds"),
        (told(size=601), "does not say which entries it adds"),
        (told(before=""), "does not name the one before it"),
        (told(before="sha256:0"), "is not the one that the next one names"),
        (told(**{"from": 199}), "is missing, which the next one names"),
        (told(origin="another/log"), "of another log or size"),
        (told(checkpoint=LOG.checkpoint(599)), "of another log or size"),
        (told(checkpoint=offline.Log(LOG.bodies, seed=2).checkpoint()), "not signed by a key that you trust"),
        (told(files=[7]), "does not have exactly the fields"),
        (told(more=1), "does not have exactly the fields"),
        (replaced("tile/entries/002.p/88", lambda data: data + b"\0\0"), "holds more than 88 entries"),
        (replaced("tile/entries/002.p/88", lambda data: data[:-1]), "does not hold 88 entries"),
        (replaced("tile/entries/001", lambda data: data.replace(b"T-300", b"T-999")), "entry 300 is missing"),
        (replaced("tile/0/001", lambda data: data[32:] + data[:32]), "entry 256 is missing"),
        (replaced("tile/1/000.p/2", lambda data: data[::-1]), "is not what the tiles below it lead to"),
    ],
)  # fmt: skip
def test_a_manifest_that_lies_is_found_however_well_its_digests_fit(capsys, folder, change, says):
    manifest = newest(folder)
    change(folder, manifest)
    write(folder, SIZES[-1], manifest)
    code, said = answer(capsys, folder)
    assert (code, says in said) == (1, True), said


def test_what_is_no_archive_or_no_manifest_is_not_verified(capsys, folder, tmp_path):
    assert answer(capsys, tmp_path / "nothing")[0] == 2
    (folder / "archive" / "zzz.json").write_bytes(b"{}")
    assert answer(capsys, folder)[0] == 1
    (folder / "archive" / "zzz.json").write_bytes(b"not json")
    assert answer(capsys, folder)[0] == 1


def test_a_night_that_was_cut_short_is_passed_over(capsys, folder):
    """Its manifest is of a size that no later one names."""
    manifest = newest(folder)
    write(folder, 400, {**manifest, "size": 400})
    assert answer(capsys, folder)[0] == 0
