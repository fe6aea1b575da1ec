"""A training log to write tests with: records as the feed serves them, in as few words as can be.

A log holds the shown records of a person's spaces. Each change goes to the feed, which `catch_up` gives the history,
and `fresh` reads everything anew. Ids are short words; figures do not mind.
"""

from __future__ import annotations

from typing import Any

import msgspec

from figures.forms import Exercise, Stored
from figures.history import History
from figures.spaces import Person

# A person, their own space, and two that they share.
ME, HOME, GYM, CLUB = "me", "home", "gym", "club"
PARENTS = {"workout_exercises": "workout", "sets": "workout_exercise", "participants": "workout"}
CHILDREN = {"workouts": ("workout_exercises", "participants"), "workout_exercises": ("sets",)}
DONE = "2026-11-25T10:00:00.000Z"

CATALOG = {
    "bench": Exercise("Bench Press", ("chest",), ("triceps", "shoulders"), "external", None),
    "squat": Exercise("Squat", ("quadriceps",), ("glutes",), "external", None),
    "pull-up": Exercise("Pull-up", ("lats",), ("biceps",), "bodyweight_plus", 0.95),
    "dip": Exercise("Assisted Dip", ("triceps",), ("chest",), "assisted", 0.9),
    "run": Exercise("Run", ("quadriceps",), (), "none", None),
}


def kg(value: float) -> dict[str, Any]:
    return {"value": value, "unit": "kg"}


def lb(value: float) -> dict[str, Any]:
    return {"value": value, "unit": "lb"}


class Log:
    """The records of every space, and the history that is caught up with them."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.writers: dict[tuple[str, str, str], tuple[str, ...]] = {}
        self.history = History(Person(ME, HOME), CATALOG)
        self._feed: list[Stored] = []
        self._number = 0

    def put(self, collection: str, id: str, *, space: str = HOME, by: str = ME, **values: Any) -> str:
        """Write fields of a record, as a device of `by` would."""
        key = (space, collection, id)
        self.records[key] = {**self.records.get(key, {}), **values}
        if by not in self.writers.get(key, ()):
            self.writers[key] = (*self.writers.get(key, ()), by)
        self._feed.append(self.stored(key))
        return id

    def delete(self, collection: str, id: str, *, space: str = HOME) -> None:
        """Delete a record: what lies below it is hidden, and no longer fed."""
        self._hide(space, collection, id)
        tombstone = {"collection": collection, "id": id, "deleted": True, "updated_at": DONE, "updated_by": "d"}
        self._feed.append(Stored(space, msgspec.json.encode(tombstone)))

    def restore(self, records: dict[tuple[str, str, str], dict[str, Any]]) -> None:
        """Bring records back, parents before what is below them, as the feed does."""
        depth = {"workout_exercises": 1, "participants": 1, "sets": 2}
        for key in sorted(records.keys() - self.records.keys(), key=lambda key: (depth.get(key[1], 0), key)):
            self.records[key] = records[key]
            self._feed.append(self.stored(key))

    def leave(self, space: str) -> None:
        """Leave a shared space, and be let in again."""
        self.catch_up().leave(space)
        self._feed.extend(self.stored(key) for key in self.records if key[0] == space)

    def _hide(self, space: str, collection: str, id: str) -> None:
        self.records.pop((space, collection, id), None)
        for child in CHILDREN.get(collection, ()):
            below = [k for k, v in self.records.items() if k[:2] == (space, child) and v.get(PARENTS[child]) == id]
            for key in below:
                self._hide(*key)

    def stored(self, key: tuple[str, str, str]) -> Stored:
        space, collection, id = key
        body = {"collection": collection, "id": id, "deleted": False, "values": self.records[key], "updated_by": "d"}
        return Stored(space, msgspec.json.encode(body), self.writers[key])

    def catch_up(self) -> History:
        """The history with everything that was written since."""
        feed, self._feed = self._feed, []
        self.history.catch_up(feed)
        return self.history

    def fresh(self) -> History:
        """A history of the same records, read anew."""
        history = History(Person(ME, HOME), CATALOG)
        history.catch_up(self.stored(key) for key in self.records)
        return history

    # -- in fewer words ------------------------------------------------------------------------------------------

    def workout(self, id: str, day: str = "2026-11-25", **values: Any) -> str:
        """A completed workout at noon of a day."""
        given = {"status": "completed", "started_at": f"{day}T12:00:00.000Z", "local_date": day, **values}
        return self.put("workouts", id, **given)

    def set(self, exercise: str = "bench", workout: str = "w", **values: Any) -> str:
        """A set of an exercise at the end of a workout, done unless it says otherwise."""
        self._number += 1
        number = f"{self._number:04}"
        space, by = values.get("space", HOME), values.get("by", ME)
        block = f"{workout}/{exercise}"
        if (space, "workout_exercises", block) not in self.records:
            self.put(
                "workout_exercises", block, space=space, by=by, workout=workout, exercise=exercise, position=number
            )
        load_mode = (CATALOG.get(exercise) or Exercise()).load_mode
        at = self.records.get((space, "workouts", workout), {}).get("started_at") or DONE
        given = {"kind": "normal", "load_mode": load_mode, "completed_at": at, "position": number, **values}
        return self.put("sets", f"s{number}", workout_exercise=block, **given)
