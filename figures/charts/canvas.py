"""What every picture of a training log is drawn with: a page of SVG, its colours, its axes, its texts.

Owns: the looks. One SVG stands alone: no script, no font and no image from elsewhere, colours in its own style sheet
for light and for dark. Who listens hears its title and description. Every text is escaped here and nowhere else.

Refuses to know: what is drawn.
"""

from __future__ import annotations

import html
import re
import zlib
from collections.abc import Sequence
from datetime import date
from typing import Final, Literal
from unicodedata import east_asian_width

Theme = Literal["auto", "light", "dark"]

# Names are what a colour is for. `s0` to `s4` are the steps of a scale, from nothing to most.
_LIGHT: Final = {
    "page": "#ffffff", "ink": "#1c2430", "quiet": "#677486", "grid": "#e6eaf0", "strong": "#2f6fde", "soft": "#a9c6f7",
    "mark": "#e0662f", "s0": "#edf0f4", "s1": "#c9dcfa", "s2": "#8fb6f3", "s3": "#4c86e6", "s4": "#1d4fa8",
}  # fmt: skip
_DARK: Final = {
    "page": "#12171f", "ink": "#e8edf4", "quiet": "#93a1b5", "grid": "#252d3a", "strong": "#6ea3ff", "soft": "#31507f",
    "mark": "#ff9a62", "s0": "#1e2530", "s1": "#24477f", "s2": "#3566b8", "s3": "#5f98f2", "s4": "#a8caff",
}  # fmt: skip

_FONT: Final = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
# The mean width of a character in ems, of the fonts above, and that of a Chinese one.
_EM: Final = 0.56
_WIDE_EM: Final = 1.0
# How much wider the letters of a heading are.
_BOLD: Final = 1.2


# What XML 1.0 cannot hold, even as a reference.
_UNHOLDABLE: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def escaped(text: str) -> str:
    """Text as it may stand in an element or in an attribute; what XML cannot hold becomes �."""
    return html.escape(_UNHOLDABLE.sub("�", text))


def shortened(text: str, width: float, size: float = 12) -> str:
    """As much of a text as about fits a width, with … where something is left out."""
    taken = 0.0
    for place, char in enumerate(text):
        taken += size * (_WIDE_EM if east_asian_width(char) in "WF" else _EM)
        if taken > width:
            return f"{text[: max(place - 1, 0)].rstrip()}…"
    return text


def point(value: float) -> str:
    """A coordinate: two decimals, no more digits than it needs."""
    return f"{round(value, 2) + 0.0:.2f}".rstrip("0").rstrip(".")


def amount(value: float) -> str:
    """A figure as people read it: 12,340; 102.5; 0.25."""
    decimals = 0 if abs(value) >= 1000 or value == int(value) else 1 if abs(value) >= 10 else 2
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def day_words(day: date) -> str:
    """25 Nov 2026, in whatever locale the server runs."""
    return f"{day.day} {MONTHS[day.month - 1]} {day.year}"


MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


class Canvas:
    """A page of SVG under way. Sizes are in pixels at its natural width; it shrinks and grows with the room it gets."""

    def __init__(self, width: float, height: float, *, title: str, description: str, theme: Theme = "auto") -> None:
        self.width, self.height = width, height
        self._title, self._description, self._theme = title, description, theme
        self._parts: list[str] = []

    def text(
        self, x: float, y: float, text: str, kind: str = "label", *, anchor: str = "start", hint: str | None = None
    ) -> None:
        """Words. kind: heading, subtitle, label, unit, name, value. anchor: start, middle or end."""
        at = f' text-anchor="{anchor}"' if anchor != "start" else ""
        inside = f"<title>{escaped(hint)}</title>{escaped(text)}" if hint else escaped(text)
        self._parts.append(f'<text class="{kind}" x="{point(x)}" y="{point(y)}"{at}>{inside}</text>')

    def box(
        self, x: float, y: float, width: float, height: float, colour: str, *, hint: str | None = None, round: float = 2
    ) -> None:
        """A filled rectangle; `hint` is what a pointer above it is told."""
        radius = min(round, width / 2, height / 2)
        size = f'x="{point(x)}" y="{point(y)}" width="{point(width)}" height="{point(height)}" rx="{point(radius)}"'
        shape = f'<rect class="{colour}" {size}'
        self._parts.append(f"{shape}><title>{escaped(hint)}</title></rect>" if hint else f"{shape}/>")

    def bar(self, x: float, y: float, width: float, height: float, colour: str, *, hint: str | None = None) -> None:
        """A column that stands on a line: round above, square below."""
        r = min(3.0, width / 2, height)
        path = (
            f"M{point(x)} {point(y + height)}V{point(y + r)}q0 {point(-r)} {point(r)} {point(-r)}"
            f"H{point(x + width - r)}q{point(r)} 0 {point(r)} {point(r)}V{point(y + height)}z"
        )
        inside = f"><title>{escaped(hint)}</title></path>" if hint else "/>"
        self._parts.append(f'<path class="{colour}" d="{path}"{inside}')

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str = "grid") -> None:
        self._parts.append(
            f'<line class="{kind}" x1="{point(x1)}" y1="{point(y1)}" x2="{point(x2)}" y2="{point(y2)}"/>'
        )

    def curve(self, points: Sequence[tuple[float, float]], kind: str) -> None:
        """A line through points."""
        path = "L".join(f"{point(x)} {point(y)}" for x, y in points)
        self._parts.append(f'<path class="{kind}" d="M{path}"/>')

    def area(self, points: Sequence[tuple[float, float]], base: float, kind: str) -> None:
        """What lies between a line through points and a level."""
        path = "L".join(f"{point(x)} {point(y)}" for x, y in points)
        ends = f"L{point(points[-1][0])} {point(base)}L{point(points[0][0])} {point(base)}z"
        self._parts.append(f'<path class="{kind}" d="M{path}{ends}"/>')

    def dot(self, x: float, y: float, radius: float, colour: str, *, hint: str | None = None) -> None:
        inside = f"><title>{escaped(hint)}</title></circle>" if hint else "/>"
        self._parts.append(f'<circle class="{colour}" cx="{point(x)}" cy="{point(y)}" r="{point(radius)}"{inside}')

    def heading(self, subtitle: str, *, left: float = 24) -> None:
        """The title as it is seen, and a line below it."""
        self.text(left, 34, shortened(self._title, self.width - 2 * left, 17 * _BOLD), "heading")
        self.text(left, 54, shortened(subtitle, self.width - 2 * left, 12.5), "subtitle")

    def unit(self, x: float, y: float, text: str, *, anchor: str = "end") -> None:
        """What the numbers of an axis count, beside its end."""
        self.text(x, y, text, "unit", anchor=anchor)

    def nothing(self, words: str) -> None:
        """What stands where there is nothing to draw."""
        self.text(self.width / 2, self.height / 2 + 24, words, "subtitle", anchor="middle")

    def svg(self) -> str:
        """The picture."""
        width, height = point(self.width), point(self.height)
        # Of its own, so that several pictures can stand in one page.
        id = f"t{zlib.crc32((self._title + self._description).encode(errors='replace')):08x}"
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
            f'role="img" aria-labelledby="{id} {id}d"><title id="{id}">{escaped(self._title)}</title>'
            f'<desc id="{id}d">{escaped(self._description)}</desc><style>{_style(self._theme)}</style>'
            f'<rect class="page" width="{width}" height="{height}" rx="10"/>{"".join(self._parts)}</svg>'
        )


def _style(theme: Theme) -> str:
    light, dark = (_variables(one) for one in (_LIGHT, _DARK))
    colours = {
        "light": f"svg{{color-scheme:light;{light}}}",
        "dark": f"svg{{color-scheme:dark;{dark}}}",
        "auto": f"svg{{color-scheme:light dark;{light}}}@media(prefers-color-scheme:dark){{svg{{{dark}}}}}",
    }[theme]
    fills = "".join(f".{name}{{fill:var(--{name})}}" for name in _LIGHT if name not in ("ink", "quiet", "grid"))
    return (
        f"{colours}{fills}"
        f"text{{font-family:{_FONT};font-variant-numeric:tabular-nums}}"
        ".heading{font-size:17px;font-weight:650;fill:var(--ink)}"
        ".subtitle{font-size:12.5px;fill:var(--quiet)}"
        ".label{font-size:11.5px;fill:var(--quiet)}"
        ".unit{font-size:11.5px;font-style:italic;fill:var(--quiet)}"
        ".name{font-size:12.5px;fill:var(--ink)}"
        ".value{font-size:12px;font-weight:600;fill:var(--ink)}"
        ".grid{stroke:var(--grid);stroke-width:1}.axis{stroke:var(--quiet);stroke-width:1;opacity:.55}"
        ".curve{fill:none;stroke:var(--strong);stroke-width:2.25;stroke-linejoin:round;stroke-linecap:round}"
        ".thin{fill:none;stroke:var(--ink);stroke-width:1.25;stroke-dasharray:3 4;opacity:.5}"
        ".under{fill:var(--strong);opacity:.12}"
        ".ring{fill:var(--page);stroke:var(--mark);stroke-width:2.5}"
    )


def _variables(colours: dict[str, str]) -> str:
    return "".join(f"--{name}:{value};" for name, value in colours.items())


# -- scales ------------------------------------------------------------------------------------------------------


def ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Round values from at most `low` to at least `high`: 0, 5,000, 10,000."""
    span = high - low if high > low else abs(high) or 1.0
    step = 10.0 ** _exponent(span / about)
    for factor in (1.0, 2.0, 2.5, 5.0, 10.0):
        if span / (step * factor) <= about:
            step *= factor
            break
    first = int(low // step)
    found = [first * step]
    while found[-1] < high or len(found) < 2:
        found.append((first + len(found)) * step)
    return found


def _exponent(value: float) -> int:
    return int(f"{value:e}".split("e")[1])


def month_marks(first: date, last: date, most: int) -> list[tuple[date, str]]:
    """At most `most` first days of months between two days, named; a year stands where it begins."""
    months = (last.year - first.year) * 12 + last.month - first.month + 1
    every = next(step for step in (1, 2, 3, 6, 12, 24, 60, 120, 600, 12_000) if months / step <= most or step == 12_000)
    found: list[tuple[date, str]] = []
    year, month = first.year, first.month
    while (year, month) <= (last.year, last.month):
        day = date(year, month, 1)
        if day >= first and (month - 1 + 12 * year) % every == 0:
            name = str(year) if every >= 12 or month == 1 else MONTHS[month - 1]
            # The first one says its year too, where there is room for it.
            roomy = every > 1 or months <= most * 0.6
            found.append((day, f"{name} {year}" if not found and roomy and every < 12 and month != 1 else name))
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
    return found
