"""What control tests found as CSV, or as a workbook, each with the manifest that an auditor asks for, in one zip.

The raw values stand in `results.jsonl`; a cell that a spreadsheet would execute is made text.
"""

from collections.abc import Iterator
from itertools import chain
from typing import Any

from audit.canonical import canonical
from audit.ledger import pack
from audit.reports import manifest, sheet, tables, workbook
from audit.reports.material import Made, Material, new_file

Member = tuple[str, Iterator[bytes]]
README = """Control tests over every item of a population, read from the sealed entries of {instance} alone.

{files}
manifest.json     under which checkpoint, by which definitions, how many rows, and the SHA-256 of each file

A test is effective or not effective; nothing here says that anybody complies with anything. Whoever has the program
that checks our log counts these files again without us, and with a bundle of the same log holds them against it:

    python3 countersign-verify.py population manifest.json
    {verify}
"""
OF_CSV = """\
population.csv    each item once: what was executed, who asked, who agreed, and the places in the log that say so
results.csv       what each test found about each item; `no` is its number in population.csv
exceptions.csv    of these, what failed, cannot be told or was excused
results.jsonl     the same evidence with its raw values: no cell of it was made harmless for a spreadsheet"""
OF_WORKBOOK = (
    "results.xlsx      the sheets: manifest, population, results, exceptions; `no` numbers the population"
)


def make(material: Material) -> Made:
    """CSV and JSON Lines."""
    files = manifest.Files()
    members = (
        (name, manifest.listed(name, lines, files, heads=heads)) for name, lines, heads in _tables(material)
    )
    return _zip(material, "tests", members, files, OF_CSV)


def make_workbook(material: Material) -> Made:
    """The workbook."""
    files = manifest.Files()
    book = manifest.listed(workbook.NAME, workbook.pieces(material), files)
    return _zip(material, "workbook", iter([(workbook.NAME, book)]), files, OF_WORKBOOK)


def _zip(
    material: Material, what: str, members: Iterator[Member], files: manifest.Files, readme: str
) -> Made:
    """The files, then the manifest, whose digest the entry of the export names."""
    file, head, told = new_file(), material.head(), dict[str, Any]()

    def last() -> Iterator[bytes]:
        data, told["manifest"] = manifest.sealed({**head, "files": files})
        yield data

    text = README.format(files=readme, **head).encode()
    about = ("README.txt", manifest.listed("README.txt", [text], files))
    pack.write(file, chain(members, [about, (manifest.NAME, last())]))
    name = f"countersign-{what}-{material.signed.size}.zip"
    return Made(file, name, "application/zip", len(material.items), told)


def _tables(material: Material) -> Iterator[tuple[str, Iterator[bytes], int]]:
    """Name, lines, and how many of them are no rows."""
    yield "exceptions.csv", map(sheet.line, tables.exceptions(material)), 1
    yield "population.csv", map(sheet.line, tables.population(material)), 1
    yield "results.csv", map(sheet.line, tables.results(material)), 1
    yield "results.jsonl", _raw(material), 0


def _raw(material: Material) -> Iterator[bytes]:
    for control, number, row in material.results():
        yield canonical({"control": control.id, "version": control.version, "no": number, **row}) + b"\n"
