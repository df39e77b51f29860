"""What a program printed, safe to look at: colours as classes, every other control as a sign that can be seen.

Nothing moves, hides or turns around what stands there. The page's script does the same (static/src/js/ansi.js). Pure.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby
from operator import itemgetter

SPACE = re.compile(
    r"([34]8:2):[0-9]*:([0-9]+:[0-9]+:[0-9]+)"
)  # a colour space, which colons allow (ITU-T T.416)
TOKEN = re.compile(
    "\x1b\\[([0-9;:]*)m"
    "|([\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f])"
)
SIGNS = 100  # of a line that look like signs; a flood of them must not become a flood of elements
FLAGS = {1, 2, 3, 4, 7, 9}
ENDS = {22: {"a1", "a2"}, 23: {"a3"}, 24: {"a4"}, 27: {"a7"}, 29: {"a9"}}
HUES = "132645"  # red, yellow, green, cyan, blue, magenta: the units of their codes


@dataclass(frozen=True)
class Style:
    """What is in force: `a` are the classes of letters, `b` those of what is behind them."""

    flags: tuple[str, ...] = ()
    fg: str = ""
    bg: str = ""

    @property
    def classes(self) -> str:
        return " ".join(one for one in (*self.flags, self.fg, self.bg) if one)


def parts(text: str) -> Iterator[tuple[str, str]]:
    """Runs of text with their classes; the first controls of a line are runs of their own."""
    for classes, run in groupby(_pieces(text), key=itemgetter(0)):
        yield classes, "".join(part for _, part in run)


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    style, classes, signs = Style(), "", 0
    pieces = TOKEN.split(text.removesuffix("\r"))
    for plain, sequence, control in zip(pieces[::3], pieces[1::3], pieces[2::3], strict=False):
        if plain:
            yield classes, plain
        if sequence is not None:
            style = _next(style, sequence)
            classes = style.classes
        else:
            signs += 1
            yield "esc" if signs <= SIGNS else classes, _sign(control)
    if pieces[-1]:
        yield classes, pieces[-1]


@cache
def _sign(control: str) -> str:
    code = ord(control)
    if code < 32:
        return f"^{chr(64 + code)}"
    return "^?" if code == 127 else f"<U+{code:04X}>"


def _next(style: Style, sequence: str) -> Style:
    """What is in force after one sequence of SGR codes (ECMA-48, 8.3.117)."""
    codes = [-1 if len(one) > 3 else int(one or 0) for one in re.split("[;:]", SPACE.sub(r"\1:\2", sequence))]
    at = 0
    while at < len(codes):
        if codes[at] in {38, 48}:
            colour, used = _extended(codes[at + 1 :])
            if colour:
                style = (
                    replace(style, fg=f"a3{colour}") if codes[at] == 38 else replace(style, bg=f"b4{colour}")
                )
            at += used
        else:
            style = _simple(style, codes[at])
        at += 1
    return style


def _simple(style: Style, code: int) -> Style:
    if code == 0:
        return Style()
    if code in FLAGS:
        return replace(style, flags=tuple(sorted({*style.flags, f"a{code}"})))
    if code in ENDS:
        return replace(style, flags=tuple(one for one in style.flags if one not in ENDS[code]))
    if code in {39, 49}:
        return replace(style, fg="") if code == 39 else replace(style, bg="")
    tens, unit = divmod(code, 10)
    if unit < 8 and tens in {3, 9}:
        return replace(style, fg=f"a{code}")
    return replace(style, bg=f"b4{unit}") if unit < 8 and tens in {4, 10} else style


def _extended(codes: Sequence[int]) -> tuple[str, int]:
    """The unit of the nearest of our eight colours, and how many codes it took."""
    if codes[:1] == [5] and len(codes) > 1:
        return _indexed(codes[1]), 2
    if codes[:1] == [2] and len(codes) > 3:
        return _nearest(*codes[1:4]), 4
    return "", len(codes)


def _indexed(code: int) -> str:
    if not 0 <= code < 256:
        return ""
    if code < 16:
        return str(code % 8)
    if code > 231:
        return "7" if code > 243 else "0"
    red, green, blue = ((code - 16) // 36, (code - 16) // 6 % 6, (code - 16) % 6)
    return _nearest(*(55 + 40 * one if one else 0 for one in (red, green, blue)))


def _nearest(red: int, green: int, blue: int) -> str:
    most, least = max(red, green, blue), min(red, green, blue)
    span = most - least
    if span < 40:
        return "7" if most + least > 255 else "0"
    if most == red:
        turn = (green - blue) / span
    elif most == green:
        turn = 2 + (blue - red) / span
    else:
        turn = 4 + (red - green) / span
    return HUES[int((turn + 6) % 6 + 0.5) % 6]
