"""Long work in small steps: who has other things to do rests between them, everybody else does all of them at once.

Owns: what a step is. Refuses to know: how many are done at once, and what happens between two (api/training/pacing.py).

A function that is named so yields after about as much work as one record takes, and returns what it found.

Invariants
    S1  No step costs more for a longer history: where all of one has to be gone through, each record is a step. But the
        days on which somebody trained are gone through at once: that is milliseconds where they are many.
    S2  What the steps work on changes between two of them by nothing but them. Whoever stops halfway of what changes a
        history has half of it, and throws that away.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import islice
from typing import Any, Final, TypeVar

T = TypeVar("T")

Steps = Generator[None, None, T]

# So many are sorted in one step, in half a millisecond.
_RUN: Final = 500


def at_once(steps: Steps[T]) -> T:
    """Do all the steps, and return what they found."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: T = end.value
            return found


def in_order(items: Iterable[T], key: Callable[[T], Any]) -> Steps[Iterator[T]]:
    """The items sorted by a key that no two of them share. What is returned takes O(log items) for each."""
    left, runs = iter(items), []
    while run := sorted(islice(left, _RUN), key=key):
        runs.append(run)
        yield
    return iter(runs[0]) if len(runs) == 1 else heapq.merge(*runs, key=key)


def sorted_in_steps(items: Iterable[T], key: Callable[[T], Any]) -> Steps[list[T]]:
    """As `in_order`, all of them at the end."""
    found = []
    for one in (yield from in_order(items, key)):
        found.append(one)
        yield
    return found
