"""Volume by week, as columns."""

from __future__ import annotations

from collections.abc import Sequence

from figures.analytics import Week
from figures.charts.canvas import Canvas, Theme, amount, day_words, month_marks, ticks
from figures.charts.units import per_kilogram

WIDTH, HEIGHT = 760.0, 340.0
LEFT, RIGHT, TOP, BOTTOM = 68.0, 84.0, 92.0, 40.0
# Columns thinner than this are no longer seen; what came before is left to the description.
WEEKS_MAX = 260


def volume_chart(
    weeks: Sequence[Week], *, unit: str = "kg", theme: Theme = "auto", title: str = "Volume per week"
) -> str:
    """An SVG of the volume of each week, the last one in the colour of what still goes on.

    Args:
        weeks: as `Analytics.weeks` has them, oldest first, none left out; of more than 260 the newest are drawn.
        unit: kg or lb, for showing.
        theme: `auto` follows the reader's own light or dark.
    """
    per = per_kilogram(unit)
    shown = weeks[-WEEKS_MAX:]
    values = [float(week.totals.volume) * per for week in shown]
    trained = [value for value in values if value]
    mean = sum(trained) / len(trained) if trained else 0.0
    if trained:
        best = shown[values.index(max(values))]
        words = (
            f"{amount(sum(values))} {unit} in {_weeks(len(shown))}, {amount(mean)} {unit} in a week with training. "
            f"The most were {amount(max(values))} {unit} in the week of {day_words(best.starts)}."
        )
    else:
        words = "No volume yet."
    canvas = Canvas(WIDTH, HEIGHT, title=title, description=words, theme=theme)
    if not trained:
        canvas.heading("")
        canvas.nothing("No sets with a load yet")
        return canvas.svg()
    canvas.heading(
        f"{amount(sum(values))} {unit} in {_weeks(len(shown))}  ·  mean {amount(mean)} {unit} in a week with training"
    )

    levels = ticks(0, max(values))
    bottom, high = HEIGHT - BOTTOM, HEIGHT - BOTTOM - TOP
    for level in levels:
        y = bottom - level / levels[-1] * high
        canvas.line(LEFT, y, WIDTH - RIGHT, y, "axis" if level == 0 else "grid")
        canvas.text(LEFT - 10, y + 4, amount(level), anchor="end")

    room = (WIDTH - RIGHT - LEFT) / len(shown)
    thick = min(room * (0.72 if room > 6 else 0.86), 46.0)
    for place, (week, value) in enumerate(zip(shown, values, strict=True)):
        if value:
            height = max(value / levels[-1] * high, 1.5)
            hint = (
                f"Week of {day_words(week.starts)}: {amount(value)} {unit}, {week.totals.sets} sets, {_workouts(week)}"
            )
            colour = "mark" if place == len(shown) - 1 else "strong"
            canvas.bar(LEFT + room * place + (room - thick) / 2, bottom - height, thick, height, colour, hint=hint)
    canvas.unit(LEFT - 10, TOP - 14, unit)
    if values[-1]:
        # The colour of the last column.
        canvas.box(LEFT, TOP - 23, 10, 10, "mark")
        canvas.text(LEFT + 16, TOP - 14, "this week so far")
    if len(trained) > 2:
        y = bottom - mean / levels[-1] * high
        canvas.line(LEFT, y, WIDTH - RIGHT, y, "thin")
        canvas.text(WIDTH - RIGHT + 8, y - 1, "mean")
        canvas.text(WIDTH - RIGHT + 8, y + 13, f"{amount(mean)} {unit}")

    if len(shown) <= 14:
        for place, week in enumerate(shown):
            if len(shown) <= 8 or place % 2 == (len(shown) - 1) % 2:
                text = day_words(week.starts).rsplit(" ", 1)[0]
                canvas.text(LEFT + room * (place + 0.5), bottom + 20, text, anchor="middle")
    else:
        first = shown[0].starts
        for day, name in month_marks(first, shown[-1].starts, 13):
            place = -(-(day - first).days // 7)
            if place < len(shown):
                canvas.text(LEFT + room * (place + 0.5), bottom + 20, name, anchor="middle")
    return canvas.svg()


def _weeks(number: int) -> str:
    return "1 week" if number == 1 else f"{number} weeks"


def _workouts(week: Week) -> str:
    return "1 workout" if week.totals.workouts == 1 else f"{week.totals.workouts} workouts"
