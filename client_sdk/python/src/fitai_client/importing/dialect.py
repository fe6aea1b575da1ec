"""What a dialect is: one declaration of how an app writes its log. The recognition of a file by its header.

A dialect names columns by *meaning*; the reader and the writer work on meanings alone. Meanings of a workout: title,
start, end, duration, workout_notes, workout_number, bodyweight. Of an exercise in a workout: exercise, superset,
exercise_notes, category. Of a set: set_order, kind, weight, weight_unit, reps, distance, distance_unit, seconds, rpe,
notes, set_notes. A column of another name keeps its text in `source.raw`; so does a category.

`notes` is a column of which only the rows can tell whether it speaks of the exercise or of single sets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from .moments import fold, write_iso
from .numbers import LENGTH_UNITS, MASS_UNITS, TIME_UNITS, BadCell, Number
from .table import DELIMITERS, Lines, is_blank, split

WORKOUT_MEANINGS = frozenset({"title", "start", "end", "duration", "workout_notes", "workout_number", "bodyweight"})
EXERCISE_MEANINGS = frozenset({"exercise", "superset", "exercise_notes", "category"})

_UNITS = {
    "weight": MASS_UNITS,
    "bodyweight": MASS_UNITS,
    "distance": LENGTH_UNITS,
    "seconds": TIME_UNITS,
    "duration": TIME_UNITS,
}


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


@dataclass(frozen=True, slots=True)
class Plan:
    """A dialect matched to one file: what each of its columns means, and in which unit."""

    dialect: Dialect
    delimiter: str
    header: tuple[str, ...]
    header_quoted: bool
    meanings: tuple[str | None, ...]
    units: Mapping[str, str]
    first_line: int
    """Index of the first line below the header."""
    has_header: bool = True

    def index(self, meaning: str) -> int | None:
        return self.meanings.index(meaning) if meaning in self.meanings else None


def normal_header(text: str) -> tuple[str, str | None]:
    """A header's folded name and its unit: "Weight (lbs)" and "weight_lbs" are both ("weight", "lbs")."""
    words = re.findall(r"[^\W_]+|#|×", fold(text.replace("'", " ").replace("’", " ")))
    if len(words) > 1 and any(words[-1] in units for units in (MASS_UNITS, LENGTH_UNITS, TIME_UNITS)):
        return " ".join(words[:-1]), words[-1]
    return " ".join(words), None


def match_header(dialect: Dialect, header: list[str]) -> tuple[tuple[str | None, ...], dict[str, str]] | None:
    """What each column means, and the units the header tells; None where it is not this dialect's."""
    names = {name: column for column in dialect.columns for name in column.names}
    meanings: list[str | None] = []
    units: dict[str, str] = {}
    for text in header:
        name, unit = normal_header(text)
        column = names.get(f"{name} {unit}" if unit else name) or names.get(name)
        if column is None or column.meaning in meanings:
            meanings.append(None)
            continue
        meanings.append(column.meaning)
        known = _UNITS.get(column.meaning, {})
        if unit is not None and unit in known:
            units[column.meaning] = known[unit]
        elif column.unit is not None:
            units[column.meaning] = column.unit
        elif name in known:
            units[column.meaning] = known[name]
    return (tuple(meanings), units) if dialect.required <= set(meanings) else None


def match(lines: Lines, dialects: tuple[Dialect, ...]) -> Plan | None:
    """The dialect whose header explains most columns of the file, or whose shape its first row has."""
    at = 0
    while at < len(lines.texts) and (is_blank(lines.texts[at]) or re.fullmatch(r'"?sep=.?"?', lines.texts[at])):
        at += 1
    if at == len(lines.texts) or len(lines.texts[at]) > 10_000:
        return None
    text = lines.texts[at].lstrip("\ufeff").replace("\x00", "")
    best: Plan | None = None
    most = 0
    for delimiter in DELIMITERS:
        parsed = split(text, delimiter)
        if isinstance(parsed, bool):
            continue
        cells, quoted = parsed
        filled = [cell for cell in cells if cell.strip()]
        if len(filled) == 1 and any(d in filled[0] for d in DELIMITERS):
            # A spreadsheet saved the whole line as one quoted cell.
            parsed = split(filled[0], delimiter)
            if isinstance(parsed, bool):
                continue
            cells, quoted = parsed
        while len(cells) > 1 and not cells[-1].strip():
            cells = cells[:-1]
        for dialect in dialects:
            if found := match_header(dialect, cells):
                meanings, units = found
                score = sum(meaning is not None for meaning in meanings) * 100 - len(cells)
                if score > most:
                    most = score
                    all_quoted = all(quoted[: len(cells)])
                    best = Plan(dialect, delimiter, tuple(cells), all_quoted, meanings, units, at + 1)
    return best or _match_shape(lines, at, dialects)


def _match_shape(lines: Lines, at: int, dialects: tuple[Dialect, ...]) -> Plan | None:
    """By position: a header in a language without an entry here, or none at all, above rows of a known shape."""
    from .moments import read_moment

    for first in (at + 1, at):
        if first >= len(lines.texts):
            continue
        for delimiter in DELIMITERS:
            parsed, above = split(lines.texts[first], delimiter), split(lines.texts[at].replace("\x00", ""), delimiter)
            if isinstance(parsed, bool) or isinstance(above, bool):
                continue
            cells, header = parsed[0], above[0]
            for dialect in dialects:
                for meanings in dialect.positions:
                    if len(cells) != len(meanings) or len(header) != len(meanings):
                        continue
                    try:
                        if not _has_shape(dict(zip(meanings, cells, strict=True))):
                            continue
                    except BadCell:
                        continue
                    if first == at:
                        header = list(meanings)
                    units = {}
                    for text, meaning in zip(header, meanings, strict=True):
                        _, unit = normal_header(text)
                        if unit and unit in _UNITS.get(meaning, {}):
                            units[meaning] = _UNITS[meaning][unit]
                    try:
                        read_moment(header[meanings.index("start")])
                    except BadCell:
                        return Plan(
                            dialect, delimiter, tuple(header), all(above[1]), meanings, units, first, first > at
                        )
    return None


def _has_shape(cells: Mapping[str, str]) -> bool:
    """Whether a row's cells can mean what their positions say: the numbers are numbers, the names are not."""
    from .moments import read_moment
    from .numbers import read_number

    read_moment(cells["start"])
    for meaning in ("weight", "reps", "rpe", "distance"):
        read_number(cells.get(meaning, ""))
    if not re.fullmatch(r"\d{1,3}|[A-Za-z_ ]{1,12}", cells.get("set_order", "1")):
        return False
    return bool(re.search(r"[^\W\d_]", cells["exercise"]))


def default_plan(dialect: Dialect, mass_unit: str) -> Plan:
    """How a file is written where no layout of an import is at hand."""
    header = dialect.header_lb if mass_unit == "lb" else dialect.header
    return plan_of(dialect, header)


def plan_of(dialect: Dialect, header: tuple[str, ...]) -> Plan:
    """The plan of a file with this header; columns it does not know keep their text."""
    found = match_header(dialect, list(header))
    if found is None:
        by_width = next((p for p in dialect.positions if len(p) == len(header)), None)
        meanings: tuple[str | None, ...] = by_width or tuple(None for _ in header)
        return Plan(dialect, dialect.delimiter, header, False, meanings, {}, 1)
    return Plan(dialect, dialect.delimiter, header, False, found[0], found[1], 1)
