"""The offline verifier and bundles: whatever is altered, left out, doubled or swapped, it never answers "verified"."""

import ast
import io
import random
import sys
import warnings
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import audit.verify
from audit.canonical import NotCanonical, canonical, parse
from audit.ledger import pack
from tests.audit.offline import EVERY_BYTE, ORIGIN, Log, check, entry, flips, ranges

SMALL = Log([entry(number) for number in range(5)], signed_at=(2,))


@pytest.fixture
def files(tmp_path):
    (tmp_path / "trust.json").write_bytes(SMALL.trust())
    SMALL.write(tmp_path / "log.zip")
    return tmp_path


def verdict(capsys, log, folder, *more, what="bundle"):
    log.write(folder / "log.zip")
    return check(capsys, what, folder / "log.zip", "--trust", folder / "trust.json", *more)


# --- what is right --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 600])
def test_a_bundle_of_any_size_is_verified(capsys, files, size):
    log = Log([entry(number) for number in range(size)], signed_at=(size // 2,) if size > 1 else ())
    code, said = verdict(capsys, log, files)
    assert (code, f"{size} entries of a log of {size}" in said) == (0, True)


@pytest.mark.parametrize(("first", "end"), [(0, 100), (100, 300), (299, 600), (599, 600)])
def test_a_bundle_of_a_period_is_verified_and_says_what_it_leaves_out(capsys, files, first, end):
    log = Log([entry(number) for number in range(600)], first=first, end=end)
    code, said = verdict(capsys, log, files)
    assert (code, f"{end - first} entries of a log of 600" in said) == (0, True)
    assert f"what the {600 - end + first} entries say that the bundle leaves out" in said


@pytest.mark.parametrize(("begin", "end", "said"), [(1, 5, {"to": "x"}), (0, 4, {"from": "x"}), (1, 4, {})])
def test_what_is_said_to_begin_or_end_with_the_log_leaves_nothing_out_there(capsys, files, begin, end, said):
    about = {"v": 1, "origin": ORIGIN, "size": 5, "first": begin, "end": end, "from": "", "to": "", **said}
    log = Log(SMALL.bodies, first=begin, end=end, changed={"bundle.json": canonical(about)})
    code, words = verdict(capsys, log, files)
    assert (code, "entries are left out" in words) == (1, True), words


def test_a_stream_may_begin_before_the_period_but_has_no_gap_in_it(capsys, files):
    one = entry(0, stream="s")
    two = entry(1, stream="s", version=2, prev=audit.verify.leaf(one).hex())
    three = entry(2, stream="s", version=3, prev=audit.verify.leaf(two).hex())
    assert verdict(capsys, Log([one, two, three], first=1), files)[0] == 0
    gap = entry(2, stream="s", version=4, prev=audit.verify.leaf(two).hex())
    assert verdict(capsys, Log([one, two, gap], first=1), files)[0] == 1
    assert verdict(capsys, Log([two], first=0), files)[0] == 1


def test_what_was_not_checked_is_said(capsys, files):
    code, said = verdict(capsys, SMALL, files)
    assert code == 0
    for words in ("rolled back: give --state", "never recorded", "acted themselves", "nobody signed"):
        assert words in said
    code, said = verdict(capsys, Log(SMALL.bodies, changed={"countersign-verify.py": b"print()"}), files)
    assert (code, "the program in the bundle, which is not the one that you run" in said) == (0, True)


# --- what is pinned ----------------------------------------------------------------------------------------------


def test_the_state_remembers_the_log_and_finds_one_that_was_taken_back_or_exchanged(capsys, files):
    state = files / "seen.json"
    long = Log([entry(number) for number in range(9)])
    assert verdict(capsys, long, files, "--state", state)[0] == 0
    seen = state.read_bytes()
    code, said = verdict(capsys, SMALL, files, "--state", state)
    assert (code, "the end is missing" in said) == (1, True)
    other = Log([*SMALL.bodies, *(entry(number, other=True) for number in range(5, 12))])
    code, said = verdict(capsys, other, files, "--state", state)
    assert (code, "first 9 entries are not those" in said) == (1, True)
    assert state.read_bytes() == seen
    grown = Log([*long.bodies, entry(9)])
    code, said = verdict(capsys, grown, files, "--state", state)
    assert (code, "rolled back" in said, state.read_bytes() != seen) == (0, False, True)


def test_a_state_that_nobody_signed_is_not_believed(capsys, files):
    (files / "seen.json").write_bytes(b'{"checkpoint":"nonsense","v":1}')
    assert verdict(capsys, SMALL, files, "--state", files / "seen.json")[0] == 1


@pytest.mark.parametrize(
    ("changed", "code", "words"),
    [
        ({"minimum_size": 5}, 0, "Verified"),
        ({"minimum_size": 6}, 2, "had 6 when you pinned it"),
        ({"origin": "other.example"}, 2, "of its origin"),
        ({"keys": []}, 2, "no key"),
        ({"v": 2}, 2, "not a trust.json"),
        ({"workers": ["xy"]}, 2, "not a trust.json"),
        ({"extra": 1}, 2, "not a trust.json"),
        ({"minimum_size": 1.5}, 2, "not a trust.json"),
    ],
)
def test_trust_is_what_was_pinned_and_nothing_else(capsys, files, changed, code, words):
    (files / "trust.json").write_bytes(SMALL.trust(**changed))
    answered, said = verdict(capsys, SMALL, files)
    assert (answered, words in said) == (code, True), said


@pytest.mark.parametrize(
    ("begin", "until", "code"), [(0, 6, 0), (0, 5, 1), (2, None, 0), (3, None, 1), (6, None, 1)]
)
def test_a_key_signs_only_the_sizes_for_which_it_is_pinned(capsys, files, begin, until, code):
    pinned = [{"key": SMALL.key, "from": begin, "until": until}]
    (files / "trust.json").write_bytes(SMALL.trust(keys=pinned))
    assert verdict(capsys, SMALL, files)[0] == code


def test_after_a_rotation_each_half_is_signed_by_its_own_key(capsys, files):
    new = Log(SMALL.bodies, seed=2)
    both = SMALL.checkpoint(2) + "\n" + new.checkpoint()
    log = Log(SMALL.bodies, changed={"checkpoints.txt": both.encode()})
    keys = [
        {"key": SMALL.key, "from": 0, "until": 3},
        {"key": new.key, "from": 3, "until": None},
    ]
    (files / "trust.json").write_bytes(SMALL.trust(keys=keys))
    assert verdict(capsys, log, files)[0] == 0
    (files / "trust.json").write_bytes(SMALL.trust(keys=keys[:1]))
    assert verdict(capsys, log, files)[0] == 1


# --- what is wrong --------------------------------------------------------------------------------------------


def test_no_flipped_bit_of_a_small_bundle_is_verified(capsys, files):
    """Every class of bytes: each member, what stands before it, the list at the end."""
    data, choose = SMALL.write(files / "log.zip"), random.Random(7)  # noqa: S311
    for name, span in ranges(data):
        for place, altered in flips(data, span, most=12, choose=choose):
            (files / "log.zip").write_bytes(altered)
            code, _ = check(capsys, "bundle", files / "log.zip", "--trust", files / "trust.json")
            assert code in {1, 2}, f"{name}, byte {place}"


@pytest.mark.parametrize("name", ["bundle.json", "checkpoints.txt", "entries.jsonl", "tile/0/000.p/5"])
def test_no_flipped_bit_behind_a_right_checksum_is_verified(capsys, files, name):
    """As somebody who writes the whole zip anew: what is signed holds by itself."""
    data, choose = SMALL.members[name], random.Random(8)  # noqa: S311
    for place, altered in flips(data, range(len(data)), most=40, choose=choose):
        code, said = verdict(capsys, Log(SMALL.bodies, (2,), changed={name: altered}), files)
        assert code in {1, 2}, f"byte {place}: {said}"


def test_sampled_bits_of_a_large_bundle(capsys, files):
    log = Log([entry(number, text="x" * 300) for number in range(700)], signed_at=(100, 300))
    data, choose = log.write(files / "log.zip"), random.Random(9)  # noqa: S311
    for place in choose.sample(range(len(data)), 300 if EVERY_BYTE else 30):
        [(_, altered)] = flips(data, range(place, place + 1), most=1, choose=choose)
        (files / "log.zip").write_bytes(altered)
        code, _ = check(capsys, "bundle", files / "log.zip", "--trust", files / "trust.json")
        assert code in {1, 2}, place


def test_no_shortened_or_lengthened_bundle_is_verified(capsys, files):
    data = SMALL.write(files / "log.zip")
    for altered in (
        *(data[:cut] for cut in range(0, len(data) - 1, 997)),
        data[:-1],
        data + b"\0",
        b"\0" + data,
    ):
        (files / "log.zip").write_bytes(altered)
        assert check(capsys, "bundle", files / "log.zip", "--trust", files / "trust.json")[0] in {1, 2}


def lines(log):
    return log.members["entries.jsonl"].splitlines(keepends=True)


@pytest.mark.parametrize(
    "changed",
    [
        {"entries.jsonl": b"".join(lines(SMALL)[:-1])},
        {"entries.jsonl": b"".join(lines(SMALL)[1:])},
        {"entries.jsonl": b"".join([*lines(SMALL), lines(SMALL)[0]])},
        {"entries.jsonl": b"".join([*lines(SMALL), entry(9) + b"\n"])},
        {"entries.jsonl": b"".join([lines(SMALL)[1], lines(SMALL)[0], *lines(SMALL)[2:]])},
        {"entries.jsonl": b"".join(lines(SMALL))[:-1]},
        {"entries.jsonl": b"\n" + b"".join(lines(SMALL))},
        {"entries.jsonl": b"x" * 100_000 + b"\n"},
        {"entries.jsonl": b"[" * 50_000 + b"\n"},
        {"tile/0/000.p/5": SMALL.members["tile/0/000.p/5"][:-32]},
        {"tile/0/000.p/5": SMALL.members["tile/0/000.p/5"][32:] + SMALL.members["tile/0/000.p/5"][:32]},
        {"tile/0/001.p/1": bytes(32)},
        {"checkpoints.txt": b""},
        {"checkpoints.txt": SMALL.checkpoint(2).encode()},
        {"checkpoints.txt": Log(SMALL.bodies, seed=2).checkpoint().encode()},
        {"checkpoints.txt": Log([entry(n, y=1) for n in range(5)]).checkpoint().encode()},
        {
            "checkpoints.txt": SMALL.members["entries.jsonl"],
            "entries.jsonl": SMALL.members["checkpoints.txt"],
        },
        {"../evil": b"x"},
        {"/etc/passwd": b"x"},
        {"tile/../../evil": b"x"},
        {"more.txt": b"x"},
        {"bundle.json": b'{"v":2}'},
    ],
    ids=repr,
)
def test_what_is_left_out_doubled_moved_or_exchanged_is_found(capsys, files, changed):
    code, said = verdict(capsys, Log(SMALL.bodies, (2,), changed=changed), files)
    assert code in {1, 2}, said


@pytest.mark.parametrize("name", ["tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2"])
def test_a_tile_of_any_level_that_does_not_fit_the_others_is_found(capsys, files, name):
    log = Log([entry(number) for number in range(600)])
    right = log.members[name]
    assert verdict(capsys, log, files)[0] == 0
    for wrong in (right[:-1] + bytes([right[-1] ^ 1]), right[32:] + right[:32], right[:-32]):
        code, said = verdict(capsys, Log(log.bodies, changed={name: wrong}), files)
        assert code == 1, said


def test_members_in_another_order_or_twice_or_packed_are_no_bundle(capsys, files):
    members = list(SMALL.members.items())
    for order in (members[::-1], [*members, members[-1]]):
        file = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pack.write(file, ((name, [data]) for name, data in order))
        (files / "log.zip").write_bytes(file.getvalue())
        assert check(capsys, "bundle", files / "log.zip", "--trust", files / "trust.json")[0] == 1
    with zipfile.ZipFile(files / "log.zip", "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("entries.jsonl", bytes(50_000_000))
    assert check(capsys, "bundle", files / "log.zip", "--trust", files / "trust.json")[0] == 1


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_is_done_to_the_members_only_the_same_bundle_is_verified(capsys, files, data):
    """Cut, doubled and moved pieces anywhere, behind right checksums."""
    name = data.draw(st.sampled_from(["checkpoints.txt", "entries.jsonl", "tile/0/000.p/5"]))
    right = SMALL.members[name]
    begin = data.draw(st.integers(0, len(right)))
    end = data.draw(st.integers(begin, len(right)))
    at = data.draw(st.integers(0, len(right)))
    piece = data.draw(st.sampled_from([b"", right[begin:end], right[begin:end][::-1], b"\n", b" ", b"\0"]))
    wrong = (
        right[:at] + piece + right[at:] if data.draw(st.booleans()) else right[:begin] + piece + right[end:]
    )
    code, said = verdict(capsys, Log(SMALL.bodies, (2,), changed={name: wrong}), files)
    assert (code == 0) == (wrong == right), said


# --- one entry, one growth ----------------------------------------------------------------------------------------


@pytest.fixture
def proved(files):
    (files / "entry").write_bytes(SMALL.bodies[3])
    (files / "proof").write_text(SMALL.proof(3))
    (files / "old").write_text(SMALL.checkpoint(2))
    (files / "new").write_text(SMALL.checkpoint())
    (files / "growth").write_text(SMALL.growth(2, 5))
    return files


COMMANDS = {"proof": ("entry", "proof"), "consistency": ("old", "new", "growth")}


@pytest.mark.parametrize("command", COMMANDS)
def test_no_flipped_bit_of_a_proof_is_verified(capsys, proved, command):
    names, choose = COMMANDS[command], random.Random(10)  # noqa: S311
    call = [command, *(proved / name for name in names), "--trust", proved / "trust.json"]
    assert check(capsys, *call)[0] == 0
    for name in names:
        right = (proved / name).read_bytes()
        for place, altered in flips(right, range(len(right)), most=40, choose=choose):
            (proved / name).write_bytes(altered)
            assert check(capsys, *call)[0] in {1, 2}, f"{name}, byte {place}: {altered!r}"
        (proved / name).write_bytes(right)


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("proof", "proof@v1\n", "proof@v1 \n"),
        ("proof", "index 3", "index 03"),
        ("proof", "index 3", "index +3"),
        ("proof", "index 3", "index \u0663"),
        ("proof", "=\n\n", "=\n=\n\n"),
        ("proof", "=\n\n", "=\r\n\n"),
        ("proof", "\u2014 ", "- "),
        ("growth", "\n", "\x0b"),
        ("growth", "\n", " "),
        ("old", "\n2\n", "\n02\n"),
        ("old", "\n2\n", "\n 2\n"),
    ],
    ids=repr,
)
def test_each_number_and_hash_has_one_spelling(capsys, proved, name, before, after):
    [command] = [one for one, names in COMMANDS.items() if name in names]
    text = (proved / name).read_text()
    assert before in text
    (proved / name).write_bytes(text.replace(before, after, 1).encode())
    call = [command, *(proved / one for one in COMMANDS[command]), "--trust", proved / "trust.json"]
    assert check(capsys, *call)[0] in {1, 2}


def test_base64_with_unused_bits_set_is_not_its_one_spelling():
    assert audit.verify.unbase64("AAA=") == bytes(2)
    for text in ("AAB=", "AA==\n", "AA =", "AAA", "A-A="):
        with pytest.raises(audit.verify.Altered):
            audit.verify.unbase64(text)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 40), st.data())
def test_each_entry_is_proved_at_its_place_and_at_no_other(capsys, files, size, data):
    log = Log([entry(number) for number in range(size)])
    index, other = (data.draw(st.integers(0, size - 1)) for _ in range(2))
    (files / "entry").write_bytes(log.bodies[other])
    (files / "proof").write_text(log.proof(index))
    code, _ = check(capsys, "proof", files / "entry", files / "proof", "--key", log.key)
    assert code == (0 if index == other else 1)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 40), st.data())
def test_growth_is_verified_and_a_rewritten_beginning_is_not(capsys, files, size, data):
    log = Log([entry(number) for number in range(size)])
    old = data.draw(st.integers(1, size))
    rewritten = Log([entry(0, other=True), *log.bodies[1:]])
    (files / "new").write_text(log.checkpoint())
    (files / "growth").write_text(log.growth(old, size))
    call = ["consistency", files / "old", files / "new", files / "growth", "--key", log.key]
    for beginning, code in ((log, 0), (rewritten, 1)):
        (files / "old").write_text(beginning.checkpoint(old))
        assert check(capsys, *call)[0] == code


def test_an_empty_or_larger_old_checkpoint_proves_nothing(capsys, files):
    (files / "new").write_text(SMALL.checkpoint(2))
    (files / "growth").write_text("")
    for size in (0, 5):
        (files / "old").write_text(SMALL.checkpoint(size))
        call = ["consistency", files / "old", files / "new", files / "growth", "--key", SMALL.key]
        assert check(capsys, *call)[0] == 2


# --- how it reads ------------------------------------------------------------------------------------------------

MALFORMED = [
    b'{"a":1,"a":1}', b'{"b":1,"a":1}', b'{"a":1.0}', b'{"a":1e2}', b'{"a":-0}', b'{"a":01}', b'{"a":NaN}',
    b'{"a":Infinity}', b'{"a": 1}', b'{"a":9007199254740992}', b'{"a":"\\u0041"}', b'{"a":"\\ud800"}',
    b'{"a":"\xed\xa0\x80"}', b'\xef\xbb\xbf{"a":1}', b'{"a":1}\n', b"[" * 70 + b"]" * 70, b"[" * 90_000,
    b'{"a":1' + b"0" * 5000 + b"}", '{"a":1}'.encode("utf-16"), b"", b'{"a":"\x01"}', b'{"\\ud800":1}',
]  # fmt: skip


@pytest.mark.parametrize("body", MALFORMED, ids=lambda body: repr(body[:20]))
def test_what_two_readers_could_read_differently_is_refused(body):
    with pytest.raises(audit.verify.Altered):
        audit.verify.read_json(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(JSON | st.binary(max_size=30))
def test_both_readers_take_the_same_bytes(value):
    try:
        body = value if isinstance(value, bytes) else canonical(value)
    except NotCanonical:
        return
    read = []
    for reader, refusal in ((parse, NotCanonical), (audit.verify.read_json, audit.verify.Altered)):
        try:
            read.append((True, reader(body)))
        except refusal:
            read.append((False, None))
    assert read[0] == read[1]


def test_the_file_needs_nothing_but_python():
    tree = ast.parse(Path(audit.verify.__file__).read_text("utf-8"), feature_version=(3, 9))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    named = {alias.name for node in imports if isinstance(node, ast.Import) for alias in node.names}
    named |= {str(node.module) for node in imports if isinstance(node, ast.ImportFrom)}
    assert named
    assert {name.partition(".")[0] for name in named} <= set(sys.stdlib_module_names)
    assert not {"socket", "urllib.request", "http", "subprocess", "os", "pickle"} & named


@pytest.mark.parametrize(
    "arguments", [[], ["bundle"], ["bundle", "x.zip"], ["nonsense"], ["proof", "a", "b"]]
)
def test_wrong_usage_is_told_apart_from_a_wrong_log(capsys, arguments):
    assert check(capsys, *arguments)[0] == 3


def test_what_is_not_there_or_is_nothing_of_ours_cannot_be_told(capsys, files):
    assert check(capsys, "bundle", files / "none.zip", "--key", SMALL.key)[0] == 2
    assert check(capsys, "bundle", files / "trust.json", "--key", SMALL.key)[0] == 2
    assert check(capsys, "bundle", files / "log.zip", "--trust", files / "log.zip")[0] == 2
    assert check(capsys, "bundle", files / "log.zip", "--key", "nonsense")[0] == 2
    assert check(capsys, "bundle", files / "log.zip", "--key", SMALL.key)[0] == 0
    assert SMALL.key.startswith(ORIGIN)
