"""The figures a second time: slowly, from the definitions alone, in fractions, with nothing of `figures` in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from tests.figures.log import CATALOG, HOME, ME, Log

KG = {"kg": Fraction(1), "lb": Fraction("0.45359237")}
M = {
    "m": Fraction(1),
    "km": Fraction(1000),
    "mi": Fraction("1609.344"),
    "yd": Fraction("0.9144"),
    "ft": Fraction("0.3048"),
}
SMALLER = ("pace", "least_assistance")


def exact(value: float) -> Fraction:
    return Fraction(str(value))


def mass(amount: dict[str, Any] | None) -> Fraction | None:
    return exact(amount["value"]) * KG[amount["unit"]] if amount else None


@dataclass
class Done:
    """A set that counts."""

    id: str
    workout: str
    exercise: str
    order: tuple[str, ...]
    values: dict[str, Any]
    load: Fraction | None

    @property
    def reps(self) -> Fraction | None:
        return exact(self.values["reps"]) if self.values.get("reps") is not None else None

    @property
    def volume(self) -> Fraction | None:
        return self.load * self.reps if self.load is not None and self.reps is not None else None


class Oracle:
    """What counts in a log for ME."""

    def __init__(self, log: Log) -> None:
        self.log = log
        preferences = log.records.get((HOME, "preferences", "nil"), {})
        self.formula = preferences.get("one_rep_max") or "epley"
        # An id counts in the first space where it is a set that counts.
        spaces = [HOME, *sorted({key[0] for key in log.records} - {HOME})]
        self.done = {one.id: one for one in reversed([d for space in spaces for d in self._in(space)])}

    def _all(self, space: str, collection: str) -> Iterator[tuple[str, dict[str, Any]]]:
        return ((key[2], values) for key, values in self.log.records.items() if key[:2] == (space, collection))

    def _in(self, space: str) -> Iterator[Done]:
        for id, one in self._all(space, "sets"):
            block_id = one["workout_exercise"]
            block = self.log.records.get((space, "workout_exercises", block_id))
            workout = block and self.log.records.get((space, "workouts", block["workout"]))
            if not block or not workout or workout.get("status") in ("planned", "discarded"):
                continue
            if one.get("completed_at") is None or one.get("kind") == "warmup":
                continue
            if self._moved(space, "sets", id) or self._moved(space, "workout_exercises", block_id):
                continue
            if not self._mine(space, block["workout"], one.get("athlete")):
                continue
            exercise = block["exercise"]
            moment = workout.get("started_at") or workout.get("local_date") or ""
            order = (moment, block["workout"], block.get("position") or "", block_id, one.get("position") or "", id)
            yield Done(
                id, block["workout"], exercise, order, one, self._load(space, block["workout"], workout, exercise, one)
            )

    def _moved(self, space: str, collection: str, id: str) -> bool:
        return any(
            values.get("moved_from") == id and mover != id
            for place in (space, HOME)
            for mover, values in self._all(place, collection)
        )

    def _mine(self, space: str, workout: str, athlete: str | None) -> bool:
        if space == HOME:
            return athlete in (None, ME)
        owner = self.log.writers[(space, "workouts", workout)][0]
        if any(values["workout"] == workout for _, values in self._all(space, "participants")):
            return (athlete or owner) == ME and bool(self._me_in(space, workout))
        return (athlete or owner) == ME == owner

    def _me_in(self, space: str, workout: str) -> list[dict[str, Any]]:
        return [
            values
            for id, values in sorted(self._all(space, "participants"))
            if values["workout"] == workout
            and values["athlete"] == ME
            and (space == HOME or ME in self.log.writers[(space, "participants", id)])
        ]

    def _load(
        self, space: str, id: str, workout: dict[str, Any], exercise: str, one: dict[str, Any]
    ) -> Fraction | None:
        own = self.log.records.get((HOME, "exercises", exercise))
        catalog = CATALOG.get(exercise)
        theirs = self.log.records.get((space, "exercises", exercise), {})
        fraction = (
            own.get("bodyweight_fraction")
            if own
            else catalog.bodyweight_fraction
            if catalog
            else theirs.get("bodyweight_fraction")
        )
        weight, body = mass(one.get("weight")), self._body(space, id, workout)
        mode = one["load_mode"]
        if mode == "external":
            return weight
        if mode == "none" or body is None or fraction is None:
            return None
        moved = body * exact(fraction)
        return moved + (weight or 0) if mode == "bodyweight_plus" else max(moved - (weight or 0), Fraction(0))

    def _body(self, space: str, id: str, workout: dict[str, Any]) -> Fraction | None:
        said = [values["bodyweight"] for values in self._me_in(space, id) if values.get("bodyweight")]
        if (
            not said
            and (space == HOME or self.log.writers[(space, "workouts", id)][0] == ME)
            and workout.get("bodyweight")
        ):
            said = [workout["bodyweight"]]
        if said:
            return mass(said[0])
        until = workout.get("started_at") or (workout["local_date"] + "T99" if workout.get("local_date") else "")
        before = [
            (v["at"], id, v) for id, v in self._all(HOME, "measurements") if v["kind"] == "weight" and v["at"] <= until
        ]
        latest = max(before, default=None)
        return mass({"value": latest[2]["value"], "unit": latest[2]["unit"]}) if latest else None

    def one_rep_max(self, done: Done) -> Fraction | None:
        load, reps = done.load, done.reps
        if load is None or reps is None or load <= 0 or not 1 <= reps <= 12:
            return None
        if reps == 1:
            return load
        return load * (1 + reps / 30) if self.formula == "epley" else load * 36 / (37 - reps)

    def records(self) -> dict[tuple[str, str, Fraction | None], tuple[Fraction, str]]:
        """{(exercise, kind, weight): (value, the set or the workout that holds it)}."""
        offers: dict[tuple[str, str, Fraction | None], list[tuple[Fraction, str]]] = {}
        sessions: dict[tuple[str, str], Fraction] = {}
        for one in sorted(self.done.values(), key=lambda d: d.order):
            weight, reps, volume = mass(one.values.get("weight")), one.reps, one.volume
            seconds, way = one.values.get("duration_s"), one.values.get("distance")
            metres = exact(way["value"]) * M[way["unit"]] if way else None
            assisted = one.values["load_mode"] == "assisted"
            kinds: list[tuple[str, Fraction | None, Fraction | None]] = [
                ("max_weight", None, None if assisted or reps == 0 else weight),
                ("max_reps", None, reps),
                ("max_reps_at_weight", weight, None if assisted or not weight else reps),
                ("one_rep_max", None, self.one_rep_max(one)),
                ("set_volume", None, volume),
                ("duration", None, exact(seconds) if seconds else None),
                ("distance", None, metres),
                ("pace", None, exact(seconds) * 1000 / metres if seconds and metres else None),
            ]
            for kind, at, value in kinds:
                if value:
                    offers.setdefault((one.exercise, kind, at), []).append((value, one.id))
            if assisted and reps and weight is not None:
                offers.setdefault((one.exercise, "least_assistance", None), []).append((weight, one.id))
            if volume:
                sessions[one.exercise, one.workout] = sessions.get((one.exercise, one.workout), Fraction(0)) + volume
        for (exercise, workout), total in sessions.items():
            offers.setdefault((exercise, "session_volume", None), []).append((total, workout))
        # min and max give the first of equals.
        bests = {
            key: (min if key[1] in SMALLER else max)(found, key=lambda offer: offer[0]) for key, found in offers.items()
        }
        # A lighter weight has a record only where more repetitions were done with it.
        return {
            key: best
            for key, best in bests.items()
            if key[1] != "max_reps_at_weight"
            or all(
                best[0] > heavier[0]
                for other, heavier in bests.items()
                if other[:2] == key[:2] and key[2] is not None and other[2] is not None and other[2] > key[2]
            )
        }
