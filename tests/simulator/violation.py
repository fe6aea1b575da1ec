"""What a simulation is for: a promise that was not kept."""

from __future__ import annotations


class Violation(Exception):
    """`invariant` is its number in the design; `what` says what was seen."""

    def __init__(self, invariant: str, what: str) -> None:
        super().__init__(f"{invariant}: {what}")
        self.invariant = invariant
        self.what = what
