"""The days of a year, the darker the more was done on them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from figures.analytics import Day
from figures.charts.canvas import MONTHS, WEEKDAYS, Canvas, Theme, amount, day_words
from figures.weeks import MONDAY, week_of

WIDTH = 760.0
LEFT, RIGHT, TOP, BOTTOM = 58.0, 24.0, 96.0, 44.0
WEEKS = 53
STEP = (WIDTH - LEFT - RIGHT) / WEEKS
CELL = STEP * 0.8
# Shades of a day with training, below the one of a day without.
SHADES = 4


def calendar_chart(
    days: Sequence[Day], last: date, *, first_weekday: int = MONDAY, theme: Theme = "auto", title: str = "Training days"
) -> str:
    """An SVG of the 53 weeks up to a day: a column a week, a cell a day, by how many sets were done.

    Args:
        days: as `Analytics.days` has them; those before and after the 53 weeks are left out.
        last: the day that the picture ends with, today as a rule.
        first_weekday: which day stands on top, 1 to 7 from Monday.
        theme: `auto` follows the reader's own light or dark.
    """
    first = week_of(last, first_weekday) - timedelta(weeks=WEEKS - 1)
    shown = {one.date: one.totals for one in days if first <= one.date <= last}
    full = _full_day([one.sets for one in shown.values()])
    count = len(shown)
    workouts = sum(one.workouts for one in shown.values())
    words = (
        f"{_counted(workouts, 'workout')} on {_counted(count, 'day')} from {day_words(first)} to {day_words(last)}."
        if count
        else f"No workout from {day_words(first)} to {day_words(last)}."
    )
    canvas = Canvas(WIDTH, TOP + 7 * STEP + BOTTOM, title=title, description=words, theme=theme)
    canvas.heading(words.rstrip("."))
    for row in range(0, 7, 2):
        weekday = WEEKDAYS[(first_weekday - 1 + row) % 7]
        canvas.text(LEFT - 10, TOP + row * STEP + CELL - 1.5, weekday, anchor="end")
    named: date | None = None
    for column in range(WEEKS):
        begins = first + timedelta(weeks=column)
        of_month = next((d for d in (begins + timedelta(days=n) for n in range(7)) if d.day == 1), None)
        # The name of a month that begins with the last columns would stand beyond the page.
        if of_month is not None and of_month <= last and column < WEEKS - 1 and (named is None or column > 0):
            canvas.text(LEFT + column * STEP, TOP - 9, MONTHS[of_month.month - 1])
            named = of_month
        for row in range(7):
            day = begins + timedelta(days=row)
            if day > last:
                break
            its = shown.get(day)
            sets = its.sets if its is not None else 0
            level = min(max(-(-SHADES * sets // full), 1), SHADES) if its is not None else 0
            hint = f"{day_words(day)}: no workout"
            if its is not None:
                done = f"{_counted(its.workouts, 'workout')}, {_counted(sets, 'set')}, {amount(float(its.volume))} kg"
                hint = f"{day_words(day)}: {done}"
            canvas.box(LEFT + column * STEP, TOP + row * STEP, CELL, CELL, f"s{level}", hint=hint, round=2.4)
    y, x = TOP + 7 * STEP + 14, WIDTH - RIGHT - 5 * STEP - 42
    canvas.text(x - 8, y + CELL - 1.5, "less", anchor="end")
    for level in range(SHADES + 1):
        canvas.box(x + level * STEP, y, CELL, CELL, f"s{level}", round=2.4)
    canvas.text(x + 5 * STEP + 4, y + CELL - 1.5, "more")
    return canvas.svg()


def _full_day(sets: list[int]) -> int:
    """How many sets have the darkest shade: nine in ten days have no more, so that one marathon pales no other day."""
    return max(sorted(sets)[(9 * len(sets) - 1) // 10], 1) if sets else 1


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
