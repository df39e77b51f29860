"""A timestamp authority on loopback: OpenSSL's own behind HTTP, and OpenSSL as second opinion."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

CONFIG = """
[tsa]
dir = {folder}
serial = $dir/serial
signer_cert = $dir/tsa.pem
signer_key = $dir/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
accuracy = secs:1
ordering = no
tsa_name = no
ess_cert_id_chain = no
ess_cert_id_alg = sha256

[chain]
dir = {folder}
serial = $dir/serial
signer_cert = $dir/tsa.pem
signer_key = $dir/tsa.key
certs = $dir/ca.pem
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""


def openssl(*arguments: object, cwd: Path) -> str:
    done = subprocess.run(
        ["openssl", *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=True
    )
    return done.stdout


@dataclass
class Authority:
    """Where it is asked, whose certificate to believe, and what it does instead of answering."""

    url: str
    folder: Path
    ca: Path
    instead: tuple[int, str, bytes] | None = None
    asked: int = 0
    section: str = "tsa"
    piece: int = 1 << 20  # bytes at a time, each followed by a wait
    wait: Callable[[], object] = lambda: None

    def reply(self, query: bytes) -> bytes:
        (self.folder / "query").write_bytes(query)
        openssl("ts", "-reply", "-config", "tsa.cnf", "-section", self.section, "-queryfile", "query", "-out", "reply",
                cwd=self.folder)  # fmt: skip
        return (self.folder / "reply").read_bytes()


def certify(folder: Path) -> None:
    """A certificate authority, and by it the timestamp authority's certificate."""
    folder.mkdir(parents=True)
    (folder / "serial").write_text("01\n")
    (folder / "tsa.cnf").write_text(CONFIG.format(folder=folder))
    (folder / "eku").write_text(
        "extendedKeyUsage = critical,timeStamping\nkeyUsage = critical,digitalSignature\n"
    )
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl(
        "req",
        "-x509",
        *curve,
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
        "-days",
        30,
        "-subj",
        "/CN=Test CA",
        cwd=folder,
    )
    openssl("req", *curve, "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", "/CN=Test TSA", cwd=folder)
    openssl("x509", "-req", "-in", "tsa.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", "tsa.pem",
            "-days", 30, "-extfile", "eku", cwd=folder)  # fmt: skip


@contextmanager
def serving(folder: Path) -> Iterator[Authority]:
    """The authority, while it answers."""
    certify(folder)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            authority.asked += 1
            query = self.rfile.read(int(self.headers["Content-Length"]))
            status, kind, body = authority.instead or (
                200,
                "application/timestamp-reply",
                authority.reply(query),
            )
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            for at in range(0, len(body), authority.piece):
                self.wfile.write(body[at : at + authority.piece])
                authority.wait()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    authority = Authority(f"http://127.0.0.1:{server.server_port}/tsa", folder, folder / "ca.pem")
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield authority
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def openssl_verifies(reply: Path, data: Path, ca: Path) -> bool:
    """The second opinion."""
    command = ["openssl", "ts", "-verify", "-data", str(data), "-in", str(reply), "-CAfile", str(ca)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode == 0 and "Verification: OK" in done.stdout
