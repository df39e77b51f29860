"""Actions: what their schemas accept and refuse."""

import pytest

from orchestration.actions import registry


@pytest.mark.parametrize(
    ("uses", "with_"),
    [
        ("command", {"argv": ["true"]}),
        ("command", {"argv": ["./x.sh", "a"], "env": {"COLOUR": "blue"}, "success_codes": [0, 2]}),
        ("http", {"url": "https://example.com/healthz", "expect": 204}),
        ("wait", {"seconds": 5}),
    ],
)
def test_what_fits_the_schema_is_accepted(uses, with_):
    assert registry.validate(uses, with_) == []


@pytest.mark.parametrize(
    ("uses", "with_"),
    [
        ("command", {"argv": "rm -rf /"}),
        ("command", {"argv": []}),
        ("command", {"argv": ["true"], "shell": True}),
        *[("command", {"argv": ["true"], "env": {name: "x"}}) for name in
          ["PATH", "LD_PRELOAD", "PYTHONPATH", "BASH_ENV", "IFS", "GIT_SSH_COMMAND", "STEP_FENCE", "COUNTERSIGN_RUN"]],
        ("http", {"url": "file:///etc/passwd"}),
        ("http", {"url": "gopher://x/"}),
        ("http", {"url": "https://user@host/"}),
        ("http", {"url": "https://x/", "headers": {"A": "b\r\nC: d"}}),
        ("wait", {"seconds": -1}),
        ("wait", {"seconds": 1.5}),
        ("magic", {}),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_words(uses, with_):
    assert registry.validate(uses, with_)
