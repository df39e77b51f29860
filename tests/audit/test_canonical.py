"""One spelling for each value: what is hashed is read again only if it is spelt so."""

from typing import Any

import pytest
import rfc8785

from audit.canonical import MAX_INTEGER, NotCanonical, canonical, parse

VALUE: dict[str, Any] = {
    "b": [1, None, True, {"é": "\x00\u2028", "z": -MAX_INTEGER}],
    "a": {},
    "\U0001f600": [],
    "\ufb33": "",
}


def test_another_implementation_spells_it_the_same_and_it_is_read_as_it_was():
    assert canonical(VALUE) == rfc8785.dumps(VALUE)
    assert parse(canonical(VALUE)) == VALUE


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1,"a":1}', b'{"a":1,"a":2}', b'{"b":1,"a":2}', b'{"a": 1}', b'{"a":1.0}', b'{"a":1e3}', b"[1,]", b"",
        b'"\\u0061"', b'{"a":NaN}', b"9007199254740992", b"\xff", b'"\\ud800"', b"[" * 100 + b"]" * 100,
    ],
)  # fmt: skip
def test_any_other_spelling_is_refused_the_second_time_too(data):
    for _ in range(2):
        with pytest.raises(NotCanonical):
            parse(data)


def test_what_one_reader_does_to_it_no_other_reader_sees():
    data = canonical(VALUE)
    parse(data)["b"].append("mine")
    assert parse(data) == VALUE
