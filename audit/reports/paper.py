"""The report to read, print and file: a summary, a page for each control test, exceptions, and who signed what.

What people typed is shown as text, never read as markup. It says whether a test is effective, and never that anybody
complies with anything.
"""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    KeepTogether,
    PageBreak,
    Paragraph,
    SimpleDocTemplate,
    Spacer,
    Table,
    TableStyle,
)

from audit.canonical import canonical
from audit.controls.evaluate import Tested
from audit.names import Names
from audit.reports.approvals import Approval, approvals
from audit.reports.material import Made, Material, new_file

SHOWN = 200  # rows of a table; a file to count on is the CSV
RESULTS = {
    "effective": "Effective",
    "effective_with_exceptions": "Effective, with exceptions",
    "not_effective": "Not effective",
    "not_tested": "Nothing was tested",
}
ITEMS = {"fail": "Failed", "exception": "Exception", "indeterminate": "Cannot tell", "pass": "Passed"}
PLAIN, BOLD = "Vera", "Vera-Bold"
GREY, LINE = colors.HexColor("#465160"), colors.HexColor("#7C8797")
TEXT = ParagraphStyle("text", fontName=PLAIN, fontSize=9, leading=13, spaceAfter=4)
SMALL = ParagraphStyle("small", parent=TEXT, fontSize=7.5, leading=10, spaceAfter=0)
DENSE = ParagraphStyle("dense", parent=SMALL, spaceAfter=2)
HEAD = ParagraphStyle("head", parent=SMALL, fontName=BOLD)
TITLE = ParagraphStyle(
    "title", parent=TEXT, fontName=BOLD, fontSize=18, leading=24, spaceBefore=12, spaceAfter=8
)
WIDTH = A4[0] - 36 * mm  # of a page's frame, which keeps 6 points free at each side
SECTION = ParagraphStyle(
    "section", parent=TEXT, fontName=BOLD, fontSize=12, leading=16, spaceBefore=10, spaceAfter=4
)
RULED = TableStyle(
    [
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LINEBELOW", (0, 0), (-1, 0), 0.8, LINE),
        ("LINEBELOW", (0, 1), (-1, -1), 0.25, LINE),
        ("LEFTPADDING", (0, 0), (-1, -1), 0),
        ("RIGHTPADDING", (0, 0), (-1, -1), 6),
        ("TOPPADDING", (0, 0), (-1, -1), 2),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
    ]
)
VERIFY = (
    "Take the evidence bundle of the same log, and check it on a machine of your own with nothing but Python:",
    "python3 countersign-verify.py bundle FILE.zip --trust trust.json --state seen.json",
    "Take that program and the trust file once, in another way than the bundle, and keep them.",
    "Compare the checkpoint printed here with one that you kept: size and root must be those of the same log.",
    "Have the report made again under the same checkpoint: its digest must be the one printed here.",
    "The entry of this export in the log (export.created) names its manifest. The same as CSV is counted again by:",
    "python3 countersign-verify.py population manifest.json",
    "Find an entry of this report by its number in the log: each has a proof of its place.",
)


def make(material: Material) -> Made:
    """The report as PDF."""
    _fonts()
    file = new_file()
    head = material.head()
    foot = f"checkpoint of {head['size']} entries, manifest {_digest(head)}"
    paper = SimpleDocTemplate(
        file, pagesize=A4, leftMargin=18 * mm, rightMargin=18 * mm, topMargin=18 * mm, bottomMargin=20 * mm,
        title="Control tests", author=head["instance"], invariant=1, lang="en",
    )  # fmt: skip
    paper.build(list(_story(material, head)), canvasmaker=_numbered(foot))
    name, told = f"countersign-report-{material.signed.size}.pdf", {"manifest": _digest(head)}
    return Made(file, name, "application/pdf", len(material.items), told)


def _story(material: Material, head: dict[str, Any]) -> Iterator[Any]:
    yield Paragraph("Control tests", TITLE)
    yield _pairs(_about(material, head))
    yield from _summary(material)
    yield from _how()
    for one in material.report.tested:
        yield PageBreak()
        yield from _control(material, one)
    yield PageBreak()
    yield from _exceptions(material)
    yield from _signatures(material)


def _about(material: Material, head: dict[str, Any]) -> list[tuple[str, str]]:
    scope = head["scope"]
    span = f"{scope['from'] or 'the first entry'} to {scope['to'] or 'the last entry'}"
    return [
        ("Instance", f"{head['instance']}, Countersign {head['software']}"),
        ("Period", span),
        ("Environment", scope["environment"] or "all"),
        ("Framework", head["framework"] or "all"),
        ("Checkpoint", f"{head['size']} entries, signed {_time(material.signed.created_at.isoformat())}"),
        ("Root", head["root"]),
        ("Population", f"{head['rows']} items, all of them tested, none sampled"),
        ("Report", head["report_digest"]),
        ("Manifest", _digest(head)),
        ("Made", f"{_time(head['made_at'])} for {_by(material)}"),
    ]


def _summary(material: Material) -> Iterator[Any]:
    yield Paragraph("Summary", SECTION)
    tested = material.report.tested
    bad = [one.control.id for one in tested if one.result == "not_effective"]
    good = sum(one.result.startswith("effective") for one in tested)
    words = f"{good} of {len(tested)} control tests are effective. "
    words += f"Not effective: {', '.join(bad)}." if bad else "None is known not to be effective."
    yield _text(words)
    rows = [
        [one.control.id, one.control.title, RESULTS[one.result], one.population, *_counts(one)]
        for one in tested
    ]
    titles = ("Test", "What it tests", "Result", "Tested", "Passed", "Failed", "Exceptions", "Cannot tell")
    yield _table(titles, rows, (13, 55, 33, 13, 13, 12, 19, 16))


def _counts(one: Tested) -> list[int]:
    return [one.counts[name] for name in ("pass", "fail", "exception", "indeterminate")]


def _how() -> Iterator[Any]:
    how = [Paragraph(_clean(words), DENSE) for words in VERIFY]
    yield KeepTogether([Paragraph("How to verify this", SECTION), *how])


def _control(material: Material, one: Tested) -> Iterator[Any]:
    control = one.control
    yield Paragraph(_clean(f"{control.id}. {control.title}"), TITLE)
    yield _pairs(
        [
            ("Result", RESULTS[one.result]),
            ("Control", control.statement),
            ("Test", control.test),
            ("Population", control.population),
            ("Complete because", f"each of the {material.signed.size} entries under the checkpoint was read"),
            ("Definition", f"version {control.version}, {control.digest}"),
            ("Evidence for", ", ".join(control.references)),
            ("Mapping", _checked(control.verified_by, control.verified_on)),
            ("Found", _found(one)),
        ]
    )  # fmt: skip
    rows = [row for row in one.rows if row["result"] not in ("pass", "na")]
    yield Paragraph("What did not pass", SECTION)
    if rows:
        yield from _listed([_item(row) for row in rows], ("Item", "Result", "Why", "Entry"), (38, 24, 92, 20))
    else:
        yield _text("Nothing." if one.population else "Nothing was tested, so nothing could fail.")


def _found(one: Tested) -> str:
    passed, failed, excused, unknown = _counts(one)
    return f"{one.population} tested: {passed} passed, {failed} failed, {excused} excused, {unknown} unknown"


def _checked(by: str, on: str) -> str:
    return f"checked by {by} on {on}" if by else "no compliance person has checked this mapping yet"


def _item(row: dict[str, Any]) -> list[object]:
    name = " ".join(str(row[one]) for one in ("run", "change", "environment") if row.get(one))
    why = f"{row['words']} Excused by {row['deviation']}." if row.get("deviation") else row["words"]
    return [
        name or f"entry {row.get('index')}",
        ITEMS.get(row["result"], row["result"]),
        why,
        row.get("index"),
    ]


def _exceptions(material: Material) -> Iterator[Any]:
    yield Paragraph("Exceptions", TITLE)
    yield _text("What an approved exception excused. Who granted it and until when is in its own entry.")
    rows = [
        [control.id, *_item(row)] for control, _, row in material.exceptions() if row["result"] == "exception"
    ]
    if rows:
        yield from _listed(rows, ("Test", "Item", "Result", "Why", "Entry"), (14, 36, 22, 82, 20))
    else:
        yield _text("None was needed.")


def _signatures(material: Material) -> Iterator[Any]:
    yield Paragraph("Signatures", TITLE)
    yield _text(
        "Each approval that was counted: the printed name, the moment in UTC, its meaning, and how it was given."
    )
    found = (
        (item, one)
        for item in material.items
        if item.get("approval_indexes")
        for one in approvals(material.given, item)
    )
    signed = list(found)
    names = Names(one.actor for _, one in signed)
    rows = [[item["change"], _name(names, one), *_said(one)] for item, one in signed]
    if rows:
        yield from _listed(
            rows, ("Change", "Name", "Meaning", "Time (UTC)", "Given by", "Entry"), (18, 36, 46, 36, 24, 14)
        )
    else:
        yield _text("No approval was counted.")


def _said(one: Approval) -> list[object]:
    return [f"{one.meaning}, as {one.stage}", _time(one.time), one.factors, one.index]


def _name(names: Names, one: Approval) -> str:
    """The printed name at that time; whose was erased keeps a pseudonym."""
    return names.both(one.actor, datetime.fromisoformat(one.time)) or one.actor


def _by(material: Material) -> str:
    at = datetime.fromisoformat(material.made_at)
    return Names([material.by]).both(material.by, at) or material.by


def _listed(rows: Sequence[Sequence[object]], titles: Sequence[str], widths: Sequence[int]) -> Iterator[Any]:
    yield _table(titles, rows[:SHOWN], widths)
    if len(rows) > SHOWN:
        yield Spacer(1, 4)
        yield _text(
            f"{SHOWN} of {len(rows)} are shown. The CSV and the workbook of the same report have all of them."
        )


def _table(titles: Sequence[str], rows: Sequence[Sequence[object]], widths: Sequence[int]) -> Any:
    """As wide as the text; numbers stand below each other."""
    numbers = {at for row in rows[:1] for at, one in enumerate(row) if isinstance(one, int)}
    cells = [[_cell(title, HEAD, right=at in numbers) for at, title in enumerate(titles)]]
    cells += [[_cell(one, SMALL, right=at in numbers) for at, one in enumerate(row)] for row in rows]
    wide = (WIDTH - 12) / sum(widths)
    return Table(cells, colWidths=[width * wide for width in widths], style=RULED, repeatRows=1, splitInRow=1)


def _cell(value: object, style: ParagraphStyle, *, right: bool) -> Any:
    looks = ParagraphStyle("right", parent=style, alignment=TA_RIGHT) if right else style
    return Paragraph(_clean("" if value is None else str(value)), looks)


def _pairs(rows: Sequence[tuple[str, str]]) -> Any:
    cells = [[Paragraph(_clean(name), HEAD), Paragraph(_clean(value), SMALL)] for name, value in rows]
    tight = [("VALIGN", (0, 0), (-1, -1), "TOP"), ("TOPPADDING", (0, 0), (-1, -1), 0)]
    return Table(cells, colWidths=[34 * mm, 140 * mm], style=TableStyle(tight))


def _text(words: str) -> Any:
    return Paragraph(_clean(words), TEXT)


def _clean(text: str) -> str:
    """As text: no markup of whoever typed it, no sign that the typeface does not have, no word wider than a cell."""
    face = pdfmetrics.getFont(PLAIN).face
    known = "".join(
        sign if ord(sign) in face.charToGlyph or sign == "\n" else f"[U+{ord(sign):04X}]" for sign in text
    )
    return escape(known)


def _digest(head: dict[str, Any]) -> str:
    return f"sha256:{hashlib.sha256(canonical(head)).hexdigest()}"


def _time(at: str) -> str:
    return f"{datetime.fromisoformat(at):%Y-%m-%d %H:%M:%S}Z"


def _fonts() -> None:
    for name, place in ((PLAIN, "Vera.ttf"), (BOLD, "VeraBd.ttf")):
        if name not in pdfmetrics.getRegisteredFontNames():
            pdfmetrics.registerFont(TTFont(name, place))


def _numbered(foot: str) -> type[Canvas]:
    """A canvas that knows at its end how many pages there are."""

    class Numbered(Canvas):  # type: ignore[misc]  # the library tells no types
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.kept: list[dict[str, Any]] = []

        def showPage(self) -> None:  # noqa: N802 - the library's name
            self.kept.append(dict(self.__dict__))
            self._startPage()

        def save(self) -> None:
            for number, page in enumerate(self.kept, start=1):
                self.__dict__.update(page)
                self.setFont(PLAIN, 6)
                self.setFillColor(GREY)
                self.drawString(18 * mm, 12 * mm, foot)
                self.drawRightString(A4[0] - 18 * mm, 12 * mm, f"{number} of {len(self.kept)}")
                super().showPage()
            super().save()

    return Numbered
