"""What a step prints is masked as it streams by: in every form, however it is cut, and quickly."""

import base64
import json
import re
import shlex
import time
from itertools import pairwise
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as some

from orchestration.engine.supervisor.redact import MASK, Redactor, Stream

PEM = (
    "-----BEGIN KEY-----\n"
    + "\n".join(f"{line:02}" + "Mq9/x+Zk" * 7 for line in range(20))
    + "\n-----END KEY-----\n"
)
WRITTEN = {
    "raw": lambda value: value,
    "base64": base64.b64encode,
    "base64, one byte before": lambda value: base64.b64encode(b"x" + value + b"y"),
    "base64, two bytes before": lambda value: base64.b64encode(b"xx" + value + b"yy"),
    "base64 for addresses": base64.urlsafe_b64encode,
    "base64 for addresses, one byte before": lambda value: base64.urlsafe_b64encode(b"\xff" + value),
    "base64 in lines": base64.encodebytes,
    "base64 in shorter lines": lambda value: b"\n".join(re.findall(b".{1,64}", base64.b64encode(value))),
    "hex": lambda value: value.hex().encode(),
    "hex in capitals": lambda value: value.hex().upper().encode(),
    "hex in lines": lambda value: b"\n".join(re.findall(b".{1,60}", value.hex().encode())),
    "address": lambda value: quote(value).encode(),
    "address, all of it": lambda value: quote(value, safe="").encode(),
    "form": lambda value: quote_plus(value).encode(),
    "JSON": lambda value: json.dumps({"it": value.decode()}).encode(),
    "JSON in UTF-8": lambda value: json.dumps(value.decode(), ensure_ascii=False).encode(),
    "shell": lambda value: shlex.quote(value.decode()).encode(),
    "repr": lambda value: repr(value).encode(),
    "lines that end as on Windows": lambda value: value.replace(b"\n", b"\r\n"),
    "each line by itself": lambda value: b"\n> ".join(value.splitlines()),
}  # fmt: skip
CORES = {  # what of each form would give the secret away: without the character that mixes with its neighbour
    "base64, one byte before": slice(2, -4),
    "base64, two bytes before": slice(3, -4),
    "base64 for addresses, one byte before": slice(2, -4),
}
values = some.text(
    some.characters(exclude_categories=["Cs"], exclude_characters="\0*"), min_size=4, max_size=60
)
secrets = values.filter(lambda text: len(text.strip()) >= 4)


def masked(value, data, cuts=()):
    """What of `data` is stored when it is read in pieces that are cut there."""
    stream, out, edges = (
        Stream(Redactor([value])),
        b"",
        sorted({0, *(cut % (len(data) + 1) for cut in cuts), len(data)}),
    )
    for start, end in pairwise(edges):
        out += stream.put(data[start:end])
    return out + stream.put(b"", ended=True)


@pytest.mark.parametrize("form", WRITTEN)
@settings(max_examples=60, deadline=None)
@example(PEM, [3, 500, 501, 1000])
@example("p4ss' w\"o$rd\\", [5])
@given(secrets, some.lists(some.integers(0, 10_000), max_size=8))
def test_no_form_of_a_secret_gets_through_however_it_is_cut(form, value, cuts):
    raw = value.encode()
    written = WRITTEN[form](raw)
    left = masked(raw, b"so: " + written + b" :so far\n", cuts)
    core = written[CORES.get(form, slice(None))].strip(b"=\n\"'$ {}:")
    for piece in [one for one in core.split(b"\n") if len(one) >= 8] or [core]:
        assert piece not in left or piece in b"so: " + MASK + b" :so far"
    assert left.startswith(b"so: ")
    assert left.endswith(b" :so far\n")


@given(some.binary(max_size=400), some.lists(some.integers(0, 400), max_size=6))
def test_what_holds_no_secret_comes_through_as_it_is(data, cuts):
    value = b"Tr0ub4dor&3"
    assert value in data or masked(value, data, cuts) == data


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        (b"ab\ncd\nef", b"ab\r\ncd\r\nef"),  # no line of it is long enough to be masked by itself
        (b" padded-value \n", b"padded-value"),
        (b"padded\n", base64.b64encode(b"padded")),
    ],
)
def test_line_ends_and_blanks_around_it_make_no_difference(value, printed):
    assert masked(value, b"[" + printed + b"]") == b"[***]"


def test_a_line_that_may_go_on_as_a_secret_is_held_back_and_let_go():
    stream = Stream(Redactor([b"hunter2000"]))
    assert stream.put(b"shall we hunt") == b"shall we "
    assert stream.put(b"er2") == b""
    assert stream.put(b"?\n") == b"hunter2?\n"


def test_several_secrets_that_lie_upon_each_other_leave_one_mask():
    redactor = Redactor([b"abcdefgh", b"efghijkl"])
    assert redactor.mask(b"[abcdefghijkl]") == b"[***]"
    stream = Stream(redactor)
    assert (
        b"".join(stream.put(bytes([one])) for one in b"[abcdefghijkl]") + stream.put(b"", ended=True)
        == b"[***]"
    )


def test_a_secret_of_one_letter_repeated_is_masked_in_a_flood_of_it_without_growing():
    stream = Stream(Redactor([b"aaaaaaaa"]))
    out = b"".join(stream.put(b"a" * 10_000) for _ in range(50)) + stream.put(b"a\n", ended=True)
    assert b"aaaaaaaa" not in out
    assert len(out) < 1000


def test_outputs_are_masked_by_name_and_value_and_a_number_too():
    redactor = Redactor([b"12345678", b"s3cret-word"])
    outputs: dict[str, str | int | bool] = {
        "s3cret-word": 1,
        "pin": 12345678,
        "ok": True,
        "text": "it is s3cret-word.",
    }
    assert redactor.flat(outputs) == {"***": 1, "pin": "***", "ok": True, "text": "it is ***."}


def test_ten_secrets_cost_little_and_time_grows_with_what_is_printed_only():
    """Against a copy of the same bytes on the same machine at the same moment, so that a busy one tells the same."""
    line = b"2026-11-29T01:00:00Z INFO payments.api path=/accounts/transfer status=200 took 13 ms\n"
    data = line * (8_000_000 // len(line))
    ten = Redactor([f"a-Long!passw0rd-{n:04}".encode() for n in range(10)])
    assert _seconds(ten, data) < 12 * _seconds(Redactor([b"one-0nly-long-value!"]), data) + 0.05
    assert _seconds(ten, data * 2) < 4 * _seconds(ten, data) + 0.05


def test_short_secrets_cost_no_more_than_long_ones():
    line = b"2026-11-29T01:00:00Z INFO payments.api path=/accounts/transfer status=302 took 13 ms\n"
    data = line * (4_000_000 // len(line))
    short = Redactor([f"p{n:02}x".encode() for n in range(10)])
    assert _seconds(short, data) < 5 * _seconds(Redactor([b"one-0nly-long-value!"]), data) + 0.05


@settings(max_examples=300, deadline=None)
@given(
    some.lists(some.text("abc", min_size=4, max_size=7), min_size=1, max_size=6, unique=True),
    some.text("abc", max_size=60),
)
def test_each_place_of_each_pattern_is_found_whatever_others_there_are(words, text):
    """Against the plain way: each pattern is looked for from the left, and what is found is masked."""
    redactor, data = Redactor(word.encode() for word in words), text.encode()
    hidden = bytearray(len(data))
    for pattern in redactor.patterns:
        at = data.find(pattern)
        while at >= 0:
            hidden[at : at + len(pattern)] = b"x" * len(pattern)
            at = data.find(pattern, at + len(pattern))
    plain = re.sub(b"\1+", MASK, bytes(1 if gone else byte for gone, byte in zip(hidden, data, strict=True)))
    assert redactor.mask(data) == plain


def _seconds(redactor, data):
    best = float("inf")
    for _ in range(3):
        stream, begun = Stream(redactor), time.perf_counter()
        for at in range(0, len(data), 65_536):
            stream.put(data[at : at + 65_536])
        best = min(best, time.perf_counter() - begun)
    return best
