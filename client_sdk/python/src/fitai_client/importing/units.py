"""The units of a file's weights and distances: where they are known from, and how sure that is.

Owns the guesses. A file that names no unit is judged by its weights: each unit has its round numbers. A file that names
one is doubted where its weights are round only in the other: apps convert a whole log when their setting is changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from .model import UnitSource
from .numbers import KG_PER_LB, BadCell, Number, read_number
from .plan import Plan
from .table import Row

# Fewer weights than this that are round in neither way prove nothing.
_ODD_MIN = 10
# Two decimals of a kilogram are a fiftieth of a pound: one weight in ten is near a quarter by chance.
_NEAR_QUARTER = Decimal("0.05")
_CONVERTED_SHARE = 0.75


class Units:
    """The units of one file.

    Args:
        given: the unit that the user named for this file; it decides where the file leaves it open.
        usual: the unit that they named for earlier files of this app; it decides where nothing else does, and where
            the weights themselves say that the file's own word is a conversion.

    Attributes:
        mass, mass_from, mass_sure: the unit of weights, where it is known from, and how surely (0.5 to 1).
        looks_like, looks_like_sure: the unit in which nearly all weights are round, where they are not in `mass`; and
            the share of weights that are.
        kept_in: the unit to convert weights back to, where the log was kept in another than the file writes.
        length, length_from: the unit of distances, and where it is known from.
    """

    def __init__(self, plan: Plan, rows: Sequence[Row], given: str | None, usual: str | None = None) -> None:
        weights = numbers_of(plan, rows, "weight")
        self.mass_sure = 1.0
        self.mass_from: UnitSource = "header"
        if "weight" in plan.units:
            self.mass = plan.units["weight"]
        elif (column := plan.index("weight_unit")) is not None:
            named = [row.cells[column].strip().casefold() for row in rows if row.cells[column].strip()]
            pounds = sum(1 for name in named if name.startswith(("lb", "pound")))
            self.mass, self.mass_from = ("lb" if pounds * 2 > len(named) else "kg"), "column"
        elif given:
            self.mass, self.mass_from = given, "given"
        elif usual:
            self.mass, self.mass_from = usual, "remembered"
        elif any(weights):
            self.mass_from = "guessed"
            self.mass, self.mass_sure = guess_mass_unit(weights)
        else:
            self.mass, self.mass_from, self.mass_sure = "kg", "none", 0.5
        other = "lb" if self.mass == "kg" else "kg"
        share = share_converted(weights, self.mass)
        self.looks_like: str | None = None
        self.looks_like_sure = 0.0
        if share >= _CONVERTED_SHARE:
            self.looks_like, self.looks_like_sure = other, share
        self.kept_in = given
        if given:
            self.mass_from, self.mass_sure = "given", 1.0
            self.looks_like, self.looks_like_sure = None, 0.0
        elif usual is not None and usual == self.looks_like:
            self.kept_in, self.mass_from = usual, "remembered"
            self.looks_like, self.looks_like_sure = None, 0.0
        self._lengths(plan, rows)

    def _lengths(self, plan: Plan, rows: Sequence[Row]) -> None:
        distances = sorted(value for value in numbers_of(plan, rows, "distance") if value > 0)
        self.length_from: UnitSource = "guessed" if distances else "none"
        if "distance" in plan.units:
            self.length, self.length_from = plan.units["distance"], "header"
        elif plan.index("distance_unit") is not None:
            self.length, self.length_from = ("mi" if self.mass == "lb" else "km"), "column"
        elif distances and distances[len(distances) // 2] >= 100:
            # Nobody's usual distance is 100 km.
            self.length = "m"
        else:
            self.length = "mi" if self.mass == "lb" else "km"


def numbers_of(plan: Plan, rows: Sequence[Row], meaning: str) -> list[Number]:
    """Every number of one column; cells that hold none are left out."""
    index = plan.index(meaning)
    found: list[Number] = []
    if index is None:
        return found
    for row in rows:
        try:
            value = read_number(row.cells[index])
        except BadCell:
            continue
        if value is not None:
            found.append(value)
    return found


def share_converted(values: Sequence[Number], unit: str) -> float:
    """Which share of the weights that are no quarter multiple in `unit` are one in the other unit.

    0 where they are too few to tell, or not most of the log.
    """
    loaded = [Decimal(str(v)) for v in values if v > 0]
    odd = [v for v in loaded if (v * 4) % 1]
    if len(odd) < _ODD_MIN or len(odd) * 2 < len(loaded):
        return 0.0
    factor = 1 / KG_PER_LB if unit == "kg" else KG_PER_LB
    hits = sum(1 for v in odd if abs(v * factor * 4 - (v * factor * 4).to_integral_value()) <= _NEAR_QUARTER)
    return round(hits / len(odd), 2)


_ROUND_KG = frozenset({20, 40, 60, 70, 80, 90, 100, 120, 140, 160, 180, 200})
_ROUND_LB = frozenset({45, 65, 95, 115, 135, 155, 185, 205, 225, 245, 275, 295, 315, 365, 405, 455, 495})


def guess_mass_unit(values: Sequence[Number]) -> tuple[str, float]:
    """The unit that the weights were probably entered in, and how sure that is (0.5 to 0.95).

    Bars loaded with pairs of 45 lb plates give 95, 135, 185, 225; with 20 kg plates 60, 100, 140; and half kilograms
    (22.5) are common where half pounds are not.
    """
    kilograms = pounds = 1.0
    for value in values:
        if value in _ROUND_LB:
            pounds += 1
        elif value in _ROUND_KG:
            kilograms += 0.5
        elif value * 2 % 2 == 1:
            kilograms += 1
        if value > 400:
            pounds += 1
    unit = "lb" if pounds > kilograms else "kg"
    return unit, round(min(0.95, max(kilograms, pounds) / (kilograms + pounds)), 2)
