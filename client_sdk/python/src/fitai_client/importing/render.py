"""Records to the cells of one dialect, and the choice between a kept cell and a written one.

The reader renders what it has just read, and keeps in `source.raw` each cell that comes out differently. The writer
renders what is stored, and prefers the kept cell where it still says the same as the record. So an untouched import is
exported cell by cell, and an edited value is exported as it is now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from .dialect import EXERCISE_MEANINGS, WORKOUT_MEANINGS
from .ids import derived_id
from .moments import NOON, from_rfc3339, read_clock, read_duration, read_moment, to_local, to_utc, write_duration
from .names import plain
from .numbers import BadCell, convert_length, convert_mass, read_number, write_number
from .plan import Plan
from .rows import is_yes, kind_of, read_order

Fields = Mapping[str, Any]
_NUMBERS = frozenset(
    {"weight", "distance", "reps", "seconds", "rpe", "bodyweight", "target_reps", "target_weight", "target_rpe"}
)
Cells = dict[str, str]


def raw_of(fields: Fields, app: str) -> dict[str, Any]:
    """What the import kept of a record, if it came from this app."""
    source = fields.get("source")
    if isinstance(source, Mapping) and source.get("app") == app and isinstance(source.get("raw"), Mapping):
        return dict(source["raw"])
    return {}


def note_text(fields: Fields) -> str:
    """A record's notes, whether as a string or in the shape a device shows text in."""
    notes = fields.get("notes")
    if isinstance(notes, Mapping):
        notes = notes.get("text")
    return notes if isinstance(notes, str) else ""


@lru_cache(maxsize=32)
def zone_of(name: str) -> ZoneInfo:
    return ZoneInfo(name)


class Renderer:
    """Renders records into the columns of one plan.

    Args:
        mass_unit, length_unit: units of the columns that name none; other units are converted.
    """

    def __init__(self, plan: Plan, *, mass_unit: str, length_unit: str) -> None:
        self.plan = plan
        self.dialect = plan.dialect
        self.has_mass_column = "weight_unit" in plan.meanings
        self.has_length_column = "distance_unit" in plan.meanings
        self.mass_unit = plan.units.get("weight", mass_unit)
        self.length_unit = plan.units.get("distance", length_unit)
        self.words: dict[str, str] = {}
        for word, kind in plan.dialect.kinds.items():
            self.words.setdefault(kind, word)
        self.kinds = tuple(plan.dialect.kinds.items())
        meanings = {m for m in plan.meanings if m is not None}
        self.workout_meanings = meanings & WORKOUT_MEANINGS
        self.exercise_meanings = meanings & EXERCISE_MEANINGS
        self.set_meanings = meanings - WORKOUT_MEANINGS - EXERCISE_MEANINGS
        self._plans = bool(self.set_meanings & {"target_reps", "target_weight", "target_rpe", "is_amrap"})

    # What the records say.

    def workout(self, fields: Fields) -> Cells:
        zone = self._zone(fields)
        cells = {"title": str(fields.get("title") or ""), "workout_notes": self._prose(note_text(fields))}
        started, ended = fields.get("started_at"), fields.get("ended_at")
        for name, instant in (("start", started), ("end", ended)):
            if instant:
                local = to_local(from_rfc3339(instant), zone)
                cells[name] = self.dialect.write_moment(local)
                cells[f"{name}_clock"] = self.dialect.write_time(local)
        if started and ended:
            seconds = int((from_rfc3339(ended) - from_rfc3339(started)).total_seconds())
            unit = self.plan.units.get("duration")
            cells["duration"] = write_duration(max(0, seconds)) if unit is None else _in_unit(seconds, unit)
        if weight := fields.get("bodyweight"):
            unit = self.plan.units.get("bodyweight", self.mass_unit)
            cells["bodyweight"] = write_number(convert_mass(weight["value"], weight["unit"], unit))
        return self._filled(cells, self.workout_meanings)

    def exercise(self, fields: Fields, name: str, superset: str) -> Cells:
        cells = {"exercise": name, "superset": superset, "exercise_notes": self._prose(note_text(fields))}
        return self._filled(cells, self.exercise_meanings)

    def one_set(self, fields: Fields, order: str, exercise_notes: str) -> Cells:
        """A set's cells. `exercise_notes` goes where one column serves the notes of exercise and set."""
        dialect = self.dialect
        cells: Cells = {"set_order": order, "kind": self._kind(fields)}
        weight, distance = fields.get("weight"), fields.get("distance")
        if self.has_mass_column:
            cells["weight_unit"] = dialect.unit_words.get(weight["unit"], weight["unit"]) if weight else ""
        if weight:
            unit = weight["unit"] if self.has_mass_column else self.mass_unit
            cells["weight"] = self._number("weight", convert_mass(weight["value"], weight["unit"], unit))
        if self.has_length_column:
            cells["distance_unit"] = dialect.unit_words.get(distance["unit"], distance["unit"]) if distance else ""
        if distance:
            unit = distance["unit"] if self.has_length_column else self.length_unit
            cells["distance"] = self._number("distance", convert_length(distance["value"], distance["unit"], unit))
        if (reps := fields.get("reps")) is not None:
            cells["reps"] = self._number("reps", reps)
        if (seconds := fields.get("duration_s")) is not None:
            cells["seconds"] = (
                dialect.write_seconds(seconds) if dialect.write_seconds else self._number("seconds", seconds)
            )
        if (rpe := fields.get("rpe")) is not None:
            cells["rpe"] = self._number("rpe", rpe)
        if self._plans:
            self._planned(fields, cells)
        completed = fields.get("completed_at")
        cells["done"] = "" if completed else "-"
        if completed and "completed" in self.set_meanings:
            cells["completed"] = self.dialect.write_moment(to_local(from_rfc3339(completed), self._zone(fields)))
        cells["notes"] = self._prose(note_text(fields) or exercise_notes)
        cells["set_notes"] = self._prose(note_text(fields))
        return self._filled(cells, self.set_meanings)

    def _planned(self, fields: Fields, cells: Cells) -> None:
        """What was planned for a set; a weight in the unit it was planned in."""
        weight = fields.get("target_weight")
        if weight:
            cells["target_weight"] = self._number("target_weight", weight["value"])
        cells["target_weight_unit"] = self.dialect.unit_words.get(weight["unit"], weight["unit"]) if weight else ""
        for meaning, name in (("target_reps", "target_reps_min"), ("target_rpe", "target_rpe")):
            if (value := fields.get(name)) is not None:
                cells[meaning] = self._number(meaning, value)
        if fields.get("is_amrap"):
            cells["is_amrap"] = "1"

    def _zone(self, fields: Fields) -> ZoneInfo:
        """The zone whose clock the dialect writes; a set's own times are only ever written in UTC."""
        return zone_of("UTC" if self.dialect.utc else fields.get("timezone") or "UTC")

    def orders(self, sets: Sequence[Fields]) -> list[str]:
        """The set-number cells of a block: kept ones where all of them still fit, else counted anew."""
        dialect = self.dialect
        counted, normal = [], dialect.first_index
        has_kinds = "kind" in self.plan.meanings
        for index, fields in enumerate(sets):
            kind = fields.get("kind", "normal")
            word = self.words.get(kind)
            if has_kinds or word is None or kind == "normal":
                counted.append(str(dialect.first_index + index if has_kinds else normal))
                normal += 1
            else:
                counted.append(dialect.write_kind(word))
        kept = [raw_of(f, dialect.name).get("set_order", c) for f, c in zip(sets, counted, strict=True)]
        if kept == counted:
            return counted
        last = -1
        for text, fields in zip(kept, sets, strict=True):
            try:
                _, number, kind = read_order(text, self.kinds)
            except BadCell:
                return counted
            if not has_kinds and (kind or "normal") != fields.get("kind", "normal"):
                return counted
            if number is not None:
                if number <= last:
                    return counted
                last = number
        return kept

    def _prose(self, text: str) -> str:
        return text.replace("\n", "\\n") if self.dialect.literal_newlines else text

    def _kind(self, fields: Fields) -> str:
        word = self.words.get(fields.get("kind", "normal"), self.words["normal"])
        return self.dialect.write_kind(word)

    def _number(self, meaning: str, value: int | float) -> str:
        return write_number(value, self.dialect.decimals.get(meaning, 0))

    def _filled(self, cells: Cells, meanings: set[str]) -> Cells:
        empty = self.dialect.empty
        return {meaning: cells[meaning] if meaning in cells else empty.get(meaning, "") for meaning in meanings}

    # Whether a kept cell still says the same.

    def still_says(self, meaning: str, kept: str, written: str, fields: Fields, raw: Mapping[str, Any]) -> bool:
        """Whether `kept` may stand for `written`, which is what the record says now."""
        try:
            return self._says(meaning, kept, written, fields, raw)
        except (BadCell, ValueError, KeyError, TypeError):
            # Text that never could be read stood for an absent value, and still may.
            return written == self.dialect.empty.get(meaning, "")

    def _says(self, meaning: str, kept: str, written: str, fields: Fields, raw: Mapping[str, Any]) -> bool:
        if meaning in {"start", "end"} and f"{meaning}_clock" in self.workout_meanings:
            return read_moment(kept, True).local.date() == self._local(fields, meaning).date()
        if meaning in {"start_clock", "end_clock"}:
            return self._same_clock(kept, fields, meaning.removesuffix("_clock"))
        if meaning == "completed":
            return self._same_set_time(kept, fields)
        if meaning == "is_amrap":
            return is_yes(kept) == bool(fields.get("is_amrap"))
        if meaning in {"start", "end"}:
            return any(self._same_time(kept, fields, meaning, day_first) for day_first in (True, False))
        if meaning == "duration":
            unit = self.plan.units.get("duration")
            # Beside an end to the minute, the length says the same as long as it is within that minute.
            within = 60 if "end_clock" in self.workout_meanings else 1
            return read_duration(kept, unit or "s") == read_duration(written, unit or "s") or _same_length(
                kept, unit, fields, within
            )
        if meaning == "title":
            return kept[:200] == str(fields.get("title", ""))
        if meaning == "exercise":
            known = raw.get("exercise_id") or derived_id(self.dialect.name, "exercise", plain(kept))
            return bool(known == fields.get("exercise"))
        if meaning == "superset":
            group = fields.get("superset")
            return bool(group == (superset_id(str(fields["workout"]), kept) if kept.strip() else None))
        if meaning in {"workout_notes", "exercise_notes", "notes", "set_notes"}:
            return (kept.replace("\\n", "\n") if self.dialect.literal_newlines else kept) == note_text(fields)
        if meaning == "kind":
            return bool((kind_of(kept, self.dialect.kinds) or "normal") == fields.get("kind", "normal"))
        if meaning in {"weight_unit", "target_weight_unit"}:
            return not written or kept.strip(" .").casefold().startswith(written[:1])
        if meaning in _NUMBERS:
            return self._same_number(meaning, kept, written, raw)
        return True

    def _same_number(self, meaning: str, kept: str, written: str, raw: Mapping[str, Any]) -> bool:
        if meaning == "seconds":
            unit = self.plan.units.get("seconds", "s")
            was, now = read_duration(kept, unit), read_duration(written, unit)
        else:
            was, now = read_number(kept), read_number(written)
        absent = {None, 0} if meaning in self.dialect.zero_is_absent else {None}
        if meaning in raw.get("refused", ()):
            return now in absent
        if was in absent or now in absent:
            return was in absent and now in absent
        assert was is not None and now is not None
        # A weight that was converted on the way in comes out within half a quarter pound of the kept one.
        return was == now or bool(
            meaning == "weight" and (abs(was) == now or ("relabelled" in raw and abs(was - now) <= 0.13))
        )

    def _local(self, fields: Fields, meaning: str) -> datetime:
        """The clock reading that a record has for a column. Raises KeyError where it has none."""
        name = {"start": "started_at", "end": "ended_at", "completed": "completed_at"}[meaning]
        return to_local(from_rfc3339(fields[name]), self._zone(fields))

    def _same_clock(self, kept: str, fields: Fields, meaning: str) -> bool:
        """An empty clock stands for noon, and at the end for what the length tells."""
        if not kept.strip() and meaning == "end":
            return "duration" in self.workout_meanings
        local = self._local(fields, meaning)
        return (read_clock(kept) if kept.strip() else NOON) == local.time().replace(second=0, microsecond=0)

    def _same_set_time(self, kept: str, fields: Fields) -> bool:
        """A cell that tells no time stands beside the workout's end, which the set was given in its stead."""
        try:
            return read_moment(kept).local == self._local(fields, "completed")
        except BadCell:
            return True

    def _same_time(self, kept: str, fields: Fields, meaning: str, day_first: bool) -> bool:
        moment = read_moment(kept, day_first)
        stored = fields.get("started_at" if meaning == "start" else "ended_at")
        zone = zone_of(fields.get("timezone") or "UTC")
        return stored is not None and from_rfc3339(stored) == to_utc(moment, zone)


def _same_length(kept: str, unit: str | None, fields: Fields, within: int) -> bool:
    seconds = read_duration(kept, unit or "s")
    ended, started = fields.get("ended_at"), fields.get("started_at")
    if not ended or not started:
        return not seconds
    length = int((from_rfc3339(ended) - from_rfc3339(started)).total_seconds())
    return seconds is not None and abs(int(seconds) - length) < within


def _in_unit(seconds: int, unit: str) -> str:
    return write_number(round(seconds / {"s": 1, "min": 60, "h": 3600}[unit], 4))


def superset_id(workout: str, number: str) -> str:
    """A group's own id, unique to its workout, from the number that the file gives it."""
    return derived_id(workout, "superset", number.strip())
