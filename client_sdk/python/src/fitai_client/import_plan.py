"""Which writes of a file that was read are still to be made on this device.

Owns: what is there already, by id and by time of day. Writes nothing.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from .collections import field_of
from .core.values import Add
from .core.writing import Write
from .import_memory import Key
from .importing import Import
from .importing import Write as ReadWrite

__all__ = ["Plan", "Twin", "plan_writes"]

# Apps that log the same workout begin it within the same minute, and some write no seconds.
TWIN_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Twin:
    """A workout of the file that begins when one that is here begins. `workout` is the id it would have, `of` that of
    the one here."""

    workout: str
    of: str
    title: str
    started_at: str


@dataclass(frozen=True, slots=True)
class Plan:
    """groups: what is to be written. roots: the highest records among it, but for exercises. known: how many records
    of the file are there."""

    groups: list[list[Write]]
    roots: list[Key]
    exercises: list[str]
    known: int
    twins: tuple[Twin, ...]

    @property
    def writes(self) -> int:
        return sum(len(group) for group in self.groups)


def plan_writes(conn: sqlite3.Connection, space: int, file: Import, *, keep_twins: bool) -> Plan:
    """What importing `file` would write now."""
    here = _shown(conn, space)
    twins = {} if keep_twins else {twin.workout: twin for twin in _twins(conn, space, file, here)}
    groups: list[list[Write]] = []
    roots: list[Key] = []
    known = 0
    used: set[str] = set()
    workout = ""
    for group in file.groups:
        writes = []
        for write in group:
            # A large workout is several groups: what follows it is below it.
            workout = write.id if write.collection == "workouts" else workout
            if workout in twins:
                continue
            if (write.collection, write.id) in here:
                known += 1
                continue
            writes.append(_as_write(write))
            used.add(write.fields.get("exercise", ""))
            above = next((key for key in _parents(write) if key is not None), None)
            if above is None or above in here:
                roots.append((write.collection, write.id))
        groups.append(writes)
    exercises = []
    for group in file.exercises:
        new = [write for write in group if ("exercises", write.id) not in here]
        known += len(group) - len(new)
        exercises.append([_as_write(write) for write in new if write.id in used])
    known += len({("exercises", id) for id in file.preview.matched.values()} & here)
    return Plan(
        groups=[group for group in [*exercises, *groups] if group],
        roots=roots,
        exercises=[write.id for group in exercises for write in group],
        known=known,
        twins=tuple(twins.values()),
    )


def _parents(write: ReadWrite) -> Iterator[Key | None]:
    yield ("workouts", write.fields["workout"]) if write.collection == "workout_exercises" else None
    yield ("workout_exercises", write.fields["workout_exercise"]) if write.collection == "sets" else None


def _twins(conn: sqlite3.Connection, space: int, file: Import, here: set[Key]) -> Iterator[Twin]:
    """The workouts of the file that one of another name begins with. Two of the same file are two."""
    workouts = [write for group in file.groups for write in group if write.collection == "workouts"]
    of_file = {write.id for write in workouts}
    rows = conn.execute(
        "SELECT id, json_extract(COALESCE(shown, body), '$.values.started_at') FROM records"
        " WHERE space = ? AND collection = 'workouts' AND alive",
        (space,),
    )
    starts = sorted((_seconds(start), id) for id, start in rows if start and id not in of_file)
    for write in workouts:
        if ("workouts", write.id) in here:
            continue
        began = write.fields["started_at"]
        at = bisect_left(starts, (_seconds(began) - TWIN_WITHIN_S, ""))
        if at < len(starts) and starts[at][0] <= _seconds(began) + TWIN_WITHIN_S:
            yield Twin(write.id, starts[at][1], write.fields.get("title", ""), began)


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp()


def _shown(conn: sqlite3.Connection, space: int) -> set[Key]:
    """The keys of everything that is there, with every parent there."""
    shown: set[Key] = set()
    rows = conn.execute("SELECT collection, id, parent FROM records WHERE space = ? AND alive", (space,)).fetchall()
    by_collection: dict[str, list[tuple[str, str | None]]] = {}
    for collection, id, parent in rows:
        by_collection.setdefault(collection, []).append((id, parent))
    for collection, parents in (("exercises", None), ("workouts", None), ("workout_exercises", "workouts")):
        for id, parent in by_collection.get(collection, ()):
            if parents is None or (parents, str(parent)) in shown:
                shown.add((collection, id))
    for id, parent in by_collection.get("sets", ()):
        if ("workout_exercises", str(parent)) in shown:
            shown.add(("sets", id))
    return shown


def _as_write(write: ReadWrite) -> Write:
    fields = {
        name: Add(*value)
        if field_of(write.collection, name).kind == "set" and isinstance(value, Sequence) and not isinstance(value, str)
        else value
        for name, value in write.fields.items()
    }
    return Write(write.collection, write.id, fields)
