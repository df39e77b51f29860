"""How far a long piece of work is: told as what it reads passes, and stopped by whoever hears it."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

EVERY = 1000
Tell = Callable[[int], object]
One = TypeVar("One")


def watched(read: Iterable[One], tell: Tell) -> Iterator[One]:
    """The same, counted."""
    for number, one in enumerate(read, start=1):
        yield one
        if number % EVERY == 0:
            tell(number)
