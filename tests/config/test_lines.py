"""Our own log is lines of ours: nothing that somebody sends begins one, colours one or hides one."""

import logging
import logging.config
from typing import Any

import pytest
from django.conf import settings
from django.utils.module_loading import import_string

EVIL = "/nowhere/%0d%0a2026-01-01 00:00:00 CRITICAL root: forged%1b[2K%1b[31m%e2%80%ae%c2%9b31m"


@pytest.fixture
def written(caplog):
    """What is logged within the test, in the form that the settings name."""
    formatters: Any = settings.LOGGING["formatters"]
    form = dict(formatters["line"])
    made = import_string(form.pop("()"))(fmt=form["format"], style=form["style"])
    before = caplog.handler.formatter
    caplog.handler.setFormatter(made)
    yield caplog
    caplog.handler.setFormatter(before)


def test_x19_a_path_with_line_ends_and_escapes_stays_within_its_one_line(written, client, db):
    assert client.get(EVIL).status_code in {302, 404}
    logging.getLogger("django.request").warning("Not Found: %s", "/a\r\nb\x1b[31m\u2028c")
    lines = written.text.splitlines()
    assert len(lines) == len(written.records) >= 1
    assert not any(sign in written.text for sign in "\r\x1b\x9b\u202e\u2028")
    assert lines[-1].endswith(r"WARNING django.request: Not Found: /a\r\nb\x1b[31m\u2028c")
    assert not [one for one in lines if one.startswith("2026-01-01 00:00:00 CRITICAL")]


def test_x19_what_an_exception_says_is_set_in_behind_its_line(written):
    said = ValueError("one\n2026-01-01 00:00:00 CRITICAL root: forged\x1b[31m")
    logging.getLogger("x").error("It failed", exc_info=said)
    first, *rest = written.text.splitlines()
    assert first.endswith("ERROR x: It failed")
    assert len(rest) >= 2
    assert all(one.startswith("    ") for one in rest)
    assert "\x1b" not in written.text
