"""Names of exercises: which ones are one, what is offered for the others, and the catalog against real logs."""

from __future__ import annotations

import pytest

from fitai_client.importing import one_mapping
from fitai_client.importing.resolving import CANDIDATES_FOR_MAX, Names, _sense, _weight, words
from storage import catalog
from tests.client_sdk.importing.support import REAL_FILES, hevy, hevy_row, imported, of

CATALOG = catalog.names(catalog.load())
# What logs name that is no exercise.
NOT_EXERCISES = {"Warm Up"}


@pytest.mark.parametrize(
    "name",
    [
        "Bench Press (Barbell)",
        "bench press (barbell)",
        "Barbell Bench Press",
        "Bench Press, Barbell",
        "Bench-Press - Barbells",
    ],
)
def test_case_marks_order_and_number_of_the_words_do_not_matter(name: str) -> None:
    assert Names({"Bench Press (Barbell)": "bench", "Bench Press (Dumbbell)": "other"}).resolve(name) == "bench"


def test_the_plural_is_the_same_word() -> None:
    assert words("Push Ups") == words("Push-Up")
    assert words("Leg Presses") == words("Leg Press")
    assert words("Crunches") == words("Crunch")


@pytest.mark.parametrize(
    ("name", "exercise"),
    [("Chinups", "Chin-Up"), ("Pushups", "Push Up"), ("Flat Barbell Bench Press", "Bench Press (Barbell)")],
)
def test_names_as_other_apps_spell_them_are_in_the_catalog(name: str, exercise: str) -> None:
    assert Names(CATALOG).resolve(name) == CATALOG[exercise.casefold()]


def test_words_decide_only_where_they_lead_to_one_exercise() -> None:
    names = Names({"Seated Row (Cable)": "one", "Cable Seated Row": "two"})
    assert (names.resolve("Seated Row - Cable"), names.resolve("Cable Seated Row")) == ("one", "two")
    assert names.resolve("Row, Seated, Cable") is None


def test_a_name_that_is_an_exercise_of_its_own_matches_nothing() -> None:
    found = hevy(hevy_row(exercise="Squat"), names={"Squat": None, "Squats": "other"})
    assert (found.preview.matched, found.preview.unmatched) == ({}, ("Squat",))


def test_the_most_trusted_source_that_knows_a_name_or_its_words_decides() -> None:
    merged = one_mapping({"Squat (Barbell)": "chosen"}, {"Barbell Squat": "own", "Dip": "own"}, {"Dips": "catalog"})
    assert merged == {"Squat (Barbell)": "chosen", "Dip": "own"}


def test_candidates_are_the_exercises_with_most_words_in_common_best_first() -> None:
    found = hevy(hevy_row(exercise="DB Bench Press (Slow)"), names=CATALOG).preview
    names = [candidate.name for candidate in found.candidates["DB Bench Press (Slow)"]]
    assert found.unmatched == ("DB Bench Press (Slow)",)
    assert names[0] in {"dumbbell bench press", "bench press (dumbbell)"}
    assert len(names) <= 3


def test_a_name_that_nothing_is_like_has_no_candidates() -> None:
    assert hevy(hevy_row(exercise="Xyzzy"), names=CATALOG).preview.candidates == {}


def test_an_exercise_is_offered_once_however_many_names_it_has() -> None:
    candidates = Names(CATALOG).candidates("Seated Row Machine Wide")
    assert len({each.exercise for each in candidates}) == len(candidates) > 0


def _by_scan(known: dict[str, str], name: str) -> list[tuple[str, str, float]]:
    """Candidates by comparing with every name there is."""
    best: dict[str, tuple[str, str, float]] = {}
    sense = _sense(name)
    for other, exercise in known.items():
        theirs = _sense(other)
        both = _weight(sense) + _weight(theirs)
        likeness = round(2 * _weight(sense & theirs) / both, 2) if sense & theirs else 0.0
        if likeness >= 0.5 and (exercise not in best or likeness > best[exercise][2]):
            best[exercise] = (exercise, other, likeness)
    return sorted(best.values(), key=lambda each: (-each[2], len(each[1]), each[1]))[:3]


def test_candidates_are_those_that_comparing_with_every_name_finds() -> None:
    found = {name for path in REAL_FILES for name in imported(path.read_bytes(), names=CATALOG).preview.matched}
    # As they are, and with a word more, a word less, and in the words of a person.
    asked = sorted(
        found | {f"Slow {name}" for name in found} | {name.rpartition(" ")[0] for name in found} | {"", "DB"}
    )
    names = Names(CATALOG)
    assert len(found) > 50
    assert [[*map(tuple, names.candidates(name))] for name in asked] == [_by_scan(CATALOG, name) for name in asked]


def test_the_first_unmatched_names_alone_have_candidates() -> None:
    rows = [hevy_row(exercise=f"Bench Press {number}") for number in range(CANDIDATES_FOR_MAX + 5)]
    preview = hevy(*rows, names=CATALOG).preview
    assert len(preview.unmatched) == CANDIDATES_FOR_MAX + 5
    assert list(preview.candidates) == list(preview.unmatched[:CANDIDATES_FOR_MAX])


def test_every_exercise_of_the_real_logs_is_in_the_catalog() -> None:
    missing = {
        name for path in REAL_FILES for name in imported(path.read_bytes(), names=CATALOG).preview.unmatched
    } - NOT_EXERCISES
    assert missing == set()


def test_no_name_of_the_catalog_leads_to_another_exercise() -> None:
    names = Names(CATALOG)
    assert [name for name, exercise in CATALOG.items() if names.resolve(name) != exercise] == []


def test_known_exercises_are_not_made_again() -> None:
    found = hevy(hevy_row(), names=CATALOG)
    assert of(found, "exercises") == []
    assert found.preview.matched["Bench Press (Barbell)"] == CATALOG["bench press (barbell)"]
