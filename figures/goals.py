"""How far a person is with a goal, as their history has it.

A goal looks at the days from `starts_on` to `due_on`, both included, either of them open, and never beyond today. What
it counts there, in the goal's own unit:

| kind | counts | units |
|---|---|---|
| strength | the heaviest weight of the exercise, not assisted (no estimate), or the most reps | kg, lb, reps |
| volume | effective load × repetitions, of the exercise or of everything | kg, lb |
| workouts | workouts, those with the exercise or all | |
| bodyweight | the latest weight; from `start`, or else from what it was at the beginning, up or down | kg, lb |
| distance | the ways of all sets, of the exercise or of everything | km, m, mi, yd, ft |
| habit | the most weeks in a row that met the weekly target; or, in days, the days with a workout | weeks, days |
| custom | nothing: only its owner knows | |

Invariants
    G1  Progress is a function of the history, the goal and the day; nothing is remembered.
    G2  A goal is reached on the first day that its target was met. What comes later undoes that no more; a correction
        does.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from figures.forms import Goal
from figures.history import History
from figures.lifts import Lift
from figures.quantities import KILOGRAM, METRE, ONE, Quantity, divided, exactly, quantity
from figures.steps import Steps, at_once
from figures.weeks import MONDAY, TARGET, week_of

# What a goal counts in, by its kind; where it does not say, in the first of them.
UNITS: Final = {
    "strength": ("kg", "lb", "reps"),
    "volume": ("kg", "lb"),
    "workouts": ("workouts",),
    "bodyweight": ("kg", "lb"),
    "distance": ("km", "m", "mi", "yd", "ft"),
    "habit": ("weeks", "days"),
}
_WHOLE: Final = 10**4
Course = list[tuple[date, Quantity]]


class Progress(msgspec.Struct, frozen=True):
    """How far a goal is. Values are in `unit`. share: of the way from start to target, 0 to 1, to 4 decimals.

    Where nothing counts for it (a goal that only its owner knows, a weight that was never measured), `current` and
    `share` are null.
    """

    goal: str
    unit: str | None
    start: Decimal | None
    current: Decimal | None
    target: Decimal
    share: Decimal | None
    reached_on: date | None


def progress_of(history: History, today: date) -> dict[str, Progress]:
    """The progress of every goal, by its id. today: by the user's calendar. O(goals × lifts) at worst."""
    return at_once(progress_of_in_steps(history, today))


def progress_of_in_steps(history: History, today: date) -> Steps[dict[str, Progress]]:
    """As `progress_of`."""
    found = {}
    for id, goal in sorted(history.goals.items()):
        yield
        found[id] = yield from _progress(history, id, goal, today)
    return found


def _progress(history: History, id: str, goal: Goal, today: date) -> Steps[Progress]:
    """The progress of one goal (G1)."""
    first = date.fromisoformat(goal.starts_on) if goal.starts_on else date.min
    last = min(today, date.fromisoformat(goal.due_on)) if goal.due_on else today
    named = goal.unit or next(iter(UNITS.get(goal.kind or "", ())), None)
    unit = KILOGRAM.get(named or "") or METRE.get(named or "") or ONE
    target = quantity(goal.target or 0, unit)
    course = yield from _course(history, goal, named, first, last)

    start = quantity(goal.start, unit) if goal.start is not None else None
    if start is None:
        start = 0 if goal.kind != "bodyweight" else course[0][1] if course else None
    current = course[-1][1] if course else None
    if current is None and goal.kind in UNITS and goal.kind != "bodyweight":
        current = 0
    down = start is not None and target < start
    reached = next((day for day, value in course if (value <= target if down else value >= target)), None)
    share = None
    if current is not None and start is not None:
        way = abs(target - start)
        gone = start - current if down else current - start
        share = Decimal(divided(max(0, min(gone, way)) * _WHOLE, way) if way else _WHOLE) / _WHOLE
    return Progress(
        id, named, _in(start, unit), _in(current, unit), exactly(quantity(goal.target or 0)), share, reached
    )


def _in(value: Quantity | None, unit: Quantity) -> Decimal | None:
    return exactly(divided(value * ONE, unit)) if value is not None else None


def _course(history: History, goal: Goal, unit: str | None, first: date, last: date) -> Steps[Course]:
    """(day, where the goal stood after it), in the order of days, wherever it moved."""
    if goal.kind == "bodyweight":
        return (yield from _weights(history, first, last))
    if goal.kind == "habit" and unit != "days":
        return (yield from _weeks_in_a_row(history, first, last))
    if goal.kind in ("habit", "workouts"):
        return (yield from _counted(history, goal, first, last, distinct=goal.kind == "habit"))
    if goal.kind in ("volume", "distance", "strength"):
        return (yield from _lifted(history, goal, unit, first, last))
    return []


def _lifted(history: History, goal: Goal, unit: str | None, first: date, last: date) -> Steps[Course]:
    if goal.kind == "strength" and goal.exercise is None:
        return []
    days: defaultdict[date, list[Quantity]] = defaultdict(list)
    for lift in _lifts(history, goal.exercise):
        yield
        session = history.sessions.get(lift.workout)
        if session is None or session.day is None or not first <= session.day <= last:
            continue
        value = (
            lift.volume if goal.kind == "volume" else lift.metres if goal.kind == "distance" else _strength(lift, unit)
        )
        if value:
            days[session.day].append(value)
    so_far, course = 0, []
    for day, values in sorted(days.items()):
        so_far = max(so_far, *values) if goal.kind == "strength" else so_far + sum(values)
        course.append((day, so_far))
        yield
    return course


def _strength(lift: Lift, unit: str | None) -> Quantity | None:
    if unit == "reps":
        return lift.reps
    return lift.weight if lift.mode != "assisted" and lift.reps != 0 else None


def _lifts(history: History, exercise: str | None) -> Iterable[Lift]:
    if exercise is None:
        return history.lifts.values()
    return (history.lifts[id] for id in history.lifts_of_exercise.of(exercise))


def _counted(history: History, goal: Goal, first: date, last: date, *, distinct: bool) -> Steps[Course]:
    """Workouts, or distinct days with one."""
    with_it: set[str] = set()
    if goal.exercise:
        for lift in _lifts(history, goal.exercise):
            with_it.add(lift.workout)
            yield
    days: Counter[date] = Counter()
    for id in with_it if goal.exercise else history.sessions:
        if id in history.sessions and (day := history.sessions[id].day) and first <= day <= last:
            days[day] += 1
        yield
    so_far, course = 0, []
    for day, count in sorted(days.items()):
        so_far += 1 if distinct else count
        course.append((day, so_far * ONE))
    return course


def _weeks_in_a_row(history: History, first: date, last: date) -> Steps[Course]:
    first_weekday = history.preferences.first_weekday or MONDAY
    target = history.preferences.weekly_target or TARGET
    days: set[date] = set()
    for one in history.sessions.values():
        if (day := one.day) and first <= day <= last:
            days.add(day)
        yield
    course: Course = []
    of_week: Counter[date] = Counter()
    run = longest = 0
    met: date | None = None
    for day in sorted(days):
        week = week_of(day, first_weekday)
        of_week[week] += 1
        if of_week[week] == target:
            run = run + 1 if met is not None and week - met == timedelta(days=7) else 1
            met, longest = week, max(longest, run)
            course.append((day, longest * ONE))
        yield
    return course


def _weights(history: History, first: date, last: date) -> Steps[Course]:
    """Every weighing of these days, behind what the weight was when they began."""
    zone = history.preferences.timezone
    before: Quantity | None = None
    begun, course = False, []
    for at, value in history.weighings():
        yield
        day = _day_of(at, zone)
        if day > last:
            break
        if day < first:
            before = value
            continue
        if before is not None and not begun:
            course.append((first, before))
        begun = True
        course.append((day, value))
    if before is not None and not begun and first <= last:
        course.append((first, before))
    return course


def _day_of(at: str, zone: str | None) -> date:
    moment = datetime.fromisoformat(at.replace("Z", "+00:00"))
    try:
        return moment.astimezone(ZoneInfo(zone)).date() if zone else moment.date()
    except (ZoneInfoNotFoundError, ValueError, OSError, OverflowError):
        return moment.date()
