"""Quantities are exact: what was entered, its conversions, and sums in whatever order."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from figures.quantities import KILOGRAM, METRE, ONE, divided, exactly, number, quantity, times

entered = st.integers(-(10**13), 10**13).map(lambda n: n / 10_000)


@given(entered)
def test_a_value_of_four_decimals_is_exactly_that_whatever_float_stands_for_it(value: float) -> None:
    assert Fraction(quantity(value), ONE) == Fraction(str(value))
    assert exactly(quantity(value)) == Decimal(str(value))


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [(225, "lb", "102.05828325"), (0.0001, "lb", "0.000045359237"), (102.5, "kg", "102.5")],
)
def test_masses_are_converted_by_the_international_pound(value: float, unit: str, expected: str) -> None:
    assert exactly(quantity(value, KILOGRAM[unit])) == Decimal(expected)


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [(1, "mi", "1609.344"), (100, "yd", "91.44"), (6, "ft", "1.8288"), (5.25, "km", "5250"), (400, "m", "400")],
)
def test_lengths_are_converted_by_the_international_yard(value: float, unit: str, expected: str) -> None:
    assert exactly(quantity(value, METRE[unit])) == Decimal(expected)


def test_the_longest_product_of_a_log_has_no_remainder() -> None:
    body, fraction, reps = quantity(0.0001, KILOGRAM["lb"]), quantity(0.0001), quantity(0.5)
    exact = Fraction("0.45359237") / 10_000 / 10_000 / 2
    assert Fraction(times(times(body, fraction), reps), ONE) == exact


@given(st.lists(entered, max_size=30), st.randoms())
def test_a_sum_is_the_same_in_every_order(values: list[float], chance: Any) -> None:
    shuffled = values.copy()
    chance.shuffle(shuffled)
    total = sum(quantity(value) for value in shuffled)
    assert Fraction(total, ONE) == sum((Fraction(str(value)) for value in values), Fraction(0))


@given(st.integers(-(10**6), 10**6), st.integers(1, 1000))
@example(5, 2)
@example(7, 2)
@example(-5, 2)
def test_a_quotient_is_the_nearest_whole_number_half_to_even(numerator: int, denominator: int) -> None:
    assert divided(numerator, denominator) == round(Fraction(numerator, denominator))


def test_a_decimal_has_no_zeros_behind_it_and_no_exponent() -> None:
    assert [str(exactly(quantity(value))) for value in (500, 0, 0.5, -2.25)] == ["500", "0", "0.5", "-2.25"]


def test_a_json_number_has_four_decimals_at_most() -> None:
    assert number(Decimal("102.05828325")) == 102.0583
    assert number(Decimal("116.66666666666666667")) == 116.6667
    assert repr(number(Decimal("500"))) == "500"
    assert number(Decimal(10) ** 25 + Decimal("0.00005"), 4) == 10**25
