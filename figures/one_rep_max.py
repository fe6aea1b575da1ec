"""The one-rep maximum that a set stands for, by the formula a person prefers.

Invariants
    M1  One repetition is no estimate: it is the weight.
    M2  Above REPS_MAX repetitions, and where a formula asks for what was not logged, there is none; nothing is guessed.
"""

from __future__ import annotations

from typing import Final

from figures.quantities import ONE, Quantity, divided

# Above this many an estimate says more about endurance than about a maximum.
REPS_MAX: Final = 12

EPLEY: Final = "epley"
FORMULAS: Final = (EPLEY, "brzycki", "rpe_table")

# The thousandths of the maximum that can be done for 1, 1.5, 2, … repetitions before failure, as lifters' RPE tables
# have it: five repetitions at RPE 9 are six before failure.
_RPE_TABLE: Final = (
    1000, 978, 955, 939, 922, 907, 892, 878, 863, 850, 837, 824, 811, 799, 786, 774, 762, 751, 739, 723,
    707, 694, 680, 667, 653, 640, 626, 613, 599, 586,
)  # fmt: skip


def one_rep_max(
    load: Quantity, reps: Quantity, formula: str = EPLEY, to_failure: Quantity | None = None
) -> Quantity | None:
    """Return the maximum in kg, to the nearest 10⁻¹⁷; None where the formula gives none (M2).

    Args:
        load: the effective load in kg.
        reps: the repetitions that were done.
        formula: one of FORMULAS; a word that is not known gives no estimate.
        to_failure: the repetitions that were left, 10 − RPE; only the RPE table asks for them.
    """
    if load <= 0 or not ONE <= reps <= REPS_MAX * ONE:
        return None
    if reps == ONE:
        return load
    if formula == EPLEY:
        return divided(load * (30 * ONE + reps), 30 * ONE)
    if formula == "brzycki":
        return divided(load * 36 * ONE, 37 * ONE - reps)
    if formula == "rpe_table" and to_failure is not None and to_failure >= 0:
        halves, between = divmod(2 * (reps + to_failure), ONE)
        place = halves - 2
        if not between and place < len(_RPE_TABLE):
            return divided(load * 1000, _RPE_TABLE[place])
    return None
