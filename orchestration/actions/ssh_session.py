"""One SSH session in the step's own process: in with a pinned key, files up, one program, out.

It must never read a configuration, an agent or a key of the machine it runs on, and never say a secret.
"""

import asyncio
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from secrets import token_hex
from typing import IO, Any

import asyncssh

from orchestration.actions import egress, web
from orchestration.actions.base import Cancelled, Context, Failed, Result

CONNECT_SECONDS = 15.0
KEEPALIVE_SECONDS, KEEPALIVE_TRIES = 15, 3
LOOK_SECONDS = 0.2
# Both together stay below the grace that the supervisor gives.
TERM_SECONDS, KILL_SECONDS = 5.0, 2.0
READ_BYTES = 64 << 10
PID = b"countersign-pid "  # how the far shell begins its output


def run(context: Context) -> Result:
    """Run the program over there; its exit code is the step's."""
    given = context.with_
    options = _options(given, context)
    host, port = given["host"].strip("[]"), given.get("port", 22)
    held = egress.dial(host, port, timeout=min(CONNECT_SECONDS, context.remaining_seconds))
    context.say(f"{given['user']}@{host} port {port} at {held.getpeername()[0]}")
    held.setblocking(False)
    return asyncio.run(_session(given, context, options, host=host, port=port, sock=held))


def _options(given: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """What we bring and nothing that lies about: no configuration, agent, default key or certificate."""
    auth = given["auth"]
    try:
        known = asyncssh.import_known_hosts("\n".join(given["known_hosts"]) + "\n")
    except ValueError:
        raise Failed("`known_hosts` holds a line that is none; nothing was sent.") from None
    options = {
        "known_hosts": known,
        "username": given["user"],
        "config": None,
        "agent_path": None,
        "x509_trusted_certs": None,
        "x509_trusted_cert_paths": [],
        "gss_host": None,
        "client_version": "Countersign",
        "keepalive_interval": KEEPALIVE_SECONDS,
        "keepalive_count_max": KEEPALIVE_TRIES,
        "login_timeout": CONNECT_SECONDS,
        "connect_timeout": CONNECT_SECONDS,
    }
    if "key" in auth:
        return {**options, "client_keys": [_key(auth, context)], "preferred_auth": ["publickey"]}
    word = web.secret(auth["password"], context)
    ways = ["password", "keyboard-interactive"]
    return {**options, "client_keys": None, "password": word, "preferred_auth": ways}


def _key(auth: Mapping[str, str], context: Context) -> asyncssh.SSHKey:
    text = web.secret(auth["key"], context) + "\n"
    word = web.secret(auth["passphrase"], context) if "passphrase" in auth else None
    try:
        return asyncssh.import_private_key(text, word)
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError, ValueError):
        words = f"The secret {auth['key']} is no private key that can be read"
        raise Failed(f"{words}{' with its passphrase' if word else ''}; nothing was sent.") from None


async def _session(
    given: Mapping[str, Any], context: Context, options: Mapping[str, Any], **where: Any
) -> Result:
    host, files = where["host"], given.get("upload", ())
    contents = _contents(files)
    try:
        async with asyncssh.connect(**where, **options) as link:
            await _unless_stopped(_upload(link, files, contents), context)
            return await _program(link, given, context)
    except asyncssh.HostKeyNotVerifiable:
        raise Failed(f"{host} shows a key that is not in `known_hosts`; nothing was sent.") from None
    except asyncssh.PermissionDenied:
        raise Failed(f"{host} does not let {given['user']} in; nothing was run.") from None
    except asyncssh.SFTPError as error:
        raise Failed(
            f"A file could not be sent to {host}: {error.reason}. The program was not run."
        ) from None
    except (asyncssh.DisconnectError, OSError) as error:
        raise Failed(f"The connection to {host} ended: {error}. The program may still be running.") from None


def _contents(files: Sequence[Mapping[str, str]]) -> dict[str, bytes]:
    """What was signed beside the workflow lies in the step's own folder."""
    try:
        return {one["file"]: Path(one["file"]).read_bytes() for one in files}
    except FileNotFoundError as error:
        raise Failed(
            f"The step lists no file {error.filename}; nothing was sent. Add it to `files`."
        ) from None


async def _upload(
    link: asyncssh.SSHClientConnection, files: Sequence[Mapping[str, str]], contents: Mapping[str, bytes]
) -> None:
    """Each file beside its place first, then into it at once: nobody reads half a file."""
    if not files:
        return
    async with link.start_sftp_client() as sftp:
        for one in files:
            beside = f"{one['to']}.{token_hex(8)}"
            mode = asyncssh.SFTPAttrs(permissions=int(one.get("mode", "0600"), 8))
            async with sftp.open(beside, "xb", attrs=mode) as file:
                await file.write(contents[one["file"]])
            await sftp.setstat(beside, mode)
            await sftp.posix_rename(beside, one["to"])


async def _program(link: asyncssh.SSHClientConnection, given: Mapping[str, Any], context: Context) -> Result:
    command = f"printf '{PID.decode()}%s\\n' $$; exec {shlex.join(given['argv'])}"
    program = await link.create_process(command, encoding=None, stdin=asyncssh.DEVNULL)
    first = await _unless_stopped(program.stdout.readline(), context)
    pid = first.removeprefix(PID).strip().decode() if first.startswith(PID) else ""
    if not pid:
        sys.stdout.buffer.write(first)  # a forced command: its output is its own from the first line
    pours = asyncio.gather(
        _pour(program.stdout, sys.stdout.buffer),
        _pour(program.stderr, sys.stderr.buffer),
        program.wait_closed(),
    )
    try:
        await _unless_stopped(pours, context)
    except Cancelled:
        await _stop(link, program, pid, context)
        raise
    return _outcome(program, given)


async def _pour(far: asyncssh.SSHReader[bytes], near: IO[bytes]) -> None:
    while data := await far.read(READ_BYTES):
        near.write(data)
        near.flush()


async def _unless_stopped(doing: Any, context: Context) -> Any:
    """What it gives; Cancelled, with the rest of it dropped, once the run is stopped."""
    task = asyncio.ensure_future(doing)
    while not (await asyncio.wait([task], timeout=LOOK_SECONDS))[0]:
        if context.cancelled.is_set():
            task.cancel()
            raise Cancelled
    return task.result()


async def _stop(
    link: asyncssh.SSHClientConnection, program: asyncssh.SSHClientProcess[bytes], pid: str, context: Context
) -> None:
    """Ask, then insist: by SSH's own signal, and by number, for servers that pass no signal on."""
    for signal, seconds in (("TERM", TERM_SECONDS), ("KILL", KILL_SECONDS)):
        program.send_signal(signal)
        if await _is_gone(link, pid, signal, seconds):
            context.say(f"It ended after {signal}.")
            return
    context.say("Whether it ended over there is not known.")
    program.close()


async def _is_gone(link: asyncssh.SSHClientConnection, pid: str, signal: str, seconds: float) -> bool:
    """Whether no process of its group is left; each session has a group of its own, named by its first process."""
    if not pid.isdigit():
        return False
    alive = f"kill -0 -- -{pid}"
    wait = f"i=0; while {alive} && [ $i -lt {seconds * 10:.0f} ]; do i=$((i+1)); sleep 0.1; done; ! {alive}"
    script = f"( kill -{signal} -- -{pid}; {wait} ) 2>/dev/null"
    try:
        done = await asyncio.wait_for(link.run(script), seconds + 1)
    except (TimeoutError, asyncssh.Error, OSError):
        return False
    return done.exit_status == 0


def _outcome(program: asyncssh.SSHClientProcess[bytes], given: Mapping[str, Any]) -> Result:
    code, signal = program.exit_status, program.exit_signal
    if signal:
        return Result(succeeded=False, reason=f"Ended by signal {signal[0]} on {given['host']}.")
    if code is None:
        words = f"{given['host']} did not tell how the program ended; it may still be running."
        return Result(succeeded=False, reason=words)
    if code in given.get("success_codes", (0,)):
        return Result(succeeded=True, outputs={"exit_code": code})
    return Result(succeeded=False, reason=f"Exit code {code} on {given['host']}.", exit_code=code)
