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
