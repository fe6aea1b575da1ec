"""What is typed, put into a set that stands: one that is put right, or the planned one that it fulfils.

Owns: which planned set is meant, and what is written into a set. Sets that are made anew are log.py's.

Invariants
    F1  Sets fulfil what is planned in the order of the plan, each planned set once. A kind that is typed fulfils that
        kind, and one to failure a normal set too: how a set ends is seen when it does. Where no kind is typed it is
        the next set that is no warm-up. A set that has a result already, though nobody said that it was done, is
        somebody's log, and nothing goes over it unnamed.
    F2  What is not typed stays: the targets, and an RPE or a kind until another one is typed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from api.command_line.device import clockwork
from api.command_line.device.grammar import TypedSet
from api.command_line.device.training import Block, Workout
from api.command_line.device.wording import is_done
from fitai_client import Record

# What a typed set says as a whole; its RPE and its kind only where they are typed.
MEASURES = ("load_mode", "weight", "reps", "duration_s", "distance")
_RESULTS = ("reps", "duration_s", "distance")


def planned_sets(blocks: Iterable[Block]) -> list[Record]:
    """The sets that were not done, in order."""
    return [one for block in blocks for one in block.sets if not is_done(one.values)]


def fulfilled_by(typed: Sequence[TypedSet], planned: Iterable[Record]) -> list[Record | None]:
    """For each set that is typed the planned one that it fulfils; None where it is beyond the plan (F1)."""
    left = list(planned)
    met: list[Record | None] = []
    for one in typed:
        place = next((place for place, each in enumerate(left) if _fulfils(one, each)), None)
        met.append(None if place is None else left.pop(place))
    return met


def _fulfils(typed: TypedSet, planned: Record) -> bool:
    if any(planned.get(name) is not None for name in _RESULTS):
        return False
    kind = str(planned.get("kind") or "normal")
    if not typed.kind_said:
        return kind != "warmup"
    return kind == typed.kind or (typed.kind == "failure" and kind == "normal")


def changes(workout: Workout, record: Record, typed: TypedSet, load_mode: str) -> dict[str, Any]:
    """The fields in which a set differs from what is typed of it (F2); a planned one is done then."""
    said = typed.fields(load_mode)
    fields = {name: said.get(name) for name in MEASURES}
    kept = {"rpe": said.get("rpe"), "kind": said["kind"] if typed.kind_said else None}
    fields |= {name: value for name, value in kept.items() if value is not None}
    if typed.kind_said and (said["kind"] == "failure" or record.get("to_failure")):
        fields["to_failure"] = said["kind"] == "failure"
    if not is_done(record.values):
        fields["completed_at"] = _done_at(workout)
    return {name: value for name, value in fields.items() if value != record.get(name)}


def _done_at(workout: Workout) -> datetime:
    """When a planned set was done, of which it is typed now what was done."""
    over = None if workout.status in ("active", "paused") else workout.ended or workout.started
    return over or clockwork.now()
