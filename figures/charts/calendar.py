"""The days of a span, the darker the more was done on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from figures.analytics import Day, Totals
from figures.charts.canvas import MONTHS, WEEKDAYS, Canvas, Theme, amount, day_words
from figures.charts.units import per_kilogram
from figures.weeks import MONDAY, week_of

WIDTH = 760.0
LEFT, RIGHT, TOP, BOTTOM = 58.0, 24.0, 96.0, 44.0
# Of one band; a longer span has several, one below the other.
WEEKS = 53
STEP = (WIDTH - LEFT - RIGHT) / WEEKS
# A short span has larger cells, up to this.
STEP_MAX = 24.0
# Between bands, for the names of the months.
GAP = 34.0
# What lies before these many years is left to the description.
BANDS_MAX = 12
# How much of its step a cell takes.
CELL = 0.8
# Shades of a day with training, below the one of a day without.
SHADES = 4


def calendar_chart(
    days: Sequence[Day],
    last: date,
    *,
    first: date | None = None,
    first_weekday: int = MONDAY,
    unit: str = "kg",
    theme: Theme = "auto",
    title: str = "Training days",
) -> str:
    """An SVG of the days of a span: a column a week, a cell a day, by how many sets were done.

    Args:
        days: as `Analytics.days` has them; those before and after the span are left out.
        last: the day that the picture ends with, today as a rule.
        first: the day that it begins with; without it, with the week a year ago. Of more than twelve years the newest
            are drawn.
        first_weekday: which day stands on top, 1 to 7 from Monday.
        unit: kg or lb, for showing.
        theme: `auto` follows the reader's own light or dark.
    """
    per = per_kilogram(unit)
    if first is None:
        first = week_of(last, first_weekday) - timedelta(weeks=WEEKS - 1)
    shown = {one.date: one.totals for one in days if first <= one.date <= last}
    words = _words(shown, first, last)
    columns = (week_of(last, first_weekday) - week_of(first, first_weekday)).days // 7 + 1
    bands = min(-(-columns // WEEKS), BANDS_MAX)
    step = min((WIDTH - LEFT - RIGHT) / min(columns, WEEKS), STEP_MAX)
    high = 7 * step
    height = TOP + bands * (high + GAP) - GAP + BOTTOM
    canvas = Canvas(WIDTH, height, title=title, description=words, theme=theme)
    canvas.heading(words.rstrip("."))
    full = _full_day([one.sets for one in shown.values()])

    def draw_day(day: date, x: float, y: float) -> None:
        its = shown.get(day)
        level, hint = 0, f"{day_words(day)}: no workout"
        if its is not None:
            level = min(max(-(-SHADES * its.sets // full), 1), SHADES)
            volume = f"{amount(float(its.volume) * per)} {unit}"
            hint = f"{day_words(day)}: {_counted(its.workouts, 'workout')}, {_counted(its.sets, 'set')}, {volume}"
        canvas.box(x, y, step * CELL, step * CELL, f"s{level}", hint=hint, round=2.4)

    for band in range(bands):
        # The newest band ends with the last day, and stands below the others.
        weeks = min(columns - (bands - 1 - band) * WEEKS, WEEKS)
        begins = week_of(last, first_weekday) - timedelta(weeks=(bands - 1 - band) * WEEKS + weeks - 1)
        top = TOP + band * (high + GAP)
        for row in range(0, 7, 2):
            weekday = WEEKDAYS[(first_weekday - 1 + row) % 7]
            canvas.text(LEFT - 10, top + row * step + step * CELL / 2 + 4, weekday, anchor="end")
        _name_months(canvas, begins, weeks, max(first, begins), last, top, step)
        for n in range(7 * weeks):
            day = begins + timedelta(days=n)
            if first <= day <= last:
                draw_day(day, LEFT + n // 7 * step, top + n % 7 * step)
    _legend(canvas, height - BOTTOM + 14, full)
    return canvas.svg()


def _name_months(canvas: Canvas, begins: date, weeks: int, first: date, last: date, top: float, step: float) -> None:
    """Each month above the week in which it begins; a year where it begins, and in the first of several bands."""
    for column in range(weeks):
        week = [begins + timedelta(days=7 * column + n) for n in range(7)]
        of_month = next((day for day in week if day.day == 1 and first <= day <= last), None)
        x = LEFT + column * step
        # What begins with the last columns would stand beyond the page.
        if of_month is not None and x < WIDTH - RIGHT - STEP:
            name = MONTHS[of_month.month - 1] if of_month.month > 1 else str(of_month.year)
            canvas.text(x, top - 9, name)


def _legend(canvas: Canvas, y: float, full: int) -> None:
    """What the shades count."""
    more = f"{_counted(full, 'set')} or more"
    x = WIDTH - RIGHT - 5 * STEP - 84
    canvas.text(x - 8, y + STEP * CELL - 1.5, "no workout", anchor="end")
    for level in range(SHADES + 1):
        canvas.box(x + level * STEP, y, STEP * CELL, STEP * CELL, f"s{level}", round=2.4)
    canvas.text(x + 5 * STEP + 4, y + STEP * CELL - 1.5, more)


def _words(shown: Mapping[date, Totals], first: date, last: date) -> str:
    span = f"from {day_words(first)} to {day_words(last)}"
    if not shown:
        return f"No workout {span}."
    workouts = sum(one.workouts for one in shown.values())
    return f"{_counted(workouts, 'workout')} on {_counted(len(shown), 'day')} {span}."


def _full_day(sets: list[int]) -> int:
    """How many sets have the darkest shade: nine in ten days have no more, so that one marathon pales no other day."""
    return max(sorted(sets)[(9 * len(sets) - 1) // 10], 1) if sets else 1


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
