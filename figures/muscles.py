"""Which muscles were trained, by the exercises of the sets.

A set counts whole for each muscle that its exercise trains in the first place, and half for each that it trains
besides; a muscle that is both is the former. So the muscles together have more sets than there were.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

import msgspec

from figures.history import History
from figures.quantities import ONE, Quantity, divided, exactly
from figures.steps import Steps, sorted_in_steps

# What a set is worth to a muscle, in halves.
_PRIMARY, _SECONDARY, _HALVES = 2, 1, 2
PRIMARY_SHARE: Final = Decimal(_PRIMARY) / _HALVES
SECONDARY_SHARE: Final = Decimal(_SECONDARY) / _HALVES


class OfMuscle(msgspec.Struct, frozen=True):
    """One muscle. primary, secondary: how many sets trained it so. sets, volume: by what these are worth to it."""

    muscle: str
    primary: int
    secondary: int
    sets: Decimal
    volume: Decimal


def by_muscle_in_steps(history: History, trained: Iterable[tuple[str, int, Quantity]]) -> Steps[list[OfMuscle]]:
    """The muscles of these exercises, most trained first. An exercise that nobody knows any more trains none.

    Args:
        history: which knows the exercises.
        trained: (the exercise's id, sets, volume), each exercise once.
    """
    primary: defaultdict[str, int] = defaultdict(int)
    secondary: defaultdict[str, int] = defaultdict(int)
    halves: defaultdict[str, Quantity] = defaultdict(int)
    for id, sets, volume in trained:
        yield
        exercise = history.exercise(id)
        if exercise is None:
            continue
        first = set(exercise.primary_muscles or ())
        for muscle in first:
            primary[muscle] += sets
            halves[muscle] += _PRIMARY * volume
        for muscle in set(exercise.secondary_muscles or ()) - first:
            secondary[muscle] += sets
            halves[muscle] += _SECONDARY * volume
    found = []
    for muscle, volume in halves.items():
        worth = _PRIMARY * primary[muscle] + _SECONDARY * secondary[muscle]
        # Half a set's volume may have an eighteenth decimal, which is the only one that is rounded here.
        amounts = exactly(worth * ONE // _HALVES), exactly(divided(volume, _HALVES))
        found.append(OfMuscle(muscle, primary[muscle], secondary[muscle], *amounts))
        yield
    return (yield from sorted_in_steps(found, lambda one: (-one.sets, one.muscle)))
