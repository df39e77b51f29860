"""Group X at the doors: undeclared names, oversized and misshapen bodies, markup, floods, and a step's own token."""

import json
import time

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings
from django.test import Client
from django.utils.html import escape

from accounts import tokens
from approvals.models import SignOff
from config.asgi import Handler
from orchestration import consumers
from orchestration.definitions import workflow
from orchestration.definitions.source import BadDefinition
from orchestration.models import Change
from tests.abuse.attack import ECHO, Case, printed, was_refused, work
from tests.accounts.cast import bearer, issue
from tests.browser import REQUEST, decision
from tests.orchestration.test_live import nothing, signed_in, socket, talk

STEERING = [
    "PATH", "LD_PRELOAD", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONSTARTUP", "BASH_ENV", "ENV", "IFS", "HOME",
    "GIT_SSH_COMMAND", "GIT_CONFIG", "PERL5LIB", "RUBYOPT", "NODE_OPTIONS", "STEP_FENCE", "STEP_SECRETS",
    "COUNTERSIGN_DATABASE_URL", "COUNTERSIGN_BOOT", "ld_preload", "A B", "A=B", "A\n", "",
]  # fmt: skip

# --- X03: what was not declared --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STEERING)
def test_x03_a_variable_that_steers_a_program_is_refused_when_a_workflow_names_it(name):
    written = json.dumps(name)
    for text in (
        ECHO.replace("with: {", f"with: {{env: {{{written}: x}}, "),
        ECHO.replace("uses: command, with", f"uses: command, env: {{{written}: x}}, with"),
    ):
        with pytest.raises(BadDefinition) as refused:
            workflow.load(text)
        assert refused.value.status == 422


@pytest.mark.parametrize(
    "name", ["PATH", "LD_PRELOAD", "BASH_ENV", "state", "digest", "__proto__", "version "]
)
def test_x03_a_parameter_that_was_not_declared_is_refused_and_told(case, name):
    answer = case.at["mara"].post("changes/", {**REQUEST, "inputs": {"version": "42", name: "x"}})
    case.refused("mara", answer, 422, "inputs_invalid")
    assert not Change.objects.exists()


def test_x03_a_running_step_has_its_own_variables_and_those_of_its_workflow_alone(
    transactional_db, monkeypatch
):
    monkeypatch.setenv("LD_PRELOAD_OF_THE_WORKER", "x")
    case = Case(
        ECHO.replace('[/bin/echo, "one {{inputs.version}} {{service}}"]', "[/usr/bin/env], env: {A: b}")
    )
    case.approved()
    work()
    names = {line.partition("=")[0] for line in printed().splitlines()}
    assert "A" in names
    strange = {one for one in names if not one.startswith(("STEP", "COUNTERSIGN_RUN", "COUNTERSIGN_BOOT"))}
    assert strange == {"A", "PATH", "HOME", "LANG", "TMPDIR", "IDEMPOTENCY_KEY"}


# --- X06: JSON -------------------------------------------------------------------------------------------------

HOSTILE = {
    "deep list": "[" * 100_000,
    "deep object": '{"a":' * 100_000,
    "many keys": "{" + ",".join(f'"k{n}":0' for n in range(60_000)) + "}",
    "many values": '{"reason": [' + ",".join("0" * 300_000) + "]}",
    "huge number": '{"reason": ' + "9" * 900_000 + "}",
    "huge exponent": '{"reason": 1e999999}',
    "not a number": '{"reason": NaN}',
    "endless": '{"reason": Infinity}',
    "second key": '{"reason": "a", "reason": "b"}',
    "half a letter": '{"reason": "\\ud800"}',
    "a letter of no length": '{"reason": "\\u0000"}',
    "other encoding": json.dumps({"reason": "a"}).encode("utf-16"),
    "cut": '{"reason": "a',
}


def test_x06_hostile_json_is_refused_quickly_and_nothing_is_stored(case):
    for name, body in HOSTILE.items():
        began = time.thread_time()
        answer = case.at["mara"].client.post(
            "/api/v1/changes/", body, content_type="application/json", headers={"Idempotency-Key": name}
        )
        assert answer.status_code in {400, 422}, (name, answer.content)
        assert answer.json()["code"] in {"malformed", "invalid", "inputs_invalid"}, name
        assert time.thread_time() - began < 2, name
    assert not Change.objects.exists()


# --- X08: names of files ----------------------------------------------------------------------------------------


OUTSIDE = [
    "../x",
    "a/../../x",
    "/etc/cron.d/x",
    "a\\..\\x",
    "a//x",
    "./x",
    "x/",
    "",
    "a\0b",
    "a\nb",
    "\u202ex",
    "..",
]


def test_x08_a_file_of_an_uploaded_workflow_never_leaves_its_folder(case):
    for name in OUTSIDE:
        body = {"source": ECHO, "files": {name: "x"}}
        answer = case.at["mara"].post("workflows/deploy/versions/", body)
        assert answer.status_code == 422, (name, answer.content)
        said = answer.json()
        assert "plain relative path" in str(said["errors"]) or "NUL" in said["detail"], said


# --- X13: the token that a step was given ------------------------------------------------------------------------


def test_x13_a_token_of_a_reviewer_that_a_step_got_hold_of_signs_nothing(case):
    """Not even with every scope: who signs off sits at a browser. No other door decides either."""
    change = case.asked()
    jonas = case.bank.user("jonas")
    leaked = issue(jonas, *(one for one in tokens.SCOPES if one != "admin"))
    headers = {**bearer(leaked)["headers"], "Idempotency-Key": "k"}
    for path, body in (
        ("sign-offs/", decision(change, "Service owner")),
        ("sign-offs/challenge/", {"stage": change["chain"]["stages"][0]["id"], "decision": "approve"}),
        ("claim/", {"stage": change["chain"]["stages"][0]["id"]}),
        ("recuse/", {"reason": "x"}),
    ):
        answer = Client().post(
            f"/api/v1/changes/{change['key']}/{path}", json.dumps(body), content_type="application/json",
            headers=headers,
        )  # fmt: skip
        assert (answer.status_code, answer.json()["code"]) == (403, "session_only"), (path, answer.content)
        was_refused("session_only", jonas)
    assert not SignOff.objects.exists()
    case.nothing_started()


# --- X18: markup and line ends in what a person typed ---------------------------------------------------------------

MARKUP = [
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "[a](javascript:alert(1))", "<svg onload=alert(1)>",
    "</title><b>", "{{7*7}}{% debug %}", "a\r\nBcc: x@evil.example\r\n\r\nhello", "&lt;i&gt;", "javascript:alert(1)",
]  # fmt: skip


def test_x18_whatever_was_typed_stands_on_every_page_as_text(case):
    change = case.asked(reason="\n".join(MARKUP))
    case.says("jonas", change, comment=" ".join(MARKUP))
    for path in (f"/changes/{change['key']}/", "/inbox/", "/changes/", "/audit/"):
        answer = case.at["noor"].client.get(path)
        text = answer.content.decode()
        for tag in ("<script>alert", "<img src=x", "<svg onload", 'href="javascript:', "</title><b>", "<i>"):
            assert tag not in text, (path, tag)
        assert "Bcc" not in answer.headers
        if "CHG" in path:
            assert [one for one in MARKUP if escape(one.splitlines()[0]) not in text] == []


# --- X20: floods ------------------------------------------------------------------------------------------------


def test_x20_a_person_has_so_many_open_requests_and_no_more(case, settings):
    settings.OPEN_CHANGES = 2
    first, _ = case.asked(), case.asked()
    answer = case.at["mara"].post("changes/", REQUEST)
    case.refused("mara", answer, 409, "too_many_open")
    assert Change.objects.count() == 2
    assert (
        case.at["jonas"].post("changes/", REQUEST).json().get("code") != "too_many_open"
    )  # hers count for her
    assert case.at["mara"].post(f"changes/{first['key']}/withdraw/").status_code == 200
    again = case.at["mara"].post("changes/", REQUEST)
    assert again.status_code == 201, again.content
    emergency = {**REQUEST, "incident": "INC-1"}
    assert case.at["mara"].post("break-glass/", emergency).json().get("code") != "too_many_open"


def test_x20_a_person_has_so_many_sockets_and_no_more(case, monkeypatch):
    monkeypatch.setattr(consumers, "MAX_SOCKETS", 2)
    mara, noor = (signed_in(case.bank.user(who)) for who in ("mara", "noor"))

    async def third(_):
        async def second(_):
            assert await connected(mara) == "refused"
            return await connected(noor)

        return await inside(mara, second)

    async def inside(client, play):
        live = await opened(client)
        try:
            return await play(live)
        finally:
            await live.send_input({"type": "websocket.disconnect", "code": 1001})
            await live.wait(0.5)

    async def connected(client):
        live = await opened(client)
        if live is None:
            return "refused"
        await live.send_input({"type": "websocket.disconnect", "code": 1001})
        await live.wait(0.5)
        return "connected"

    async def opened(client):
        live = socket(client)
        await live.send_input({"type": "websocket.connect"})
        return live if (await live.receive_output(5))["type"] == "websocket.accept" else None

    assert async_to_sync(inside)(mara, third) == "connected"
    assert talk(mara, nothing) == "connected"  # those that were closed count no more
    assert not consumers._open


class Endless:
    """A client that sends a megabyte after the other, and counts how many were taken before it was answered."""

    def __init__(self, pieces: int) -> None:
        self.left, self.answer = pieces, None

    async def receive(self):
        self.left -= 1
        return {"type": "http.request", "body": b"x" * (1 << 20), "more_body": self.left > 0}

    async def send(self, message):
        if message["type"] == "http.response.start":
            self.answer = message["status"]


def test_x20_of_a_body_without_an_end_only_so_much_is_kept(case, monkeypatch):
    """And none of it on the disk: Django would write all of it there before anybody asks who sent it."""

    def no_file(*_, **__):
        raise AssertionError("the body went to the disk")

    monkeypatch.setattr("tempfile.SpooledTemporaryFile", no_file)
    handler, endless = Handler(), Endless(pieces=64)
    kept = async_to_sync(handler.read_body)(endless.receive)
    assert endless.left == 0
    assert len(kept.getvalue()) == settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1


def test_x20_such_a_body_is_refused_however_it_is_sent(case):
    big = b'{"reason": "' + b"x" * 1_100_000 + b'"}'
    for path in ("changes/", "changes/preview/", "workflows/deploy/versions/", "me/tokens/"):
        answer = case.at["mara"].client.post(
            f"/api/v1/{path}", big, content_type="application/json", headers={"Idempotency-Key": "k"}
        )
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large"), path
    form = case.at["mara"].client.post("/workflows/deploy/new/", {"reason": "x" * 1_100_000})
    assert form.status_code in {400, 413}
    assert not Change.objects.exists()
