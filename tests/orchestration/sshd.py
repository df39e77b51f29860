"""A real OpenSSH server for one test: an ordinary process on loopback, with a configuration and keys of its own."""

import getpass
import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncssh

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/bin:/usr/local/sbin")


@dataclass
class Machine:
    """What a step has to know of it."""

    port: int
    line: str  # of known_hosts
    key: str  # the private key that it lets in
    user: str
    log: Path


def _key(path: Path) -> asyncssh.SSHKey:
    key = asyncssh.generate_private_key("ssh-ed25519")
    path.write_bytes(key.export_private_key())
    path.chmod(0o600)
    return key


@contextmanager
def machine(folder: Path, *more: str):
    """Running, and gone with the last process of it."""
    folder.mkdir(exist_ok=True)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # its package makes it only where systemd runs
    host, person = _key(folder / "host"), _key(folder / "person")
    (folder / "authorized").write_bytes(person.export_public_key())
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    (folder / "config").write_text(
        "\n".join(
            [
                f"ListenAddress 127.0.0.1:{port}", f"HostKey {folder / 'host'}", "PidFile none", "UsePAM no",
                f"AuthorizedKeysFile {folder / 'authorized'}", "StrictModes no", "PasswordAuthentication no",
                "PermitRootLogin yes", "Subsystem sftp internal-sftp", "LogLevel VERBOSE", *more,
            ]
        )
        + "\n"
    )  # fmt: skip
    log = folder / "log"
    argv = [str(SSHD), "-D", "-f", str(folder / "config"), "-E", str(log)]
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
    try:
        _wait(port, process)
        public = host.export_public_key().decode().strip()
        yield Machine(
            port, f"[127.0.0.1]:{port} {public}", (folder / "person").read_text(), getpass.getuser(), log
        )
    finally:
        process.terminate()
        process.wait()


def _wait(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as held:
            if held.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError("sshd did not come up")
