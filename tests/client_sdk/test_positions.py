"""Order keys between two records."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fitai_client import InvalidWrite, position_between
from fitai_client.core.value_types import checker

KEYS = st.text(st.characters(min_codepoint=ord("!"), max_codepoint=ord("~")), min_size=1, max_size=6)
# Whoever makes keys by this rule, or by the server's, never ends one with the lowest character.
MADE = KEYS.filter(lambda key: not key.endswith("!"))


@given(before=MADE | st.none(), after=MADE | st.none())
def test_a_key_lies_between_its_neighbours_and_leaves_room_on_both_sides(before: str | None, after: str | None) -> None:
    assume(before is None or after is None or before < after)
    key = position_between(before, after)
    assert (before or "") < key
    assert after is None or key < after
    checker({"type": "order", "max_length": 250})(key)
    assert position_between(before, key) < key < position_between(key, after)


@pytest.mark.parametrize("place", [0, 1, 7])
def test_hundreds_of_insertions_at_one_place_fit_into_a_key(place: int) -> None:
    listed = [f"a{number}" for number in range(8)]
    for _ in range(500):
        before = listed[place - 1] if place else None
        listed.insert(place, position_between(before, listed[place]))
    assert listed == sorted(set(listed))
    assert max(map(len, listed)) <= 250


def test_a_list_that_only_grows_keeps_its_keys_short() -> None:
    listed: list[str] = []
    for _ in range(500):
        listed.append(position_between(listed[-1] if listed else None, None))
    assert listed[:3] == ["a0", "a1", "a2"]
    assert listed == sorted(set(listed))
    assert max(map(len, listed)) <= 20


@given(before=KEYS, after=KEYS)
def test_where_there_is_no_room_the_sentence_says_what_to_do(before: str, after: str) -> None:
    try:
        assert before < position_between(before, after) < after
    except InvalidWrite as error:
        assert error.field == "position"
        assert ("give the record of the later place another position" in str(error)) == (before <= after)


@pytest.mark.parametrize("wrong", ["", "a b", "é", 3, ("a0",)])
def test_what_is_no_position_is_told_so(wrong: object) -> None:
    with pytest.raises(InvalidWrite, match="A position is a text like 'a0', or None, not "):
        position_between(wrong, None)  # type: ignore[arg-type]
