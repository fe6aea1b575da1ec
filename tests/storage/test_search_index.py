"""What a text finds among the exercises of the catalog, and in which order."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.catalog import load
from storage.search.document import ALIASES_MAX, document
from storage.search.index import Grade, Index, Match
from storage.search.words import words

EXERCISES = load()
NAMES = {each.id: each.name for each in EXERCISES}
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def body(id: str, values: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode({"collection": "exercises", "id": id, "deleted": False, "values": values})


def filled(records: Mapping[str, Mapping[str, Any]]) -> Index:
    index = Index()
    for id, values in records.items():
        found = document(body(id, values))
        assert found is not None
        index.put(found)
    return index


CATALOG = filled({each.id: each.values() for each in EXERCISES})


def ordered(index: Index, text: str) -> list[str]:
    """The names of what is found: by how it matches, then the shorter name first."""
    found = index.match(text)
    return [
        index.documents[id].name
        for id in sorted(found, key=lambda id: (found[id], len(index.documents[id].name), index.documents[id].name))
    ]


# -- what people type ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("bench press", "Barbell Bench Press"),
        ("press bench", "Barbell Bench Press"),
        ("BÉNCH  préss", "Barbell Bench Press"),
        ("benhc pres", "Barbell Bench Press"),
        ("db bench", "Dumbbell Bench Press"),
        ("incline db press", "Incline Dumbbell Bench Press"),
        ("RDL", "Romanian Deadlift"),
        ("rdl dumbbell", "Dumbbell Romanian Deadlift"),
        ("ohp", "Barbell Overhead Press"),
        ("squat", "Barbell Back Squat"),
        ("sqaut", "Barbell Back Squat"),
        ("dead", "Barbell Deadlift"),
        ("deadlfit", "Barbell Deadlift"),
        ("pushup", "Push-Up"),
        ("push ups", "Push-Up"),
        ("pull up", "Pull-Up"),
        ("lat pulldwon", "Cable Lat Pulldown"),
        ("skul crusher", "Barbell Skullcrusher"),
        ("one arm dumbbell row", "Dumbbell Row"),
        ("farmer's walk", "Farmer's Walk"),
        ("the plank", "Plank"),
        ("leg pres", "Leg Press"),
    ],
)
def test_what_people_type_finds_what_they_mean_first(text: str, first: str) -> None:
    assert ordered(CATALOG, text)[0] == first


def test_words_that_no_name_has_together_are_found_across_names_muscles_and_equipment() -> None:
    found = {CATALOG.documents[id].name: match.grade for id, match in CATALOG.match("chest barbell bench").items()}
    assert found["Barbell Bench Press"] is Grade.ACROSS


def test_of_the_names_that_have_a_word_the_one_that_has_it_best_counts() -> None:
    index = filled({"a": {"name": "Bench Bemch Row", "aliases": ["Bemch Press"]}})
    assert index.match("bench press row")["a"].grade is Grade.ACROSS


def test_where_nothing_has_all_words_one_may_miss() -> None:
    index = filled({"a": {"name": "Cable Row"}, "b": {"name": "Cable Curl"}})
    assert {id: match.grade for id, match in index.match("wide cable row").items()} == {"a": Grade.PART}
    assert index.match("wide row") == {}


@pytest.mark.parametrize("text", ["💪", ".*", "%", "_", "'; DROP TABLE records; --", "xyzzy", "\x00", "\ud800"])
def test_what_means_nothing_finds_nothing(text: str) -> None:
    assert CATALOG.match(text) == {}


@pytest.mark.parametrize("text", ["", "   ", "\u0301"])
def test_a_text_without_words_finds_everything(text: str) -> None:
    assert set(CATALOG.match(text)) == set(NAMES)


def test_an_abbreviation_is_read_as_it_stands_and_as_what_it_stands_for_and_the_better_counts() -> None:
    index = filled({"a": {"name": "Strict Seated Overhead Press", "aliases": ["OHP Seated"]}, "b": {"name": "OHP Row"}})
    assert index.match("seated ohp") == {"a": Match(Grade.WORDS)}
    assert index.match("strict ohp") == {"a": Match(Grade.WORDS, extra=1)}
    assert set(index.match("ohp")) == {"a", "b"}


# -- the order -------------------------------------------------------------------------------------------------------


def test_the_grades_from_the_best_to_the_worst() -> None:
    index = filled(
        {
            "name": {"name": "Bench Press"},
            "alias": {"name": "Flat Press", "aliases": ["Bench Press"]},
            "words": {"name": "Wide Bench Press"},
            "beginnings": {"name": "Benches Pressed Lying Long"},
            "across": {"name": "Press Down", "aliases": ["Bench Down"]},
            "slips": {"name": "Bemch Press"},
        }
    )
    found = index.match("bench press")
    assert sorted(found, key=found.__getitem__) == ["name", "alias", "words", "beginnings", "across", "slips"]
    assert [found[id].grade for id in ("name", "alias", "words", "across", "slips")] == [
        Grade.NAME, Grade.ALIAS, Grade.WORDS, Grade.ACROSS, Grade.SLIPS,
    ]  # fmt: skip


def test_a_name_with_fewer_other_words_goes_first() -> None:
    index = filled({"long": {"name": "Seated Cable Row"}, "short": {"name": "Cable Row"}, "shorter": {"name": "Row"}})
    assert ordered(index, "ro") == ["Row", "Cable Row", "Seated Cable Row"]


def test_the_whole_word_goes_before_one_that_begins_like_it() -> None:
    index = filled(
        {"a": {"name": "Rower"}, "b": {"name": "Faraway Row"}, "c": {"name": "Far Rower"}, "d": {"name": "Row"}}
    )
    assert ordered(index, "row") == ["Row", "Rower", "Faraway Row", "Far Rower"]


def test_a_muscle_that_is_typed_finds_what_is_for_it_before_what_it_only_helps_in() -> None:
    index = filled(
        {
            "helps": {"name": "Dip", "primary_muscles": ["triceps"], "secondary_muscles": ["chest"]},
            "is for": {"name": "Lying Wide Machine Fly", "primary_muscles": ["chest"]},
            "is for both": {
                "name": "Cable Fly",
                "primary_muscles": ["chest"],
                "secondary_muscles": ["chest", "biceps"],
            },
        }
    )
    # Though its name is shorter, which decides where nothing else does.
    assert ordered(index, "chest") == ordered(index, "ches") == ["Cable Fly", "Lying Wide Machine Fly", "Dip"]
    assert ordered(index, "chset") == ["Cable Fly", "Lying Wide Machine Fly", "Dip"]
    assert index.match("chest triceps") == {"helps": Match(Grade.ACROSS, helping=1, extra=1)}
    # What is left out where nothing has all words changes nothing.
    assert ordered(index, "chest fly hammock") == ["Cable Fly", "Lying Wide Machine Fly"]
    assert ordered(index, "chest dip hammock") == ["Dip"]
    assert (index.names, len(index.documents)) == (3, 3)


@pytest.mark.parametrize("muscle", ["chest", "biceps", "glutes"])
def test_the_catalog_shows_what_is_for_a_muscle_first(muscle: str) -> None:
    found = CATALOG.match(muscle)
    across = sorted(
        (match, muscle not in CATALOG.documents[id].facets["primary_muscle"])
        for id, match in found.items()
        if match.grade is Grade.ACROSS
    )
    helps = [each for _, each in across]
    assert helps == sorted(helps) and set(helps) == {False, True}


# -- laws ------------------------------------------------------------------------------------------------------------


def test_the_exact_name_of_any_exercise_finds_it_first() -> None:
    for number, each in enumerate(EXERCISES):
        said = (each.name, each.name.upper(), f"  {each.name.replace('-', ' ')} ")[number % 3]
        assert [id for id, match in CATALOG.match(said).items() if match == Match(Grade.NAME)] == [each.id], said


def test_any_alias_finds_its_exercise_with_nothing_but_names_before_it() -> None:
    for each in EXERCISES[::5]:
        for alias in each.aliases:
            found = CATALOG.match(alias)
            before = [found[id].grade for id in found if found[id] < found[each.id]]
            assert set(before) <= {Grade.NAME}, alias


def slipped(word: str, rnd: random.Random) -> str:
    """A word with one slip."""
    place = rnd.randrange(len(word))
    return rnd.choice(
        [
            word[:place] + word[place + 1 :],
            word[:place] + rnd.choice(LETTERS) + word[place:],
            word[:place] + rnd.choice(LETTERS) + word[place + 1 :],
            word[:place] + word[place : place + 2][::-1] + word[place + 2 :],
        ]
    )


def test_one_slip_in_a_word_of_five_letters_or_more_leaves_an_exercise_among_the_first_ten() -> None:
    rnd = random.Random(5)
    known = {word for each in EXERCISES for name in (each.name, *each.aliases) for word in words(name)}
    missed = []
    for each in EXERCISES[::3]:
        said = list(words(each.name))
        place = max(range(len(said)), key=lambda place: (len(said[place]) >= 5, rnd.random()))
        right, said[place] = said[place], slipped(said[place], rnd)
        # What begins another word ("sing", for a swing) says that other word.
        if len(right) < 5 or any(word.startswith(said[place]) for word in known):
            continue
        if each.name not in ordered(CATALOG, " ".join(said))[:10]:
            missed.append((each.name, " ".join(said)))
    assert missed == []


@given(st.data())
def test_whatever_begins_the_words_of_a_name_finds_it_in_any_order(data: st.DataObject) -> None:
    each = data.draw(st.sampled_from(EXERCISES))
    said = data.draw(st.permutations(words(each.name)))
    typed = [word[: data.draw(st.integers(1, len(word)))] for word in said]
    assert each.id in CATALOG.match(" ".join(typed))


@given(st.data())
def test_every_keystroke_of_a_name_keeps_it_among_what_is_found(data: st.DataObject) -> None:
    each = data.draw(st.sampled_from(EXERCISES))
    for length in range(1, len(each.name) + 1):
        assert each.id in CATALOG.match(each.name[:length])


def test_a_slip_in_a_word_that_came_after_it_was_first_typed_is_forgiven() -> None:
    index = Index()
    for _ in range(2):
        assert index.match("bnech") == {}
        found = document(body("a", {"name": "Bench"}))
        assert found is not None
        index.put(found)
        assert set(index.match("bnech")) == {"a"}
        index.drop("a")


WORD = st.sampled_from(["bench", "press", "row", "rows", "pushup", "push", "up", "curl", "é", "💪", "of", "3/4"])
TEXT = st.lists(WORD, min_size=1, max_size=4).map(" ".join)
# What is typed may slip.
TYPED = st.lists(WORD | st.sampled_from(["bnech", "prses", "crul", "pushupp", "benc"]), min_size=1, max_size=3).map(
    " ".join
)
VALUES = st.fixed_dictionaries(
    {"name": TEXT},
    optional={
        "aliases": st.lists(TEXT, max_size=3, unique=True),
        "archived": st.booleans(),
        "equipment": st.lists(st.sampled_from(["barbell", "cable"]), unique=True),
        "primary_muscles": st.lists(st.sampled_from(["chest", "lower_back"]), unique=True),
    },
)


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.none() | VALUES), max_size=20), TYPED)
def test_an_index_that_was_changed_answers_as_one_that_was_built_at_once(
    history: Sequence[tuple[str, dict[str, Any] | None]], text: str
) -> None:
    changed, last = Index(), dict(history)
    for id, values in history:
        changed.match(text)
        found = None if values is None else document(body(id, values))
        if found is None:
            changed.drop(id)
        else:
            changed.put(found)
    built = filled({id: values for id, values in last.items() if values is not None and not values.get("archived")})
    for asked in (text, text[:3], ""):
        assert changed.match(asked) == built.match(asked)
    assert changed.names == built.names
    for id in "abcd":
        changed.drop(id)
    assert changed.match("") == changed.match(text) == {}


@given(st.text(max_size=300))
def test_no_text_is_an_error(text: str) -> None:
    CATALOG.match(text)


@pytest.mark.parametrize(
    "text", ["(a+)+$" * 10_000, "bench press " * 5_000, "ab" * 25_000, " ".join(LETTERS) * 1_000], ids=range(4)
)
def test_of_a_huge_text_no_more_words_are_compared_than_of_the_longest_name(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def note(_: Index, word: str) -> list[Any]:
        asked.append(word)
        return []

    monkeypatch.setattr(Index, "_like", note)
    CATALOG.match(text)
    # Each word, and each pair of neighbours; twice where abbreviations are read as what they stand for.
    assert len(asked) <= 2 * 2 * 12
    assert all(len(word) <= 64 for word in asked)


def test_of_an_exercise_with_too_many_names_the_first_are_searched() -> None:
    aliases = [f"Alias {number:04}" for number in range(ALIASES_MAX + 10)]
    index = filled({"a": {"name": "Row", "aliases": aliases}})
    assert index.names == 1 + ALIASES_MAX
    assert set(index.match(aliases[0])) == {"a"}


def test_a_record_without_a_name_is_there_and_found_by_nothing() -> None:
    index = filled({"a": {"level": "beginner"}})
    assert set(index.match("")) == {"a"}
    assert index.match("row") == {}
