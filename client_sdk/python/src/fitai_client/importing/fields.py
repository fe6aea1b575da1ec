"""Typed rows to the fields of records, without what `source.raw` keeps beside them.

Choices of this module
    A set counts as done where `completed_at` is set. Where the export tells no time of a set, it is the workout's end,
    or its start where no end is told (or the end comes first). Where it tells sets' times and no end, the last set is
    the end.
    A bare date (no clock in the dialect) starts the workout at noon, which is the same day in every time zone near.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from .blocks import Block, Performed
from .ids import position
from .judging import MASS_MAX
from .model import Doubt
from .moments import is_skipped, rfc3339, to_local, to_utc
from .render import zone_of
from .set_row import SetRow

Fields = dict[str, Any]
_TITLE_MAX = 200
_SET_NOTES_MAX = 2_000
_DAY = timedelta(hours=24)


class FieldMaker:
    """Makes the fields of one file's records. `doubts` gathers what is suspicious."""

    def __init__(self, *, zone: str, now: datetime, doubts: list[Doubt]) -> None:
        self._zone_name = zone
        self._zone = zone_of(zone)
        self._now = now
        self._doubts = doubts

    def workout(self, first: SetRow, rows: list[SetRow]) -> Fields:
        """A workout's fields; `first` is the row that speaks for it."""
        moment = first.start
        started = to_utc(moment, self._zone)
        local = to_local(started, self._zone)
        fields: Fields = {
            "status": "completed",
            "started_at": rfc3339(started),
            "timezone": self._zone_name,
            "local_date": f"{local:%Y-%m-%d}",
        }
        if first.title:
            fields["title"] = first.title[:_TITLE_MAX]
            if len(first.title) > _TITLE_MAX:
                self._doubt(first, "title", first.title, f"is cut to {_TITLE_MAX} characters; kept whole in the source")
        if notes := next((row.workout_notes for row in rows if row.workout_notes), ""):
            fields["notes"] = notes
        if first.bodyweight and 0 < first.bodyweight <= MASS_MAX[first.bodyweight_unit]:
            fields["bodyweight"] = {"value": first.bodyweight, "unit": first.bodyweight_unit}
        elif first.bodyweight:
            self._doubt(first, "bodyweight", str(first.bodyweight), "is nobody's weight; kept in the source only")
        ended = None
        if first.end is not None:
            ended = to_utc(first.end, self._zone)
        elif first.duration_s is not None:
            ended = started + timedelta(seconds=float(first.duration_s))
        elif timed := [to_utc(row.completed, self._zone) for row in rows if row.completed]:
            ended = max(timed)
        if ended is not None:
            fields["ended_at"] = rfc3339(ended)
            if ended < started:
                self._doubt(first, "ended_at", fields["ended_at"], "is before the workout's start")
            elif ended - started > _DAY:
                hours = (ended - started) / timedelta(hours=1)
                self._doubt(first, "ended_at", fields["ended_at"], f"makes the workout {hours:,.0f} hours long")
        if started > self._now + _DAY:
            self._doubt(first, "started_at", fields["started_at"], "is in the future")
        elif local.year < 2000:
            self._doubt(first, "started_at", fields["started_at"], "is before the year 2000")
        for name, each in (("started_at", first.start), ("ended_at", first.end)):
            if each is not None and is_skipped(each, self._zone):
                self._doubt(first, name, f"{each.local:%Y-%m-%d %H:%M}", "is a clock time that was skipped that day")
        return fields

    def one_set(self, block_id: str, place: int, performed: Performed, block_notes: str, done: str) -> Fields:
        """A set's fields; `block_notes` are its exercise's already; `done` is when it was done where no cell tells."""
        row = performed.row
        fields: Fields = {
            "workout_exercise": block_id,
            "position": position(place),
            "kind": row.kind,
            "load_mode": row.load_mode,
        }
        if row.done:
            fields["completed_at"] = rfc3339(to_utc(row.completed, self._zone)) if row.completed else done
        if row.kind == "failure":
            fields["to_failure"] = True
        if row.reps is not None:
            fields["reps"] = row.reps
        if row.weight is not None:
            fields["weight"] = {"value": row.weight, "unit": row.mass_unit}
        if row.distance is not None:
            fields["distance"] = {"value": row.distance, "unit": row.length_unit}
        if row.seconds is not None:
            fields["duration_s"] = row.seconds
        if row.rpe is not None:
            fields["rpe"] = row.rpe
        fields |= _targets(row)
        shared = row.notes or row.exercise_notes
        note = row.set_notes or (shared if shared != block_notes else "")
        if note:
            fields["notes"] = note[:_SET_NOTES_MAX]
            if len(note) > _SET_NOTES_MAX:
                self._doubt(row, "notes", note, f"is cut to {_SET_NOTES_MAX:,} characters; kept whole in the source")
        return fields

    def _doubt(self, row: SetRow, field: str, value: str, reason: str) -> None:
        self._doubts.append(Doubt(row.line, field, value[:200], reason))


def _targets(row: SetRow) -> Fields:
    """What was planned for a set. As many repetitions as possible has no upper bound."""
    fields: Fields = {}
    if row.target_reps is not None:
        fields["target_reps_min"] = row.target_reps
        if not row.is_amrap:
            fields["target_reps_max"] = row.target_reps
    if row.target_weight is not None:
        fields["target_weight"] = {"value": row.target_weight, "unit": row.target_mass_unit}
    if row.target_rpe is not None:
        fields["target_rpe"] = row.target_rpe
    if row.is_amrap:
        fields["is_amrap"] = True
    return fields


def measured(fields: Fields) -> Iterable[str]:
    """What a set measured, in the words of `names.describe`."""
    yield fields["load_mode"]
    yield from (measured for name, measured in (("reps", "reps"), ("duration_s", "seconds")) if fields.get(name))
    yield from (name for name in ("weight", "distance") if fields.get(name, {}).get("value"))


def block_notes(block: Block) -> str:
    """The notes of the exercise: what its note rows say; else the first note, where it stands at the block's first row.

    In a column that serves exercises and sets alike, a note that only later rows have, or that differs from row to row,
    speaks of its set.
    """
    rows = block.rows()
    if said := [row.notes or row.exercise_notes for row in rows if row.role == "note"]:
        return "\n".join(text for text in said if text)
    if own := next((row.exercise_notes for row in rows if row.exercise_notes), ""):
        return own
    distinct = {row.notes for row in rows if row.notes}
    return rows[0].notes if len(distinct) == 1 and rows else ""
