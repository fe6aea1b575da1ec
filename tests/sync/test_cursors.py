"""Cursors and the tokens of a snapshot: what was given out is good as long as it is true, and nothing else is."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.cursors import decode_before, decode_cursor, encode_before, encode_cursor, encode_mark, kept_of
from sync.errors import BadCursor, Resync


@dataclass(frozen=True)
class Space:
    """Life a ended at 5; life b goes on."""

    id: str = "home"
    life: str = "b"
    head: int = 10
    floor: int = 0
    lives: list[tuple[str, int]] = field(default_factory=lambda: [("a", 0), ("b", 5)])


HOME = Space()


@given(seq=st.integers(0, 10), floor=st.integers(0, 10))
def test_a_place_above_the_floor_comes_back_as_it_was_given(seq: int, floor: int) -> None:
    text = encode_cursor(HOME, seq)
    if seq < floor:
        with pytest.raises(Resync):
            decode_cursor(text, replace(HOME, floor=floor))
    else:
        assert decode_cursor(text, replace(HOME, floor=floor)) == seq


def test_a_mark_is_the_cursor_of_a_head() -> None:
    assert decode_cursor(encode_mark("home", "b", 10), HOME) == 10
    assert encode_mark("home", "b", 10) == encode_cursor(HOME)


@given(ceiling=st.integers(0, 10), data=st.data())
def test_a_snapshot_goes_on_where_it_stood(ceiling: int, data: st.DataObject) -> None:
    below = data.draw(st.integers(0, ceiling + 1))
    assert decode_before(encode_before(HOME, ceiling, below), HOME) == (ceiling, below)


def test_a_snapshot_ends_with_its_life() -> None:
    with pytest.raises(Resync):
        decode_before(encode_before(replace(HOME, life="a"), 3, 2), HOME)


@pytest.mark.parametrize(
    ("space", "ceiling", "below"),
    [(Space(id="gym"), 3, 2), (HOME, 11, 2), (HOME, 3, 5), (HOME, 3, -1)],
    ids=["another space", "above the head", "below what is above", "below nothing"],
)
def test_a_snapshot_that_was_never_begun_goes_nowhere(space: Space, ceiling: int, below: int) -> None:
    with pytest.raises(BadCursor):
        decode_before(encode_before(space, ceiling, below), HOME)


def test_a_cursor_and_a_snapshots_token_are_not_taken_for_each_other() -> None:
    with pytest.raises(BadCursor):
        decode_before(encode_cursor(HOME, 3), HOME)
    with pytest.raises(BadCursor):
        decode_cursor(encode_before(HOME, 3, 2), HOME)


@pytest.mark.parametrize("text", ["", "!", "é", "a" * 401, "\ud800", "AAAA", base64.urlsafe_b64encode(b"[1]").decode()])
def test_what_is_no_cursor_at_all_is_bad(text: str) -> None:
    for decode in (decode_cursor, decode_before):
        with pytest.raises(BadCursor):
            decode(text, HOME)


@given(token=st.sampled_from([encode_cursor(HOME, 7), encode_before(HOME, 7, 3)]), data=st.data())
def test_a_token_with_a_bit_turned_names_a_place_of_this_space_or_none(token: str, data: st.DataObject) -> None:
    """Item 4 of the attacks: cursors carry no authority, so the worst is another place among the caller's own."""
    raw = bytearray(token.encode())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 6))
    for decode in (decode_cursor, decode_before):
        try:
            place = decode(raw.decode("ascii"), HOME)
        except (BadCursor, Resync):
            continue
        for seq in place if isinstance(place, tuple) else (place,):
            assert 0 <= seq <= HOME.head + 1


@pytest.mark.parametrize(
    ("life", "head", "kept"),
    [("b", 8, 8), ("b", 12, 10), ("a", 3, 3), ("a", 9, 5), ("z", 3, None)],
    ids=["all of it", "the head went back", "before the next life", "beyond it", "a life that nobody knows"],
)
def test_what_is_kept_of_a_cursor_ends_where_a_later_life_began(life: str, head: int, kept: int | None) -> None:
    cursor = encode_cursor(replace(HOME, life=life, head=head), 1)
    assert kept_of(cursor, HOME) == kept


@pytest.mark.parametrize("text", ["", "nonsense", encode_cursor(Space(id="gym")), encode_before(HOME, 3, 2)])
def test_of_what_is_no_cursor_of_the_space_it_is_not_said_what_is_kept(text: str) -> None:
    assert kept_of(text, HOME) is None
