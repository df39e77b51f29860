"""Each fault that is known has a test that bears its number."""

import ast
import re
from pathlib import Path

KNOWN = (
    1,
    3,
    4,
    6,
    7,
    8,
    9,
    11,
    12,
    13,
    15,
    16,
    18,
    19,
    21,
    22,
    24,
    26,
    27,
    29,
    30,
    31,
    32,
    34,
    35,
    36,
    38,
    39,
    40,
)
HALVES = {"f26_log"}  # a full disk has two: of the database, which bears the plain number, and of the logs
NUMBER = re.compile(r"_(f\d\d(?:_log)?)(?=_)")


def found():
    tests = (
        node for path in Path("tests").rglob("test_*.py") for node in ast.walk(ast.parse(path.read_text()))
    )
    names = [
        node.name for node in tests if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    return {number for name in names for number in NUMBER.findall(name)}


def test_each_known_fault_has_a_test_with_its_number():
    known = {f"f{number:02}" for number in KNOWN} | HALVES
    assert known - found() == set()


def test_no_test_bears_the_number_of_a_fault_that_nobody_knows():
    assert found() - {f"f{number:02}" for number in KNOWN} - HALVES == set()
