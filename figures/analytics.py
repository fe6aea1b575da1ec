"""What a person's training adds up to in a span of days: in all, by day, by week, by exercise, by muscle.

Sets are those that count: done, and no warm-ups. Volume is effective load × repetitions in kg. Everything is exact, and
a sum over the same lifts: the weeks add up to the whole.

Days are the user's. A workout whose day nobody knows is in no span, and in "all" neither.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

import msgspec

from figures.history import History
from figures.muscles import PRIMARY_SHARE, SECONDARY_SHARE, OfMuscle, by_muscle_in_steps
from figures.one_rep_max import REPS_MAX
from figures.quantities import WIDE, Quantity, exactly
from figures.records import PersonalRecord, Records
from figures.steps import Steps, at_once, in_order, sorted_in_steps
from figures.weeks import MONDAY, Streak, streak_of, week_of

# The days of a span that ends today; "all" begins with the first workout.
TIMEFRAMES: Final[dict[str, int | None]] = {"7d": 7, "30d": 30, "90d": 90, "1y": 365, "all": None}

# 57 years: a workout dated to the year 1, by a slip of the finger, does not make a hundred thousand empty weeks.
WEEKS_MAX: Final = 3_000


class Span(msgspec.Struct, frozen=True):
    """Days, both included."""

    first: date
    last: date


class Totals(msgspec.Struct, frozen=True):
    """Sums. days: distinct days with a workout. volume in kg, distance in m, duration (of whole workouts) in s."""

    workouts: int
    days: int
    sets: int
    reps: Decimal
    volume: Decimal
    distance: Decimal
    duration: Decimal


class Change(msgspec.Struct, frozen=True):
    """From the span before to this one. percent: to 1 decimal; null where there was nothing before."""

    difference: Decimal
    percent: Decimal | None


class Day(msgspec.Struct, frozen=True):
    """One day with a workout."""

    date: date
    totals: Totals


class Week(msgspec.Struct, frozen=True):
    """One week, trained in or not; at the ends of the span only its days within."""

    starts: date
    totals: Totals


class OfExercise(msgspec.Struct, frozen=True):
    """One exercise. one_rep_max: the best in the span, in kg."""

    exercise: str
    name: str | None
    workouts: int
    sets: int
    reps: Decimal
    volume: Decimal
    one_rep_max: Decimal | None


class Analytics(msgspec.Struct, frozen=True):
    """Everything about one span.

    before: the span of as many days before it. change: from it to this one, by the names of `Totals`. Both are null for
        "all".
    weeks: every one of the span, and no more than the last WEEKS_MAX of "all".
    exercises, muscles: those trained most first.
    records: that stand today and were achieved in the span, oldest first; without those at a weight, of which there is
        one for every weight ever lifted.
    formula, reps_max: how one-rep maxima are estimated, and from at most how many repetitions.
    """

    span: Span
    totals: Totals
    before: Totals | None
    change: dict[str, Change] | None
    weeks: list[Week]
    days: list[Day]
    exercises: list[OfExercise]
    muscles: list[OfMuscle]
    records: list[PersonalRecord]
    streak: Streak
    formula: str
    reps_max: int
    primary_share: Decimal
    secondary_share: Decimal


def analyse(history: History, timeframe: str, today: date, records: Records | None = None) -> Analytics:
    """Work out everything about the days of a timeframe. O(lifts).

    Args:
        history: whose training it is.
        timeframe: one of TIMEFRAMES.
        today: by the user's calendar.
        records: their personal records, kept up with the history; without them the answer has none.

    Raises:
        KeyError: the timeframe is none of TIMEFRAMES; the caller tells the user which there are.
    """
    return at_once(analyse_in_steps(history, timeframe, today, records))


def analyse_in_steps(history: History, timeframe: str, today: date, records: Records | None = None) -> Steps[Analytics]:
    """As `analyse`."""
    span = yield from _span_of(history, timeframe, today)
    first_weekday = history.preferences.first_weekday or MONDAY
    days, cells = yield from _add_up(history, span)

    total = _Sum()
    weeks: defaultdict[date, _Sum] = defaultdict(_Sum)
    for day, its in days.items():
        total.join(its)
        weeks[week_of(day, first_weekday)].join(its)
        yield
    exercises = yield from _by_exercise(history, cells)
    trained = ((id, cell.sets, cell.volume) for id, cell in cells.items())
    muscles = yield from by_muscle_in_steps(history, trained)
    achieved = (yield from _achieved(history, records, span)) if records is not None else []
    before = None
    if TIMEFRAMES[timeframe] is not None:
        length = span.last - span.first + timedelta(days=1)
        earlier = _Sum()
        days_before, _ = yield from _add_up(history, Span(span.first - length, span.first - timedelta(days=1)))
        for its in days_before.values():
            earlier.join(its)
        before = earlier.totals()
    totals = total.totals()
    every_week = yield from _every_week(weeks, span, first_weekday)
    every_day = []
    for day, its in sorted(days.items()):
        every_day.append(Day(day, its.totals()))
        yield
    return Analytics(
        span=span,
        totals=totals,
        before=before,
        change=compare(totals, before) if before is not None else None,
        weeks=every_week,
        days=every_day,
        exercises=exercises,
        muscles=muscles,
        records=achieved,
        streak=streak_of(history, today),
        formula=history.formula,
        reps_max=REPS_MAX,
        primary_share=PRIMARY_SHARE,
        secondary_share=SECONDARY_SHARE,
    )


def compare(now: Totals, before: Totals) -> dict[str, Change]:
    """How each total changed, by its name."""
    changes = {}
    for name in Totals.__struct_fields__:
        new, old = Decimal(getattr(now, name)), Decimal(getattr(before, name))
        difference = WIDE.subtract(new, old)
        percent = WIDE.quantize(difference * 100 / old, Decimal("0.1")) if old else None
        changes[name] = Change(difference, percent)
    return changes


class _Sum:
    """A sum under way."""

    __slots__ = ("days", "metres", "reps", "seconds", "sets", "volume", "workouts")

    def __init__(self) -> None:
        self.workouts = self.days = self.sets = 0
        self.reps: Quantity = 0
        self.volume: Quantity = 0
        self.metres: Quantity = 0
        self.seconds: Quantity = 0

    def join(self, other: _Sum) -> None:
        self.workouts += other.workouts
        self.days += other.days
        self.sets += other.sets
        self.reps += other.reps
        self.volume += other.volume
        self.metres += other.metres
        self.seconds += other.seconds

    def totals(self) -> Totals:
        amounts = (exactly(one) for one in (self.reps, self.volume, self.metres, self.seconds))
        return Totals(self.workouts, self.days, self.sets, *amounts)


class _Cell:
    """What one exercise was in one span."""

    __slots__ = ("best", "reps", "sets", "volume", "workouts")

    def __init__(self) -> None:
        self.workouts: set[str] = set()
        self.sets = 0
        self.reps: Quantity = 0
        self.volume: Quantity = 0
        self.best: Quantity = 0


def _span_of(history: History, timeframe: str, today: date) -> Steps[Span]:
    """The days of a timeframe that ends today."""
    days = TIMEFRAMES[timeframe]
    if days is not None:
        return Span(today - timedelta(days=days - 1), today)
    first = today
    for one in history.sessions.values():
        if one.day is not None and one.day < first:
            first = one.day
        yield
    return Span(first, today)


def _add_up(history: History, span: Span) -> Steps[tuple[dict[date, _Sum], dict[str, _Cell]]]:
    """The sums of each day of the span that has a workout, and of each exercise."""
    days: defaultdict[date, _Sum] = defaultdict(_Sum)
    cells: defaultdict[str, _Cell] = defaultdict(_Cell)
    lifts, of_workout = history.lifts, history.lifts_of_workout
    for id, session in history.sessions.items():
        yield
        if session.day is None or not span.first <= session.day <= span.last:
            continue
        its = days[session.day]
        its.days = 1
        its.workouts += 1
        its.seconds += session.seconds or 0
        for set_id in of_workout.of(id):
            lift = lifts[set_id]
            cell = cells[lift.exercise]
            reps, volume = lift.reps or 0, lift.volume or 0
            its.sets += 1
            its.reps += reps
            its.volume += volume
            its.metres += lift.metres or 0
            cell.workouts.add(id)
            cell.sets += 1
            cell.reps += reps
            cell.volume += volume
            if lift.one_rep_max is not None and lift.one_rep_max > cell.best:
                cell.best = lift.one_rep_max
            yield
    return days, cells


def _every_week(weeks: dict[date, _Sum], span: Span, first_weekday: int) -> Steps[list[Week]]:
    latest = week_of(span.last, first_weekday)
    week, found = max(week_of(span.first, first_weekday), latest - (WEEKS_MAX - 1) * timedelta(days=7)), []
    while week <= span.last:
        found.append(Week(week, weeks.get(week, _Sum()).totals()))
        week += timedelta(days=7)
        yield
    return found


def _by_exercise(history: History, cells: dict[str, _Cell]) -> Steps[list[OfExercise]]:
    found = []
    for id, cell in (yield from in_order(cells.items(), lambda one: (-one[1].sets, -one[1].volume, one[0]))):
        exercise = history.exercise(id)
        found.append(
            OfExercise(
                id,
                exercise.name if exercise is not None else None,
                len(cell.workouts),
                cell.sets,
                exactly(cell.reps),
                exactly(cell.volume),
                exactly(cell.best) if cell.best else None,
            )
        )
        yield
    return found


def _achieved(history: History, records: Records, span: Span) -> Steps[list[PersonalRecord]]:
    found = []
    for record in records.in_any_order():
        yield
        if record.kind == "max_reps_at_weight":
            continue
        session = history.sessions.get(record.workout)
        if session is not None and session.day is not None and span.first <= session.day <= span.last:
            found.append(record)
    return (yield from sorted_in_steps(found, lambda one: (one.achieved_at, *one.key.place)))
