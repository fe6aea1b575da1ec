"""One row of cells to typed values, by the meanings of its columns. Says what cannot be read and what is doubtful.

Owns the ranges of the data model: a value outside them would be refused with its whole group, so it is left out of the
fields, kept in `source.raw`, and doubted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from .dialect import Plan
from .model import Doubt, RowError
from .moments import Moment, fold, read_duration, read_moment
from .names import is_body_itself, load_mode
from .numbers import LENGTH_UNITS, MASS_UNITS, BadCell, Number, as_entered, read_number
from .table import Row

Role = Literal["set", "rest", "note"]

REPS_MAX = 10_000
MASS_MAX = {"kg": 2_000, "lb": 4_409}
DURATION_S_MAX = 604_800
REST_S_MAX = 3_600
SET_NOTES_MAX = 2_000
REPS_DOUBTED = 1_000
MASS_DOUBTED = {"kg": 1_361, "lb": 3_000}

_REST_WORDS = re.compile(r"\b(rest|pause|pausen|ruhe|descanso|repos|riposo|recupero|recuperacion|rusttimer)")
_NOTE_WORDS = re.compile(r"^(note|notes|notiz|notizen|nota|notas|opmerking)$")


@dataclass(slots=True)
class SetRow:
    """A row, read. `role` tells a set from the rows that only say how long to rest or carry a note."""

    line: int
    lines: int
    cells: list[str]
    start: Moment
    exercise: str
    role: Role = "set"
    title: str = ""
    end: Moment | None = None
    duration_s: Number | None = None
    workout_notes: str = ""
    superset: str = ""
    exercise_notes: str = ""
    notes: str = ""
    set_notes: str = ""
    number: int | None = None
    kind: str = "normal"
    reps: Number | None = None
    weight: Number | None = None
    mass_unit: str = "kg"
    load_mode: str = "none"
    distance: Number | None = None
    length_unit: str = "km"
    seconds: Number | None = None
    rpe: Number | None = None
    bodyweight: Number | None = None
    bodyweight_unit: str = "kg"


def kind_of(text: str, kinds: Mapping[str, str]) -> str | None:
    """The kind of set that an app's word names, whatever its case and spacing; None where it is unknown."""
    word = fold(text).replace("_", " ").strip()
    return kinds.get(word, kinds.get(word.replace(" ", "")))


def rest_seconds(text: str) -> int | None:
    """The rest that a rest row's seconds tell, as far as a set can hold it: whole seconds, up to an hour."""
    try:
        seconds = read_duration(text)
    except BadCell:
        return None
    return int(seconds) if seconds and seconds <= REST_S_MAX and seconds == int(seconds) else None


@lru_cache(maxsize=512)
def read_order(text: str, kinds: tuple[tuple[str, str], ...]) -> tuple[Role, int | None, str | None]:
    """What a set-number cell says: the role of the row, its number, and the kind of set where it is a word.

    The kind is None where the word is unknown. Raises BadCell where it is empty.
    """
    word = fold(text).replace("_", " ").strip()
    if not word:
        raise BadCell("is empty")
    if found := re.fullmatch(r"(\d{1,6})(?:[.,]0+)?", word):
        return "set", int(found[1]), "normal"
    known = dict(kinds)
    if (kind := kind_of(text, known)) is not None:
        return "set", None, kind
    if (found := re.fullmatch(r"([a-z]{1,2}) ?(\d{1,3})", word)) and found[1] in known:
        return "set", None, known[found[1]]
    if _NOTE_WORDS.match(word):
        return "note", None, "normal"
    if _REST_WORDS.search(word):
        return "rest", None, "normal"
    return "set", None, None


class RowReader:
    """Reads the rows of one file. `doubts` gathers what is suspicious, in the order of the file.

    Args:
        mass_unit: the unit of weights whose row and header name none.
        relabel: the unit the log was really kept in, where the user said so; weights in the other are converted back.
    """

    def __init__(
        self, plan: Plan, *, day_first: bool, mass_unit: str, length_unit: str, relabel: str | None, doubts: list[Doubt]
    ) -> None:
        self._plan = plan
        self._dialect = plan.dialect
        self._index = {m: i for i, m in enumerate(plan.meanings) if m is not None}
        self._day_first = day_first
        self._mass_unit = plan.units.get("weight", mass_unit)
        self._length_unit = plan.units.get("distance", length_unit)
        self._relabel = relabel
        self._doubts = doubts
        self._above = ""
        self._kinds = tuple(plan.dialect.kinds.items())

    def read(self, row: Row) -> SetRow | RowError:
        """The row's values, or why there are none: then nothing of it is doubted either."""
        kept = len(self._doubts)
        reading = "start"
        try:
            read = SetRow(row.line, row.lines, row.cells, self._moment(row, "start"), self._text(row, "exercise"))
            for meaning, step in (
                ("set_order", self._order),
                ("exercise", self._names),
                ("end", self._times),
                ("weight", self._weight),
                ("reps", self._reps),
                ("distance", self._distance),
                ("seconds", self._seconds),
                ("rpe", self._rpe),
            ):
                reading = meaning
                step(row, read)
        except BadCell as bad:
            del self._doubts[kept:]
            where = self._header(reading)
            text = self._text(row, reading)
            reason = f"{where} {bad}" + (f": {text[:60]!r}" if text else "")
            return RowError(row.line, reason, ",".join(row.cells)[:500], row.lines)
        self._judge(read)
        return read

    def _header(self, meaning: str) -> str:
        index = self._index.get(meaning)
        return f"“{self._plan.header[index]}”" if index is not None else meaning

    def _text(self, row: Row, meaning: str) -> str:
        index = self._index.get(meaning)
        return row.cells[index] if index is not None else ""

    def _moment(self, row: Row, meaning: str) -> Moment:
        text = self._text(row, meaning).strip()
        if not text:
            raise BadCell("is empty")
        return read_moment(text, self._day_first)

    def _prose(self, row: Row, meaning: str) -> str:
        text = self._text(row, meaning)
        return text.replace("\\n", "\n") if self._dialect.literal_newlines else text

    def _names(self, row: Row, read: SetRow) -> None:
        if not read.exercise.strip():
            if read.role == "set" or not self._above:
                raise BadCell("is empty")
            read.exercise = self._above
        self._above = read.exercise
        read.title = self._text(row, "title")
        read.superset = self._text(row, "superset").strip()
        if read.superset.casefold() == "null":
            read.superset = ""
        read.workout_notes = self._prose(row, "workout_notes")
        read.exercise_notes = self._prose(row, "exercise_notes")
        read.notes = self._prose(row, "notes")
        read.set_notes = self._prose(row, "set_notes")

    def _times(self, row: Row, read: SetRow) -> None:
        if self._text(row, "end").strip():
            read.end = self._moment(row, "end")
        if text := self._text(row, "duration"):
            try:
                read.duration_s = read_duration(text, self._plan.units.get("duration", "s"))
            except BadCell as bad:
                self._doubt(read, "duration", text, f"{bad}; the workout is read without its end")
        if text := self._text(row, "bodyweight"):
            read.bodyweight = read_number(text) or None
            read.bodyweight_unit = self._plan.units.get("bodyweight", self._mass_unit)

    def _order(self, row: Row, read: SetRow) -> None:
        kind: str | None = "normal"
        if "set_order" in self._index:
            text = self._text(row, "set_order")
            read.role, read.number, kind = read_order(text, self._kinds)
            if kind is None and self._is_rest(row):
                read.role, kind = "rest", "normal"
            elif kind is None:
                self._doubt(read, "kind", text, "is no kind of set known here; read as a normal set")
        if "kind" in self._index and read.role == "set":
            text = self._text(row, "kind")
            kind = kind_of(text, self._dialect.kinds)
            if kind is None and text.strip():
                self._doubt(read, "kind", text, "is no kind of set known here; read as a normal set")
        read.kind = kind or "normal"

    def _is_rest(self, row: Row) -> bool:
        """A row named by an unknown word that has seconds and nothing lifted: the rest timer in another language."""
        return bool(
            read_duration(self._text(row, "seconds"), "s")
            and not read_number(self._text(row, "reps"))
            and not read_number(self._text(row, "weight"))
        )

    def _weight(self, row: Row, read: SetRow) -> None:
        unit = self._mass_unit
        if named := self._text(row, "weight_unit"):
            unit = MASS_UNITS.get(fold(named).strip(" ."), "")
            if not unit:
                raise BadCell(f"is in a unit that is not known: {named[:20]!r}")
        value = read_number(self._text(row, "weight"))
        if value is not None and self._relabel and self._relabel != unit:
            value, unit = as_entered(value, unit, self._relabel), self._relabel
        read.weight, read.mass_unit = value, unit

    def _reps(self, row: Row, read: SetRow) -> None:
        read.reps = self._number(row, "reps")

    def _distance(self, row: Row, read: SetRow) -> None:
        read.distance = self._number(row, "distance")
        read.length_unit = self._length_unit
        if read.distance is not None and (named := self._text(row, "distance_unit")):
            read.length_unit = LENGTH_UNITS.get(fold(named).strip(" ."), "")
            if not read.length_unit:
                raise BadCell(f"is in a unit that is not known: {named[:20]!r}")

    def _seconds(self, row: Row, read: SetRow) -> None:
        seconds = read_duration(self._text(row, "seconds"), self._plan.units.get("seconds", "s"))
        read.seconds = None if seconds == 0 and "seconds" in self._dialect.zero_is_absent else seconds

    def _rpe(self, row: Row, read: SetRow) -> None:
        read.rpe = self._number(row, "rpe")

    def _number(self, row: Row, meaning: str) -> Number | None:
        value = read_number(self._text(row, meaning))
        return None if value == 0 and meaning in self._dialect.zero_is_absent else value

    def _doubt(self, read: SetRow, field: str, value: object, reason: str) -> None:
        self._doubts.append(Doubt(read.line, field, str(value)[:200], reason))

    def _judge(self, read: SetRow) -> None:
        """Leave out what no field may hold, and doubt what is unlikely."""
        if read.reps is not None:
            if not 0 <= read.reps <= REPS_MAX or read.reps * 2 % 1:
                self._doubt(read, "reps", read.reps, f"is not 0 to {REPS_MAX:,} in halves; kept in the source only")
                read.reps = None
            elif read.reps > REPS_DOUBTED:
                self._doubt(read, "reps", read.reps, f"is more than {REPS_DOUBTED:,}")
        if read.weight is not None:
            size = abs(read.weight)
            if size > MASS_MAX[read.mass_unit]:
                self._doubt(read, "weight", read.weight, "is more than 2,000 kg; kept in the source only")
                read.weight = None
            elif size > MASS_DOUBTED[read.mass_unit]:
                self._doubt(read, "weight", read.weight, "is more than 3,000 lb")
        if read.distance is not None and not 0 <= read.distance <= 10_000_000:
            self._doubt(read, "distance", read.distance, "is no distance; kept in the source only")
            read.distance = None
        if read.role == "set" and read.seconds is not None and not 0 <= read.seconds <= DURATION_S_MAX:
            self._doubt(read, "duration_s", read.seconds, "is longer than a week; kept in the source only")
            read.seconds = None
        if read.rpe is not None and (not 0 <= read.rpe <= 10 or read.rpe * 2 % 1):
            self._doubt(read, "rpe", read.rpe, "is not 0 to 10 in halves; kept in the source only")
            read.rpe = None
        if read.role == "set":
            read.load_mode = load_mode(read.exercise, read.reps, read.weight, read.mass_unit)
            if read.reps is not None and is_body_itself(read.exercise, read.weight, read.mass_unit):
                self._doubt(read, "weight", read.weight, "is probably the body's own weight; read as external load")
            if read.load_mode == "assisted" and read.weight is not None:
                read.weight = abs(read.weight)
            elif read.weight is not None and read.weight < 0:
                self._doubt(read, "weight", read.weight, "is negative without repetitions; kept in the source only")
                read.weight = None
