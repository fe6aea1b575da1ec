"""How many steps long work has: what the loop is left to others for, on whatever machine."""

from __future__ import annotations

from typing import TypeVar

from figures.steps import Steps

T = TypeVar("T")


def counted(steps: Steps[T]) -> tuple[int, T]:
    """Do all the steps; how many there were, and what they found."""
    count = 0
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return count, end.value
        count += 1
