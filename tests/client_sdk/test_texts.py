"""Texts on a device: whatever comes in whatever order, nothing of it is dropped."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitai_client.core.text import laid_over, replaced, whole


def written(*texts: str) -> list[str]:
    """The updates of devices of which each goes on from the one before."""
    shown: Any = None
    updates = []
    for number, text in enumerate(texts, 1):
        updates.append(replaced(shown, text, number.to_bytes(4, "big")))
        shown = laid_over(shown, updates[-1])
    return updates


@pytest.mark.parametrize("order", [*permutations(range(4))])
def test_an_update_that_comes_before_its_predecessor_shows_once_that_is_there(order: tuple[int, ...]) -> None:
    updates = written("one", "one two", "one two three", "two three")
    shown: Any = None
    for place in order:
        shown = laid_over(shown, updates[place])
        # Written anew for a server that lacks it, it is all there too.
        assert laid_over(None, whole(shown)) == shown
    assert shown["text"] == "two three"


@settings(deadline=None)
@given(st.lists(st.text("ab \n√©", max_size=8), min_size=1, max_size=6), st.randoms())
def test_the_order_of_updates_does_not_matter(texts: list[str], random: Any) -> None:
    updates = written(*texts)
    shuffled = random.sample(updates, len(updates))
    shown: Any = None
    for update in shuffled:
        shown = laid_over(shown, update)
    assert shown["text"] == texts[-1]


def test_a_state_that_waits_for_nothing_is_as_short_as_it_goes() -> None:
    shown: Any = None
    for length in range(40):
        shown = laid_over(shown, replaced(shown, "x" * (length % 7), (9).to_bytes(4, "big")))
    assert len(shown["yjs"]) < 200
