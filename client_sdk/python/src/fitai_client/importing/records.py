"""The blocks of a workout to records of the data model, with what no field holds kept in `source.raw`.

`source.raw` of a record holds, by meaning, the text of the cells that its fields would not reproduce; under "columns"
the filled cells of columns without a meaning, by header; under "rows" the rest and note rows that follow a set (or
stand before a block's first); under "header" the file's header where it is not the usual one.

A set that was not done keeps "undone" there, so that it is exported again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime

from .blocks import Block, to_blocks
from .dialect import EXERCISE_MEANINGS, WORKOUT_MEANINGS
from .fields import FieldMaker, Fields, block_notes, measured
from .ids import derived_id, position
from .model import Doubt, Write
from .moments import Moment
from .names import plain
from .plan import Plan
from .render import Renderer, superset_id
from .resolving import Exercises
from .rows import rest_seconds
from .set_row import SetRow

# The field of a set that holds what a column of numbers means.
_FIELDS = {
    "reps": "reps",
    "weight": "weight",
    "distance": "distance",
    "seconds": "duration_s",
    "rpe": "rpe",
    "target_reps": "target_reps_min",
    "target_weight": "target_weight",
    "target_rpe": "target_rpe",
}
_EXTERNAL_ID_MAX = 500
_ASIDE_BYTES_MAX = 10_000


class Builder:
    """Makes the records of one file, workout by workout."""

    def __init__(
        self,
        plan: Plan,
        render: Renderer,
        exercises: Exercises,
        *,
        zone: str,
        import_id: str,
        now: datetime,
        doubts: list[Doubt],
    ) -> None:
        self._plan = plan
        self._dialect = plan.dialect
        self._render = render
        self._exercises = exercises
        self._fields = FieldMaker(zone=zone, now=now, doubts=doubts)
        self._import_id = import_id
        self._doubts = doubts
        self._columns = [(i, m) for i, m in enumerate(plan.meanings) if m is not None]
        self._unknown = [(i, column_key(plan.header, i)) for i, m in enumerate(plan.meanings) if m is None]
        usual = plan.dialect.header_lb if plan.units.get("weight") == "lb" else plan.dialect.header
        self._header = None if not plan.has_header or plan.header == usual else list(plan.header)
        self._mass_shown = plan.units.get("weight")

    def workout(self, key: tuple[str, ...], rows: list[SetRow]) -> list[Write]:
        """The workout's writes: itself, then each exercise followed by its sets."""
        first = rows[0]
        workout = derived_id(self._dialect.name, "workout", *key)
        fields = self._fields.workout(first, rows)
        written = self._render.workout(fields)
        raw = self._settled(self._kept(first, written, WORKOUT_MEANINGS), written, fields)
        if self._header is not None:
            raw["header"] = self._header
        cells = written | {m: t for m, t in raw.items() if isinstance(t, str)}
        external = " | ".join(key).removesuffix(" | ")
        fields["source"] = {
            "app": self._dialect.name,
            "external_id": external[:_EXTERNAL_ID_MAX],
            "import": self._import_id,
        }
        if raw:
            fields["source"]["raw"] = raw
        writes = [Write("workouts", workout, fields)]
        blocks, interleaved = to_blocks(rows, self._dialect.numbered)
        done = fields["started_at"]
        if "ended_at" in fields and fields["ended_at"] > done:
            done = fields["ended_at"]
        seen: dict[str, int] = {}
        for index, block in enumerate(blocks):
            writes += self._block(workout, block, index, seen, cells, done, interleaved)
        return writes

    def _block(
        self,
        workout: str,
        block: Block,
        index: int,
        seen: dict[str, int],
        above: Mapping[str, str],
        done: str,
        interleaved: bool,
    ) -> Iterable[Write]:
        rows = block.rows()
        exercise, known = self._exercises.resolve(block.exercise)
        occurrence = seen[block.exercise] = seen.get(block.exercise, 0) + 1
        block_id = derived_id(workout, "exercise", plain(block.exercise), block.exercise, str(occurrence))
        fields: Fields = {"workout": workout, "exercise": exercise, "position": position(index)}
        superset = next((row.superset for row in rows if row.superset), "")
        if superset:
            fields["superset"] = superset_id(workout, superset)
        own = block_notes(block)
        if own:
            fields["notes"] = own
        if not block.sets:
            self._rest(fields, block.asides)
        name = block.exercise if known else self._exercises.custom[exercise]
        written = self._render.exercise(fields, name, superset)
        raw = self._settled(self._kept(rows[0], written, EXERCISE_MEANINGS), written, fields)
        if known:
            raw |= {"exercise": block.exercise, "exercise_id": exercise}
        if superset:
            raw["superset"] = superset
        cells = {**above, **written, **{m: t for m, t in raw.items() if isinstance(t, str)}}
        if block.asides:
            raw["rows"] = self._asides(block.asides, cells)
        if raw:
            fields["source"] = {"app": self._dialect.name, "raw": raw}
        writes = [Write("workout_exercises", block_id, fields)]
        # Where rows of their own carry the exercise's notes, the column speaks of sets alone.
        shared = "" if any(row.role == "note" for row in rows) else own
        sets = [self._fields.one_set(block_id, place, each, shared, done) for place, each in enumerate(block.sets)]
        orders = self._render.orders(sets)
        for place, (performed, set_fields) in enumerate(zip(block.sets, sets, strict=True)):
            if interleaved:
                set_fields["performed_order"] = performed.order
            self._exercises.measure(exercise, measured(set_fields))
            expected = cells | self._render.one_set(set_fields, orders[place], shared)
            set_raw = self._kept(performed.row, expected, None)
            self._refused(performed.row, set_fields, set_raw)
            if not performed.row.done:
                set_raw["undone"] = True
            if performed.asides:
                self._rest(set_fields, performed.asides)
                set_raw["rows"] = self._asides(performed.asides, cells)
            if set_raw:
                set_fields["source"] = {"app": self._dialect.name, "raw": set_raw}
            writes.append(Write("sets", derived_id(block_id, "set", str(place)), set_fields))
        return writes

    def _kept(self, row: SetRow, written: Mapping[str, str], of: frozenset[str] | None) -> Fields:
        """The cells of a row that `written` differs from; `of` limits it to these meanings."""
        cells = row.cells
        kept: Fields = {}
        for index, meaning in self._columns:
            if (of is None or meaning in of) and written.get(meaning) != cells[index]:
                kept[meaning] = cells[index]
        if of is None and self._unknown:
            columns = {key: cells[index] for index, key in self._unknown if cells[index]}
            if columns:
                kept["columns"] = columns
        return kept

    def _settled(self, kept: Fields, written: Mapping[str, str], fields: Fields) -> Fields:
        """What of a first row's kept cells speaks for the whole workout or exercise. The rest, such as an empty cell
        above a row with the notes, is kept with its own set."""
        return {m: text for m, text in kept.items() if self._render.still_says(m, text, written[m], fields, kept)}

    def _refused(self, row: SetRow, fields: Fields, raw: Fields) -> None:
        """Name the kept cells that hold a value no field may have, so that the writer gives them back."""
        refused = [
            meaning
            for meaning, name in _FIELDS.items()
            if any(mark.isdigit() and mark != "0" for mark in raw.get(meaning, "")) and name not in fields
        ]
        if refused:
            raw["refused"] = refused
        if "weight" in raw and self._mass_shown and row.mass_unit != self._mass_shown:
            raw["relabelled"] = row.mass_unit

    def _asides(self, rows: list[SetRow], cells: Mapping[str, str]) -> list[Fields]:
        """Rest and note rows, each by the cells that its block does not imply."""
        upper = WORKOUT_MEANINGS | EXERCISE_MEANINGS
        found: list[Fields] = []
        size = 0
        for row in rows:
            aside = {
                meaning: row.cells[index]
                for index, meaning in self._columns
                if row.cells[index] != (cells.get(meaning, "") if meaning in upper else "")
            }
            columns = {key: row.cells[index] for index, key in self._unknown if row.cells[index]}
            aside_fields: Fields = {**aside, **({"columns": columns} if columns else {})}
            size += len(json.dumps(aside_fields, ensure_ascii=False).encode())
            if size > _ASIDE_BYTES_MAX:
                self._doubt(row, "rows", "", "this rest or note row is one too many to keep beside its set")
                break
            found.append(aside_fields)
        return found

    def _rest(self, fields: Fields, asides: list[SetRow]) -> None:
        index = self._plan.index("seconds")
        rests = [rest_seconds(row.cells[index]) for row in asides if row.role == "rest" and index is not None]
        if rest := next((rest for rest in rests if rest is not None), None):
            fields["rest_s"] = rest

    def _doubt(self, row: SetRow, field: str, value: str, reason: str) -> None:
        self._doubts.append(Doubt(row.line, field, value[:200], reason))


def column_key(header: tuple[str, ...], index: int) -> str:
    """A header's text; with its place, where it is empty or stands twice."""
    text = header[index].strip()
    return text if text and header.count(header[index]) == 1 else f"{text}#{index + 1}"


def workout_key(key: tuple[str, ...], row: SetRow) -> tuple[str, ...]:
    """What tells one workout from another, by meaning: clock readings as ISO text, whatever language they stood in."""

    def part(meaning: str) -> str:
        if meaning == "workout_number":
            # A number changes when an earlier workout is deleted: it counts only where no time of day tells.
            return "" if row.start.has_time else row.workout_number
        value = {"start": row.start, "end": row.end}.get(meaning) if meaning != "title" else row.title
        if isinstance(value, Moment):
            return value.local.isoformat() if value.has_time else f"{value.local:%Y-%m-%d}"
        return value or ""

    return tuple(part(meaning) for meaning in key)
