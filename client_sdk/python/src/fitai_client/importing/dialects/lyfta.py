"""Lyfta: one row a set, `null` where nothing was entered, kinds of set in capitals, no set numbers.

The header begins with a space. The unit of weights is nowhere in the file.
"""

from __future__ import annotations

from ..dialect import Column, Dialect

_HEADER = (" Title", "Date", "Duration", "Exercise", "Superset id", "Weight", "Reps", "Distance", "Time", "Set Type")

LYFTA = Dialect(
    name="lyfta",
    title="Lyfta",
    columns=(
        Column("title", ("title",)),
        Column("start", ("date",)),
        Column("duration", ("duration",)),
        Column("exercise", ("exercise",)),
        Column("superset", ("superset id",)),
        Column("weight", ("weight",)),
        Column("reps", ("reps",)),
        Column("distance", ("distance",)),
        Column("seconds", ("time",)),
        Column("kind", ("set type",)),
    ),
    required=frozenset({"title", "start", "exercise", "superset", "kind"}),
    header=_HEADER,
    header_lb=_HEADER,
    key=("start", "title"),
    kinds={
        "normal set": "normal",
        "normal": "normal",
        "warmup set": "warmup",
        "warm up set": "warmup",
        "warmup": "warmup",
        "drop set": "drop",
        "drop": "drop",
        "failure set": "failure",
        "failure": "failure",
        "negative reps": "negative",
        "negative reps set": "negative",
        "back off set": "back_off",
        "back off": "back_off",
        "myo reps set": "myo",
        "myo reps": "myo",
        "rest pause set": "rest_pause",
        "partial reps set": "partial",
        "feeder set": "warmup",
        "top set": "normal",
    },
    write_kind=lambda word: word.upper().replace(" ", "_"),
    decimals={"weight": 3},
    empty={"weight": "null", "reps": "null", "distance": "null", "seconds": "null"},
    quoted=frozenset({"title", "start", "exercise"}),
    numbered=False,
)
