"""One exercise through time: what each workout with it came to. For its page, its picture and its history."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import msgspec

from figures.history import History
from figures.lifts import Lift
from figures.quantities import exactly
from figures.steps import Steps, at_once, in_order


class Point(msgspec.Struct, frozen=True):
    """One workout's part of an exercise. Masses in kg; null where no set of it had such a figure.

    one_rep_max: the best, by the preferred formula. weight: the heaviest as entered, not assisted. sets: ids, in order.
    """

    workout: str
    day: date | None
    sets: list[str]
    reps: Decimal
    volume: Decimal
    weight: Decimal | None
    one_rep_max: Decimal | None


def progress_of_exercise(history: History, exercise: str) -> list[Point]:
    """Every workout that the exercise was done in, oldest first. O(its lifts)."""
    return at_once(progress_of_exercise_in_steps(history, exercise))


def progress_of_exercise_in_steps(history: History, exercise: str) -> Steps[list[Point]]:
    """As `progress_of_exercise`."""
    points = []
    by_workout: dict[str, list[Lift]] = {}
    lifts = (history.lifts[id] for id in history.lifts_of_exercise.of(exercise))
    for lift in (yield from in_order(lifts, lambda one: one.order)):
        by_workout.setdefault(lift.workout, []).append(lift)
        yield
    for workout, its in by_workout.items():
        yield
        session = history.sessions.get(workout)
        weight = max((one.weight for one in its if one.weight is not None and one.mode != "assisted"), default=None)
        best = max((one.one_rep_max for one in its if one.one_rep_max is not None), default=None)
        points.append(
            Point(
                workout,
                session.day if session is not None else None,
                [one.id for one in its],
                exactly(sum(one.reps or 0 for one in its)),
                exactly(sum(one.volume or 0 for one in its)),
                exactly(weight) if weight is not None else None,
                exactly(best) if best is not None else None,
            )
        )
    return points
