"""A warm process that forks supervisors: a fork of ten megabytes instead of a start of Python.

Run as a script with a bare interpreter. Reads requests (a JSON document and one socket) from the file descriptor it
is given, forks for each, and ends when its worker is gone.
"""

import array
import ctypes
import json
import os
import signal
import socket
import sys

if __name__ == "__main__":  # a bare interpreter: it must find this package, and nothing else
    sys.path.insert(0, os.path.abspath(__file__ + "/../../../.."))  # noqa: PTH100 - pathlib costs memory here

from orchestration.engine.supervisor.child import Supervisor

PR_SET_PDEATHSIG = 1


def serve(requests: socket.socket) -> None:
    """Fork a supervisor for each request until the worker hangs up."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries supervisors; outcomes come by socket
    while True:
        message, handles = receive(requests)
        if not message:
            return
        if os.fork() == 0:
            requests.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            run(message, handles[0])
        for handle in handles:
            os.close(handle)


def receive(requests: socket.socket) -> tuple[bytes, list[int]]:
    """One request: a datagram of a socket that keeps boundaries, with one descriptor beside it."""
    handles = array.array("i")
    data, ancillary, _, _ = requests.recvmsg(1 << 20, socket.CMSG_LEN(handles.itemsize))
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            handles.frombytes(payload[: len(payload) - len(payload) % handles.itemsize])
    return data, list(handles)


def run(message: bytes, handle: int) -> None:
    """The supervisor's whole life; never returns into the server."""
    code = 1
    try:
        with socket.socket(fileno=handle) as worker:
            Supervisor(json.loads(message), worker).run()
        code = 0
    finally:
        os._exit(code)


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(socket.socket(fileno=int(sys.argv[1])))
