"""Personal records: the best a person ever did of each exercise, in ten kinds.

Owns: what the kinds are of, and who holds one. They are kept up exercise by exercise: a change costs O(its lifts).

| kind | the best | unit |
|---|---|---|
| max_weight | weight as entered, not assisted; where the body is part of the load, the added weight | kg |
| max_reps | repetitions of a set | reps |
| max_reps_at_weight | repetitions at one weight as entered, not assisted: one record for each weight (B5) | reps |
| one_rep_max | one-rep maximum by the preferred formula, from the effective load | kg |
| set_volume | effective load × repetitions of a set | kg |
| session_volume | the sum of these in one workout; no single set holds it | kg |
| duration | time of a set | s |
| distance | way of a set | m |
| pace | time for a kilometre, of a set with both: less is better | s/km |
| least_assistance | help as entered, of an assisted set: less is better | kg |

Invariants
    B1  Records are a function of the history: kept up with every change, they are what they are worked out anew.
    B2  The first to reach a value holds the record; an equal one does not take it.
    B3  Warm-ups and sets that are not done hold none: they are no lifts.
    B4  `previous` is the record that the holder broke, which may be of the same workout.
    B5  A weight has its record where more repetitions were done with it than with any heavier one; at most WEIGHTS_MAX
        have one, the heaviest. So how many there are follows from the range of repetitions, not from the log's length.
    B6  What no number of a record can hold is none.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec

from figures.history import Dirty, History
from figures.lifts import Lift
from figures.quantities import ONE, Quantity, divided, exactly, number
from figures.steps import Steps, at_once, in_order

UNITS: Final = {
    "max_weight": "kg",
    "max_reps": "reps",
    "max_reps_at_weight": "reps",
    "one_rep_max": "kg",
    "set_volume": "kg",
    "session_volume": "kg",
    "duration": "s",
    "distance": "m",
    "pace": "s/km",
    "least_assistance": "kg",
}
_KIND_PLACE: Final = {kind: place for place, kind in enumerate(UNITS)}
# For these a smaller value is the better one.
SMALLER: Final = frozenset({"pace", "least_assistance"})

# The repetitions from one to twenty, each with the heaviest weight: more is no table that anybody reads.
WEIGHTS_MAX: Final = 20
# In units: the largest number that a record holds. A kilometre in thirty years, a session of a million tons.
VALUE_MAX: Final[Quantity] = 1_000_000_000 * ONE

# Ids of records are UUIDs of version 5, so that every server gives a person's record the same one.
_NAMESPACE: Final = uuid.UUID("b3a0c9d4-6a52-5d0e-9d57-2f3c5c0b6f11")


class Key(NamedTuple):
    """What a record is the best of. weight: in kg, of `max_reps_at_weight` alone."""

    exercise: str
    kind: str
    weight: Decimal | None = None

    def id(self, user: str) -> str:
        """The id of the user's record: always the same."""
        return str(uuid.uuid5(_NAMESPACE, f"{user}:{self.exercise}:{self.kind}:{self.weight or ''}"))

    @property
    def place(self) -> tuple[str, int, Decimal]:
        """Sorts records: those of one exercise by kind, those at a weight from the lightest on."""
        return self.exercise, _KIND_PLACE[self.kind], self.weight or Decimal(0)


class PersonalRecord(msgspec.Struct, frozen=True, gc=False):
    """One record. Values are exact. set: none where a whole workout holds it. formula: of `one_rep_max` alone."""

    exercise: str
    kind: str
    weight: Decimal | None
    value: Decimal
    unit: str
    set: str | None
    workout: str
    achieved_at: str
    previous: Decimal | None
    formula: str | None

    @property
    def key(self) -> Key:
        return Key(self.exercise, self.kind, self.weight)

    def values(self) -> dict[str, Any]:
        """The fields of a record of `personal_records`: numbers to 4 decimals, as records hold them."""
        return {
            "exercise": self.exercise,
            "kind": self.kind,
            "value": number(self.value),
            "unit": self.unit,
            "set": self.set,
            "workout": self.workout,
            "achieved_at": self.achieved_at,
            "previous": number(self.previous) if self.previous is not None else None,
            "formula": self.formula,
        }


@dataclass(slots=True)
class Difference:
    """What an update changed. changed: the records as they are now. withdrawn: those that are no more, as they were."""

    new: list[PersonalRecord] = field(default_factory=list)
    changed: list[PersonalRecord] = field(default_factory=list)
    withdrawn: list[PersonalRecord] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.new or self.changed or self.withdrawn)


class Records:
    """Every personal record of one person, kept up with their history (B1)."""

    def __init__(self) -> None:
        self._by_exercise: dict[str, dict[Key, PersonalRecord]] = {}
        self._formula: str | None = None

    def update(self, history: History, dirty: Dirty | None = None) -> Difference:
        """Bring the records to where the history is, and return what that changed, in the order of their keys.

        Args:
            history: the one history that these records are of.
            dirty: everything that changed since the last update; None works every exercise out anew.
        """
        return at_once(self.update_in_steps(history, dirty))

    def update_in_steps(self, history: History, dirty: Dirty | None = None) -> Steps[Difference]:
        """As `update`; before the last step the records are in no state that anybody may read."""
        exercises = dirty.exercises if dirty is not None else set()
        # Records name the formula, also where another one gives the same.
        if dirty is None or self._formula != history.formula:
            exercises = {*self._by_exercise, *history.lifts_of_exercise}
        self._formula = history.formula
        difference = Difference()
        for exercise in (yield from in_order(exercises, str)):
            yield
            lifts = (history.lifts[id] for id in history.lifts_of_exercise.of(exercise))
            before, now = (
                self._by_exercise.get(exercise, {}),
                (yield from _records_of(exercise, lifts, history.formula)),
            )
            if now:
                self._by_exercise[exercise] = now
            else:
                self._by_exercise.pop(exercise, None)
            for key in sorted({*before, *now}, key=lambda key: key.place):
                old, new = before.get(key), now.get(key)
                if new is None and old is not None:
                    difference.withdrawn.append(old)
                elif new is not None and old is None:
                    difference.new.append(new)
                elif new is not None and new != old:
                    difference.changed.append(new)
        return difference

    def of(self, exercise: str) -> list[PersonalRecord]:
        """The records of one exercise: by kind, those at a weight from the lightest on."""
        return list(self._by_exercise.get(exercise, {}).values())

    def get(self, exercise: str, kind: str, weight: Decimal | None = None) -> PersonalRecord | None:
        """One record."""
        return self._by_exercise.get(exercise, {}).get(Key(exercise, kind, weight))

    def in_any_order(self) -> Iterator[PersonalRecord]:
        """Every record, in O(1) for each: the exercises are not sorted."""
        for of_exercise in self._by_exercise.values():
            yield from of_exercise.values()

    def __iter__(self) -> Iterator[PersonalRecord]:
        for exercise in sorted(self._by_exercise):
            yield from self._by_exercise[exercise].values()

    def __len__(self) -> int:
        return sum(map(len, self._by_exercise.values()))


class Best(NamedTuple):
    """The best that was offered by now, and the one that it broke."""

    value: Quantity
    lift: Lift
    previous: Quantity | None


def _records_of(exercise: str, lifts: Iterable[Lift], formula: str) -> Steps[dict[Key, PersonalRecord]]:
    """The records of one exercise in the order of their keys, from all its lifts in whatever order these come."""
    bests: dict[tuple[str, Quantity | None], Best] = {}
    volumes: dict[str, Quantity] = {}
    last: dict[str, Lift] = {}
    for lift in (yield from in_order(lifts, order)):
        for kind, at, value in offers(lift):
            offer(bests, kind, at, value, lift)
        if lift.volume:
            volumes[lift.workout] = volumes.get(lift.workout, 0) + lift.volume
            last[lift.workout] = lift
        yield
    for workout, volume in volumes.items():
        offer(bests, "session_volume", None, volume, last[workout])
        yield
    _leave_out_lesser_weights(bests)
    found = {}
    for (kind, at), best in sorted(bests.items(), key=lambda one: (_KIND_PLACE[one[0][0]], one[0][1] or 0)):
        key = Key(exercise, kind, exactly(at) if at is not None else None)
        found[key] = PersonalRecord(
            *key,
            value=exactly(best.value),
            unit=UNITS[kind],
            set=best.lift.id if kind != "session_volume" else None,
            workout=best.lift.workout,
            achieved_at=best.lift.at,
            previous=exactly(best.previous) if best.previous is not None else None,
            formula=formula if kind == "one_rep_max" else None,
        )
    return found


def order(lift: Lift) -> tuple[str, ...]:
    """Sorts lifts in time."""
    return lift.order


def offers(lift: Lift) -> Iterator[tuple[str, Quantity | None, Quantity]]:
    """(kind, at which weight, value) of every record that one set may hold."""
    reps, weight = lift.reps, lift.weight
    # Where repetitions were counted and none was done, nothing was lifted.
    if reps != 0 and weight is not None and lift.mode == "assisted":
        if reps:
            yield "least_assistance", None, weight
    elif reps != 0 and weight:
        yield "max_weight", None, weight
        if reps:
            yield "max_reps_at_weight", weight, reps
    if reps:
        yield "max_reps", None, reps
    if lift.one_rep_max is not None:
        yield "one_rep_max", None, lift.one_rep_max
    if lift.volume:
        yield "set_volume", None, lift.volume
    if lift.seconds:
        yield "duration", None, lift.seconds
    if lift.metres:
        yield "distance", None, lift.metres
        if lift.seconds:
            yield "pace", None, divided(lift.seconds * 1000 * ONE, lift.metres)


def offer(
    bests: dict[tuple[str, Quantity | None], Best], kind: str, at: Quantity | None, value: Quantity, lift: Lift
) -> None:
    """Take a value into the bests where it is better (B2, B6)."""
    best = bests.get((kind, at))
    if value > VALUE_MAX:
        return
    if best is None:
        bests[kind, at] = Best(value, lift, None)
    elif value < best.value if kind in SMALLER else value > best.value:
        bests[kind, at] = Best(value, lift, best.value)


def _leave_out_lesser_weights(bests: dict[tuple[str, Quantity | None], Best]) -> None:
    """B5."""
    most, kept = 0, 0
    for at in sorted((at for _, at in bests if at is not None), reverse=True):
        reps = bests["max_reps_at_weight", at].value
        if reps > most and kept < WEIGHTS_MAX:
            most, kept = reps, kept + 1
        else:
            del bests["max_reps_at_weight", at]
