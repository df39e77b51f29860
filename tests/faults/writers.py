"""Thirty-two processes that write rows with their entries at once; every second one dies between a row and its commit.

What is printed has been committed: `writers.py TAG`.
"""

import os
import signal
import sys

import django

WRITERS, EACH = 32, 4


def write(number: int, tag: str) -> None:
    """In a process of its own: so many teams, and one more that never comes to be."""
    from django.db import transaction

    from accounts import teams
    from audit.ledger.entry import system

    actor = system("system:test")
    for turn in range(EACH + 1):
        slug = f"{tag}-{number}-{turn}"
        with transaction.atomic():
            teams.create_team(slug=slug, name=slug, by=actor)
            if turn == EACH and number % 2:
                os.kill(os.getpid(), signal.SIGKILL)
        os.write(1, f"{slug}\n".encode())  # one line a call: lines of different writers do not mix


def main(tag: str) -> None:
    django.setup()
    writers = []
    for number in range(WRITERS):
        pid = os.fork()
        if pid == 0:
            try:
                write(number, tag)
            finally:
                os._exit(0)
        writers.append(pid)
    ends = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in writers]
    sys.exit(0 if ends == [0, -signal.SIGKILL] * (WRITERS // 2) else 1)


if __name__ == "__main__":
    main(sys.argv[1])
