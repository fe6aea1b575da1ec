"""The merge kernel: what a record is after a change, and what it shows.

Pure functions over values: no I/O, no clock, no database, no knowledge of the wire. `__all__` is its public surface;
`conflict.clock`, `conflict.vectors`, `conflict.text` and `conflict.invariants` are used by their module names.
"""

from conflict import clock, invariants, text, vectors
from conflict.errors import BadHlc, BadText, BrokenInvariant, KernelError, RecordFull, TooLong, UnknownField
from conflict.record import (
    EMPTY,
    Change,
    Loser,
    RecordState,
    Shown,
    apply,
    counts,
    decode,
    encode,
    is_deleted,
    parent_id,
    puts_at_or_below,
    raise_below,
    show,
    unread_texts,
    with_text,
)
from conflict.rules import CollectionRules, FieldRules
from conflict.values import json_equal
from conflict.vectors import Vector

__all__ = [
    "EMPTY",
    "BadHlc",
    "BadText",
    "BrokenInvariant",
    "Change",
    "CollectionRules",
    "FieldRules",
    "KernelError",
    "Loser",
    "RecordFull",
    "RecordState",
    "Shown",
    "TooLong",
    "UnknownField",
    "Vector",
    "apply",
    "clock",
    "counts",
    "decode",
    "encode",
    "invariants",
    "is_deleted",
    "json_equal",
    "parent_id",
    "puts_at_or_below",
    "raise_below",
    "show",
    "text",
    "unread_texts",
    "vectors",
    "with_text",
]
