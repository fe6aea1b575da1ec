"""What the load generator sends: ids, stamps and whole batches, as bytes, before any clock is running.

Owns: the shape of a realistic set, workout and batch. Refuses to know: who sends them, and how.

Every batch of a device can be built ahead, since what it names of the one before (`after`, `context`) is known: it
is the generator's own.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

# A training session's exercises; the sets of a batch are spread over them.
EXERCISES_A_WORKOUT: Final = 10
# A workout of ordinary size, where whole histories are made of them.
EXERCISES_A_TRAINING: Final = 5
SETS_ANEXERCISE: Final = 4
RECORDS_A_TRAINING: Final = 1 + EXERCISES_A_TRAINING * (1 + SETS_ANEXERCISE)
# Changes of one push where only the result counts; 1,000 are the most.
FILL_BATCH: Final = 1_000
# Any exercise will do: a set names a place in a workout, and the place names an exercise.
EXERCISE: Final = "eb5ed8a7-5a9b-5d5c-9a61-0f9f7b4a2a10"

_encode = msgspec.json.Encoder().encode


def uuid7() -> str:
    """A new UUID of version 7, RFC 9562 section 5.7."""
    raw = bytearray((time.time_ns() // 1_000_000).to_bytes(6, "big") + os.urandom(10))
    raw[6] = 0x70 | raw[6] & 0x0F
    raw[8] = 0x80 | raw[8] & 0x3F
    return str(uuid.UUID(bytes=bytes(raw)))


@dataclass
class Log:
    """A device's numbered changes: what has been built continues where the last batch ended."""

    device: str
    n: int = 0
    after: dict[str, Any] | None = None
    places: list[str] = field(default_factory=list)
    # Of the sets that the last batch made.
    ids: list[str] = field(default_factory=list)
    # How many records it made so far: edits make none.
    made: int = 0
    _ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)

    def workout(self) -> bytes:
        """A batch that opens a workout with its exercises; the sets of later batches lie below them."""
        return self._batch(self._opened(EXERCISES_A_WORKOUT))

    def training(self, workouts: int) -> bytes:
        """A batch of whole workouts, each with its exercises and their sets, RECORDS_A_TRAINING records in all."""
        changes: list[dict[str, Any]] = []
        ids: list[str] = []
        for _ in range(workouts):
            changes += self._opened(EXERCISES_A_TRAINING)
            changes += self._sets(SETS_ANEXERCISE * EXERCISES_A_TRAINING)
            ids += self.ids
        self.ids = ids
        return self._batch(changes)

    def puts(self, puts: Sequence[tuple[str, str, dict[str, Any]]]) -> bytes:
        """A batch of these records, each (collection, id, fields)."""
        return self._batch([self._put(*each) for each in puts])

    def _opened(self, exercises: int) -> list[dict[str, Any]]:
        workout = uuid7()
        self.places = [uuid7() for _ in range(exercises)]
        return [
            self._put("workouts", workout, {"title": "Push day", "status": "active", "timezone": "Europe/Berlin"}),
            *(
                self._put(
                    "workout_exercises",
                    place,
                    {"workout": workout, "exercise": EXERCISE, "position": f"a{number}", "rest_s": 120},
                )
                for number, place in enumerate(self.places)
            ),
        ]

    def sets(self, count: int) -> bytes:
        """A batch of `count` new sets below the places of the last workout."""
        return self._batch(self._sets(count))

    def edits(self, ids: Sequence[str], seen: Mapping[str, int], *, reps: int = 0) -> bytes:
        """A batch that edits these sets, having seen `seen` of other devices. `reps` makes the values its own."""
        changes = [
            self._put(
                "sets", id_, {"reps": 5 + (self.n + reps) % 20, "weight": {"value": 60 + self.n % 50, "unit": "kg"}}
            )
            for id_ in ids
        ]
        self.made -= len(ids)
        return self._batch(changes, seen)

    def _sets(self, count: int) -> list[dict[str, Any]]:
        self.ids = [uuid7() for _ in range(count)]
        return [
            self._put("sets", id_, _set(self.places[number % len(self.places)], number))
            for number, id_ in enumerate(self.ids)
        ]

    def _put(self, collection: str, id: str, fields: dict[str, Any]) -> dict[str, Any]:
        self.n += 1
        self.made += 1
        # One stamp a millisecond, and none ahead of the wall clock by more than the changes of a run are many.
        self._ms = max(self._ms, time.time_ns() // 1_000_000)
        hlc = f"{self._ms:012x}{self.n & 0xFFFF:04x}"
        if self.n & 0xFFFF == 0xFFFF:
            self._ms += 1
        return {"n": self.n, "hlc": hlc, "collection": collection, "id": id, "op": "put", "fields": fields}

    def _batch(self, changes: list[dict[str, Any]], seen: Mapping[str, int] | None = None) -> bytes:
        changes[0]["context"] = {**(seen or {}), **({self.device: changes[0]["n"] - 1} if self.after else {})}
        body = {"device": self.device, "schema": 1, "after": self.after, "changes": changes}
        self.after = {"n": changes[-1]["n"], "hlc": changes[-1]["hlc"]}
        return _encode(body)


def _set(place: str, number: int) -> dict[str, Any]:
    return {
        "workout_exercise": place,
        "position": f"a{number // EXERCISES_A_WORKOUT:02}",
        "kind": "normal",
        "reps": 5 + number % 8,
        "weight": {"value": 60 + 2.5 * (number % 20), "unit": "kg"},
        "load_mode": "external",
        "rpe": 7 + 0.5 * (number % 6),
        "completed_at": f"2026-11-23T10:{number // 60 % 60:02}:{number % 60:02}.000Z",
    }
