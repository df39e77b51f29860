"""Run with `unshare -mn`: a network of its own, where the only name server flips, and private places are alive.

Says as JSON how often a request reached a public place, and how often a private one.
"""

import json
import socket
import struct
import subprocess
import tempfile
import threading

from orchestration.actions import web
from orchestration.actions.egress import PlaceRefused, place
from tests.orchestration.far import context

PUBLIC = "93.184.215.14"
PRIVATE = ("127.0.0.1", "10.1.2.3", "169.254.169.254", "100.100.100.200", "168.63.129.16")
HOSTS = {  # what a name says, the one answer after the other
    b"flip": [[PUBLIC], ["127.0.0.1"]],
    b"late": [[PUBLIC], ["169.254.169.254"], ["10.1.2.3"]],
    b"both": [[PUBLIC, "10.1.2.3"], ["10.1.2.3", PUBLIC]],
    b"meta": [["169.254.169.254"], ["168.63.129.16"], ["100.100.100.200"]],
}
questions: list[bytes] = []
reached: dict[str, int] = {}


def name_server() -> None:
    served = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    served.bind(("127.0.0.1", 53))
    turns = dict.fromkeys(HOSTS, 0)
    while True:
        question, who = served.recvfrom(512)
        label = question[13 : 13 + question[12]]
        end = question.index(b"\0", 12) + 5
        addresses: list[str] = []
        if question[end - 4 : end - 2] == b"\0\1" and label in HOSTS:  # A; there is no AAAA
            questions.append(label)
            addresses = HOSTS[label][turns[label] % len(HOSTS[label])]
            turns[label] += 1
        head = question[:2] + struct.pack("!HHHHH", 0x8180, 1, len(addresses), 0, 0)
        rows = [b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 0, 4) + socket.inet_aton(one) for one in addresses]
        served.sendto(head + question[12:end] + b"".join(rows), who)


def serve(address: str) -> None:
    reached[address] = 0
    held = socket.create_server((address, 80))

    def accept() -> None:
        while True:
            one, _ = held.accept()
            reached[address] += 1
            one.recv(4096)
            one.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            one.close()

    threading.Thread(target=accept, daemon=True).start()


def main() -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for address in (PUBLIC, *PRIVATE[1:]):
        subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)
    with tempfile.NamedTemporaryFile("w") as resolver:
        resolver.write("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        resolver.flush()
        subprocess.run(["mount", "--bind", resolver.name, "/etc/resolv.conf"], check=True)
        threading.Thread(target=name_server, daemon=True).start()
        for address in (PUBLIC, *PRIVATE):
            serve(address)
        refused = 0
        for turn in range(40):
            host = list(HOSTS)[turn % len(HOSTS)].decode()
            try:
                web.send(context()[0], "GET", place(f"http://{host}.example/"))
            except PlaceRefused:
                refused += 1
        told = {"public": reached[PUBLIC], "private": sum(reached[one] for one in PRIVATE)}
        print(json.dumps({"questions": len(questions), "refused": refused, "reached": told}))


if __name__ == "__main__":
    main()
