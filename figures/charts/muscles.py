"""Sets by muscle, as bars: what trained it in the first place, and half of what trained it besides."""

from __future__ import annotations

from collections.abc import Sequence

from figures.charts.canvas import Canvas, Theme, amount, shortened, ticks
from figures.muscles import OfMuscle

WIDTH = 760.0
LEFT, RIGHT, TOP, BOTTOM, ROW = 132.0, 64.0, 104.0, 40.0, 27.0
# Those of the exercises' vocabulary: all are shown, since what nobody trains is what the picture is for.
MUSCLES = (
    "abdominals", "abductors", "adductors", "biceps", "calves", "chest", "forearms", "glutes", "hamstrings", "lats",
    "lower_back", "middle_back", "neck", "quadriceps", "shoulders", "traps", "triceps",
)  # fmt: skip


def muscles_chart(muscles: Sequence[OfMuscle], *, theme: Theme = "auto", title: str = "Sets by muscle") -> str:
    """An SVG of how many sets trained each muscle, most first, those that none did below.

    Args:
        muscles: as `Analytics.muscles` has them.
        theme: `auto` follows the reader's own light or dark.
    """
    known = {one.muscle: one for one in muscles}
    order = sorted({*MUSCLES, *known}, key=lambda name: (-(known[name].sets if name in known else 0), name))
    height = TOP + ROW * len(order) + BOTTOM
    if known:
        said = ", ".join(f"{_name(one.muscle)} {amount(float(one.sets))}" for one in muscles if one.sets)
        words = f"Sets by muscle, a set counted whole for a primary muscle and half for a secondary one: {said}."
    else:
        words = "No sets yet."
    canvas = Canvas(WIDTH, height, title=title, description=words, theme=theme)
    canvas.heading("A set counts whole for a primary muscle and half for a secondary one")
    if not known:
        canvas.nothing("No sets yet")
        return canvas.svg()
    canvas.box(LEFT, 73, 10, 10, "strong")
    canvas.text(LEFT + 16, 82, "primary")
    canvas.box(LEFT + 78, 73, 10, 10, "soft")
    canvas.text(LEFT + 94, 82, "secondary")

    levels = ticks(0, max(float(one.sets) for one in known.values()), 5)
    wide, bottom = WIDTH - LEFT - RIGHT, TOP + ROW * len(order)
    for level in levels:
        x = LEFT + level / levels[-1] * wide
        canvas.line(x, TOP - 6, x, bottom, "axis" if level == 0 else "grid")
        canvas.text(x, bottom + 20, amount(level), anchor="middle")
    canvas.unit(WIDTH - RIGHT + 22, bottom + 20, "sets", anchor="start")
    for place, name in enumerate(order):
        y = TOP + ROW * place
        canvas.text(LEFT - 12, y + 16, shortened(_name(name), LEFT - 24, 12.5), "name", anchor="end")
        one = known.get(name)
        if one is None or not one.sets:
            canvas.text(LEFT + 8, y + 16, "none")
            continue
        scale = wide / levels[-1]
        primary, whole = one.primary * scale, float(one.sets) * scale
        hint = f"{_name(name)}: {one.primary} sets as primary, {one.secondary} as secondary muscle"
        if one.secondary:
            canvas.box(LEFT, y + 3, whole, ROW - 9, "soft", hint=hint, round=3)
        if one.primary:
            canvas.box(LEFT, y + 3, primary, ROW - 9, "strong", hint=hint, round=3)
        canvas.text(LEFT + whole + 8, y + 16, amount(float(one.sets)), "value")
    return canvas.svg()


def _name(muscle: str) -> str:
    return muscle.replace("_", " ").capitalize()
