"""One row of cells to typed values, by the meanings of its columns. Says what cannot be read.

Whether a value that was read is likely, or legal at all, is judging.py's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, time, timedelta
from functools import lru_cache

from .judging import judge
from .model import Doubt, RowError
from .moments import Moment, fold, read_clock, read_duration, read_moment
from .numbers import LENGTH_UNITS, MASS_UNITS, BadCell, Number, as_entered, read_number
from .plan import Plan
from .set_row import Role, SetRow
from .table import Row

REST_S_MAX = 3_600

_REST_WORDS = re.compile(r"\b(rest|pause|pausen|ruhe|descanso|repos|riposo|recupero|recuperacion|rusttimer)")
_NOTE_WORDS = re.compile(r"^(note|notes|notiz|notizen|nota|notas|opmerking)$")


def is_yes(text: str) -> bool:
    return fold(text).strip() in {"1", "true", "yes"}


def _next(start: Moment, clock: time) -> Moment:
    """The first moment after `start` at which it is `clock`: a workout may end after midnight."""
    local = datetime.combine(start.local, clock)
    if local < start.local.replace(second=0, microsecond=0):
        local += timedelta(days=1)
    return Moment(local, start.offset, True)


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
        steps: tuple[tuple[str, Callable[[Row, SetRow], None]], ...] = (
            ("set_order", self._order),
            ("exercise", self._names),
            ("end", self._times),
            ("weight", self._weight),
            ("reps", self._reps),
            ("distance", self._distance),
            ("seconds", self._seconds),
            ("rpe", self._rpe),
            ("completed", self._completed),
            ("target_reps", self._targets),
        )
        # Few dialects tell when a set was done and what was planned for it.
        planned = {"target_reps", "target_weight", "target_rpe", "is_amrap"} & self._index.keys()
        seldom = {"completed": bool(plan.dialect.done_by), "target_reps": bool(planned)}
        self._steps = tuple(step for step in steps if seldom.get(step[0], True))

    def read(self, row: Row) -> SetRow | RowError:
        """The row's values, or why there are none: then nothing of it is doubted either."""
        kept = len(self._doubts)
        reading = "start"
        try:
            read = SetRow(row.line, row.lines, row.cells, self._moment(row, "start"), self._text(row, "exercise"))
            for meaning, step in self._steps:
                reading = meaning
                step(row, read)
        except BadCell as bad:
            del self._doubts[kept:]
            where = self._header(reading)
            text = self._text(row, reading)
            reason = f"{where} {bad}" + (f": {text[:60]!r}" if text else "")
            return RowError(row.line, reason, ",".join(row.cells)[:500], row.lines)
        judge(read, self._doubt)
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
        moment = read_moment(text, self._day_first)
        if clock := self._text(row, f"{meaning}_clock").strip():
            moment = Moment(datetime.combine(moment.local, read_clock(clock)), moment.offset, True)
        return moment

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
        read.workout_number = self._text(row, "workout_number")
        if self._text(row, "end").strip():
            read.end = self._moment(row, "end")
        elif clock := self._text(row, "end_clock").strip():
            read.end = _next(read.start, read_clock(clock))
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
        read.rpe = self._optional(row, read, "rpe")

    def _completed(self, row: Row, read: SetRow) -> None:
        done_by = self._dialect.done_by
        read.done = not self._text(row, "done") and (not done_by or any(self._text(row, m).strip() for m in done_by))
        if text := self._text(row, "completed").strip():
            try:
                read.completed = read_moment(text, self._day_first)
            except BadCell as bad:
                self._doubt(read, "completed_at", text, f"{bad}; the set is read without its time")

    def _targets(self, row: Row, read: SetRow) -> None:
        read.is_amrap = is_yes(self._text(row, "is_amrap"))
        read.target_reps = self._optional(row, read, "target_reps")
        read.target_rpe = self._optional(row, read, "target_rpe")
        unit = MASS_UNITS.get(fold(self._text(row, "target_weight_unit")).strip(" ."), read.mass_unit)
        read.target_weight, read.target_mass_unit = self._optional(row, read, "target_weight"), unit

    def _optional(self, row: Row, read: SetRow, meaning: str) -> Number | None:
        """A number that only comments on what was lifted: what cannot be read of it costs no set."""
        try:
            return self._number(row, meaning)
        except BadCell as bad:
            self._doubt(read, meaning, self._text(row, meaning), f"{bad}; kept in the source only")
            return None

    def _number(self, row: Row, meaning: str) -> Number | None:
        value = read_number(self._text(row, meaning))
        return None if value == 0 and meaning in self._dialect.zero_is_absent else value

    def _doubt(self, read: SetRow, field: str, value: object, reason: str) -> None:
        self._doubts.append(Doubt(read.line, field, str(value)[:200], reason))
