"""Which records of a file are still to be made in a space.

Owns: what is there already, by id and by time of day. Writes nothing. Refuses to know: where the records come from.

Invariants
    M1  A record that shows already is left alone: importing a file twice changes nothing, and an edit made since the
        first time stays.
    M4  A workout that begins within a minute of one that is there is its twin, whatever app it comes from: it is
        listed, and left out unless the caller says otherwise.
    As in the SDK, which does the same on a device.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from storage.collections import COLLECTIONS
from storage.rows import Key

Planned = tuple[str, str, dict[str, Any]]

# Apps that log the same workout begin it within the same minute, and some write no seconds.
TWIN_WITHIN_S: Final = 60.0
# What one transaction writes: some large workouts, or many small ones.
STEP_RECORDS: Final = 500


class Step(NamedTuple):
    """What one transaction writes, parents first. groups: how many of the file's groups are done with it."""

    records: list[Planned]
    groups: int


@dataclass(frozen=True)
class Plan:
    """steps: what is to be written. known: how many records are there. twins: {"workout", "of", "title", "started_at"}
    of each that is left out."""

    steps: list[Step]
    known: int
    twins: list[dict[str, str]]

    @property
    def new(self) -> int:
        """How many records will be made."""
        return sum(len(step.records) for step in self.steps)


def plan(
    exercises: Sequence[Sequence[Planned]],
    groups: Sequence[Sequence[Planned]],
    *,
    here: Collection[Key],
    started: Mapping[str, str],
    keep_twins: bool,
    done: int = 0,
    brought: Collection[Key] = (),
) -> Plan:
    """What is to be written of a file.

    Args:
        exercises, groups: as `Reading` has them.
        here: those of the file's records that show already.
        started: id → when it began, of every workout that shows.
        done: how many of the groups the same import is through with: what was deleted of these since stays deleted.
        brought: what it wrote meanwhile, shown or not.
    """
    twins = [] if keep_twins else list(_twins(groups, here, started, brought))
    left_out = {twin["workout"] for twin in twins}
    known = 0
    used: set[str] = set()
    wanted: list[list[Planned]] = []
    workout = ""
    for number, group in enumerate(groups):
        writes: list[Planned] = []
        for collection, id, fields in group:
            # A large workout is several groups: what follows it is below it.
            workout = id if collection == "workouts" else workout
            if workout in left_out or number < done:
                continue
            if (collection, id) in here:
                known += 1
                continue
            writes.append((collection, id, fields))
            used.add(str(fields.get("exercise", "")))
        wanted.append(writes)
    made = []
    for group in exercises:
        known += sum(("exercises", id) in here for _, id, _ in group)
        made.append([each for each in group if ("exercises", each[1]) not in here and each[1] in used])
    return Plan(_steps(made, wanted), known, twins)


def parent_of(collection: str, fields: Mapping[str, Any]) -> Key | None:
    """The record that one is below; None for one of a collection that is below nothing."""
    rule = COLLECTIONS[collection].rules.parent
    return None if rule is None else (rule[1], str(fields.get(rule[0])))


def roots(step: Sequence[Planned]) -> list[Key]:
    """The highest records among what was written; with them goes what is below."""
    written = {(collection, id) for collection, id, _ in step}
    return [(collection, id) for collection, id, fields in step if parent_of(collection, fields) not in written]


def _steps(exercises: Sequence[Sequence[Planned]], groups: Sequence[Sequence[Planned]]) -> list[Step]:
    """Whole groups together, as many as one transaction writes well."""
    steps: list[Step] = []
    for number, group in enumerate([*exercises, *groups], start=1 - len(exercises)):
        if not group:
            continue
        if not steps or len(steps[-1].records) + len(group) > STEP_RECORDS:
            steps.append(Step([], 0))
        steps[-1] = Step([*steps[-1].records, *group], max(0, number))
    return steps


def _twins(
    groups: Sequence[Sequence[Planned]],
    here: Collection[Key],
    started: Mapping[str, str],
    brought: Collection[Key],
) -> Iterable[dict[str, str]]:
    workouts = [(id, fields) for group in groups for collection, id, fields in group if collection == "workouts"]
    of_file = {id for id, _ in workouts}
    starts = sorted((_seconds(at), id) for id, at in started.items() if id not in of_file)
    for id, fields in workouts:
        began = fields.get("started_at")
        if ("workouts", id) in here or ("workouts", id) in brought or not began:
            continue
        at = bisect_left(starts, (_seconds(began) - TWIN_WITHIN_S, ""))
        if at < len(starts) and starts[at][0] <= _seconds(began) + TWIN_WITHIN_S:
            yield {
                "workout": id,
                "of": starts[at][1],
                "title": str(fields.get("title", "")),
                "started_at": str(began),
            }


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp()
