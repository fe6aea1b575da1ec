"""Fitbod: one row a set, times with their offset from UTC, 0 where nothing was entered, no titles and no set numbers.

All sets of a workout have its time. Incline, resistance and the weight's multiplier are kept in `source.raw`.
"""

from __future__ import annotations

from datetime import datetime

from ..dialect import Column, Dialect

_HEADER = (
    "Date", "Exercise", "Reps", "Weight(kg)", "Duration(s)", "Distance(m)", "Incline", "Resistance", "isWarmup", "Note",
    "multiplier",
)  # fmt: skip


def _write_instant(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} +0000"


FITBOD = Dialect(
    name="fitbod",
    title="Fitbod",
    columns=(
        Column("start", ("date",)),
        Column("exercise", ("exercise",)),
        Column("reps", ("reps",)),
        Column("weight", ("weight",)),
        Column("seconds", ("duration",)),
        Column("distance", ("distance",)),
        Column("kind", ("iswarmup",)),
        Column("set_notes", ("note",)),
    ),
    required=frozenset({"start", "exercise", "reps", "kind"}),
    header=_HEADER,
    header_lb=tuple("Weight(lbs)" if name == "Weight(kg)" else name for name in _HEADER),
    key=("start",),
    # A German spreadsheet writes the two in its own language.
    kinds={"false": "normal", "true": "warmup", "falsch": "normal", "wahr": "warmup"},
    write_moment=_write_instant,
    utc=True,
    decimals={"weight": 1, "seconds": 1, "distance": 1},
    empty={"reps": "0", "distance": "0.0", "seconds": "0.0"},
    zero_is_absent=frozenset({"reps", "distance", "seconds"}),
    numbered=False,
)
