"""The population and the results as CSV, with the manifest that an auditor asks for, in one zip.

The raw values stand in `results.jsonl`; a cell of a CSV that a spreadsheet would execute is made text.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

from audit.canonical import canonical
from audit.ledger import pack
from audit.reports import sheet, tables
from audit.reports.material import Made, Material, new_file
from audit.reports.tables import Row

README = """Control tests over every item of a population, read from the sealed entries of {instance} alone.

population.csv    each item once: what was executed, who asked, who agreed, and the places in the log that say so
results.csv       what each test found about each item; `no` is its number in population.csv
exceptions.csv    of these, what failed, cannot be told or was excused
results.jsonl     the same evidence with its raw values: no cell of it was made harmless for a spreadsheet
manifest.json     under which checkpoint, by which definitions, how many rows, and the SHA-256 of each file

A test is effective or not effective; nothing here says that anybody complies with anything. Whoever has a bundle of the
same log checks that log without us, and finds each entry by its number (`index`):

    python3 countersign-verify.py bundle FILE.zip --trust trust.json --state seen.json
"""


def make(material: Material) -> Made:
    """The zip."""
    file, sums = new_file(), list[dict[str, Any]]()
    pack.write(file, _members(material, sums))
    name = f"countersign-tests-{material.signed.size}.zip"
    return Made(file, name, "application/zip", len(material.items))


def _members(material: Material, sums: list[dict[str, Any]]) -> Iterator[tuple[str, Iterator[bytes]]]:
    parts: list[tuple[str, Callable[[Material], Iterator[Row]]]] = [
        ("exceptions.csv", tables.exceptions),
        ("population.csv", tables.population),
        ("results.csv", tables.results),
    ]
    for name, rows in parts:
        yield name, _summed(name, map(sheet.line, rows(material)), sums, heads=1)
    yield "results.jsonl", _summed("results.jsonl", _raw(material), sums, heads=0)
    yield "README.txt", iter([README.format(**material.head()).encode()])
    yield "manifest.json", _manifest(material, sums)


def _manifest(material: Material, sums: list[dict[str, Any]]) -> Iterator[bytes]:
    """Last, when the sums of the others are known."""
    yield json.dumps({**material.head(), "files": sums}, indent=1).encode()


def _raw(material: Material) -> Iterator[bytes]:
    for control, number, row in material.results():
        yield canonical({"control": control.id, "version": control.version, "no": number, **row}) + b"\n"


def _summed(name: str, lines: Iterator[bytes], sums: list[dict[str, Any]], *, heads: int) -> Iterator[bytes]:
    seen, count = hashlib.sha256(), 0
    for count, line in enumerate(lines, start=1):  # noqa: B007 - the last number is the count
        seen.update(line)
        yield line
    sums.append({"name": name, "sha256": seen.hexdigest(), "rows": count - heads})
