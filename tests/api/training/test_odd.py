"""What is refused as impossible, and what is pointed out as hardly meant."""

from __future__ import annotations

import pytest

from api.training.odd import check_measurement
from storage.collections import COLLECTIONS
from storage.field_types import Enum
from sync.errors import InvalidFields


@pytest.mark.parametrize(
    ("kind", "value", "unit", "odd"),
    [
        ("weight", 82.4, "kg", False),
        ("weight", 180, "lb", False),
        ("weight", 824, "kg", True),
        ("height", 1.8, "m", False),
        ("height", 110, "in", True),
        ("body_fat_pct", 0.15, "%", True),
        ("custom:grip", 10**6, "kg", False),
    ],
)
def test_an_unusual_measurement_is_pointed_out(kind: str, value: float, unit: str, odd: bool) -> None:
    assert bool(check_measurement({"kind": kind, "value": value, "unit": unit})) is odd


@pytest.mark.parametrize(
    ("kind", "value", "unit", "field"),
    [
        ("weight", 7_000, "kg", "value"),
        ("weight", -1, "kg", "value"),
        ("weight", 80, "stone", "unit"),
        ("body_fat_pct", 101, "%", "value"),
        ("waist", 80, "kg", "unit"),
    ],
)
def test_an_impossible_measurement_is_refused(kind: str, value: float, unit: str, field: str) -> None:
    with pytest.raises(InvalidFields) as caught:
        check_measurement({"kind": kind, "value": value, "unit": unit})
    assert [fault["field"] for fault in caught.value.fields] == [field]


def test_every_declared_kind_has_its_units_but_the_one_that_every_scale_counts_in_its_own() -> None:
    declared = COLLECTIONS["measurements"].fields["kind"].type
    assert isinstance(declared, Enum)
    for kind in set(declared.values) - {"visceral_fat"}:
        with pytest.raises(InvalidFields):
            check_measurement({"kind": kind, "value": 50, "unit": "parsec"})
