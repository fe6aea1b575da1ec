"""A dialect matched to one file: what each column means. How a file is recognised, by its header or by its shape.

Owns the reading of headers: case, accents, units in parentheses, languages. A header in a language without synonyms is
read by the position of its columns, as far as what is known of it agrees.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from .dialect import Dialect
from .moments import fold, read_moment
from .numbers import LENGTH_UNITS, MASS_UNITS, TIME_UNITS, BadCell, read_number
from .table import DELIMITERS, Lines, is_blank, split

_UNITS = {
    "weight": MASS_UNITS,
    "bodyweight": MASS_UNITS,
    "distance": LENGTH_UNITS,
    "seconds": TIME_UNITS,
    "duration": TIME_UNITS,
}


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
    """What each column means, and the units the header tells; None where it is not this dialect's.

    A column that comes once a set means "reps@3": what, and of which set.
    """
    names = {name: column for column in dialect.columns for name in column.names}
    meanings: list[str | None] = []
    units: dict[str, str] = {}
    for text in header:
        name, unit = normal_header(text)
        column = names.get(f"{name} {unit}" if unit else name) or names.get(name)
        meaning = column.meaning if column else _of_one_set(dialect, name)
        if meaning is None or meaning in meanings:
            meanings.append(None)
            continue
        meanings.append(meaning)
        what = meaning.partition("@")[0]
        known = _UNITS.get(what, {})
        if unit is not None and unit in known:
            units.setdefault(what, known[unit])
        elif column is not None and column.unit is not None:
            units[what] = column.unit
        elif name in known:
            units[what] = known[name]
    if not dialect.required <= set(meanings):
        return None
    return _filled_by_position(dialect, meanings), units


def _of_one_set(dialect: Dialect, name: str) -> str | None:
    for what, pattern in dialect.per_set.items():
        if found := re.fullmatch(pattern, name):
            return f"{what}@{int(found[1])}"
    return None


def _filled_by_position(dialect: Dialect, meanings: list[str | None]) -> tuple[str | None, ...]:
    """Unknown columns by their position, where all known ones stand where a header of the dialect has them."""
    if None in meanings:
        for usual in dialect.positions:
            if len(usual) == len(meanings) and all(m in (None, u) for m, u in zip(meanings, usual, strict=True)):
                return usual
    return tuple(meanings)


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
