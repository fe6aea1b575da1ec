"""One set and one workout as the figures see them: worked out once, when one of the records behind them changes.

Owns: effective load, volume, and what of a set each figure counts.

Refuses to know: where records come from, and for whom a set counts (`history.py`).

Invariants
    L1  Only a set that is done, and no warm-up, is a lift.
    L2  Effective load: external → the weight; bodyweight_plus → the body × the exercise's fraction + the weight;
        assisted → the body × the fraction − the weight, and nothing below nothing; none → none. Where the weight of the
        body or the fraction is not known there is none, nothing is guessed.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from figures.forms import Amount, Block, Exercise, Set, Workout
from figures.one_rep_max import one_rep_max
from figures.quantities import KILOGRAM, METRE, ONE, Quantity, quantity, times

WARMUP = "warmup"
# A workout that only a plan, or nobody, stands for did not take place.
NOT_DONE = ("planned", "discarded")


class Lift(msgspec.Struct, frozen=True, gc=False):
    """A set that counts. Masses and volumes are in kg, lengths in m, times in s (`quantities.py`).

    space: where it stands, of those the person trains in.
    order: sorts the sets of a person in time; it begins with when the workout began, and the workout's id.
    at: when it was completed, RFC 3339.
    weight: as entered; of assisted sets it is the help.
    """

    id: str
    space: str
    workout: str
    exercise: str
    order: tuple[str, ...]
    at: str
    mode: str
    reps: Quantity | None
    weight: Quantity | None
    load: Quantity | None
    volume: Quantity | None
    seconds: Quantity | None
    metres: Quantity | None
    one_rep_max: Quantity | None


class Session(msgspec.Struct, frozen=True, gc=False):
    """A workout that took place. day: by the user's calendar. seconds: from begin to end, pauses left out."""

    id: str
    title: str
    moment: str
    day: date | None
    seconds: Quantity | None


def kilograms(mass: Amount | None) -> Quantity | None:
    """A mass as entered, in kg."""
    unit = KILOGRAM.get(mass.unit) if mass is not None else None
    return quantity(mass.value, unit) if mass is not None and unit is not None else None


def metres(length: Amount | None) -> Quantity | None:
    """A length as entered, in m."""
    unit = METRE.get(length.unit) if length is not None else None
    return quantity(length.value, unit) if length is not None and unit is not None else None


def counts(one: Set) -> bool:
    """L1."""
    return one.completed_at is not None and one.kind != WARMUP


def load_mode(one: Set, exercise: Exercise | None) -> str:
    """How the weight of a set counts: as the set says, else as its exercise does."""
    return one.load_mode or (exercise.load_mode if exercise is not None else None) or "external"


def effective_load(
    mode: str, weight: Quantity | None, body: Quantity | None, fraction: float | None
) -> Quantity | None:
    """The load that was moved, in kg (L2)."""
    if mode == "external":
        return weight
    if mode not in ("bodyweight_plus", "assisted") or body is None or fraction is None:
        return None
    moved = times(body, quantity(fraction))
    return max(moved - (weight or 0), 0) if mode == "assisted" else moved + (weight or 0)


def lift(
    id: str, one: Set, space: str, block_id: str, block: Block, workout: Workout, exercise: Exercise | None,
    body: Quantity | None, formula: str,
) -> Lift:  # fmt: skip
    """The lift that a set is; the caller has asked `counts`. body: the weight of the body at the time, in kg."""
    mode = load_mode(one, exercise)
    weight = kilograms(one.weight)
    reps = quantity(one.reps) if one.reps is not None else None
    load = effective_load(mode, weight, body, exercise.bodyweight_fraction if exercise is not None else None)
    volume = maximum = None
    if load is not None and reps is not None:
        volume = times(load, reps)
        maximum = one_rep_max(load, reps, formula, _left(one))
    return Lift(
        id,
        space,
        str(block.workout),
        str(block.exercise),
        (moment(workout), str(block.workout), block.position or "", block_id, one.position or "", id),
        str(one.completed_at),
        mode,
        reps,
        weight,
        load,
        volume,
        quantity(one.duration_s) if one.duration_s is not None else None,
        metres(one.distance),
        maximum,
    )


def _left(one: Set) -> Quantity | None:
    """How many repetitions were left in the tank: by RPE, else by RIR."""
    if one.rpe is not None:
        return 10 * ONE - quantity(one.rpe)
    return quantity(one.rir) if one.rir is not None else None


def moment(workout: Workout) -> str:
    """When a workout began, as a text that sorts: a time, or a day where no more is known."""
    return workout.started_at or workout.local_date or ""


def session(id: str, workout: Workout, zone: str | None) -> Session:
    """The session that a workout is. zone: the user's time zone, for a workout that does not say its own day."""
    return Session(id, workout.title or "", moment(workout), day(workout, zone), seconds(workout))


def day(workout: Workout, zone: str | None) -> date | None:
    """The day of a workout: its own `local_date`, else the day it began by its own zone, else by the user's."""
    if workout.local_date is not None:
        return date.fromisoformat(workout.local_date)
    if workout.started_at is None:
        return None
    began = datetime.fromisoformat(workout.started_at.replace("Z", "+00:00"))
    for name in (workout.timezone, zone):
        try:
            if name is not None:
                return began.astimezone(ZoneInfo(name)).date()
        # A zone that only newer machines know.
        except (ZoneInfoNotFoundError, ValueError, OSError, OverflowError):
            continue
    return began.date()


def seconds(workout: Workout) -> Quantity | None:
    """How long a workout took, pauses left out, each moment of them once; None where its begin or end is not known."""
    if workout.started_at is None or workout.ended_at is None or workout.ended_at < workout.started_at:
        return None
    paused, free = timedelta(0), _time(workout.started_at)
    ended = _time(workout.ended_at)
    for begin, end in sorted((_time(a), _time(b)) for a, b in workout.pauses or ()):
        begin, end = max(begin, free), min(end, ended)
        if end > begin:
            paused += end - begin
            free = end
    total = ended - _time(workout.started_at) - paused
    return total // timedelta(milliseconds=1) * (ONE // 1000)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
