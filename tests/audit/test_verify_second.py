"""A second opinion on the offline verifier: Go's tlog and note, sigstore's and pymerkle's trees give the same answers.

`make second` builds and installs them beside the environment; what is not there is named, loudly.
"""

import base64
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

import audit.verify as offline
from tests.audit.offline import Log, entry

BESIDE = Path(sys.prefix) / "second"
HERE = Path(__file__).with_name("second")
GO, MERKLE = BESIDE / "tlog", BESIDE / "pymerkle"
SIZES = [1, 2, 3, 4, 5, 7, 8, 9, 31, 33]


def b64(data):
    return base64.b64encode(data).decode()


def asked(command, request):
    done = subprocess.run(
        command, input=json.dumps(request), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def go():
    if not GO.exists():
        pytest.skip("Go's tlog and note are not built, so nothing was compared with them: make second")
    return lambda request: asked([str(GO)], request)


@pytest.fixture(scope="module")
def trees():
    if not MERKLE.exists():
        pytest.skip("sigstore and pymerkle are not installed, so nothing was compared: make second")
    return lambda request: asked([sys.executable, "-I", str(HERE / "merkle.py"), str(BESIDE)], request)


def holds(check):
    try:
        return bool(check())
    except offline.Altered:
        return False


LOG = Log([entry(number) for number in range(max(SIZES))])


def path_of(text):
    """The hashes of a .tlog-proof or of a consistency proof."""
    lines = text.split("\n\n")[0].split("\n")
    return [base64.b64decode(line) for line in lines if line and not line.startswith(("c2sp", "index"))]


def twisted(path, choose):
    """The path, and what is no longer it."""
    yield path
    if path:
        yield path[:-1]
        at = choose.randrange(len(path))
        yield [*path[:at], bytes(32), *path[at + 1 :]]
        yield path[::-1]
    yield [*path, bytes(32)]


def inclusions():
    """(index, size, root, body, path): right ones, and with a wrong place, size, body, root or path."""
    choose = random.Random(3)  # noqa: S311
    for size in SIZES:
        for index in {0, size // 2, size - 1}:
            root, body = LOG.root(size), LOG.bodies[index]
            for path in twisted(path_of(LOG.proof(index, size)), choose):
                yield index, size, root, body, path
                yield (index + 1) % size, size, root, body, path
                yield index, size, root, body + b"x", path
                yield index, size, bytes(32), body, path
                yield index, max(index + 1, size - 1), root, body, path


def growths():
    choose = random.Random(4)  # noqa: S311
    for new in SIZES:
        for old in {1, (new + 1) // 2, new}:
            before, after = LOG.root(old), LOG.root(new)
            for path in twisted(path_of(LOG.growth(old, new)), choose):
                yield old, before, new, after, path
                yield old, bytes(32), new, after, path
                yield old, before, new, bytes(32), path
                yield old, after, new, before, path


def mine_of_record(index, size, root, body, path):
    return holds(lambda: offline.root_by_path(offline.leaf(body), index, size, path) == root)


def mine_of_growth(old, before, new, after, path):
    return holds(lambda: offline.roots_by_path(offline.Head(old, before), new, path) == (before, after))


def test_go_judges_each_inclusion_as_the_verifier_does(go):
    cases = list(inclusions())
    told = go(
        {
            "Records": [
                {
                    "Index": i,
                    "Size": n,
                    "Root": b64(root),
                    "Leaf": b64(offline.leaf(body)),
                    "Path": list(map(b64, path)),
                }
                for i, n, root, body, path in cases
            ]
        }
    )
    assert told["Records"] == [mine_of_record(*one) for one in cases]
    assert {True, False} == set(told["Records"])


def test_go_judges_each_growth_as_the_verifier_does(go):
    cases = list(growths())
    told = go(
        {
            "Growths": [
                {"Old": o, "New": n, "OldRoot": b64(a), "NewRoot": b64(b), "Path": list(map(b64, path))}
                for o, a, n, b, path in cases
            ]
        }
    )
    assert told["Growths"] == [mine_of_growth(*one) for one in cases]
    assert {True, False} == set(told["Growths"])


def test_go_opens_the_same_notes(go):
    choose, right = random.Random(5), LOG.checkpoint()  # noqa: S311
    places = choose.sample(range(len(right)), 40)
    turned = [right[:place] + chr(ord(right[place]) ^ 1) + right[place + 1 :] for place in places]
    other = Log(LOG.bodies, seed=2).checkpoint()
    notes = [right, other, right.replace("\n\n", "\n"), right[:-1], *turned]
    told = go({"Notes": [{"Key": LOG.key, "Note": one} for one in notes]})["Notes"]
    trust = offline.Trust([offline.read_key(LOG.key)])
    mine = [holds(lambda one=one: offline.read_checkpoint(one, trust)) for one in notes]
    assert told[0]
    assert mine[0]
    assert [theirs for theirs, ours in zip(told, mine, strict=True) if ours] == [True] * mine.count(True)
    assert mine.count(True) == 1  # the verifier is the stricter one


def test_go_and_pymerkle_grow_the_same_trees(go, trees):
    logs = [LOG.bodies[:size] for size in SIZES]
    request = [[b64(body) for body in bodies] for bodies in logs]
    mine = []
    for bodies in logs:
        stack: list[tuple[int, bytes]] = []
        for body in bodies:
            offline.grow(stack, offline.leaf(body))
        mine.append(b64(offline.root(stack)))
    assert go({"Trees": request})["Trees"] == mine
    assert trees({"records": [], "trees": request})["trees"] == mine


def test_sigstore_judges_each_inclusion_as_the_verifier_does(trees):
    cases = list(inclusions())
    request = [
        {"index": i, "size": n, "root": b64(root), "body": b64(body), "path": list(map(b64, path))}
        for i, n, root, body, path in cases
    ]
    told = trees({"records": request, "trees": []})["records"]
    assert told == [mine_of_record(*one) for one in cases]
    assert {True, False} == set(told)
