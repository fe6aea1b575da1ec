"""`write_csv`: records to the file of another app. The way back of `read`, and a way out for everyone.

Invariants
    W1  An import that was not edited is written cell by cell as it was read.
    W2  Reading what was written, and writing it again, gives the same bytes.
    W3  An edited value is written as it is now, whatever the import had kept of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from .dialect import Dialect
from .dialects import by_name
from .model import Layout
from .numbers import write_number
from .plan import Plan, default_plan, match_header, plan_of
from .records import column_key
from .render import Cells, Fields, Renderer, note_text, raw_of, superset_id
from .rows import read_order, rest_seconds
from .wide import Unfolding

Record = tuple[str, str, Mapping[str, Any]]
# A person can compare these, and of the few exercises that a log has lost no two have them in common.
_ID_SHOWN = 8


@dataclass(slots=True)
class _Block:
    id: str
    fields: Fields
    sets: list[tuple[str, Fields]] = field(default_factory=list)


@dataclass(slots=True)
class _Workout:
    id: str
    fields: Fields
    blocks: list[_Block] = field(default_factory=list)


def write_csv(
    records: Iterable[Record],
    dialect: Dialect | str = "hevy",
    *,
    layout: Layout | None = None,
    names: Mapping[str, str] | None = None,
    unit: str | None = None,
) -> bytes:
    """The file that the app of `dialect` would export of these records.

    Workouts that are planned or discarded are left out, and so are sets that are not done, as those apps do; except for
    sets that the app's own file had like that.

    Args:
        records: (collection, id, fields) of workouts, their exercises and sets, and of the exercises they name.
        layout: how to write it; an import's own gives the same bytes back. By default the header that the newest
            import of this app had, or the usual one.
        names: id → name of exercises that are not among the records. One that nothing names is called
            "Unknown exercise", with the end of its id.
        unit: "kg" or "lb" for a column that names no unit; by default what most sets have. Others are converted.
    """
    dialect = by_name(dialect) if isinstance(dialect, str) else dialect
    workouts, known = _arrange(records, dialect.name)
    known = {**(names or {}), **known}
    workouts.sort(key=lambda w: w.fields.get("started_at") or "", reverse=dialect.newest_first)
    mass_unit = unit or _commonest(workouts, "weight") or "kg"
    if layout is None:
        layout = _usual_layout(dialect, workouts, mass_unit)
    plan = replace(plan_of(dialect, layout.header), has_header=layout.has_header)
    length_unit = _commonest(workouts, "distance") or ("mi" if mass_unit == "lb" else "km")
    unfolding = Unfolding(plan) if dialect.per_set else None
    plan = unfolding.long if unfolding else plan
    sheet = _Sheet(plan, Renderer(plan, mass_unit=mass_unit, length_unit=length_unit), known)
    rows = [row for workout in workouts for row in sheet.rows(workout)]
    header = layout.header
    if unfolding:
        header, rows = unfolding.fold(rows)
    lines = [_line(list(header), layout, set(range(len(header))) if layout.header_quoted else set())]
    if not layout.has_header:
        lines.clear()
    lines += [_line(row, layout, layout.quoted) for row in rows]
    text = layout.newline.join(lines) + (layout.newline if layout.final_newline and lines else "")
    if layout.encoding == "windows-1252":
        with suppress(UnicodeEncodeError):
            return text.encode("cp1252")
    return text.encode("utf-8-sig" if layout.byte_order_mark else "utf-8")


def _line(cells: list[str], layout: Layout, quoted: Iterable[int]) -> str:
    always = quoted if isinstance(quoted, (set, frozenset)) else set(quoted)
    special = (layout.delimiter, '"', "\n", "\r")
    out = []
    for index, cell in enumerate(cells):
        if index in always or any(mark in cell for mark in special):
            cell = '"' + cell.replace('"', '""') + '"'
            cell = cell.replace("\n", layout.newline) if "\n" in cell else cell
        out.append(cell)
    return layout.delimiter.join(out)


def _arrange(records: Iterable[Record], app: str) -> tuple[list[_Workout], dict[str, str]]:
    """Workouts with their blocks and done sets, each in order of position; names of exercises by id."""
    workouts: dict[str, _Workout] = {}
    blocks: dict[str, _Block] = {}
    sets: list[tuple[str, Fields]] = []
    names: dict[str, str] = {}
    for collection, identity, fields in records:
        if collection == "workouts" and fields.get("status", "completed") not in {"planned", "discarded"}:
            workouts[identity] = _Workout(identity, fields)
        elif collection == "workout_exercises":
            blocks[identity] = _Block(identity, fields)
        elif collection == "sets" and (fields.get("completed_at") or raw_of(fields, app).get("undone")):
            sets.append((identity, fields))
        elif collection == "exercises" and fields.get("name"):
            names[identity] = fields["name"]
    for identity, fields in sorted(sets, key=lambda s: (s[1].get("position") or "", s[0])):
        if (block := blocks.get(fields["workout_exercise"])) is not None:
            block.sets.append((identity, fields))
    for block in sorted(blocks.values(), key=lambda b: (b.fields.get("position") or "", b.id)):
        if (workout := workouts.get(block.fields["workout"])) is not None:
            workout.blocks.append(block)
    return list(workouts.values()), names


def _nameless(exercise: str) -> str:
    """What an exercise is called whose record is not there. The end of its id tells two of them apart, and is the same
    in every file, so that what was read from one is found again."""
    return f"Unknown exercise {exercise[-_ID_SHOWN:]}"


def _commonest(workouts: list[_Workout], measured: str) -> str | None:
    units = Counter(
        fields[measured]["unit"]
        for workout in workouts
        for block in workout.blocks
        for _, fields in block.sets
        if fields.get(measured)
    )
    return max(units, key=lambda unit: (units[unit], unit)) if units else None


def _usual_layout(dialect: Dialect, workouts: list[_Workout], mass_unit: str) -> Layout:
    """The widest header that these records came with, else the dialect's own; quoted as the app does."""
    newest = sorted(workouts, key=lambda w: w.fields.get("started_at") or "", reverse=True)
    headers = [raw_of(w.fields, dialect.name).get("header") for w in newest]
    kept = [tuple(h) for h in headers if isinstance(h, list) and match_header(dialect, h)]
    header = max(kept, key=len) if kept else default_plan(dialect, mass_unit).header
    plan = plan_of(dialect, header)
    quoted = frozenset(i for i, meaning in enumerate(plan.meanings) if meaning in dialect.quoted)
    return Layout(header, delimiter=dialect.delimiter, header_quoted=bool(dialect.quoted), quoted=quoted)


class _Sheet:
    """The rows of workouts, in the columns of one plan."""

    def __init__(self, plan: Plan, render: Renderer, names: Mapping[str, str]) -> None:
        self._plan = plan
        self._render = render
        self._names = names
        self._app = plan.dialect.name
        self._unknown = [(i, column_key(plan.header, i)) for i, m in enumerate(plan.meanings) if m is None]
        self._upper = render.workout_meanings | render.exercise_meanings

    def rows(self, workout: _Workout) -> list[list[str]]:
        raw = raw_of(workout.fields, self._app)
        above = self._settle(self._render.workout(workout.fields), workout.fields, raw)
        numbers = self._supersets(workout)
        rows: list[tuple[int, list[list[str]]]] = []
        for block in workout.blocks:
            exercise = str(block.fields.get("exercise"))
            name = self._names.get(exercise) or _nameless(exercise)
            superset = numbers.get(str(block.fields.get("superset")), "")
            raw = raw_of(block.fields, self._app)
            cells = above | self._settle(self._render.exercise(block.fields, name, superset), block.fields, raw)
            rows += self._block(block, raw, cells, workout.fields)
        if not self._plan.dialect.per_set and all(
            "performed_order" in fields for block in workout.blocks for _, fields in block.sets
        ):
            rows.sort(key=lambda each: each[0])
        return [row for _, each in rows for row in each]

    def _block(
        self, block: _Block, raw: Mapping[str, Any], cells: Cells, workout: Fields
    ) -> list[tuple[int, list[list[str]]]]:
        notes = note_text(block.fields)
        asides = [*raw.get("rows", ()), *(a for _, f in block.sets for a in raw_of(f, self._app).get("rows", ()))]
        said = [str(aside.get("notes", "")) for aside in asides if self._is_note(aside)]
        edited = bool(said) and "\n".join(text for text in said if text) != notes
        found: list[tuple[int, list[list[str]]]] = []
        # The rest of a block without sets is the block's own; before a set, no field holds it.
        rest = block.fields if not block.sets else None
        first = self._asides(raw.get("rows", ()), cells, rest, without_notes=edited)
        if edited and notes:
            first.insert(0, self._aside({"set_order": "Note", "notes": notes}, cells))
        orders = self._render.orders([fields for _, fields in block.sets])
        for place, (_, fields) in enumerate(block.sets):
            set_raw = raw_of(fields, self._app)
            written = cells | self._render.one_set(fields, orders[place], "" if said else notes)
            whole = {**fields, "notes": note_text(fields) or ("" if said else notes)}
            kept = {m: t for m, t in set_raw.items() if m != "set_order"}
            settled = self._settle(written, whole, kept, workout)
            if kept.get("notes") == "" and not note_text(fields):
                # A row that left the exercise's notes to another row goes on doing so.
                settled["notes"] = ""
            rows = [self._row(settled, set_raw.get("columns", {}))]
            rows += self._asides(set_raw.get("rows", ()), cells, fields, without_notes=edited)
            if place == 0 and first:
                rows = first + rows
            found.append((fields.get("performed_order") or 0, rows))
        if not block.sets and first:
            found.append((0, first))
        return found

    def _is_note(self, aside: Mapping[str, Any]) -> bool:
        return read_order(aside.get("set_order") or "Note", self._render.kinds)[0] == "note"

    def _asides(
        self, asides: Iterable[Mapping[str, Any]], cells: Cells, rests: Fields | None, *, without_notes: bool
    ) -> list[list[str]]:
        """Rest and note rows as they were kept, but with the rest that the record `rests` has now."""
        rows: list[list[str]] = []
        for aside in asides:
            if self._is_note(aside):
                if not without_notes:
                    rows.append(self._aside(aside, cells))
                continue
            was = rest_seconds(aside.get("seconds", ""))
            if rests is not None and was is not None:
                now = rests.get("rest_s")
                rests = None
                if now is None:
                    continue
                if now != was:
                    aside = {**aside, "seconds": write_number(now, self._plan.dialect.decimals.get("seconds", 0))}
            rows.append(self._aside(aside, cells))
        return rows

    def _aside(self, aside: Mapping[str, Any], cells: Cells) -> list[str]:
        upper = {meaning: cells[meaning] for meaning in self._upper if meaning in cells}
        row = upper | {meaning: text for meaning, text in aside.items() if isinstance(text, str)}
        return self._row(row, aside.get("columns", {}))

    def _row(self, cells: Mapping[str, str], unknown: Mapping[str, str]) -> list[str]:
        row = [cells.get(meaning, "") if meaning is not None else "" for meaning in self._plan.meanings]
        for index, key in self._unknown:
            row[index] = unknown.get(key, "")
        return row

    def _settle(self, written: Cells, fields: Fields, raw: Mapping[str, Any], workout: Fields | None = None) -> Cells:
        """The cells, with the kept ones where these still say what the record says."""
        settled = dict(written)
        for meaning, kept in raw.items():
            if meaning not in written or not isinstance(kept, str):
                continue
            about = fields
            if workout is not None and meaning in self._upper:
                if meaning not in {"start", "end"}:
                    # A row that differed from its own workout or exercise goes on doing so.
                    settled[meaning] = kept
                    continue
                about = workout
            if self._render.still_says(meaning, kept, written[meaning], about, raw):
                settled[meaning] = kept
        return settled

    def _supersets(self, workout: _Workout) -> dict[str, str]:
        """A number for each group of a workout: the file's own, else the next that is free."""
        numbers: dict[str, str] = {}
        groups = [(b, str(b.fields["superset"])) for b in workout.blocks if b.fields.get("superset")]
        for block, group in groups:
            kept = raw_of(block.fields, self._app).get("superset")
            if isinstance(kept, str) and superset_id(workout.id, kept) == group:
                numbers[group] = kept
        free = 0
        for _, group in groups:
            if group not in numbers:
                while str(free) in numbers.values():
                    free += 1
                numbers[group] = str(free)
        return numbers
