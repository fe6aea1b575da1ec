"""StrongLifts: one row an exercise, with columns for the repetitions and the weight of each set.

The date stands apart from the times of day, the length is in hours, and what the app works out itself (volume, its own
one-rep maximum) is kept in `source.raw`. A set that was skipped has 0 repetitions and a "-" in the summary of the sets.
The body's weight has a unit of its own, which need not be that of the weights.
"""

from __future__ import annotations

from datetime import datetime

from ..dialect import Column, Dialect

_HEADER = (
    "Date (yyyy/mm/dd)", "Workout", "Workout Name", "Program Name", "Body Weight (KG)", "Exercise", "Sets×Reps",
    "Sets×Time", "Top Set (Reps×KG)", "e1RM (KG)", "Reps", "Volume (KG)", "Workout Volume (KG)", "Duration (hours)",
    "Start Time (h:mm)", "End Time (h:mm)", "Notes",
    *(f"Set {number} ({what})" for number in range(1, 6) for what in ("Reps", "KG")),
)  # fmt: skip


def _write_date(local: datetime) -> str:
    return f"{local:%Y/%m/%d}"


STRONGLIFTS = Dialect(
    name="stronglifts",
    title="StrongLifts",
    columns=(
        Column("start", ("date", "date yyyy mm dd")),
        Column("workout_number", ("workout", "workout number", "workout #")),
        Column("title", ("workout name",)),
        Column("bodyweight", ("body weight", "bodyweight")),
        Column("exercise", ("exercise", "exercise name")),
        Column("duration", ("duration",), unit="h"),
        Column("start_clock", ("start time", "start time h mm")),
        Column("end_clock", ("end time", "end time h mm")),
        Column("exercise_notes", ("notes", "note")),
    ),
    required=frozenset({"start", "exercise", "reps@1"}),
    header=_HEADER,
    header_lb=tuple(name.replace("KG", "LB") for name in _HEADER),
    key=("start", "title", "workout_number"),
    kinds={"normal": "normal"},
    write_moment=_write_date,
    done_by=frozenset({"reps"}),
    per_set={"reps": r"set (\d+) reps", "weight": r"set (\d+)(?: weight)?"},
    skipped=("sets × reps", "setsxreps", "sets x reps"),
)
