"""The results as a picture: SVG by hand, readable on light and on dark ground, without a script or a font of its own.

Owns: where things stand and what colours they have. Refuses to know: how a figure came about, or is judged.

Every figure that has something beside it has a bar for ours and, where there is one, a thinner one for the bare limit,
both to one scale that begins at zero; a mark stands where the aim is. A figure alone is a number. What grows with the
history is a curve.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from bench.report import Line, Result, number
from bench.workloads import WORKLOADS

WIDTH: Final = 960
_MARGIN: Final = 32
_LABEL_W: Final = 200
_BAR_X: Final = _MARGIN + _LABEL_W
_BAR_W: Final = 330
_TEXT_X: Final = _BAR_X + _BAR_W + 20
_AIM_X: Final = WIDTH - _MARGIN - 166
_ROW_H: Final = 30
_HEAD_H: Final = 34
_GAP_H: Final = 14
_CHART_H: Final = 190
# Labels at the ends of curves keep this distance.
_CURVE_LABEL_H: Final = 16

_STYLE: Final = """
text { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; fill: #1f2530 }
.ground { fill: #ffffff } .rule { stroke: #e4e7ec } .soft { fill: #667085 } .end { text-anchor: end }
.title { font-size: 20px; font-weight: 600 } .head { font-size: 14px; font-weight: 600 } .strong { font-weight: 600 }
.small { font-size: 11px } .ours { fill: #2563eb } .bare { fill: #c2c9d4 } .aim { stroke: #c2410c; stroke-width: 2 }
.reached { fill: #15803d; font-weight: 600 } .missed { fill: #b42318; font-weight: 600 }
.c0 { stroke: #2563eb; fill: #2563eb } .c1 { stroke: #c2410c; fill: #c2410c } .c2 { stroke: #0f766e; fill: #0f766e }
.c3 { stroke: #7e22ce; fill: #7e22ce } .curve { fill: none; stroke-width: 2 } .name { stroke: none }
@media (prefers-color-scheme: dark) {
text { fill: #e6e9ef } .ground { fill: #14181f } .rule { stroke: #2b323d } .soft { fill: #98a2b3 }
.ours { fill: #6ea8fe } .bare { fill: #4a5362 } .aim { stroke: #fb923c }
.reached { fill: #4ade80 } .missed { fill: #f88078 }
.c0 { stroke: #6ea8fe; fill: #6ea8fe } .c1 { stroke: #fb923c; fill: #fb923c } .c2 { stroke: #2dd4bf; fill: #2dd4bf }
.c3 { stroke: #c084fc; fill: #c084fc } .curve { fill: none } .name { stroke: none }
}
"""


def picture(results: Sequence[Result], title: str) -> str:
    """The whole picture as the text of an SVG file."""
    parts: list[str] = []
    y = _MARGIN + 14
    parts.append(_text(_MARGIN, y, "FitAI beside the bare limit", "title"))
    parts.append(_text(_MARGIN, y + 22, title, "soft"))
    parts += _legend(y)
    y += 44
    for result in results:
        section, height = _section(result, y)
        parts += section
        y += height
    height = y + _MARGIN - _GAP_H
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
            f'height="{height}" role="img" aria-labelledby="title">',
            f'<title id="title">{escape(f"FitAI beside the bare limit, {title}")}</title>',
            f"<style>{_STYLE}</style>",
            f'<rect class="ground" width="{WIDTH}" height="{height}" rx="12"/>',
            *parts,
            "</svg>\n",
        ]
    )


def _legend(y: int) -> Iterator[str]:
    x = WIDTH - _MARGIN - 250
    yield f'<rect class="ours" x="{x}" y="{y - 12}" width="14" height="12" rx="2"/>'
    yield _text(x + 20, y - 1, "FitAI", "small")
    yield f'<rect class="bare" x="{x + 66}" y="{y - 9}" width="14" height="6" rx="2"/>'
    yield _text(x + 86, y - 1, "bare limit", "small")
    yield f'<line class="aim" x1="{x + 160}" x2="{x + 160}" y1="{y - 14}" y2="{y + 2}"/>'
    yield _text(x + 168, y - 1, "to reach", "small")


def _section(result: Result, y: int) -> tuple[list[str], int]:
    """One workload from `y` down, and how high it is."""
    kind = WORKLOADS[result.name]
    parts = [
        f'<line class="rule" x1="{_MARGIN}" x2="{WIDTH - _MARGIN}" y1="{y}" y2="{y}"/>',
        _text(_MARGIN, y + 24, f"{result.name} {kind.title}" if result.name[0] == "W" else kind.title, "head"),
    ]
    height = _HEAD_H
    for line in result.lines():
        parts += _row(line, y + height)
        height += _ROW_H
    if kind.curves:
        parts += _chart(result, y + height + 10)
        height += _CHART_H + 10
    return parts, height + _GAP_H


def _row(line: Line, y: int) -> Iterator[str]:
    """One figure: its name, its bars, its numbers, and what is to be reached."""
    middle = y + 17
    yield _text(_MARGIN, middle, line.comparison.label, "soft")
    yield _text(_AIM_X, middle, _aim(line), "soft small")
    if line.verdict:
        mark, style = {None: ("", "soft"), True: ("✓ ", "reached"), False: ("✗ ", "missed")}[line.reached]
        yield _text(WIDTH - _MARGIN, middle, f"{mark}{line.verdict}", f"{style} small end")
    if line.fitai is None:
        yield _text(_TEXT_X, middle, "not known", "soft")
        return
    longest = max(line.fitai, line.bare or 0.0, line.aim_value or 0.0) or 1.0
    # With nothing beside it, a bar would be as long as it can be whatever the figure is.
    if line.bare or line.aim_value is not None:
        yield _bar("ours", y + 5, 11, line.fitai / longest)
    if line.bare:
        yield _bar("bare", y + 18, 5, line.bare / longest)
    if line.aim_value is not None:
        x = _BAR_X + _BAR_W * line.aim_value / longest
        yield f'<line class="aim" x1="{x:.1f}" x2="{x:.1f}" y1="{y + 2}" y2="{y + 26}"/>'
    yield _text(_TEXT_X, middle, number(line.fitai), "strong")
    if line.ratio is not None and line.bare is not None:
        yield _text(_TEXT_X + 64, middle, f"of {number(line.bare)}: {line.ratio:.2f} ×", "soft small")


def _aim(line: Line) -> str:
    return line.aim.replace("at least ", "≥ ").replace("at most ", "≤ ")


def _bar(style: str, y: int, height: int, share: float) -> str:
    width = max(1.0, _BAR_W * share)
    return f'<rect class="{style}" x="{_BAR_X}" y="{y}" width="{width:.1f}" height="{height}" rx="2"/>'


def _chart(result: Result, top: int) -> Iterator[str]:
    """Milliseconds by the size of the history, which stands on a scale of tenfold steps."""
    figures, sizes = result.medians, result.sizes.history
    curves = [
        (curve.label, [value for size in sizes if (value := figures.get(curve.at(size))) is not None])
        for curve in WORKLOADS[result.name].curves
    ]
    left, right = _BAR_X, _TEXT_X + 64
    bottom = top + _CHART_H - 34
    most = _round_up(max((value for _, values in curves for value in values), default=1.0))
    low, high = math.log(sizes[0]), math.log(sizes[-1])

    def across(size: int) -> float:
        return left + (right - left) * ((math.log(size) - low) / (high - low) if high > low else 0.0)

    def up(value: float) -> float:
        return bottom - (bottom - top) * value / most

    for share in (0.0, 0.5, 1.0):
        yield f'<line class="rule" x1="{left}" x2="{right}" y1="{up(most * share):.1f}" y2="{up(most * share):.1f}"/>'
        yield _text(left - 8, up(most * share) + 4, f"{number(most * share)} ms", "soft small end")
    for size in sizes:
        yield f'<text class="soft small" text-anchor="middle" x="{across(size):.1f}" y="{bottom + 18}">{size:,}</text>'
    yield _text(_MARGIN, bottom + 18, "records in the space", "soft small")
    ends = [up(values[-1]) for _, values in curves if values]
    places = iter(_apart(ends))
    for index, (label, values) in enumerate(curves):
        if not values:
            continue
        points = " ".join(f"{across(size):.1f},{up(v):.1f}" for size, v in zip(sizes, values, strict=False))
        yield f'<polyline class="curve c{index}" points="{points}"/>'
        for point in points.split():
            x, y = point.split(",")
            yield f'<circle class="c{index}" cx="{x}" cy="{y}" r="3"/>'
        name = f"{label}, {number(values[0])} → {number(values[-1])} ms"
        yield _text(right + 12, next(places) + 4, name, f"small name c{index}")


def _apart(heights: Sequence[float]) -> list[float]:
    """Where labels stand that belong at `heights`: as near as can be without standing on each other."""
    order = sorted(range(len(heights)), key=heights.__getitem__, reverse=True)
    placed = list(heights)
    above = math.inf
    for index in order:
        placed[index] = above = min(heights[index], above - _CURVE_LABEL_H)
    return placed


def _round_up(value: float) -> float:
    """The next of 1, 2, 2.5, 5, 10, 20, 25, … that is not below."""
    step = 10.0 ** math.floor(math.log10(value)) if value > 0 else 1.0
    return next(step * factor for factor in (1, 2, 2.5, 5, 10) if step * factor >= value * 0.999)


def _text(x: float, y: float, text: str, style: str) -> str:
    return f'<text class="{style}" x="{x:g}" y="{y:g}">{escape(text)}</text>'
