"""Charts, drawn on the server. Nothing is told by colour alone: each kind has its texture or its mark, and a number.

Pure: numbers in, markup out. The component around it says the finding and has the same as a table.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 520, 180, 56, 24, 14  # in the picture's own units
ROW, NAMES = 26, 150
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
TEXTURES = {  # kind -> what is drawn over its colour
    "ok": "",
    "bad": '<path d="M-1 1l2-2M0 6l6-6M5 7l2-2"/>',
    "exc": '<path d="M3 1v4M1 3h4"/>',
    "wait": '<path d="M0 3h6"/>',
    "idle": "",
}


class Part(NamedTuple):
    """A piece of a bar."""

    kind: str
    words: str
    value: int


@dataclass(frozen=True)
class Bar:
    """One bar: its pieces, and where a click on it leads."""

    label: str
    parts: Sequence[Part]
    url: str = ""

    @property
    def total(self) -> int:
        return sum(part.value for part in self.parts)

    @property
    def words(self) -> str:
        return f"{self.label}: " + ", ".join(f"{part.value} {part.words}" for part in self.parts)


@dataclass(frozen=True)
class Point:
    """A moment with its value in each of the lines; None where there is none."""

    label: str
    values: Sequence[float | None]
    words: str
    url: str = ""


@dataclass(frozen=True)
class Day:
    """One day of a calendar: how much of it there was, how much of that out of the ordinary."""

    label: str
    place: tuple[int, int]  # its week, its day of the week
    value: int
    marked: int
    words: str
    url: str = ""


class Unit(NamedTuple):
    """Of time, on the scale of a chart."""

    name: str
    short: str
    seconds: int

    def of(self, seconds: float | None) -> float | None:
        return None if seconds is None else seconds / self.seconds

    def told(self, seconds: float | None) -> str:
        return "" if seconds is None else f"{seconds / self.seconds:.2f}"


UNITS = (
    Unit("days", "d", 86_400),
    Unit("hours", "h", 3600),
    Unit("minutes", "min", 60),
    Unit("seconds", "s", 1),
)


def unit_of(seconds: float) -> Unit:
    """The largest of which this usual value has more than two."""
    return next((one for one in UNITS if seconds > 2 * one.seconds), UNITS[-1])


def columns(name: str, bars: Sequence[Bar]) -> SafeString:
    """Bars that stand: one for each period."""
    most = max([bar.total for bar in bars] + [1])
    step = (WIDTH - LEFT) / max(len(bars), 1)
    wide = min(40.0, step * 0.7)
    every = -(-len(bars) // 7)  # labels that do not touch each other
    drawn = format_html_join(
        "",
        "{}",
        (
            (_column(name, bar, LEFT + step * place + (step - wide) / 2, wide, most, place % every == 0),)
            for place, bar in enumerate(bars)
        ),
    )
    return _picture(name, HEIGHT, _scale(most), drawn)


def _column(name: str, bar: Bar, x: float, wide: float, most: float, labelled: bool) -> SafeString:
    room, y, pieces = HEIGHT - BOTTOM - TOP, float(HEIGHT - BOTTOM), []
    for part in bar.parts:
        tall = room * part.value / most
        y -= tall
        pieces.append(_piece(name, part.kind, x, y, wide, tall))
    rest = [part for part in bar.parts[1:] if part.value]
    number = f"{bar.total}" + (f" ({', '.join(str(part.value) for part in rest)})" if rest else "")
    texts = format_html(
        '<text class="axis mid" x="{}" y="{}">{}</text>',
        _n(x + wide / 2),
        _n(y - 3),
        number if bar.total else "",
    )
    if labelled:
        texts += format_html(
            '<text class="axis mid" x="{}" y="{}">{}</text>', _n(x + wide / 2), HEIGHT - 8, bar.label
        )
    return _linked(bar.url, bar.words, format_html_join("", "{}", ((one,) for one in pieces)) + texts)


def rows(name: str, bars: Sequence[Bar]) -> SafeString:
    """Bars that lie: one for each name."""
    most = max([bar.total for bar in bars] + [1])
    drawn = format_html_join("", "{}", ((_row(name, bar, place, most),) for place, bar in enumerate(bars)))
    return _picture(name, ROW * max(len(bars), 1), drawn)


def _row(name: str, bar: Bar, place: int, most: float) -> SafeString:
    room, x, y, pieces = WIDTH - NAMES - 60, float(NAMES), ROW * place, []
    for part in bar.parts:
        wide = room * part.value / most
        pieces.append(_piece(name, part.kind, x, y + 6, wide, 14))
        x += wide
    texts = format_html(
        '<text class="axis" x="4" y="{}">{}</text><text class="axis" x="{}" y="{}">{}</text>',
        y + 17, bar.label[:22], _n(x + 6), y + 17, " + ".join(str(part.value) for part in bar.parts if part.value),
    )  # fmt: skip
    return _linked(bar.url, bar.words, format_html_join("", "{}", ((one,) for one in pieces)) + texts)


def lines(name: str, points: Sequence[Point], *, unit: str) -> SafeString:
    """Lines over time: the first whole with round marks, the second dashed with square ones."""
    most = max([value for point in points for value in point.values if value is not None] + [1.0])
    step = (WIDTH - LEFT) / max(len(points), 1)
    every = -(-len(points) // 7)
    xs = [LEFT + step * (place + 0.5) for place in range(len(points))]
    paths = format_html_join(
        "",
        '<path class="mark line{}" d="{}"/>',
        ((which, _path(xs, [point.values[which] for point in points], most)) for which in range(2)),
    )
    marks = format_html_join(
        "",
        "{}",
        (
            (_marks(point, x, most, place % every == 0),)
            for place, (point, x) in enumerate(zip(points, xs, strict=True))
        ),
    )
    return _picture(name, HEIGHT, _scale(most, unit), paths + marks)


def days(name: str, found: Sequence[Day], weeks: Sequence[str]) -> SafeString:
    """A calendar: a column for each week, a square for each day: the darker the more, a diamond on what stands out."""
    most = max([day.value for day in found] + [1])
    step = min(26.0, (WIDTH - LEFT) / max(len(weeks), 1))
    squares = format_html_join("", "{}", ((_square(day, step, most),) for day in found))
    every = -(-len(weeks) // max(1, int(len(weeks) * step / 76)))
    labels = [
        (_n(LEFT + step * at), _n(step * 7 + 16), "axis", week)
        for at, week in enumerate(weeks)
        if at % every == 0
    ]
    labels += [(str(LEFT - 6), _n(step * (at + 0.7)), "axis end", WEEKDAYS[at]) for at in range(0, 7, 2)]
    told = format_html_join("", '<text x="{}" y="{}" class="{}">{}</text>', labels)
    return _picture(name, int(step * 7) + 22, squares, told)


def _square(day: Day, step: float, most: int) -> SafeString:
    x, y, wide = LEFT + step * day.place[0], step * day.place[1], step - 3
    shade = "none" if not day.value else min(4, 1 + 4 * day.value // (most + 1))
    drawn = format_html(
        '<rect class="day shade-{}" x="{}" y="{}" width="{}" height="{}" rx="2"/>',
        shade,
        _n(x),
        _n(y),
        _n(wide),
        _n(wide),
    )
    if day.marked:
        a, b, r = x + wide / 2, y + wide / 2, wide / 3
        path = f"M{_n(a)} {_n(b - r)}L{_n(a + r)} {_n(b)}L{_n(a)} {_n(b + r)}L{_n(a - r)} {_n(b)}Z"
        drawn += format_html('<path class="diamond" d="{}"/>', path)
    return _linked(day.url if day.value else "", day.words, drawn)


def _path(xs: Sequence[float], values: Sequence[float | None], most: float) -> str:
    """Broken where there is nothing."""
    told, pen = [], "M"
    for x, value in zip(xs, values, strict=True):
        if value is None:
            pen = "M"
        else:
            told.append(f"{pen}{_n(x)} {_n(_height(value, most))}")
            pen = "L"
    return "".join(told)


def _marks(point: Point, x: float, most: float, labelled: bool) -> SafeString:
    first, second = ([*point.values, None, None])[:2]
    drawn = SafeString("")
    if second is not None:
        drawn += format_html(
            '<rect class="dot1" x="{}" y="{}" width="7" height="7"/>',
            _n(x - 3.5),
            _n(_height(second, most) - 3.5),
        )
    if first is not None:
        drawn += format_html('<circle class="dot0" cx="{}" cy="{}" r="4"/>', _n(x), _n(_height(first, most)))
    if labelled:
        drawn += format_html('<text class="axis mid" x="{}" y="{}">{}</text>', _n(x), HEIGHT - 8, point.label)
    return _linked(point.url, point.words, drawn)


def _height(value: float, most: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * value / most


def _piece(name: str, kind: str, x: float, y: float, wide: float, tall: float) -> SafeString:
    """A rectangle in the colour of its kind, and over it the texture of its kind."""
    place = format_html('x="{}" y="{}" width="{}" height="{}"', _n(x), _n(y), _n(wide), _n(tall))
    drawn = format_html('<rect class="fill-{}" {}/>', kind, place)
    if TEXTURES[kind]:
        drawn += format_html('<rect fill="url(#{}-{})" {}/>', name, kind, place)
    return drawn


def _scale(most: float, unit: str = "") -> SafeString:
    """The lowest and the highest, and a line between."""
    return format_html_join(
        "",
        '<path class="grid" d="M{} {}H{}"/><text class="axis end" x="{}" y="{}">{}</text>',
        (
            (
                LEFT,
                _n(_height(value, most)),
                WIDTH,
                LEFT - 5,
                _n(_height(value, most) + 4),
                f"{_short(value)}{unit}",
            )
            for value in (0.0, most / 2, most)
        ),
    )


def _picture(name: str, tall: int, *drawn: SafeString | str) -> SafeString:
    textures = format_html_join(
        "",
        '<pattern id="{}-{}" width="6" height="6" patternUnits="userSpaceOnUse" class="texture">{}</pattern>',
        (
            (name, kind, SafeString(texture)) for kind, texture in TEXTURES.items() if texture
        ),  # ours, of the table above
    )
    inner = format_html_join("", "{}", ((one,) for one in drawn))
    return format_html('<svg viewBox="0 0 {} {}"><defs>{}</defs>{}</svg>', WIDTH, tall, textures, inner)


def _linked(url: str, words: str, drawn: SafeString) -> SafeString:
    """A mark that opens its rows, and says on hover what it is."""
    if not url:
        return format_html("<g><title>{}</title>{}</g>", words, drawn)
    return format_html('<a href="{}" aria-label="{}"><title>{}</title>{}</a>', url, words, words, drawn)


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
