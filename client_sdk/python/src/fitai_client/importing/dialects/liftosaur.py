"""Liftosaur: one row a set, times to the millisecond in UTC, what was planned beside what was done.

Older files have one weight and one RPE, newer ones a required and a completed one. A set that was not done has nothing
completed. The program, the muscles and the app's own questions are kept in `source.raw`.
"""

from __future__ import annotations

from datetime import datetime

from ..dialect import Column, Dialect

_HEADER = (
    "Workout DateTime", "Program", "Day Name", "Exercise", "Is Warmup Set?", "Required Reps", "Completed Reps",
    "Is AMRAP?", "Required RPE", "Completed RPE", "Log RPE?", "Required Weight Value", "Required Weight Unit",
    "Completed Weight Value", "Completed Weight Unit", "Ask Weight?", "Completed Reps Time", "Target Muscles",
    "Synergist Muscles", "Notes",
)  # fmt: skip


def _write_instant(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"


LIFTOSAUR = Dialect(
    name="liftosaur",
    title="Liftosaur",
    columns=(
        Column("start", ("workout datetime",)),
        Column("title", ("day name",)),
        Column("exercise", ("exercise",)),
        Column("kind", ("is warmup set",)),
        Column("target_reps", ("required reps",)),
        Column("reps", ("completed reps",)),
        Column("is_amrap", ("is amrap",)),
        Column("target_rpe", ("required rpe",)),
        Column("rpe", ("completed rpe", "rpe")),
        Column("target_weight", ("required weight value",)),
        Column("target_weight_unit", ("required weight unit",)),
        Column("weight", ("completed weight value", "weight value")),
        Column("weight_unit", ("completed weight unit", "weight unit")),
        Column("completed", ("completed reps time",)),
        Column("exercise_notes", ("notes",)),
    ),
    required=frozenset({"start", "exercise", "kind", "reps"}),
    header=_HEADER,
    header_lb=_HEADER,
    key=("start", "title"),
    kinds={"0": "normal", "1": "warmup"},
    write_moment=_write_instant,
    empty={"is_amrap": "0"},
    numbered=False,
    utc=True,
    done_by=frozenset({"reps"}),
)
