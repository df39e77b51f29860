"""The standalone witness as a real server, in a thread of this process."""

import threading
from contextlib import contextmanager
from http.server import ThreadingHTTPServer

import httpx

from audit import witness


@contextmanager
def running(folder, *logs, name="witness.example/w1"):
    """Its verifier key and its address; made at the first time."""
    if not (folder / "witness.key").exists():
        (folder.parent / f"{folder.name}.pub").write_text(witness.make(folder, name))
    key = (folder.parent / f"{folder.name}.pub").read_text()
    one = witness.Witness(folder, [str(log) for log in logs])
    door = type("Door", (witness.Door,), {"witness": one, "log_message": lambda *_: None})
    server = ThreadingHTTPServer(("127.0.0.1", 0), door)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield key, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        one.lock.close()


def submit(address, old, proof, note):
    """The answer to `add-checkpoint`."""
    body = f"old {old}\n" + "".join(f"{line}\n" for line in proof) + f"\n{note}"
    return httpx.post(f"{address}/add-checkpoint", content=body.encode())
