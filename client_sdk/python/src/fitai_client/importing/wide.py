"""Rows that hold a whole exercise, with columns for each set, to rows of one set each; and back.

Owns the shape alone: what a cell means is the same in both. The long form has the columns that a row has once, then
`set_order`, one column for each of the dialect's `per_set`, and `done`, which is "-" where the set was skipped. Cells
of columns without a meaning go with the first set of their row, and come back from whichever set still has them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from .plan import Plan, normal_header
from .table import Row

_SKIPPED = "-"


class Unfolding:
    """The two shapes of one file. `long` is its plan with one set a row."""

    def __init__(self, wide: Plan) -> None:
        self._wide = wide
        self._once = [i for i, meaning in enumerate(wide.meanings) if "@" not in (meaning or "")]
        self._sets: dict[int, dict[str, int]] = {}
        for index, meaning in enumerate(wide.meanings):
            what, _, number = (meaning or "").partition("@")
            if number:
                self._sets.setdefault(int(number), {})[what] = index
        # A file may lack some: the dialect requires no more than one.
        self._per_set = tuple(
            what for what in wide.dialect.per_set if any(what in columns for columns in self._sets.values())
        )
        self._skipped = next((i for i in self._once if normal_header(wide.header[i])[0] in wide.dialect.skipped), None)
        headers = [self._header_of(what) for what in self._per_set]
        self.long = replace(
            wide,
            header=(*(wide.header[i] for i in self._once), "Set", *headers, "Done"),
            meanings=(*(wide.meanings[i] for i in self._once), "set_order", *self._per_set, "done"),
        )

    def _header_of(self, what: str) -> str:
        """The header of a set's column without its number, to name it in a message."""
        first = next(columns[what] for columns in self._sets.values() if what in columns)
        return re.sub(r"\s*\d+", "", self._wide.header[first], count=1).strip()

    def rows(self, row: Row) -> list[Row]:
        """A row for each set that has a cell filled, and always one for the first: so no exercise without sets is lost,
        and each wide row begins with the lowest number."""
        first = min(self._sets)
        filled = [n for n in sorted(self._sets) if n == first or any(row.cells[i] for i in self._sets[n].values())]
        marks = row.cells[self._skipped].split("/") if self._skipped is not None else []
        found = []
        for place, number in enumerate(filled):
            once = [row.cells[i] if place == 0 or self._wide.meanings[i] else "" for i in self._once]
            columns = self._sets[number]
            of_set = [row.cells[columns[what]] if what in columns else "" for what in self._per_set]
            skipped = number <= len(marks) and marks[number - 1].strip() == _SKIPPED
            done = _SKIPPED if skipped else ""
            found.append(Row(row.line, row.lines, [*once, str(number), *of_set, done]))
        return found

    def fold(self, rows: Iterable[Sequence[str]]) -> tuple[tuple[str, ...], list[list[str]]]:
        """Rows of one set each as wide rows, and the header, widened where an exercise has more sets than it names.

        A new wide row begins where another exercise or workout does, or the sets' numbers start again.
        """
        width = len(self._once)
        same = [k for k, i in enumerate(self._once) if self._wide.meanings[i] in {"start", "start_clock", "exercise"}]
        folded: list[tuple[list[str], dict[int, Sequence[str]]]] = []
        place: list[str] = []
        last = 0
        for row in rows:
            number = int(row[width])
            if [row[k] for k in same] != place or number <= last:
                folded.append((list(row[:width]), {}))
            place, last = [row[k] for k in same], number
            once, sets = folded[-1]
            for k, i in enumerate(self._once):
                if self._wide.meanings[i] is None and not once[k]:
                    once[k] = row[k]
            sets[number] = row[width + 1 : width + 1 + len(self._per_set)]
        header = self._widened(max((max(sets) for _, sets in folded), default=0))
        return header, [self._wide_row(len(header), once, sets) for once, sets in folded]

    def _widened(self, sets: int) -> tuple[str, ...]:
        header = list(self._wide.header)
        last = max(self._sets)
        for number in range(last + 1, sets + 1):
            self._sets[number] = {}
            for what, index in self._sets[last].items():
                self._sets[number][what] = len(header)
                header.append(self._wide.header[index].replace(str(last), str(number), 1))
        return tuple(header)

    def _wide_row(self, width: int, once: Sequence[str], sets: dict[int, Sequence[str]]) -> list[str]:
        row = [""] * width
        for k, i in enumerate(self._once):
            row[i] = once[k]
        for number, cells in sets.items():
            for what, cell in zip(self._per_set, cells, strict=True):
                if (index := self._sets.get(number, {}).get(what)) is not None:
                    row[index] = cell
        return row
