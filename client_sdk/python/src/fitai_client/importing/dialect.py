"""What a dialect is: one declaration of how an app writes its log. How a file is recognised by it is plan.py's.

A dialect names columns by *meaning*; the reader and the writer work on meanings alone. Meanings of a workout: title,
start, start_clock, end, end_clock, duration, workout_notes, workout_number, bodyweight. Of an exercise in a workout:
exercise, superset, exercise_notes, category. Of a set: set_order, kind, weight, weight_unit, reps, distance,
distance_unit, seconds, rpe, notes, set_notes, completed, done, is_amrap, target_reps, target_weight,
target_weight_unit, target_rpe. A column of another name keeps its text in `source.raw`; so does a category.

`notes` is a column of which only the rows can tell whether it speaks of the exercise or of single sets. `start_clock`
and `end_clock` are times of day beside a `start` that is a bare date.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from .moments import write_iso, write_time
from .numbers import Number

WORKOUT_MEANINGS = frozenset(
    {
        "title", "start", "start_clock", "end", "end_clock", "duration", "workout_notes", "workout_number",
        "bodyweight",
    }
)  # fmt: skip
EXERCISE_MEANINGS = frozenset({"exercise", "superset", "exercise_notes", "category"})


@dataclass(frozen=True, slots=True)
class Column:
    """A meaning and the headers it goes by: folded, words separated by one space, without the unit.

    `unit` is the unit of a column whose name says none.
    """

    meaning: str
    names: tuple[str, ...]
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one app writes its log.

    Args:
        name: stands in `source.app` and in every derived id; never changes.
        required: meanings without which a header is not this dialect's.
        header, header_lb: the header to write, for metric and for imperial logs.
        key: the meanings that tell one workout from another.
        kinds: the app's words for kinds of set, folded, to ours. The first word of each kind is the one written.
        positions: meanings by position, for headers in an unknown language or files without one.
        decimals: how many decimals a meaning's numbers have at least; empty: what is written where there is no value.
        zero_is_absent: meanings where 0 stands for "nothing entered".
        quoted: meanings that are always written in quotes.
        unit_words: how the app spells our units, where it spells them differently.
        first_index: the number of a block's first set, where sets are numbered.
        numbered: whether sets are numbered; where they are not, all rows of an exercise in a workout are one block.
        write_kind: spells a word of `kinds` as the app does.
        utc: times are instants in UTC; elsewhere they are the clock of the place where the workout was.
        done_by: meanings of which a set has at least one where it was done; none here: whatever is listed was done.
        per_set: meanings that have a column for each set of a row, and the pattern of their headers (folded, without
            the unit) with the set's number in it; such a row is one exercise.
        skipped: the column, by header, that marks a set that was left out by "-" in its place: "5/5/-/5".
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    required: frozenset[str]
    header: tuple[str, ...]
    header_lb: tuple[str, ...]
    key: tuple[str, ...]
    kinds: Mapping[str, str]
    write_moment: Callable[[datetime], str] = write_iso
    write_time: Callable[[datetime], str] = write_time
    write_seconds: Callable[[Number], str] | None = None
    positions: tuple[tuple[str, ...], ...] = ()
    decimals: Mapping[str, int] = field(default_factory=dict)
    empty: Mapping[str, str] = field(default_factory=dict)
    zero_is_absent: frozenset[str] = frozenset()
    quoted: frozenset[str] = frozenset()
    delimiter: str = ","
    unit_words: Mapping[str, str] = field(default_factory=dict)
    first_index: int = 1
    newest_first: bool = False
    literal_newlines: bool = False
    numbered: bool = True
    write_kind: Callable[[str], str] = str
    utc: bool = False
    done_by: frozenset[str] = frozenset()
    per_set: Mapping[str, str] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
