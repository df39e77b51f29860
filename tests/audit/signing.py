"""A signer as a process of its own: `python -m tests.audit.signing FOLDER SOCKET ORIGIN`. Needs no Django."""

import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

from audit.ledger import signer

ORIGIN = "countersign.local/ledger/main"
HEAD = {"do": "head"}


def keeper(folder: Path, origin: str = ORIGIN) -> signer.Keeper:
    """The signer of the key directory `folder`, in this process."""
    return signer.Keeper(folder / "signer", folder / "public" / "signer" / "ledger.json", origin)


def start(folder: Path, origin: str = ORIGIN) -> "subprocess.Popen[bytes]":
    """The process, once it answers. Its socket is `signer.sock` in the folder."""
    path = folder / "signer.sock"
    command = [sys.executable, "-m", "tests.audit.signing", str(folder), str(path), origin]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[2], stderr=subprocess.PIPE)
    while process.poll() is None:
        with suppress(OSError):
            signer.ask(path, HEAD)
            return process
    raise RuntimeError(process.communicate()[1].decode())


@contextmanager
def running(folder: Path, origin: str = ORIGIN):
    """The process for the length of a block."""
    process = start(folder, origin)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


if __name__ == "__main__":
    home, socket, name = sys.argv[1:]
    with signer.alone(Path(home) / "signer"):
        signer.serve(keeper(Path(home), name), Path(socket))
