"""Actions: what their schemas refuse, and where the http action may not go."""

import http.server
import threading

import pytest

from orchestration.actions import registry
from orchestration.actions.http import PlaceRefused, resolve
from tests.orchestration.test_supervise import Watched


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


PRIVATE = [
    "127.0.0.1", "localhost", "::1", "0.0.0.0", "10.1.2.3", "192.168.0.1", "169.254.169.254", "100.64.0.1",
           "::ffff:127.0.0.1", "::ffff:169.254.169.254", "2130706433", "0177.0.0.1", "fe80::1", "224.0.0.1",
]  # fmt: skip


@pytest.mark.parametrize("host", PRIVATE)
def test_private_places_are_refused(host):
    with pytest.raises(PlaceRefused, match="nothing was sent"):
        resolve(host, 80)


def test_an_operator_may_allow_a_host_but_never_metadata(monkeypatch):
    monkeypatch.setenv("COUNTERSIGN_HTTP_ALLOWED_HOSTS", "localhost,169.254.169.254")
    assert resolve("localhost", 80) in {"127.0.0.1", "::1"}
    with pytest.raises(PlaceRefused):
        resolve("169.254.169.254", 80)


@pytest.fixture
def server():
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/away":
                self.send_response(302)
                self.send_header("Location", "/")
                self.end_headers()
                return
            self.send_response(200)
            self.end_headers()
            self.wfile.write(self.headers["Idempotency-Key"].encode())

        def log_message(self, *args):
            """Quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


def test_a_request_is_judged_by_its_status_and_carries_the_idempotency_key(server, monkeypatch):
    monkeypatch.setenv("COUNTERSIGN_HTTP_ALLOWED_HOSTS", "127.0.0.1")
    outcome = Watched({"url": server + "/", "contains": "key"}, uses="http").run()
    assert (outcome.state, outcome.outputs) == ("succeeded", {"status": 200})
    assert Watched({"url": server + "/", "expect": 204}, uses="http").run().reason == "Status 200, not 204."


def test_a_redirect_is_not_followed(server, monkeypatch):
    monkeypatch.setenv("COUNTERSIGN_HTTP_ALLOWED_HOSTS", "127.0.0.1")
    assert Watched({"url": server + "/away"}, uses="http").run().reason == "Status 302, not 200."
