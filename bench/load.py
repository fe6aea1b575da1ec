"""What the load generator sends: ids, stamps and whole batches, as bytes, before any clock is running.

Owns: the shape of a realistic set, workout and batch. Refuses to know: who sends them, and how.

Every batch of a device can be built ahead, since what it names of the one before (`after`, `context`) is known: it
is the generator's own.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

# A training session's exercises; the sets of a batch are spread over them.
EXERCISES_A_WORKOUT: Final = 10
# A workout of ordinary size, where whole histories are made of them.
EXERCISES_A_TRAINING: Final = 5
SETS_AN_EXERCISE: Final = 4
RECORDS_A_TRAINING: Final = 1 + EXERCISES_A_TRAINING * (1 + SETS_AN_EXERCISE)
# Any exercise will do: a set names a place in a workout, and the place names an exercise.
_EXERCISE: Final = "eb5ed8a7-5a9b-5d5c-9a61-0f9f7b4a2a10"

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
    _ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)

    def workout(self) -> bytes:
        """A batch that opens a workout with its exercises; the sets of later batches lie below them."""
        return self._batch(self._opened(EXERCISES_A_WORKOUT))

    def training(self, workouts: int) -> bytes:
        """A batch of whole workouts, each with its exercises and their sets, RECORDS_A_TRAINING records in all."""
        changes: list[dict[str, Any]] = []
        for _ in range(workouts):
            changes += self._opened(EXERCISES_A_TRAINING)
            changes += [
                self._put("sets", uuid7(), _set(place, number))
                for place in self.places
                for number in range(SETS_AN_EXERCISE)
            ]
        return self._batch(changes)

    def _opened(self, exercises: int) -> list[dict[str, Any]]:
        workout = uuid7()
        self.places = [uuid7() for _ in range(exercises)]
        return [
            self._put("workouts", workout, {"title": "Push day", "status": "active", "timezone": "Europe/Berlin"}),
            *(
                self._put(
                    "workout_exercises",
                    place,
                    {"workout": workout, "exercise": _EXERCISE, "position": f"a{number}", "rest_s": 120},
                )
                for number, place in enumerate(self.places)
            ),
        ]

    def sets(self, count: int) -> bytes:
        """A batch of `count` new sets below the places of the last workout."""
        return self._batch(
            [self._put("sets", uuid7(), _set(self.places[i % len(self.places)], i)) for i in range(count)]
        )

    def batches(self, sizes: Iterator[int]) -> list[bytes]:
        """A batch of new sets for each size."""
        return [self.sets(size) for size in sizes]

    def _put(self, collection: str, id: str, fields: dict[str, Any]) -> dict[str, Any]:
        self.n += 1
        # One stamp a millisecond, and none ahead of the wall clock by more than the changes of a run are many.
        self._ms = max(self._ms, time.time_ns() // 1_000_000)
        hlc = f"{self._ms:012x}{self.n & 0xFFFF:04x}"
        if self.n & 0xFFFF == 0xFFFF:
            self._ms += 1
        return {"n": self.n, "hlc": hlc, "collection": collection, "id": id, "op": "put", "fields": fields}

    def _batch(self, changes: list[dict[str, Any]]) -> bytes:
        changes[0]["context"] = {self.device: changes[0]["n"] - 1} if self.after else {}
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
