"""The same as a workbook: manifest, population, results, exceptions. No cell of it is a formula."""

from collections.abc import Iterable, Iterator
from typing import IO, Any

import xlsxwriter

from audit.refusals import Invalid
from audit.reports import sheet, tables
from audit.reports.material import Material, new_file
from audit.reports.tables import Row

NAME = "results.xlsx"
MOST_ROWS = 1_048_576  # of a sheet, its header counted
MOST_TEXT = 32_000  # characters of a cell; a spreadsheet takes 32,767


def pieces(material: Material) -> Iterator[bytes]:
    """The workbook in pieces; Invalid where a sheet has no room for it."""
    file = new_file()
    _fill(file, material)
    yield from sheet.pieces(file)


def _fill(file: IO[bytes], material: Material) -> None:
    book = xlsxwriter.Workbook(
        file, {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    )
    head = book.add_format({"bold": True, "bottom": 1})
    sheets: list[tuple[str, Iterable[Row]]] = [
        ("Manifest", _manifest(material)),
        ("Population", tables.population(material)),
        ("Results", tables.results(material)),
        ("Exceptions", tables.exceptions(material)),
    ]
    for name, rows in sheets:
        _write(book.add_worksheet(name), rows, head)
    book.close()


def _manifest(material: Material) -> Iterator[Row]:
    yield ["Name", "Value"]
    yield from ([name, value] for name, value in tables.flat(material.head()))


def _write(into: Any, rows: Iterable[Row], head: Any) -> None:
    for place, row in enumerate(rows):
        if place >= MOST_ROWS:
            raise Invalid(
                f"No workbook was made: more than {MOST_ROWS} rows. Choose a shorter period, or CSV, which has no end."
            )
        for column, value in enumerate(row):
            _cell(into, place, column, value, head if place == 0 else None)
    into.freeze_panes(1, 0)
    into.set_column(0, 40, 18)


def _cell(into: Any, place: int, column: int, value: object, look: Any) -> None:
    """A whole number as a number; everything else as text, which no spreadsheet executes, now or after an edit."""
    if isinstance(value, int) and not isinstance(value, bool):
        into.write_number(place, column, value, look)
    elif value not in (None, ""):
        text = sheet.safe(value)
        shown = text if len(text) <= MOST_TEXT else text[:MOST_TEXT] + " (cut: the CSV has all of it)"
        into.write_string(place, column, shown, look)
