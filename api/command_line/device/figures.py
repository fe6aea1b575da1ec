"""The figures of a training log: effective load, one-rep maximum, volume, personal records. Pure and exact.

Owns: the formulas. Refuses to know: where sets come from, and how a figure is shown. Masses are kilograms, lengths
metres, durations seconds; all are fractions, so that sums and comparisons are those of the numbers as entered.

Invariants
    F1  Records are a function of the sets: given in any order, they come out the same.
    F2  What a formula does not cover has no figure; nothing is guessed.
    F3  The first to reach a value holds the record; an equal one does not take it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final

KG: Final = {"kg": Fraction(1), "lb": Fraction("0.45359237")}
METRES: Final = {
    "m": Fraction(1),
    "km": Fraction(1000),
    "mi": Fraction("1609.344"),
    "yd": Fraction("0.9144"),
    "ft": Fraction("0.3048"),
}
# Above this many reps an estimate says more about endurance than about a maximum.
ONE_REP_MAX_REPS: Final = 12

# The share of the maximum for reps + (10 - RPE) = 1, 1.5, 2, … as lifters' RPE tables have it.
_RPE_TABLE: Final = tuple(
    Fraction(thousandths, 1000)
    for thousandths in (
        1000, 978, 955, 939, 922, 907, 892, 878, 863, 850, 837, 824, 811, 799, 786, 774, 762, 751, 739, 723,
        707, 694, 680, 667, 653, 640, 626, 613, 599, 586,
    )
)  # fmt: skip

# What a set is marked for. Volume and reps at a weight are records too, but nobody lifts for them.
MARKED: Final = ("max_weight", "one_rep_max", "max_reps", "least_assistance", "duration", "distance", "pace")
# For these a smaller value is the better one.
SMALLER: Final = frozenset({"least_assistance"})


@lru_cache(maxsize=4096)
def exact(value: float | int | str) -> Fraction:
    """A JSON number as the decimal it was written as."""
    return Fraction(str(value))


def kilograms(mass: Mapping[str, Any] | None) -> Fraction | None:
    """A mass as entered, in kg; None where there is none, or its unit is unknown."""
    return exact(mass["value"]) * KG[mass["unit"]] if mass and mass.get("unit") in KG else None


def metres(length: Mapping[str, Any] | None) -> Fraction | None:
    return exact(length["value"]) * METRES[length["unit"]] if length and length.get("unit") in METRES else None


@dataclass(frozen=True, slots=True)
class Lift:
    """One set, with what of its workout and exercise its figures need. `at` orders sets in time."""

    id: str
    workout: str
    exercise: str
    at: tuple[str, ...]
    values: Mapping[str, Any]
    bodyweight: Fraction | None = None
    bodyweight_fraction: Fraction | None = None

    @property
    def counts(self) -> bool:
        """Done, and no warm-up."""
        return self.values.get("completed_at") is not None and self.values.get("kind") != "warmup"

    @property
    def reps(self) -> Fraction | None:
        reps = self.values.get("reps")
        return exact(reps) if reps is not None else None

    @property
    def weight(self) -> Fraction | None:
        """As entered, in kg."""
        return kilograms(self.values.get("weight"))

    @property
    def load(self) -> Fraction | None:
        """The effective load in kg."""
        mode, weight = self.values.get("load_mode") or "external", self.weight
        if mode == "external":
            return weight
        if mode == "none" or self.bodyweight is None or self.bodyweight_fraction is None:
            return None
        body = self.bodyweight * self.bodyweight_fraction
        return body - (weight or 0) if mode == "assisted" else body + (weight or 0)

    @property
    def volume(self) -> Fraction | None:
        """Load × reps in kg, of a set that counts."""
        load, reps = self.load, self.reps
        return load * reps if self.counts and load is not None and reps is not None else None


def one_rep_max(load: Fraction, reps: Fraction, formula: str = "epley", rpe: Fraction | None = None) -> Fraction | None:
    """The estimated maximum in kg, or None where the formula gives none."""
    if reps < 1 or reps > ONE_REP_MAX_REPS or load <= 0:
        return None
    if formula == "rpe_table":
        place = (reps + 10 - rpe) * 2 - 2 if rpe is not None else None
        if place is None or place.denominator != 1 or place >= len(_RPE_TABLE):
            return None
        return load / _RPE_TABLE[int(place)]
    if reps == 1:
        return load
    return load * 36 / (37 - reps) if formula == "brzycki" else load * (1 + reps / 30)


def week_of(day: date, first_weekday: int) -> date:
    """The first day of the week that a day is in; weekdays count from 1, a Monday."""
    return day - timedelta(days=(day.isoweekday() - first_weekday) % 7)


def streak(days: Iterable[date], today: date, first_weekday: int, target: int) -> int:
    """Consecutive weeks with `target` training days, up to the last one; this week counts once it has them."""
    weeks = Counter(week_of(day, first_weekday) for day in set(days) if day <= today)
    week = week_of(today, first_weekday)
    if weeks[week] < target:
        week -= timedelta(days=7)
    length = 0
    while weeks[week] >= target:
        week -= timedelta(days=7)
        length += 1
    return length


@dataclass(frozen=True, slots=True)
class Best:
    """One record: its value, the lift that holds it (the last one of a session's), and the value before it."""

    kind: str
    value: Fraction
    lift: Lift
    previous: Fraction | None


@dataclass(slots=True)
class Ledger:
    """Every record. bests: (exercise, kind) → the best. at_weight: exercise → kg → the most reps there.
    marks: set → the kinds of which it was the record at the end of its workout, where there was one to break."""

    bests: dict[tuple[str, str], Best] = field(default_factory=dict)
    at_weight: dict[str, dict[Fraction, Best]] = field(default_factory=dict)
    marks: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def of(self, exercise: str) -> dict[str, Best]:
        """The records of one exercise, by kind."""
        return {kind: best for (which, kind), best in self.bests.items() if which == exercise}


def records(lifts: Iterable[Lift], formula: str = "epley") -> Ledger:
    """The personal records of these sets. Sets that are not done, and warm-ups, hold none."""
    ledger = Ledger()
    workout: str | None = None
    before: dict[tuple[str, str], Best] = {}
    sessions: dict[str, Fraction] = {}
    for lift in sorted((one for one in lifts if one.counts), key=lambda one: (one.at, one.id)):
        if lift.workout != workout:
            _mark(ledger, before)
            workout, before, sessions = lift.workout, dict(ledger.bests), {}
        for kind, value in _values(lift, formula):
            _offer(ledger.bests, (lift.exercise, kind), Best(kind, value, lift, None))
        weight, reps = lift.weight, lift.reps
        if weight is not None and reps is not None and lift.values.get("load_mode") != "assisted":
            _offer(ledger.at_weight.setdefault(lift.exercise, {}), weight, Best("max_reps_at_weight", reps, lift, None))
        if (volume := lift.volume) is not None:
            total = sessions[lift.exercise] = sessions.get(lift.exercise, Fraction(0)) + volume
            standing = before.get((lift.exercise, "session_volume"))
            if standing is None or total > standing.value:
                best = Best("session_volume", total, lift, standing.value if standing else None)
                ledger.bests[(lift.exercise, "session_volume")] = best
    _mark(ledger, before)
    return ledger


def _values(lift: Lift, formula: str) -> list[tuple[str, Fraction]]:
    """What one set offers for each kind of record."""
    found: list[tuple[str, Fraction]] = []
    weight, load, reps, rpe = lift.weight, lift.load, lift.reps, lift.values.get("rpe")
    if lift.values.get("load_mode") == "assisted":
        if weight is not None and reps:
            found.append(("least_assistance", weight))
    elif weight and (reps is None or reps > 0):
        found.append(("max_weight", weight))
    if reps:
        found.append(("max_reps", reps))
        if load is not None:
            maximum = one_rep_max(load, reps, formula, exact(rpe) if rpe is not None else None)
            if maximum is not None:
                found.append(("one_rep_max", maximum))
    if (volume := lift.volume) is not None and volume > 0:
        found.append(("set_volume", volume))
    seconds = exact(lift.values.get("duration_s") or 0)
    length = metres(lift.values.get("distance"))
    if seconds:
        found.append(("duration", seconds))
    if length:
        found.append(("distance", length))
    if seconds and length:
        found.append(("pace", length / seconds))
    return found


def _offer(bests: dict[Any, Best], key: Any, new: Best) -> None:
    """F3."""
    old = bests.get(key)
    if old is None:
        bests[key] = new
    elif (new.value < old.value) if new.kind in SMALLER else (new.value > old.value):
        bests[key] = Best(new.kind, new.value, new.lift, old.value)


def _mark(ledger: Ledger, before: Mapping[tuple[str, str], Best]) -> None:
    """Mark the sets by which the workout that ends here broke a record. Reps count where no weight is lifted."""
    for key, old in before.items():
        best = ledger.bests[key]
        if best is old or key[1] not in MARKED:
            continue
        if key[1] == "max_reps" and (key[0], "max_weight") in ledger.bests:
            continue
        ledger.marks[best.lift.id] = (*ledger.marks.get(best.lift.id, ()), key[1])
