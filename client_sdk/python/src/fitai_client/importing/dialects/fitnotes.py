"""FitNotes: one row a set, a day at a time; no sessions and no set numbers.

Android writes the unit into the header or a column of its own; older files have no comment, some no header. FitNotes 2
on iOS gives every weight in both units, with notes and a kind. One day is one workout, and the order of the rows is
the order of performance, however often an exercise is returned to: then the sets have `performed_order`.
"""

from __future__ import annotations

from ..dialect import Column, Dialect
from ..moments import write_clock, write_day

_HEADER = (
    "Date", "Exercise", "Category", "Weight", "Weight Unit", "Reps", "Distance", "Distance Unit", "Time", "Comment",
)  # fmt: skip
_EIGHT = ("start", "exercise", "category", "weight", "reps", "distance", "distance_unit", "seconds")

FITNOTES = Dialect(
    name="fitnotes",
    title="FitNotes",
    columns=(
        Column("start", ("date",)),
        Column("exercise", ("exercise",)),
        Column("category", ("category",)),
        Column("weight", ("weight",)),
        Column("weight_unit", ("weight unit",)),
        Column("reps", ("reps",)),
        Column("distance", ("distance",)),
        Column("distance_unit", ("distance unit",)),
        Column("seconds", ("time",)),
        Column("set_notes", ("comment", "comments", "notes")),
        Column("kind", ("kind",)),
    ),
    required=frozenset({"start", "exercise", "category", "reps"}),
    header=_HEADER,
    header_lb=_HEADER,
    key=("start",),
    kinds={
        "normal": "normal",
        "warmup": "warmup",
        "warm up": "warmup",
        "dropset": "drop",
        "drop set": "drop",
        "drop": "drop",
        "failure": "failure",
    },
    write_moment=write_day,
    write_seconds=write_clock,
    positions=(_EIGHT, (*_EIGHT, "set_notes"), (*_EIGHT[:4], "weight_unit", *_EIGHT[4:], "set_notes")),
    unit_words={"kg": "kgs", "lb": "lbs"},
    numbered=False,
)
