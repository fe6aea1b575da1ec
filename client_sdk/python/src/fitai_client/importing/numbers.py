"""Numbers and units as training logs write them. Pure text to value and back.

A number has at most 4 decimals (what a record holds). Weights and distances stay as entered; they are converted only
where a column of a file demands another unit.
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache

Number = int | float

KG_PER_LB = Decimal("0.45359237")
METRES = {
    "m": Decimal(1),
    "km": Decimal(1000),
    "mi": Decimal("1609.344"),
    "yd": Decimal("0.9144"),
    "ft": Decimal("0.3048"),
}

MASS_UNITS = {"kg": "kg", "kgs": "kg", "kilogram": "kg", "kilograms": "kg", "kilos": "kg"} | dict.fromkeys(
    ("lb", "lbs", "pound", "pounds", "libras"), "lb"
)
LENGTH_UNITS = (
    dict.fromkeys(("m", "meter", "meters", "metre", "metres", "metros", "metri"), "m")
    | dict.fromkeys(("km", "kms", "kilometer", "kilometers", "kilometre", "kilometres", "kilometros"), "km")
    | dict.fromkeys(("mi", "mile", "miles", "meilen", "millas"), "mi")
    | dict.fromkeys(("yd", "yds", "yard", "yards"), "yd")
    | dict.fromkeys(("ft", "foot", "feet"), "ft")
)
TIME_UNITS = (
    dict.fromkeys(("s", "sec", "secs", "second", "seconds", "seg", "sek"), "s")
    | dict.fromkeys(("min", "mins", "minute", "minutes"), "min")
    | dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), "h")
)

_NUMBER = re.compile(r"[+-]?(?:\d[\d\s'’]*)?[.,]?\d+(?:[.,]\d+)*(?:[eE][+-]?\d{1,2})?")
_FOUR_PLACES = Decimal("0.0001")


class BadCell(ValueError):
    """A cell that cannot be read; the text says why. It becomes the reason of a `RowError`."""


@lru_cache(maxsize=8192)
def read_number(text: str) -> Number | None:
    """The number a cell holds, to 4 decimals; None where it is empty. A comma may be the decimal mark.

    Raises:
        BadCell: the text is no finite number.
    """
    text = text.strip()
    if not text or text in {"-", "–", "—"} or text.casefold() in {"null", "none", "n/a"}:
        return None
    if len(text) > 40 or not _NUMBER.fullmatch(text):
        raise BadCell("is not a number")
    plain = re.sub(r"[\s'’]", "", text)
    comma, dot = plain.rfind(","), plain.rfind(".")
    if comma >= 0 and dot >= 0:
        plain = plain.replace("," if dot > comma else ".", "")
    plain = plain.replace(",", ".")
    if plain.count(".") > 1:
        # 1.234.567: only a thousands mark repeats.
        plain = plain.replace(".", "")
    value = Decimal(plain)
    if not value.is_finite() or abs(value) >= Decimal(10) ** 12:
        raise BadCell("is far too large a number")
    return tidy(value)


def tidy(value: Decimal) -> Number:
    """A JSON number of at most 4 decimals: an int where it is whole."""
    rounded = value.quantize(_FOUR_PLACES, ROUND_HALF_EVEN)
    return int(rounded) if rounded == rounded.to_integral_value() else float(rounded)


@lru_cache(maxsize=8192)
def write_number(value: Number, decimals: int = 0) -> str:
    """The shortest text of a number, with at least `decimals` decimals."""
    text = format(Decimal(str(value)).normalize(), "f")
    if not decimals:
        return text
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction.ljust(decimals, '0')}"


def convert_mass(value: Number, unit: str, to: str) -> Number:
    if unit == to:
        return value
    exact = Decimal(str(value))
    return tidy(round(exact * KG_PER_LB if to == "kg" else exact / KG_PER_LB, 2))


def convert_length(value: Number, unit: str, to: str) -> Number:
    if unit == to:
        return value
    return tidy(Decimal(str(value)) * METRES[unit] / METRES[to])


def as_entered(value: Number, unit: str, to: str) -> Number:
    """The quarter pound or quarter kilogram that an app converted before it wrote `value`, where that is near;
    otherwise the plain conversion."""
    if unit == to:
        return value
    exact = Decimal(str(value))
    converted = exact * KG_PER_LB if to == "kg" else exact / KG_PER_LB
    quarter = (converted * 4).to_integral_value() / 4
    return tidy(quarter if abs(quarter - converted) <= Decimal("0.03") else round(converted, 2))


def looks_converted(values: list[Number], unit: str) -> bool:
    """Whether weights in `unit` are round only in the other unit, so that the log was kept in that one.

    Judged on the weights that are no quarter multiple as they stand; at least ten, and most of the log.
    """
    loaded = [Decimal(str(v)) for v in values if v > 0]
    odd = [v for v in loaded if (v * 4) % 1]
    if len(odd) < 10 or len(odd) * 2 < len(loaded):
        return False
    factor = 1 / KG_PER_LB if unit == "kg" else KG_PER_LB
    hits = sum(1 for v in odd if abs(v * factor * 4 - (v * factor * 4).to_integral_value()) <= Decimal("0.05"))
    return hits >= 0.8 * len(odd)


_ROUND_KG = frozenset({20, 40, 60, 70, 80, 90, 100, 120, 140, 160, 180, 200})
_ROUND_LB = frozenset({45, 65, 95, 115, 135, 155, 185, 205, 225, 245, 275, 295, 315, 365, 405, 455, 495})


def guess_mass_unit(values: list[Number]) -> tuple[str, float]:
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
