"""What a row says, against what is possible and what is likely.

Owns the ranges of the data model: a value outside them would be refused with its whole group, so it is left out of the
fields, kept in `source.raw`, and doubted. What is possible but unlikely is doubted and kept.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from .names import is_body_itself, load_mode
from .numbers import METRES, Number
from .set_row import SetRow

REPS_MAX = 10_000
MASS_MAX = {"kg": 2_000, "lb": 4_409}
LENGTH_MAX_M = 10_000_000
DURATION_S_MAX = 604_800
REPS_DOUBTED = 1_000
MASS_DOUBTED = {"kg": 1_361, "lb": 3_000}


def judge(read: SetRow, doubt: Callable[[SetRow, str, object, str], None]) -> None:
    """Leave out what no field may hold, and doubt what is unlikely."""
    if read.reps is not None:
        if not 0 <= read.reps <= REPS_MAX or read.reps * 2 % 1:
            doubt(read, "reps", read.reps, f"is not 0 to {REPS_MAX:,} in halves; kept in the source only")
            read.reps = None
        elif read.reps >= REPS_DOUBTED:
            doubt(read, "reps", read.reps, f"is {REPS_DOUBTED:,} or more")
    if read.weight is not None:
        size = abs(read.weight)
        if size > MASS_MAX[read.mass_unit]:
            doubt(read, "weight", read.weight, "is more than 2,000 kg; kept in the source only")
            read.weight = None
        elif size > MASS_DOUBTED[read.mass_unit]:
            doubt(read, "weight", read.weight, "is more than 3,000 lb")
    if read.distance is not None and not 0 <= Decimal(str(read.distance)) * METRES[read.length_unit] <= LENGTH_MAX_M:
        doubt(read, "distance", read.distance, "is no distance; kept in the source only")
        read.distance = None
    if read.role == "set" and read.seconds is not None and not 0 <= read.seconds <= DURATION_S_MAX:
        doubt(read, "duration_s", read.seconds, "is longer than a week; kept in the source only")
        read.seconds = None
    if not _is_effort(read.rpe):
        doubt(read, "rpe", read.rpe, "is not 0 to 10 in halves; kept in the source only")
        read.rpe = None
    if read.role == "set":
        # A set that was not done counts as it would have.
        reps = read.target_reps if read.reps is None else read.reps
        weight = read.target_weight if read.weight is None else read.weight
        read.load_mode = load_mode(read.exercise, reps, weight, read.mass_unit)
        if read.reps is not None and is_body_itself(read.exercise, read.weight, read.mass_unit):
            doubt(read, "weight", read.weight, "is probably the body's own weight; read as external load")
        if read.load_mode == "assisted" and read.weight is not None:
            read.weight = abs(read.weight)
        elif read.weight is not None and read.weight < 0:
            doubt(read, "weight", read.weight, "is negative without repetitions; kept in the source only")
            read.weight = None
    _judge_targets(read, doubt)


def _judge_targets(read: SetRow, doubt: Callable[[SetRow, str, object, str], None]) -> None:
    """What was planned is left out where no field may hold it; nobody lifted it, so it is not doubted as unlikely."""
    reason = "is out of range; kept in the source only"
    if read.target_reps is not None and (not 0 <= read.target_reps <= REPS_MAX or read.target_reps * 2 % 1):
        doubt(read, "target_reps_min", read.target_reps, reason)
        read.target_reps = None
    if read.target_weight is not None and not 0 <= read.target_weight <= MASS_MAX[read.target_mass_unit]:
        doubt(read, "target_weight", read.target_weight, reason)
        read.target_weight = None
    if not _is_effort(read.target_rpe):
        doubt(read, "target_rpe", read.target_rpe, reason)
        read.target_rpe = None


def _is_effort(rpe: Number | None) -> bool:
    return rpe is None or (0 <= rpe <= 10 and rpe * 2 % 1 == 0)
