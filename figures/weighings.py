"""What a person weighed, and when, by their measurements.

A measurement in a unit that is not known is none.
"""

from __future__ import annotations

from bisect import bisect_right

from figures.books import Shelf
from figures.forms import Measurement
from figures.quantities import KILOGRAM, Quantity, quantity
from figures.steps import Steps

# Sorts behind every id.
_LAST = "\x7f"


class Weighings:
    """The measurements of one person. After `put`, `read_again` brings the answers to where they are."""

    def __init__(self) -> None:
        self._measurements: Shelf[Measurement] = Shelf()
        self._sorted: list[tuple[str, str, Quantity]] = []

    def put(self, id: str, measurement: Measurement | None) -> str | None:
        """Take a measurement, or its delete. Returns since when the body weighs something else, None if it does not."""
        old = self._measurements.put(id, measurement)
        changed = [one.at for one in (old, measurement) if one is not None and one.kind == "weight" and one.at]
        return min(changed, default=None)

    def read_again(self) -> Steps[None]:
        """Sort what was put. O(n log n), so it is done once for many."""
        found = []
        for id, one in self._measurements.items():
            unit = KILOGRAM.get(one.unit or "") if one.kind == "weight" else None
            if unit is not None and one.at is not None and one.value is not None:
                found.append((one.at, id, quantity(one.value, unit)))
            yield
        self._sorted = sorted(found)

    def before(self, until: str) -> Quantity | None:
        """The latest weight at or before a time, in kg."""
        place = bisect_right(self._sorted, (until, _LAST, 0))
        return self._sorted[place - 1][2] if place else None

    def all(self) -> list[tuple[str, Quantity]]:
        """(when, kg), oldest first."""
        return [(at, value) for at, _, value in self._sorted]
