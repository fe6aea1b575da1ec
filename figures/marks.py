"""Which sets broke a record when they were done: what a lifter is told beside a set, for ever.

A mark is of the day: a record that was broken again later keeps its mark. Of the sets of one workout the one that holds
the record at its end has it, and what was never done before marks nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from figures.lifts import Lift
from figures.quantities import Quantity
from figures.records import Best, offer, offers, order

# Volume and repetitions at a weight are records too, but nobody lifts for them.
MARKED: Final = ("max_weight", "one_rep_max", "max_reps", "least_assistance", "duration", "distance", "pace")

_Bests = dict[tuple[str, Quantity | None], Best]


def marks_of(lifts: Iterable[Lift]) -> dict[str, tuple[str, ...]]:
    """Set → the kinds of record that it broke, from all lifts of one exercise in whatever order these come."""
    marks: dict[str, tuple[str, ...]] = {}
    bests: _Bests = {}
    before: _Bests = {}
    workout: str | None = None
    for lift in sorted(lifts, key=order):
        if lift.workout != workout:
            _mark(marks, before, bests)
            workout, before = lift.workout, dict(bests)
        for kind, at, value in offers(lift):
            if at is None:
                offer(bests, kind, None, value, lift)
    _mark(marks, before, bests)
    return marks


def _mark(marks: dict[str, tuple[str, ...]], before: Mapping[tuple[str, Quantity | None], Best], bests: _Bests) -> None:
    """Mark the sets by which the workout that ends here broke what stood before it."""
    weighted = ("max_weight", None) in bests
    for kind in MARKED:
        old = before.get((kind, None))
        # Repetitions count where no weight is lifted.
        if old is None or bests[kind, None] is old or (kind == "max_reps" and weighted):
            continue
        holder = bests[kind, None].lift.id
        marks[holder] = (*marks.get(holder, ()), kind)
