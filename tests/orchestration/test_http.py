"""`http`: what it sends, what it makes of the answer, and what it never carries elsewhere."""

import base64
import socket
import ssl
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from orchestration.actions import egress, registry, web
from orchestration.actions.base import Cancelled, Failed
from orchestration.actions.http import Http
from tests.orchestration.far import Told, context, far
from tests.orchestration.test_supervise import Watched


@pytest.fixture(autouse=True)
def here(monkeypatch):
    """The operator allows this machine."""
    monkeypatch.setenv(egress.ALLOWED, "127.0.0.1,localhost,bank.example")


@pytest.fixture
def secrets(tmp_path, monkeypatch):
    """The folder with the step's secrets."""
    monkeypatch.setenv("STEP_SECRETS", str(tmp_path))
    (tmp_path / "TOKEN").write_text("s3cret-of-the-step\n")
    return tmp_path


def run(**with_):
    made, lines = context(with_)
    return Http().run(made), "\n".join(lines)


def reason(**with_):
    """Why it failed, as its own process would tell it."""
    try:
        return run(**with_)[0].reason
    except Failed as error:
        return str(error)


def test_it_runs_in_a_process_of_its_own_and_is_judged_by_its_status():
    with far(lambda asked: Told(200, asked.headers["idempotency-key"].encode())) as server:
        outcome = Watched({"url": server.url, "contains": "key"}, uses="http").run()
        assert (outcome.state, outcome.outputs) == ("succeeded", {"status": 200})
        refused = Watched({"url": server.url, "expect": [201, 204]}, uses="http").run()
        assert (refused.state, refused.reason) == ("failed", "Status 200, not 201 or 204.")
        lost = Watched({"url": server.url, "contains": "a word"}, uses="http").run()
        assert lost.reason == "The answer does not contain 'a word'."


def test_a_secret_reaches_the_server_and_neither_the_log_nor_the_environment(secrets):
    with far(lambda _: Told()) as server:
        step = Watched({"url": server.url, "auth": {"bearer": "TOKEN"}}, uses="http")
        step.attempt = replace(step.attempt, env={"STEP_SECRETS": str(secrets)})
        assert step.run().state == "succeeded"
        assert server.asked[0].headers["authorization"] == "Bearer s3cret-of-the-step"
        assert "s3cret" not in step.text


@pytest.mark.parametrize(
    ("auth", "header", "value"),
    [
        ({"header": {"name": "X-Token", "value": "TOKEN"}}, "x-token", "s3cret-of-the-step"),
        ({"basic": {"user": "ada", "password": "TOKEN"}}, "authorization",
         "Basic " + base64.b64encode(b"ada:s3cret-of-the-step").decode()),
    ],
)  # fmt: skip
def test_a_credential_comes_from_a_secret(secrets, auth, header, value):
    with far(lambda _: Told()) as server:
        run(url=server.url, auth=auth)
        assert server.asked[0].headers[header] == value


def test_a_secret_that_is_not_there_or_fits_no_header_stops_it_without_being_told(secrets):
    (secrets / "BROKEN").write_text("s3cret\r\nX-Evil: 1")
    with far(lambda _: Told()) as server:
        assert "lists no secret OTHER" in reason(url=server.url, auth={"bearer": "OTHER"})
        told = reason(url=server.url, auth={"bearer": "BROKEN"})
        assert "BROKEN" in told
        assert "s3cret" not in told
        assert server.asked == []


def test_json_and_a_query_arrive_as_what_they_are():
    with far(lambda _: Told(201)) as server:
        given = {"q": "a&b=c /../%0d%0a#", "n": 3, "yes": True}
        body = {"v": ["1.2.3", None, 2]}
        done, _ = run(url=server.url + "/x?a=1", method="POST", json=body, query=given, expect=201)
        assert done.succeeded
        [asked] = server.asked
        assert (asked.path, asked.query) == ("/x", "a=1&q=a%26b%3Dc+%2F..%2F%250d%250a%23&n=3&yes=true")
        assert asked.json == body
        assert asked.headers["content-type"] == "application/json"


def test_fields_of_the_answer_become_outputs_with_their_type():
    body = {
        "data": {"id": 7, "tag/name": "v1", "ok": True, "list": [{"k": "first"}], "none": None, "part": 1.5}
    }
    with far(lambda _: Told(200, {**body, "long": "x" * 5000})) as server:
        wanted = {"id": "/data/id", "tag": "/data/tag~1name", "ok": "/data/ok", "first": "/data/list/0/k"}
        done, _ = run(url=server.url, outputs=wanted)
        assert done.outputs == {"status": 200, "id": 7, "tag": "v1", "ok": True, "first": "first"}
        assert "nothing at /data/other" in reason(url=server.url, outputs={"x": "/data/other"})
        assert "nothing at /data/list/01" in reason(url=server.url, outputs={"x": "/data/list/01"})
        for pointer in ("/data", "/data/none", "/data/part"):
            assert "is no text" in reason(url=server.url, outputs={"x": pointer})
        assert "longer than" in reason(url=server.url, outputs={"x": "/long"})


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"1" * 5000])
def test_an_answer_that_is_no_json_is_told_as_such(body):
    with far(lambda _: Told(200, body)) as server:
        assert reason(url=server.url, outputs={"x": "/a"}) == "The answer is no JSON."


def test_an_endless_answer_is_read_up_to_its_limit():
    endless = Told(200, b"a" * (4 << 20), {"Content-Length": str(1 << 40)})
    with far(lambda _: endless) as server:
        made, lines = context({"url": server.url})
        assert Http().run(made).succeeded
        assert sum(map(len, lines)) < 5000
        assert "longer than" in reason(url=server.url, outputs={"x": "/a"})


def test_a_redirect_is_not_followed_unless_the_step_says_so():
    def answers(asked):
        return Told(302, headers={"Location": "/there"}) if asked.path == "/" else Told(200, b"there")

    with far(answers) as server:
        assert reason(url=server.url) == "Status 302, not 200."
        assert len(server.asked) == 1
        assert run(url=server.url, follow=1, contains="there")[0].succeeded


def test_no_more_redirects_are_followed_than_the_step_says():
    with far(lambda _: Told(302, headers={"Location": "/again"})) as server:
        assert reason(url=server.url, follow=3) == "Status 302, not 200."
        assert len(server.asked) == 4


@pytest.mark.parametrize(
    "location",
    ["http://10.0.0.1/", "http://169.254.169.254/latest/", "file:///etc/passwd", "//0x7f.1/", "gopher://x/",
     "http://user@127.0.0.1/", "http://[::ffff:10.0.0.1]/", "\\\\10.0.0.1\\", "http://2130706433/"],
)  # fmt: skip
def test_x09_each_hop_is_judged_anew(location):
    with far(lambda _: Told(302, headers={"Location": location})) as server:
        assert "nothing was sent" in reason(url=server.url, follow=5)
        assert len(server.asked) == 1


def test_a_credential_does_not_follow_to_another_place(secrets):
    with far(lambda _: Told()) as other:
        with far(lambda _: Told(302, headers={"Location": other.url + "/x"})) as server:
            assert run(url=server.url, follow=1, auth={"bearer": "TOKEN"})[0].succeeded
            assert "authorization" in server.asked[0].headers
        assert "authorization" not in other.asked[0].headers


def test_what_changes_something_is_never_redirected():
    with far(lambda _: Told(307, headers={"Location": "/x"})) as server:
        assert "is not followed" in reason(url=server.url, method="POST", body="x", follow=3)
        assert len(server.asked) == 1


def test_a_get_is_read_only_and_a_post_happens_at_most_once():
    assert Http().effect_of({"url": "http://x/"}) == "read_only"
    assert Http().effect_of({"url": "http://x/", "method": "HEAD"}) == "read_only"
    assert {Http().effect_of({"url": "http://x/", "method": one}) for one in ("POST", "PUT", "DELETE")} == {
        "at_most_once"
    }


def test_nothing_is_said_of_a_place_that_is_not_there():
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    assert reason(url=f"http://127.0.0.1:{port}/").endswith("nothing was sent.")


def test_an_answer_that_never_comes_is_not_told_as_a_failure_to_send():
    with socket.create_server(("127.0.0.1", 0)) as held:
        url = f"http://127.0.0.1:{held.getsockname()[1]}/"
        assert "it may have done what was asked" in reason(url=url, method="POST", timeout=1)


@pytest.mark.parametrize(
    "drip", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"]
)
def test_an_answer_that_comes_drop_by_drop_ends_in_time(drip):
    with socket.create_server(("127.0.0.1", 0)) as held:
        ended = threading.Event()

        def serve():
            one, _ = held.accept()
            with one:
                one.sendall(drip)
                while not ended.wait(0.05):
                    try:
                        one.sendall(b"a")
                    except OSError:
                        return

        thread = threading.Thread(target=serve)
        thread.start()
        begun = time.monotonic()
        try:
            told = reason(url=f"http://127.0.0.1:{held.getsockname()[1]}/", timeout=1)
        finally:
            ended.set()
            thread.join()
        assert "too long" in told
        assert time.monotonic() - begun < 3


def test_a_stopped_run_ends_a_request_at_once():
    with socket.create_server(("127.0.0.1", 0)) as held:
        made, _ = context({"url": f"http://127.0.0.1:{held.getsockname()[1]}/"})
        threading.Timer(0.2, made.cancelled.set).start()
        begun = time.monotonic()
        with pytest.raises(Cancelled):
            Http().run(made)
        assert time.monotonic() - begun < 2


def certificate(folder, name):
    """A certificate for one name, which signs itself, and a context of a server that shows it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    plain = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    file = folder / f"{name}.pem"
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(file)
    return file, served


@pytest.mark.parametrize(("name", "trusted"), [("bank.example", True), ("other.example", False)])
def test_tls_checks_the_name_although_the_address_is_pinned(tmp_path, monkeypatch, name, trusted):
    file, served = certificate(tmp_path, name)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with far(lambda asked: Told(200, asked.headers["host"].encode())) as server:
        server.socket = served.wrap_socket(server.socket, server_side=True)
        address = ("127.0.0.1", server.server_port)
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(0, 0, 0, "", address)])
        url = f"https://bank.example:{server.server_port}/"
        if trusted:
            assert run(url=url, contains=f"bank.example:{server.server_port}")[0].succeeded
        else:
            assert "Hostname mismatch" in reason(url=url)
            assert server.asked == []


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path, monkeypatch):
    _, served = certificate(tmp_path, "localhost")
    with far(lambda _: Told()) as server:
        server.socket = served.wrap_socket(server.socket, server_side=True)
        assert "CERTIFICATE_VERIFY_FAILED" in reason(url=f"https://localhost:{server.server_port}/")
        assert server.asked == []


@pytest.mark.parametrize(
    "with_",
    [
        {"url": "https://example.com/healthz", "expect": 204},
        {"url": "http://a.internal:8080/x?y=1", "method": "POST", "json": {"a": [1]}, "expect": [200, 201]},
        {
            "url": "https://[2606:4700::1]/",
            "headers": {"X-Trace": "a b", "Accept": "text/plain"},
            "follow": 2,
        },
        {
            "url": "https://x/",
            "auth": {"basic": {"user": "ada", "password": "WORD"}},
            "outputs": {"a": "/b/0"},
        },
    ],
)
def test_what_fits_is_accepted(with_):
    assert registry.validate("http", with_) == []


@pytest.mark.parametrize(
    "with_",
    [
        *({"url": url} for url in ["file:///etc/passwd", "gopher://x/", "https://user@host/", "https://a:b@host/",
                                   "https://x/\r\nHost: y", "https://x/\n", "https://x/a b", "https://x\\@y/", "https://x/#y",
                                   "https://ex\u0430mple.com/", "//x/", "-oProxyCommand=x", "https://x/\0"]),
        *({"url": "https://x/", "headers": {name: "x"}} for name in
          ["Host", "AUTHORIZATION", "Cookie", "Content-Length", "Transfer-Encoding", "Proxy-Authorization",
           "Idempotency-Key", "A B", "A:", "A\r\nB", "A\n", ""]),
        *({"url": "https://x/", "headers": {"A": text}} for text in ["b\r\nC: d", "b\n", "\0", "\x1b[2J", "ü"]),
        {"url": "https://x/", "auth": {"bearer": "the token itself"}},
        {"url": "https://x/", "auth": {"bearer": "../OTHER"}},
        {"url": "https://x/", "auth": {"bearer": "A", "basic": {"user": "a", "password": "B"}}},
        {"url": "https://x/", "auth": {"basic": {"user": "a:b", "password": "B"}}},
        {"url": "https://x/", "body": "a", "json": 1},
        {"url": "https://x/", "follow": 6},
        {"url": "https://x/", "expect": []},
        {"url": "https://x/", "outputs": {"a": "b"}},
        {"url": "https://x/", "outputs": {"A": "/b"}},
        {"url": "https://x/", "outputs": {"status": "/b"}},
        {"url": "https://x/", "method": "CONNECT"},
        {"url": "https://x/", "proxy": "http://y/"},
        {"method": "GET"},
    ],
)  # fmt: skip
def test_x02_x03_what_does_not_fit_is_refused_in_words(with_):
    assert registry.validate("http", with_)


@pytest.mark.parametrize(
    "typed", ["{{7*7}}", "{x.__class__}", "%n%s", "${jndi:ldap://x}", "'; id", "`id`", "$(id)"]
)
def test_x04_what_a_person_typed_arrives_as_it_was_typed(typed):
    with far(lambda _: Told()) as server:
        run(url=server.url, method="POST", body=typed, headers={"X-Typed": typed})
        assert (server.asked[0].body.decode(), server.asked[0].headers["x-typed"]) == (typed, typed)


def test_x16_no_pattern_is_slow_whatever_is_typed():
    begun = time.process_time()
    for text in (
        "a" * 1_000_000,
        "https://" + "a." * 500_000,
        "https://x" + "/a" * 500_000,
        "/" * 1_000_000 + "\n",
    ):
        registry.validate("http", {"url": text, "headers": {"A": text, text: "a"}, "outputs": {"a": text}})
    assert time.process_time() - begun < 2


def test_a_header_that_a_library_refuses_is_not_told():
    with far(lambda _: Told()) as server, pytest.raises(egress.NotSent, match="not one") as told:
        web.send(context()[0], "GET", egress.place(server.url), headers={"A": "s3cret\r\n"})
    assert "s3cret" not in str(told.value)
    assert server.asked == []
