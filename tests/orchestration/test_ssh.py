"""`ssh` against a real OpenSSH server: who is trusted, what arrives, how it ends, and that nothing goes on alone."""

import asyncio
import socket
import threading
import time
from dataclasses import replace

import asyncssh
import psutil
import pytest

from orchestration.actions import egress, registry, ssh_session
from orchestration.actions.base import Failed
from orchestration.actions.ssh import Ssh
from tests.orchestration.far import context
from tests.orchestration.sshd import SSHD, machine
from tests.orchestration.test_supervise import Watched

real = pytest.mark.skipif(
    SSHD is None, reason="*** NO OPENSSH SERVER: SSH STEPS ARE NOT PROVED. `make sshd` ***"
)


@pytest.fixture(autouse=True)
def here(monkeypatch):
    monkeypatch.setenv(egress.ALLOWED, "127.0.0.1")


@pytest.fixture
def secrets(tmp_path, monkeypatch):
    """The folder with the step's secrets."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    monkeypatch.setenv("STEP_SECRETS", str(folder))
    return folder


@pytest.fixture
def far(tmp_path, secrets):
    """A machine whose key the step knows and which lets it in."""
    with machine(tmp_path / "sshd") as made:
        (secrets / "KEY").write_text(made.key)
        yield made


def given(far, *argv, **changed):
    asked = {
        "host": "127.0.0.1", "port": far.port, "user": far.user, "known_hosts": [far.line], "auth": {"key": "KEY"},
        "argv": list(argv) or ["true"], **changed,
    }  # fmt: skip
    return {name: value for name, value in asked.items() if value is not None}


def step(secrets, with_, **changed):
    made = Watched(with_, uses="ssh", **{"grace_seconds": 8, **changed})
    made.attempt = replace(made.attempt, env={"STEP_SECRETS": str(secrets)})
    return made


def reason(with_):
    made, _ = context(with_)
    try:
        return Ssh().run(made).reason
    except Failed as error:
        return str(error)


@real
def test_a_program_runs_over_there_and_its_output_is_the_log(far, secrets):
    made = step(secrets, given(far, "sh", "-c", "echo out; echo err >&2; env"))
    outcome = made.run()
    assert (outcome.state, outcome.outputs) == ("succeeded", {"exit_code": 0})
    by_stream = {
        name: b"".join(c.data for c in made.chunks if c.stream == name) for name in ("stdout", "stderr")
    }
    assert b"out\n" in by_stream["stdout"]
    assert by_stream["stderr"] == b"err\n"
    assert "countersign-pid" not in made.text
    assert "STEP_" not in made.text  # nothing of this side's environment goes along
    assert made.left() == []


@real
def test_an_exit_code_is_the_steps_unless_it_is_listed(far, secrets):
    outcome = step(secrets, given(far, "sh", "-c", "exit 7")).run()
    assert (outcome.state, outcome.exit_code, outcome.reason) == ("failed", 7, "Exit code 7 on 127.0.0.1.")
    listed = step(secrets, given(far, "sh", "-c", "exit 7", success_codes=[0, 7])).run()
    assert (listed.state, listed.outputs) == ("succeeded", {"exit_code": 7})
    assert step(secrets, given(far, "no-such-program")).run().exit_code == 127


@real
def test_a_signal_over_there_is_told(far, secrets):
    outcome = step(secrets, given(far, "sh", "-c", "kill -SEGV $$")).run()
    assert (outcome.state, outcome.reason) == ("failed", "Ended by signal SEGV on 127.0.0.1.")


TYPED = ["; id", "$(id)", "`id`", "a\nb", "-oProxyCommand=x", "{{7*7}}", "%n", "'\"'", "ü\u202ex", "", " ", "*", "~",
         "&& reboot", "| cat /etc/passwd", "\\", "$HOME", "!!", "\t"]  # fmt: skip


@real
def test_x02_x04_what_a_person_typed_arrives_as_one_literal_argument(far, secrets):
    script = 'for one in "$@"; do printf "%s" "$one" | od -An -tx1 -v | tr -d " \\n"; echo; done'
    made = step(secrets, given(far, "sh", "-c", script, "-", *TYPED))
    assert made.run().state == "succeeded"
    assert made.text.splitlines()[1:] == [one.encode().hex() for one in TYPED]


@real
def test_a_machine_with_another_key_is_not_spoken_to(far, secrets, tmp_path):
    with machine(tmp_path / "other") as other:
        asked = given(far, known_hosts=[f"[127.0.0.1]:{far.port} {other.line.partition(' ')[2]}"])
        assert "shows a key that is not in `known_hosts`" in reason(asked)
        # nor is a key of one port good for another, nor that of another name
        for line in (other.line, far.line.replace("127.0.0.1", "127.0.0.2")):
            assert "not in `known_hosts`" in reason(given(far, known_hosts=[line]))
    assert "Accepted" not in far.log.read_text()


@real
def test_a_revoked_key_is_not_trusted(far):
    assert "not in `known_hosts`" in reason(given(far, known_hosts=[far.line, f"@revoked {far.line}"]))


@real
def test_nothing_of_the_machine_is_used_to_get_in(far, secrets, monkeypatch):
    """Neither its configuration nor its keys: only the secret counts, and the wrong one does not let in."""
    other = asyncssh.generate_private_key("ssh-ed25519")
    (secrets / "KEY").write_bytes(other.export_private_key())
    assert reason(given(far)) == f"127.0.0.1 does not let {far.user} in; nothing was run."


def test_a_secret_that_is_no_key_is_told_without_it(secrets):
    (secrets / "KEY").write_text("s3cret, but no key")

    class Nowhere:
        port, line, user = 1, "x ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1", "ada"

    told = reason(given(Nowhere))
    assert "KEY is no private key" in told or "holds a line that is none" in told
    assert "s3cret" not in told


@real
def test_a_key_may_have_a_passphrase(far, secrets):
    locked = asyncssh.import_private_key(far.key).export_private_key(passphrase="open sesame")
    (secrets / "KEY").write_bytes(locked)
    (secrets / "WORD").write_text("open sesame\n")
    assert reason(given(far, auth={"key": "KEY", "passphrase": "WORD"})) == ""
    (secrets / "WORD").write_text("open barley")
    told = reason(given(far, auth={"key": "KEY", "passphrase": "WORD"}))
    assert told.startswith("The secret KEY is no private key that can be read with its passphrase")
    assert "barley" not in told


def test_a_password_lets_in(secrets, tmp_path):
    """Against a server of asyncssh: OpenSSH would ask for an account of this machine with a password."""
    (secrets / "WORD").write_text("s3cret\n")
    host = asyncssh.generate_private_key("ssh-ed25519")
    ended, ready, at = threading.Event(), threading.Event(), list[int]()

    class Door(asyncssh.SSHServer):
        def begin_auth(self, username):
            return True

        def password_auth_supported(self):
            return True

        def validate_password(self, username, password):
            return (username, password) == ("ada", "s3cret")

    async def serve():
        def handle(process):
            process.stdout.write("in\n")
            process.exit(0)

        held = await asyncssh.listen(
            "127.0.0.1", 0, server_factory=Door, server_host_keys=[host], process_factory=handle
        )
        async with held:
            at.append(held.get_port())
            ready.set()
            await asyncio.to_thread(ended.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(10)

        class Far:
            port = at[0]
            line = f"[127.0.0.1]:{at[0]} {host.export_public_key().decode()}".strip()
            user = "ada"

        assert reason(given(Far, auth={"password": "WORD"})) == ""
        (secrets / "WORD").write_text("wrong")
        assert "does not let ada in" in reason(given(Far, auth={"password": "WORD"}))
    finally:
        ended.set()
        thread.join()


@real
def test_signed_files_are_sent_before_the_program_starts(far, secrets, tmp_path):
    place = tmp_path / "there"
    place.mkdir()
    upload = [
        {"file": "bin/hello.sh", "to": f"{place}/hello", "mode": "0755"},
        {"file": "a.txt", "to": f"{place}/a"},
    ]
    made = step(
        secrets,
        given(far, f"{place}/hello", upload=upload),
        files={"bin/hello.sh": "#!/bin/sh\necho hello\n", "a.txt": "ü"},
    )
    assert made.run().state == "succeeded"
    assert made.text.endswith("hello\n")
    assert {path.name for path in place.iterdir()} == {"hello", "a"}
    assert ((place / "a").stat().st_mode & 0o777, (place / "a").read_text()) == (0o600, "ü")


@real
def test_a_file_that_was_not_signed_or_cannot_be_sent_stops_it(far, secrets, tmp_path):
    marker = tmp_path / "ran"
    program = ("touch", str(marker))
    missing = given(far, *program, upload=[{"file": "other.sh", "to": "/tmp/x"}])
    assert "lists no file other.sh" in step(secrets, missing).run().reason
    nowhere = given(far, *program, upload=[{"file": "a", "to": f"{tmp_path}/no/such/place"}])
    assert "could not be sent" in step(secrets, nowhere, files={"a": "a"}).run().reason
    assert not marker.exists()


def processes(mark):
    return [one for one in psutil.process_iter(["cmdline"]) if mark in " ".join(one.info["cmdline"] or [])]


@real
@pytest.mark.parametrize("script", ["sleep 601", "trap '' TERM; echo on; sleep 601 & wait; sleep 601"])
def test_a_stopped_run_stops_the_program_over_there_and_its_children(far, secrets, tmp_path, script):
    mark = f"mark-{far.port}"
    made = step(secrets, given(far, "sh", "-c", f"echo begun; {script}; : {mark}"))
    take = made.take

    def stop(chunk):
        take(chunk)
        if b"begun" in chunk.data:
            assert processes(f"begun; {script}; : {mark}")
            made.control.cancel("enough")

    made.take = stop
    assert made.run().state == "cancelled"
    assert "It ended after" in made.text
    assert processes(mark) == []


@real
def test_a_step_that_runs_out_of_time_leaves_nothing_over_there(far, secrets):
    mark = f"mark-{far.port}"
    made = step(secrets, given(far, "sh", "-c", f"sleep 602; : {mark}"), timeout_seconds=2)
    assert made.run().state == "timed_out"
    assert processes(mark) == []


@real
def test_a_machine_that_goes_away_is_told_as_what_it_is(far, secrets):
    made = step(secrets, given(far, "sh", "-c", "echo begun; kill -9 $PPID; sleep 603"))
    assert "may still be running" in made.run().reason
    for one in processes("sleep 603"):
        one.kill()


@real
def test_a_private_machine_needs_the_operators_word(far, monkeypatch):
    monkeypatch.setenv(egress.ALLOWED, "")
    assert "private address; nothing was sent" in reason(given(far))
    assert "Connection from" not in far.log.read_text().partition("Connection closed")[2]


def test_a_machine_that_says_nothing_is_given_up_in_time(secrets, monkeypatch):
    (secrets / "KEY").write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
    monkeypatch.setattr(ssh_session, "CONNECT_SECONDS", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as held:
        key = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()

        class Mute:
            port = held.getsockname()[1]
            line = f"[127.0.0.1]:{port} {key}"
            user = "ada"

        begun = time.monotonic()
        assert "ended" in reason(given(Mute))
        assert time.monotonic() - begun < 5


class Known:
    port, user, line = 22, "deploy", "db.bank.internal ssh-ed25519 AAAA"


def test_what_fits_is_accepted():
    whole = given(Known, "uptime", host="db.bank.internal", success_codes=[0, 1])
    assert registry.validate("ssh", whole) == []
    whole["upload"] = [{"file": "a/b.sh", "to": "/opt/b.sh", "mode": "0755"}]
    assert registry.validate("ssh", {**whole, "auth": {"key": "KEY", "passphrase": "WORD"}}) == []


@pytest.mark.parametrize(
    "changed",
    [
        *({"host": one} for one in ["-oProxyCommand=x", "a b", "user@host", "a/b", "", "a\n", "a\r\nb",
                                    "[x]", "ho\u202est"]),
        *({"user": one} for one in ["-l", "", "a b", "root\n", "a;id", "$(id)"]),
        {"known_hosts": []}, {"known_hosts": None}, {"known_hosts": ["# all"]},
        {"known_hosts": ["a\n* ssh-ed25519 AAAA"]},
        {"auth": {}}, {"auth": {"key": "KEY", "password": "WORD"}}, {"auth": {"passphrase": "WORD"}},
        {"auth": {"key": "-----BEGIN OPENSSH PRIVATE KEY-----"}}, {"auth": {"agent": True}},
        {"argv": []}, {"argv": "uptime"}, {"argv": ["-x"]}, {"argv": [""]}, {"argv": ["a", "b\0c"]},
        *({"upload": [{"file": one, "to": "/tmp/x"}]} for one in ["../x", "/etc/passwd", "a/../../b", "-x", "",
                                                             ".", "a\0", "a//b"]),
        *({"upload": [{"file": "a", "to": one}]} for one in ["x", "~/x", "/tmp/../etc/x", "/tmp/",
                                                           "/", "/a\n", "/a/./b"]),
        {"upload": [{"file": "a", "to": "/a", "mode": "4755"}]},
        {"success_codes": [256]}, {"port": 0}, {"port": 65536}, {"env": {"LD_PRELOAD": "x"}}, {"pty": True},
        {"proxy_command": "nc"}, {"strict": False},
    ],
)  # fmt: skip
def test_x02_x03_what_does_not_fit_is_refused_in_words(changed):
    assert registry.validate("ssh", {**given(Known, "uptime", host="db.bank.internal"), **changed})


def test_x16_no_pattern_is_slow_whatever_is_typed():
    begun = time.process_time()
    for text in ("a" * 1_000_000, "a/" * 500_000, "/." * 500_000, "a." * 500_000 + "\n"):
        changed = {
            "host": text,
            "user": text,
            "known_hosts": [text],
            "upload": [{"file": text, "to": "/" + text}],
        }
        assert registry.validate("ssh", given(Known, text, **changed))
    assert time.process_time() - begun < 2
