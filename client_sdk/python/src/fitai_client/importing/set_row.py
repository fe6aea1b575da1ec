"""One row of a log with typed values: what passes from the reading of rows to the making of records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .moments import Moment
from .numbers import Number

Role = Literal["set", "rest", "note"]


@dataclass(slots=True)
class SetRow:
    """A row, read. `role` tells a set from the rows that only say how long to rest or carry a note."""

    line: int
    lines: int
    cells: list[str]
    start: Moment
    exercise: str
    role: Role = "set"
    title: str = ""
    end: Moment | None = None
    duration_s: Number | None = None
    workout_notes: str = ""
    superset: str = ""
    exercise_notes: str = ""
    notes: str = ""
    set_notes: str = ""
    number: int | None = None
    kind: str = "normal"
    reps: Number | None = None
    weight: Number | None = None
    mass_unit: str = "kg"
    load_mode: str = "none"
    distance: Number | None = None
    length_unit: str = "km"
    seconds: Number | None = None
    rpe: Number | None = None
    bodyweight: Number | None = None
    bodyweight_unit: str = "kg"
    workout_number: str = ""
    done: bool = True
    completed: Moment | None = None
    is_amrap: bool = False
    target_reps: Number | None = None
    target_weight: Number | None = None
    target_mass_unit: str = "kg"
    target_rpe: Number | None = None
