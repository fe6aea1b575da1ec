"""Version vectors: the rules of conflict/vectors.py."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from conflict import vectors

some = st.dictionaries(st.sampled_from("abcde"), st.integers(0, 5))
DOTS = [(d, n) for d in "abcde" for n in range(1, 6)]


def dots(vector: dict[str, int]) -> set[tuple[str, int]]:
    return {dot for dot in DOTS if vectors.covers(vector, *dot)}


def test_a_vector_covers_everything_up_to_its_number_and_nothing_of_others() -> None:
    assert [vectors.covers({"a": 2}, *dot) for dot in [("a", 1), ("a", 2), ("a", 3), ("b", 1)]] == [
        True,
        True,
        False,
        False,
    ]


@given(some, some)
def test_merged_covers_what_either_covers(a: dict[str, int], b: dict[str, int]) -> None:
    assert dots(vectors.merged(a, b)) == dots(a) | dots(b)


@given(some, some)
def test_minimum_and_cut_cover_what_both_cover(a: dict[str, int], b: dict[str, int]) -> None:
    assert dots(vectors.minimum(a, b)) == dots(vectors.cut(a, b)) == dots(a) & dots(b)


def test_a_context_is_cut_to_what_the_server_has_seen() -> None:
    assert vectors.cut({"a": 9, "b": 2, "gone": 4}, {"a": 5, "b": 7, "c": 1}) == {"a": 5, "b": 2}


@given(some, some)
def test_moved_holds_what_rose_and_nothing_else(older: dict[str, int], newer: dict[str, int]) -> None:
    moved = vectors.moved(older, newer)
    assert all(n == newer[d] and n > older.get(d, 0) for d, n in moved.items())
    assert dots(vectors.merged(older, moved)) == dots(older) | dots(newer)


@given(some, st.sampled_from("abcde"), st.integers(1, 5))
def test_raised_adds_one_dot_and_those_before_it(vector: dict[str, int], device: str, n: int) -> None:
    clean = vectors.merged(vector, {})
    assert vectors.raised(clean, device, n) == vectors.merged(clean, {device: n})


@given(some, some)
def test_v1_v2_arguments_stay_and_results_are_in_device_order_without_zeros(
    a: dict[str, int], b: dict[str, int]
) -> None:
    before = (list(a.items()), list(b.items()))
    clean = vectors.merged(a, {})
    for result in (
        vectors.merged(a, b),
        vectors.minimum(a, b),
        vectors.cut(a, b),
        vectors.moved(a, b),
        vectors.raised(clean, "c", 3),
    ):
        assert list(result) == sorted(result)
        assert all(n > 0 for n in result.values())
        assert result is not a and result is not b
    assert before == (list(a.items()), list(b.items()))
