"""What of a text is compared, and how far two words are apart."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.search import typos, words
from storage.search.typos import distance, letters, slips_allowed, unlike
from storage.search.words import TEXT_MAX, WORD_MAX, WORDS_MAX, compared, fold

WORD = st.text("abcd", min_size=1, max_size=8)


@pytest.mark.parametrize("module", [words, typos])
def test_the_examples_are_true(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("BENCH Press", "bench press"),
        ("Développé couché", "developpe couche"),
        ("  two\t spaces\n", "two spaces"),
        ("Farmer’s Walk", "farmers walk"),
        ("Rückenstrecker Straße", "ruckenstrecker strasse"),
        ("Łydki Ørret Ægir", "lydki orret aegir"),
        ("ＦＵＬＬ width", "full width"),
        ("Ünïcödé", "unicode"),
        ("", ""),
    ],
)
def test_case_accents_apostrophes_and_spaces_are_folded_away(text: str, folded: str) -> None:
    assert fold(text) == folded


@given(st.text(max_size=60))
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@pytest.mark.parametrize("text", ["💪", ".*", "—", "((("])
def test_a_text_without_letters_is_one_word_as_it_stands(text: str) -> None:
    assert words.words(text) == (text,)


def test_no_more_of_a_text_is_looked_at_than_a_name_may_have() -> None:
    assert fold("a" * 50_000) == "a" * TEXT_MAX
    many = compared(words.words("press " * 50_000))
    assert len(many) == WORDS_MAX
    assert compared(("x" * 100,)) == ("x" * WORD_MAX,)


def test_a_short_word_has_no_slip_and_a_long_one_two() -> None:
    assert [slips_allowed(word) for word in ("row", "curl", "deadlift", "skullcrusher")] == [0, 1, 1, 2]


@pytest.mark.parametrize(
    ("typed", "known", "apart"),
    [
        ("bench", "bench", (0, True)),
        ("bnech", "bench", (1, True)),
        ("bech", "bench", (1, True)),
        ("bennch", "bench", (1, True)),
        ("bemch", "bench", (1, True)),
        ("chenb", "bench", None),
        ("deadli", "deadlift", (0, False)),
        ("daedli", "deadlift", (1, False)),
        ("sqaut", "squats", (1, False)),
        # Four letters with a slip say too little of what they are the beginning of.
        ("ebnc", "bench", None),
        ("bench", "ben", None),
    ],
)
def test_a_slip_is_a_letter_too_many_too_few_wrong_or_two_swapped(
    typed: str, known: str, apart: tuple[int, bool] | None
) -> None:
    assert distance(typed, known, 1) == apart


def plain_distance(a: str, b: str) -> int:
    """The same by its definition, without bounds."""
    if not a or not b:
        return len(a) + len(b)
    least = min(
        plain_distance(a[:-1], b) + 1, plain_distance(a, b[:-1]) + 1, plain_distance(a[:-1], b[:-1]) + (a[-1] != b[-1])
    )
    if len(a) > 1 and len(b) > 1 and a[-1] == b[-2] and a[-2] == b[-1]:
        least = min(least, plain_distance(a[:-2], b[:-2]) + 1)
    return least


@given(st.text("abc", min_size=1, max_size=5), st.text("abc", min_size=1, max_size=5), st.integers(0, 2))
def test_the_distance_is_that_of_damerau_and_levenshtein(typed: str, known: str, most: int) -> None:
    whole = plain_distance(typed, known)
    apart = distance(typed, known, most)
    if whole <= most:
        assert apart == (whole, True)
    else:
        assert apart is None or not apart[1]


@given(WORD, WORD, st.integers(1, 2))
def test_what_is_sorted_out_by_its_letters_is_never_within_reach(typed: str, known: str, most: int) -> None:
    if len(typed) > most and unlike(letters(typed), letters(known), most):
        assert distance(typed, known, most) is None
