"""One exercise through time: the best estimated maximum of each workout, and where the best of all was reached."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from figures.charts.canvas import Canvas, Theme, amount, day_words, month_marks, ticks
from figures.charts.units import per_kilogram
from figures.exercise_progress import Point
from figures.one_rep_max import EPLEY, REPS_MAX

WIDTH, HEIGHT = 760.0, 340.0
LEFT, RIGHT, TOP, BOTTOM = 68.0, 84.0, 92.0, 40.0
# Above this many dots they are a worm: the line says enough.
DOTS_MAX = 60
FORMULAS = {"epley": "Epley", "brzycki": "Brzycki", "rpe_table": "the RPE table"}


def exercise_chart(
    points: Sequence[Point], name: str, *, unit: str = "kg", formula: str = EPLEY, theme: Theme = "auto"
) -> str:
    """An SVG of the one-rep maximum of an exercise over time; without any, of the heaviest weight.

    Args:
        points: as `progress_of_exercise` gives them; those without a day or a value are left out.
        name: the exercise's.
        unit: kg or lb, for showing.
        formula: the preferred one, to be named.
        theme: `auto` follows the reader's own light or dark.
    """
    per = per_kilogram(unit)
    maxima = {p.day: float(p.one_rep_max) * per for p in _best_first(points) if p.day and p.one_rep_max is not None}
    weights = {p.day: float(p.weight) * per for p in sorted(points, key=lambda p: p.weight or 0) if p.day and p.weight}
    values, what = (maxima, f"Estimated one-rep maximum, {FORMULAS.get(formula, formula)}, from up to {REPS_MAX} reps")
    if not maxima:
        values, what = weights, "Heaviest weight"
    series = sorted(values.items())
    canvas = Canvas(WIDTH, HEIGHT, title=name, description=_words(series, what, unit), theme=theme)
    if not series:
        canvas.heading("")
        canvas.nothing("No sets with a load yet")
        return canvas.svg()
    canvas.heading(f"{what}  ·  {unit}")

    low, high = min(values.values()), max(values.values())
    levels = ticks(max(0.0, low - (high - low) * 0.15), high + (high - low) * 0.05)
    first, last = series[0][0], series[-1][0]
    bottom, tall, wide = HEIGHT - BOTTOM, HEIGHT - BOTTOM - TOP, WIDTH - LEFT - RIGHT
    days = max((last - first).days, 1)

    def place(day: date, value: float) -> tuple[float, float]:
        x = LEFT + (day - first).days / days * wide if last > first else LEFT + wide / 2
        return x, bottom - (value - levels[0]) / (levels[-1] - levels[0]) * tall

    for n, level in enumerate(levels):
        y = place(first, level)[1]
        canvas.line(LEFT, y, WIDTH - RIGHT, y, "axis" if n == 0 else "grid")
        canvas.text(LEFT - 10, y + 4, amount(level), anchor="end")
    canvas.unit(LEFT - 10, TOP - 14, unit)
    _name_days(canvas, first, last, bottom, wide)

    at = [place(day, value) for day, value in series]
    if len(at) > 1:
        canvas.area(at, bottom, "under")
        canvas.curve(_best_so_far(at), "thin")
        canvas.text(WIDTH - RIGHT + 12, place(last, high)[1] + 4, "best so far")
        canvas.curve(at, "curve")
    best_day, best = next(one for one in series if one[1] == high)
    for (day, value), (x, y) in zip(series, at, strict=True):
        if day != best_day and len(series) <= DOTS_MAX:
            canvas.dot(x, y, 3, "strong", hint=f"{day_words(day)}: {amount(value)} {unit}")
    x, y = place(best_day, best)
    canvas.dot(x, y, 5, "ring", hint=f"Best, {day_words(best_day)}: {amount(best)} {unit}")
    anchor, beside = ("end", -10.0) if x > WIDTH - RIGHT - 40 else ("start", 10.0) if x < LEFT + 40 else ("middle", 0.0)
    canvas.text(x + beside, y - 12, f"{amount(best)} {unit}", "value", anchor=anchor)
    return canvas.svg()


def _best_so_far(at: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The steps of what the best was at each time, from points whose y falls as the value rises."""
    steps = [at[0]]
    for x, y in at:
        if y < steps[-1][1]:
            steps += (x, steps[-1][1]), (x, y)
    return [*steps, (at[-1][0], steps[-1][1])]


def _best_first(points: Sequence[Point]) -> list[Point]:
    """So that of two workouts on one day the better one is kept, which comes later."""
    return sorted(points, key=lambda point: point.one_rep_max or 0)


def _words(series: list[tuple[date, float]], what: str, unit: str) -> str:
    if not series:
        return "No sets with a load yet."
    (first, begin), (last, end) = series[0], series[-1]
    best_day, best = max(series, key=lambda one: one[1])
    return (
        f"{what}: {amount(begin)} {unit} on {day_words(first)}, {amount(end)} {unit} on {day_words(last)}. "
        f"The best was {amount(best)} {unit} on {day_words(best_day)}."
    )


def _name_days(canvas: Canvas, first: date, last: date, bottom: float, wide: float) -> None:
    days = max((last - first).days, 1)
    if days < 60:
        if last > first:
            canvas.text(LEFT, bottom + 20, day_words(first))
            canvas.text(LEFT + wide, bottom + 20, day_words(last), anchor="end")
        else:
            canvas.text(LEFT + wide / 2, bottom + 20, day_words(first), anchor="middle")
        return
    for day, name in month_marks(first, last, 12):
        canvas.text(LEFT + (day - first).days / days * wide, bottom + 20, name, anchor="middle")
