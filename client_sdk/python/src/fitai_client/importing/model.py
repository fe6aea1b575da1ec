"""What an import hands back: writes, the rows it could not read, the values it doubts, and a preview.

Owns the shapes that pass between the importer and the SDK around it. Knows no file format.

Invariants
    I1  Every row of a file is either imported or reported: `rows_imported + sum of RowError.rows == rows_read`.
    I2  Ids and values depend on the file, the time zone, the unit and the names alone, so the same call twice gives
        the same import. `now` moves no value; it only decides which dates are doubted as lying in the future.
    I3  A cell that its record's fields would not reproduce is kept, as text, in `source.raw`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from .dialect import Dialect

UnitSource = Literal["header", "column", "given", "remembered", "guessed", "none"]


class NotATrainingLog(ValueError):
    """The file is no export that the importers know; nothing was read. Ask the user for another file."""

    code = "not_a_training_log"
    retryable = False


class Write(NamedTuple):
    """One put. `fields["notes"]` of a workout or a workout exercise is a plain string (the SDK makes the Yjs update),
    and a set field, such as an exercise's `equipment`, is a sorted list of its members."""

    collection: str
    id: str
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RowError:
    """A row that was not imported. `line` counts from 1 as a text editor does; `lines` is how many it takes."""

    line: int
    reason: str
    text: str
    lines: int = 1


@dataclass(frozen=True, slots=True)
class Doubt:
    """A value that was read but is suspicious, or that no field can hold (then only `source.raw` has it)."""

    line: int
    field: str
    value: str
    reason: str


class Candidate(NamedTuple):
    """An exercise whose name is like one in the file; `likeness` is between 0 and 1."""

    exercise: str
    name: str
    likeness: float


@dataclass(frozen=True, slots=True)
class Layout:
    """How the file itself was written; hand it to `write_csv` to get the same bytes back.

    `quoted` holds the positions of the columns whose every cell stood in quotes. A file in Windows-1252 is written in
    it again as long as all of it can be; everything else is written in UTF-8.
    """

    header: tuple[str, ...]
    has_header: bool = True
    delimiter: str = ","
    newline: str = "\n"
    final_newline: bool = True
    byte_order_mark: bool = False
    encoding: str = "utf-8"
    header_quoted: bool = False
    quoted: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Preview:
    """What the user sees before anything is written.

    `weight_unit_sure` is between 0.5 and 1. `looks_like` names the other unit where the weights are round numbers only
    in that one ("this log was kept in lb"), `looks_like_sure` which share of them: offer it, and read again with
    `unit=` if the user agrees. `matched` maps names in the file to the exercises that `names` resolved them to;
    `unmatched` become custom ones, unless the user picks one of `candidates`, best first, and it is handed in again.
    `candidates` are of the first 200 of the `unmatched`.
    """

    dialect: str
    encoding: str
    delimiter: str
    first_date: date | None
    last_date: date | None
    workouts: int
    exercises: int
    sets: int
    weight_unit: str
    weight_unit_from: UnitSource
    weight_unit_sure: float
    distance_unit: str
    distance_unit_from: UnitSource
    looks_like: str | None
    looks_like_sure: float
    matched: Mapping[str, str]
    unmatched: tuple[str, ...]
    candidates: Mapping[str, tuple[Candidate, ...]]
    errors: int
    warnings: int


@dataclass(frozen=True, slots=True)
class Import:
    """A file, read. Nothing is written yet.

    `id` is derived from the file's bytes and stands in `source.import` of every workout, so that one import can be
    undone as a whole. Write `exercises` first, leaving out ids that exist already, then `groups` in their order: one
    group is one workout with everything below it, as it stands in the file. (A workout of more than
    `GROUP_WRITES_MAX` records, or more bytes than a batch takes, becomes several groups, parents first.)
    """

    id: str
    dialect: Dialect
    layout: Layout
    groups: list[list[Write]]
    exercises: list[list[Write]]
    errors: list[RowError]
    warnings: list[Doubt]
    preview: Preview
    rows_read: int
    rows_imported: int
    header_lines: int = 1
    blank_lines: int = 0
    imported_lines: frozenset[int] = field(default=frozenset(), repr=False)
