"""Lists of exercises into one's own: what a file would bring, looked at before anything is written. Pure.

Owns: reading a file of free-exercise-db or wger into records of the collection `exercises`, row by row.
Refuses to know: requests, databases, and how records are written.

Invariants
    E1  Ids follow from the source and the row's own id there, so twice the same file brings the same records.
    E2  A row that cannot be read costs itself alone; it is told by its number, field and reason.
    E3  Every record that comes out is one that the write path takes: it was checked by the collection's declaration.
    E4  What is left out is told: words without a place among ours row by row, texts and pictures once for the file.
        (A mat and a bench are no load, and pass.)
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid5

import msgspec

from api.training.exercise_sources import ENGLISH, SOURCES, Facts, Source, is_one_sided, measured
from storage.collections import COLLECTIONS
from sync.records import Edit
from sync.validation import Rejection, check_put

# free-exercise-db has 1 MB, and all of wger with its texts in 30 languages about 10.
BYTES_MAX: Final = 16 * 1_048_576
# Ten times what either has.
ROWS_MAX: Final = 10_000

_NAMESPACE: Final = UUID("b1f5b0c4-3a0e-5d55-9a53-5b8f6a1d7e02")
_EXERCISES: Final = COLLECTIONS["exercises"]
_SETS: Final = tuple(name for name, spec in _EXERCISES.fields.items() if spec.kind == "set")


class NotExercises(ValueError):
    """A file is no list of exercises that is known. The message is one sentence for the user; nothing was read."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A row (from 1) that was not read, or what of it was not. `field` is ours where there is one."""

    row: int
    name: str | None
    field: str | None
    message: str


@dataclass(frozen=True, slots=True)
class NewExercise:
    """A record as it would be written. `values`: every field in plain JSON, a set as its list."""

    id: str
    row: int
    values: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.values["name"])


@dataclass(frozen=True, slots=True)
class ExerciseFile:
    """A file that was read.

    errors: rows that bring no record. warnings: what of other rows was left out.
    left_out: the fields of texts and pictures that the file has and the import does not take.
    """

    app: str
    rows: int
    exercises: tuple[NewExercise, ...]
    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """What an import would do.

    new: what it would write. known: what is there already and would be left as it is, edits included.
    twins: {id of a new one: the id of the exercise that is called the same}, so that the user may leave it out.
    """

    new: tuple[NewExercise, ...]
    known: tuple[NewExercise, ...]
    twins: Mapping[str, str]


def read_exercises(data: bytes, *, app: str | None = None, language: int = ENGLISH) -> ExerciseFile:
    """Read a file: a JSON list of exercises, one exercise, or a page of wger's API with its `results`.

    Args:
        data: the file, UTF-8 with or without a byte order mark.
        app: "free-exercise-db" or "wger"; found by content where it is left out.
        language: of wger's translations, by its id there, which gives an exercise its name; the others become aliases.

    Raises NotExercises, in one sentence, where the file as a whole cannot be read.
    """
    rows = _rows(data)
    source = _source(rows, app)
    exercises: list[NewExercise] = []
    errors: list[Problem] = []
    warnings: list[Problem] = []
    first: dict[str, int] = {}
    for number, raw in enumerate(rows, 1):
        try:
            facts = source.read(raw, language)
        except (msgspec.DecodeError, RecursionError) as error:
            errors.append(_not_read(number, raw, error))
            continue
        made = _record(source, number, facts)
        if isinstance(made, Problem):
            errors.append(made)
        elif made.id in first:
            message = f"it has the id of row {first[made.id]}, and one id is one exercise"
            errors.append(Problem(number, facts.name, None, message))
        else:
            first[made.id] = number
            exercises.append(made)
            warnings += _unread(number, facts)
    left_out = tuple(name for name in source.texts if any(name in _object(raw) for raw in rows))
    return ExerciseFile(source.app, len(rows), tuple(exercises), tuple(errors), tuple(warnings), left_out)


def preview(file: ExerciseFile, stored: Collection[str], names: Mapping[str, str]) -> Preview:
    """What the import of a file would do.

    Args:
        stored: the ids of the exercises that the space shows.
        names: {case-folded name or alias: exercise id} of what the user finds already, the catalog's above all.
    """
    new = tuple(each for each in file.exercises if each.id not in stored)
    known = tuple(each for each in file.exercises if each.id in stored)
    called = {each.id: names.get(each.name.strip().casefold()) for each in new}
    return Preview(new, known, {id: other for id, other in called.items() if other is not None and other != id})


def edits_of(preview: Preview, *, without: Collection[str] = ()) -> list[Edit]:
    """What makes the new exercises, but for the ids `without`, for `Records.write`. What was deleted comes back."""
    return [Edit("put", "exercises", each.id, each.values) for each in preview.new if each.id not in without]


def _rows(data: bytes) -> list[msgspec.Raw]:
    if len(data) > BYTES_MAX:
        raise NotExercises(f"The file has {len(data)} bytes and at most {BYTES_MAX} are read; split it.")
    try:
        whole = msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"), type=msgspec.Raw)
        if bytes(whole).lstrip()[:1] == b"{":
            page = msgspec.json.decode(whole, type=dict[str, msgspec.Raw])
            rows = msgspec.json.decode(page["results"], type=list[msgspec.Raw]) if "results" in page else [whole]
        else:
            rows = msgspec.json.decode(whole, type=list[msgspec.Raw])
    except (msgspec.DecodeError, RecursionError):
        raise NotExercises(
            "The file is no JSON list of exercises; export it again, and change nothing in it."
        ) from None
    if len(rows) > ROWS_MAX:
        raise NotExercises(f"The file has {len(rows)} rows and at most {ROWS_MAX} are read; split it.")
    return rows


def _source(rows: list[msgspec.Raw], app: str | None) -> Source:
    for source in SOURCES:
        if source.app == app or (app is None and any(source.is_row(_object(raw)) for raw in rows)):
            return source
    known = " nor ".join(source.app for source in SOURCES)
    raise NotExercises(
        f"The file holds exercises of neither {known}; name the app it comes from, or choose another file."
    )


def _object(raw: msgspec.Raw) -> Mapping[str, Any]:
    try:
        return msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, RecursionError):
        return {}


def _record(source: Source, number: int, facts: Facts) -> NewExercise | Problem:
    measure, load_mode = measured(facts)
    values: dict[str, Any] = {
        "name": " ".join(facts.name.split()),
        "aliases": sorted({" ".join(alias.split()) for alias in facts.aliases}),
        "category": facts.category,
        "measure": measure,
        "force": facts.force,
        # Nobody said that it is hard.
        "level": facts.level or "beginner",
        "mechanic": facts.mechanic,
        "equipment": sorted(facts.equipment),
        "primary_muscles": sorted(facts.primary_muscles),
        # What works first works not second as well.
        "secondary_muscles": sorted(set(facts.secondary_muscles) - set(facts.primary_muscles)),
        "instructions": [],
        "load_mode": load_mode,
        "is_unilateral": is_one_sided(facts),
        "variation_group": facts.variation and _id(source, f"variation\x1f{facts.variation}"),
        "archived": False,
        "licence": facts.licence,
        "author": facts.author,
        "source_url": facts.source_url,
    }
    id = _id(source, facts.external_id)
    checked = check_put(_EXERCISES, id, {**values, **{name: {"add": values[name]} for name in _SETS}})
    if isinstance(checked, Rejection):
        return Problem(number, facts.name[:100], checked.field, checked.message)
    return NewExercise(id, number, values)


def _id(source: Source, external_id: str) -> str:
    return str(uuid5(_NAMESPACE, f"{source.app}\x1f{external_id}"))


def _unread(number: int, facts: Facts) -> list[Problem]:
    return [
        Problem(number, facts.name, name, f"{', '.join(map(repr, words))} has no place in {name} and was left out")
        for name, words in facts.unread.items()
    ]


def _not_read(number: int, raw: msgspec.Raw, error: Exception) -> Problem:
    name = _object(raw).get("name")
    said = None
    if name is not None:
        try:
            said = msgspec.json.decode(name, type=str)[:100]
        except msgspec.DecodeError:
            said = None
    message, _, path = str(error).partition(" - at `$")
    their_field = path.strip("`.").split("[")[0].split(".")[0] or None
    return Problem(
        number, said, their_field, message if isinstance(error, msgspec.DecodeError) else "it is nested too deeply"
    )
