"""JSON values: when two are the same, and exact decimal sums of JSON numbers.

Owns what Python gets wrong about JSON: True == 1 here, and 0.1 + 0.2 is not 0.3.

Invariants
    J1  Numbers are equal by value, whatever their spelling (8 is 8.0); true is no number; objects are equal whatever
        the order of their names.
    J2  A sum is exact, whatever doubles it is made of, and in whatever order.
"""

from __future__ import annotations

import sys
from decimal import Context, Decimal, Inexact
from typing import Any

# The sum of any doubles is exact in this many digits: they reach from 10^-324 to 10^309, and the rest is room
# for more summands than there can be. Anything inexact raises: it would be a bug.
_EXACT = Context(prec=800, traps=[Inexact])
_INTEGER_MAX = 2**63 - 1
_DOUBLE_MAX = Decimal(sys.float_info.max)


def json_equal(a: Any, b: Any) -> bool:
    """Return True where two decoded JSON values are the same JSON value (J1)."""
    if a is b:
        return True
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(json_equal(v, b[k]) for k, v in a.items())
    if isinstance(a, list | tuple):
        return (
            isinstance(b, list | tuple) and len(a) == len(b) and all(map(json_equal, a, b))
        )  # tuples too: callers build values by hand
    if isinstance(a, bool) or isinstance(b, bool):
        return False
    return bool(a == b)


def add_exact(total: str, increment: int | float) -> str:
    """Return the decimal text `total` plus `increment`, exactly, in its one plain spelling ("12.5", "-3", "0").

    A float counts as the shortest decimal that means it: 0.1 is a tenth.
    """
    result = _EXACT.add(Decimal(total), Decimal(str(increment)))
    if result == result.to_integral_value():
        return str(int(result))
    return format(_EXACT.normalize(result), "f")


def to_number(total: str) -> int | float:
    """Return a decimal text as a JSON number: an int where it is whole and fits into 64 bits, else the nearest
    finite double."""
    exact = Decimal(total)
    if exact == exact.to_integral_value() and abs(exact) <= _INTEGER_MAX:
        return int(exact)
    return float(max(-_DOUBLE_MAX, min(_DOUBLE_MAX, exact)))
