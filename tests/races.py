"""How often two threads meet at a barrier in each test of a race; `make races` asks for 500."""

import os
from collections.abc import Iterator

from tests.audit.log import sequence

ROUNDS = int(os.environ.get("RACE_ROUNDS", "25"))
EVERY = 50


def rounds() -> Iterator[int]:
    """The rounds, by number. The log keeps up, as a sequencer sees to: the gate opens under no stale one."""
    for number in range(ROUNDS):
        if number % EVERY == EVERY - 1:
            sequence()
        yield number
