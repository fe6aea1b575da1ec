"""The figures of the log on this device, by the very definitions that the server has (figures/). Offline.

Owns: how the device's records become a history, and that only what is looked at is worked out.
Refuses to know: the formulas, and how a figure is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import Any, Final

import msgspec

from figures import Exercise, History, Lift, Person, PersonalRecord, Records, Stored, marks_of
from figures.quantities import KILOGRAM, METRE, ONE, Quantity
from fitai_client import Record

KG: Final = {unit: Fraction(each, ONE) for unit, each in KILOGRAM.items()}
METRES: Final = {unit: Fraction(each, ONE) for unit, each in METRE.items()}
# A device has the personal space before the server gave it a name.
_SPACE: Final = "personal"


@lru_cache(maxsize=4096)
def exact(value: float | int | str) -> Fraction:
    """A JSON number as the decimal it was written as."""
    return Fraction(str(value))


def fraction(quantity: Quantity) -> Fraction:
    """A quantity of figures/ in its unit."""
    return Fraction(quantity, ONE)


def history_of(records: Iterable[Record], exercises: Mapping[str, Exercise], user: str | None) -> History:
    """What these records of the personal space add up to. exercises: all that the device knows, by id."""
    history = History(Person(user or "", _SPACE), exercises)
    history.catch_up(
        Stored(_SPACE, _encode({"collection": one.collection, "id": one.id, "values": one.values})) for one in records
    )
    return history


_encode: Final = msgspec.json.encode


def known_exercise(values: Mapping[str, Any]) -> Exercise:
    """Of an exercise, what its load follows from."""
    return Exercise(load_mode=values.get("load_mode"), bodyweight_fraction=values.get("bodyweight_fraction"))


@dataclass
class Ledger:
    """The records of a history, and the sets that broke one."""

    history: History
    _records: Records = field(default_factory=Records)

    def __post_init__(self) -> None:
        self._records.update(self.history)

    @property
    def exercises(self) -> set[str]:
        """Those that have a record."""
        return {one.exercise for one in self._records}

    def of(self, exercise: str) -> dict[str, PersonalRecord]:
        """The records of one exercise by kind, those at a weight left out."""
        return {one.kind: one for one in self._records.of(exercise) if one.weight is None}

    def at_weight(self, exercise: str) -> list[PersonalRecord]:
        """The most repetitions at each weight that has a record, the lightest first."""
        return [one for one in self._records.of(exercise) if one.weight is not None]

    @cached_property
    def marks(self) -> dict[str, tuple[str, ...]]:
        """Set → the kinds of record that it broke when it was done."""
        found: dict[str, tuple[str, ...]] = {}
        for ids in self.history.lifts_of_exercise.values():
            found |= marks_of(self.history.lifts[id] for id in ids)
        return found


def best_one_rep_max(lifts: Iterable[Lift]) -> Fraction | None:
    """The best estimated maximum of these sets, in kg."""
    found = [lift.one_rep_max for lift in lifts if lift.one_rep_max is not None]
    return fraction(max(found)) if found else None
