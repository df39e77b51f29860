"""Frameworks as the catalogue names them in its references: `PCI DSS 6.5.1` is number 6.5.1 of PCI DSS."""

from functools import cache

from audit.controls.catalogue import Control, controls
from audit.refusals import Invalid


def of(reference: str) -> str:
    """The framework of a reference: all before its number."""
    return reference.rpartition(" ")[0] or reference


@cache
def frameworks() -> list[str]:
    """Each that some control test can be evidence for, by name."""
    return sorted({_family(of(text)) for one in controls().values() for text in one.references})


def belongs(control: Control, framework: str) -> bool:
    """Whether the test can be evidence for something in this framework; every test where none is named."""
    return any(within(text, framework) for text in control.references) or not framework


def within(reference: str, framework: str) -> bool:
    """Whether a reference is one to this framework, or to any where none is named."""
    return not framework or _family(of(reference)) == framework


def named(control: Control) -> list[str]:
    """The frameworks that the test can be evidence for, each once."""
    return sorted({_family(of(text)) for text in control.references})


def chosen(framework: str, *, undone: str) -> str:
    """A framework of the catalogue, or none; Invalid, which begins with what was not done."""
    if framework and framework not in frameworks():
        words = f"There is no framework {framework!a:.60}; there are {', '.join(frameworks())}."
        raise Invalid(f"{undone}: {words}", errors=[{"pointer": "/framework", "detail": words}])
    return framework


def _family(name: str) -> str:
    """`DORA RTS` is a part of `DORA`, and a clause before the number is none of the name."""
    return "DORA" if name.startswith("DORA") else name
