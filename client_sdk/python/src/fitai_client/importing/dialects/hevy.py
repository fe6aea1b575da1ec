"""Hevy: 14 columns (13 before supersets were exported), units in the header, dates in the phone's language.

Rows are grouped by exercise within a workout, newest workout first; there are no ids. Times have minutes and no zone.
`superset_id` 0 is a group like any other; `set_index` counts from 0 in each block. Notes hold line breaks as `\\n`.
"""

from __future__ import annotations

from ..dialect import Column, Dialect
from ..moments import write_english

_HEADER = (
    "title", "start_time", "end_time", "description", "exercise_title", "superset_id", "exercise_notes", "set_index",
    "set_type", "weight_kg", "reps", "distance_km", "duration_seconds", "rpe",
)  # fmt: skip

_FOURTEEN = (
    "title", "start", "end", "workout_notes", "exercise", "superset", "exercise_notes", "set_order", "kind", "weight",
    "reps", "distance", "seconds", "rpe",
)  # fmt: skip
_THIRTEEN = tuple(meaning for meaning in _FOURTEEN if meaning != "superset")

HEVY = Dialect(
    name="hevy",
    title="Hevy",
    columns=(
        Column("title", ("title",)),
        Column("start", ("start time",)),
        Column("end", ("end time",)),
        Column("workout_notes", ("description",)),
        Column("exercise", ("exercise title",)),
        Column("superset", ("superset id", "supersets id")),
        Column("exercise_notes", ("exercise notes",)),
        Column("set_order", ("set index",)),
        Column("kind", ("set type",)),
        Column("weight", ("weight",)),
        Column("reps", ("reps",)),
        Column("distance", ("distance",)),
        Column("seconds", ("duration",)),
        Column("rpe", ("rpe",)),
    ),
    required=frozenset({"title", "start", "exercise", "set_order", "kind"}),
    header=_HEADER,
    header_lb=tuple({"weight_kg": "weight_lbs", "distance_km": "distance_miles"}.get(name, name) for name in _HEADER),
    key=("title", "start", "end"),
    kinds={
        "normal": "normal",
        "warmup": "warmup",
        "warm up": "warmup",
        "dropset": "drop",
        "drop set": "drop",
        "drop": "drop",
        "failure": "failure",
    },
    write_moment=write_english,
    positions=(_FOURTEEN, _THIRTEEN),
    quoted=frozenset({"title", "start", "end", "workout_notes", "exercise", "exercise_notes", "kind"}),
    first_index=0,
    newest_first=True,
    literal_newlines=True,
)
