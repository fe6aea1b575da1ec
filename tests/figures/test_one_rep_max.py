"""The one-rep maximum by each formula, and where there is none."""

from __future__ import annotations

from fractions import Fraction as F

import pytest

from figures.one_rep_max import REPS_MAX, one_rep_max
from figures.quantities import ONE, quantity


def estimate(load: float, reps: float, formula: str = "epley", left: float | None = None) -> F | None:
    found = one_rep_max(quantity(load), quantity(reps), formula, quantity(left) if left is not None else None)
    return F(found, ONE) if found is not None else None


def near(found: F | None, expected: F) -> bool:
    """To the seventeenth decimal."""
    return found is not None and abs(found - expected) <= F(1, 2 * ONE)


@pytest.mark.parametrize("formula", ["epley", "brzycki", "rpe_table"])
def test_one_repetition_is_the_weight(formula: str) -> None:
    assert estimate(102.5, 1, formula) == F("102.5")


def test_epley_adds_a_thirtieth_for_each_repetition() -> None:
    assert near(estimate(100, 2), 100 + F(200, 30))
    assert estimate(100, 12) == 140
    assert near(estimate(100, 5.5), 100 + F(550, 30))


def test_brzycki_divides_by_what_is_left_of_thirty_seven() -> None:
    assert near(estimate(100, 5, "brzycki"), F(3600, 32))
    assert near(estimate(100, 12, "brzycki"), F(3600, 25))


def test_the_rpe_table_asks_for_repetitions_before_failure() -> None:
    assert estimate(863, 5, "rpe_table", 0) == 1000
    assert estimate(811, 5, "rpe_table", 2) == 1000
    assert estimate(824, 5, "rpe_table", 1.5) == 1000


def test_the_rpe_table_gives_none_without_an_effort_and_beyond_its_end() -> None:
    assert estimate(100, 5, "rpe_table") is None
    assert estimate(100, 12, "rpe_table", 3.5) is not None
    assert estimate(100, 12, "rpe_table", 4) is None
    assert estimate(100, 5, "rpe_table", 1.25) is None


@pytest.mark.parametrize(("load", "reps"), [(100, REPS_MAX + 0.5), (100, 13), (100, 0), (100, 0.5), (0, 5)])
def test_there_is_no_estimate_of_more_than_twelve_repetitions_of_none_or_of_no_load(load: float, reps: float) -> None:
    assert estimate(load, reps) is None


def test_a_formula_that_is_not_known_gives_none() -> None:
    assert estimate(100, 5, "wathan") is None
