"""Equality of JSON values, and exact sums."""

from __future__ import annotations

import itertools
import sys
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conflict import json_equal
from conflict.values import add_exact, to_number

# Values of pairwise different meaning, each with other spellings of the same.
SPELLINGS: list[list[Any]] = [
    [None],
    [True],
    [False],
    [1, 1.0],
    [0, 0.0, -0.0],
    [2**53 + 1],
    [2**53, float(2**53)],
    [0.1],
    ["1"],
    [""],
    [[], ()],
    [[1, True], [1.0, True], (1, True)],
    [[1, 1]],
    [[True, 1]],
    [{}],
    [{"a": 1, "b": None}, {"b": None, "a": 1.0}],
    [{"a": 1}],
    [{"a": True}],
    [{"a": [{"b": 1}]}, {"a": [{"b": 1.0}]}],
]


def test_j1_values_are_equal_exactly_where_json_means_the_same() -> None:
    spelt = [(meaning, value) for meaning, values in enumerate(SPELLINGS) for value in values]
    for (left, a), (right, b) in itertools.product(spelt, spelt):
        assert json_equal(a, b) == (left == right), (a, b)


@given(st.lists(st.one_of(st.integers(-(10**15), 10**15), st.floats(allow_nan=False, allow_infinity=False))))
def test_j2_a_sum_is_exact_in_any_order(increments: list[int | float]) -> None:
    expected = sum((Fraction(str(i)) for i in increments), Fraction(0))
    for order in (increments, increments[::-1]):
        total = "0"
        for increment in order:
            total = add_exact(total, increment)
        assert Fraction(total) == expected


@pytest.mark.parametrize(
    ("increments", "spelling"),
    [
        ([], "0"),
        ([0.1, 0.2], "0.3"),
        ([2.5, -2.5], "0"),
        ([1e3], "1000"),
        ([-0.0], "0"),
        ([1.50], "1.5"),
        ([1e-7], "0.0000001"),
        ([-3, 0.25], "-2.75"),
    ],
)
def test_a_sum_has_one_plain_spelling(increments: list[int | float], spelling: str) -> None:
    total = "0"
    for increment in increments:
        total = add_exact(total, increment)
    assert total == spelling


@pytest.mark.parametrize(
    ("total", "number"),
    [("0", 0), ("-3", -3), ("12.5", 12.5), ("9223372036854775807", 2**63 - 1), ("0.3", 0.3)],
)
def test_a_sum_is_shown_as_a_whole_number_where_it_is_one(total: str, number: int | float) -> None:
    shown = to_number(total)
    assert (shown, type(shown)) == (number, type(number))


def test_a_sum_that_no_json_number_holds_is_shown_as_the_nearest_that_one_does() -> None:
    total = add_exact(add_exact("0", sys.float_info.max), sys.float_info.max)
    assert to_number(total) == sys.float_info.max
    assert to_number("-" + total) == -sys.float_info.max
    assert msgspec.json.decode(msgspec.json.encode(to_number(str(2**70)))) == float(2**70)
