"""Masses as pictures show them. Pictures round anyway, so floats do."""

from __future__ import annotations

from figures.quantities import KILOGRAM, ONE


def per_kilogram(unit: str) -> float:
    """How many of a unit a kilogram is.

    Raises:
        KeyError: the unit is no mass; the caller offers kg and lb.
    """
    return ONE / KILOGRAM[unit]
