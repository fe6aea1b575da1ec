"""Exact quantities: whole numbers inside, decimals outside.

A quantity is an int, counted in 10⁻¹⁷ of its unit: kilograms, metres, seconds, repetitions, or a product of them. So
fine a grain holds whatever is multiplied here without a remainder: a value as entered has 4 decimals, a pound in
kilograms 8, the moved fraction of the body 4, and half a repetition 1. Sums of whole numbers are exact in any order,
and cost a twentieth of what sums of decimals or fractions do.

Refuses to know: what is measured, and how a figure is rounded for showing.

Invariants
    Q1  A value of at most 4 decimals becomes exactly that quantity, whatever float stood for it on the way.
    Q2  What has no unit that is known here has no quantity; nothing is guessed.
    Q3  `exactly` gives the quantity to the last decimal; only `divided` rounds, to the nearest 10⁻¹⁷, half to even.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final, TypeAlias

# A whole number of 10⁻¹⁷ units.
Quantity: TypeAlias = int

_DECIMALS: Final = 17
ONE: Final[Quantity] = 10**_DECIMALS

# Values as entered are read to 4 decimals, which is all that a record holds.
_ENTERED: Final = 10_000

# The international pound and yard, exact by definition (1959).
KILOGRAM: Final[dict[str, Quantity]] = {"kg": ONE, "lb": 45_359_237 * ONE // 10**8}
METRE: Final[dict[str, Quantity]] = {
    "m": ONE,
    "km": 1_000 * ONE,
    "mi": 1_609_344 * ONE // 10**3,
    "yd": 9_144 * ONE // 10**4,
    "ft": 3_048 * ONE // 10**4,
}

# Decimals have 28 digits by default, which a sum of many exact ones may pass.
WIDE: Final = Context(prec=100, rounding=ROUND_HALF_EVEN)


def quantity(value: float, unit: Quantity = ONE) -> Quantity:
    """`value` of a unit, exactly (Q1). A fifth decimal and what is behind it is rounded away."""
    return round(value * _ENTERED) * (unit // _ENTERED)


def times(one: Quantity, other: Quantity) -> Quantity:
    """The product, exact where both together have at most 17 decimals."""
    return one * other // ONE


def divided(numerator: int, denominator: int) -> int:
    """The nearest whole number to the quotient, half to even; the denominator is above 0 (Q3)."""
    whole, rest = divmod(numerator, denominator)
    twice = 2 * rest
    return whole + (twice > denominator or (twice == denominator and whole % 2))


def exactly(value: Quantity) -> Decimal:
    """The quantity in its unit, every decimal of it and no trailing zero: 102.05828325, 500."""
    whole, rest = divmod(abs(value), ONE)
    text = f"{whole}.{rest:0{_DECIMALS}}".rstrip("0").rstrip(".")
    return Decimal(f"-{text}" if value < 0 else text)


def number(value: Decimal, decimals: int = 4) -> int | float:
    """A JSON number of at most `decimals` decimals, as records hold them; half to even. 500 is an int."""
    rounded = value.quantize(Decimal(1).scaleb(-decimals), context=WIDE)
    return int(rounded) if rounded == rounded.to_integral_value() else float(rounded)
