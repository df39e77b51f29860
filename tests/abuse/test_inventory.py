"""Each case of abuse that is known has a test that bears its number."""

import ast
import re
from pathlib import Path

KNOWN = {
    "a": (2, 4, 5, 7, 9, 10, 11, 12, 13, 14, 16, 17, 18),
    "b": (2, 4, 5, 6, 7, 9, 10, 11, 12, 13, 15, 16, 17, 20),
    "c": (2, 5, 6, 7, 8, 9, 10, 11, 12),
    "e": (20,),
    "g": (1, 2, 3, 4, 5, 6, 7),
    "x": (*range(2, 14), 15, 16, 17, 18, 19, 20, 22, 23),
    "d": (1, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 17, 18, 19),
}
NUMBER = re.compile(r"_([abcdegx]\d\d)(?=_)")


def test_each_known_case_of_abuse_has_a_test_with_its_number():
    tests = (
        node for path in Path("tests").rglob("test_*.py") for node in ast.walk(ast.parse(path.read_text()))
    )
    names = [
        node.name for node in tests if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    found = {number for name in names for number in NUMBER.findall(name)}
    known = {f"{group}{number:02}" for group, numbers in KNOWN.items() for number in numbers}
    assert known - found == set()
