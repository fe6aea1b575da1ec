"""The shipped exercise catalog: its form, and the sense of what an exercise says about itself.

Its names are held by `test_catalog_names.py`, its instructions by `test_catalog_texts.py`, and how a server comes to
hold it by `tests/sync/test_catalog.py`.
"""

from __future__ import annotations

import re
from collections import Counter
from importlib import resources
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from storage import catalog
from storage.catalog import Exercise, exercise_id, load
from storage.collections import COLLECTIONS
from storage.field_types import Enum

EXERCISES = load()
MUSCLES = {
    "abdominals", "abductors", "adductors", "biceps", "calves", "chest", "forearms", "glutes", "hamstrings", "lats",
    "lower_back", "middle_back", "neck", "quadriceps", "shoulders", "traps", "triceps",
}  # fmt: skip
EQUIPMENT_IN_NAMES = {
    "Band": "band", "Banded": "band", "Barbell": "barbell", "Bodyweight": "bodyweight", "Cable": "cable",
    "Dumbbell": "dumbbell", "EZ-Bar": "ez_bar", "Exercise Ball": "exercise_ball", "Foam Roll": "foam_roller",
    "Kettlebell": "kettlebell", "Machine": "machine", "Medicine Ball": "medicine_ball", "Ring": "suspension",
    "Smith Machine": "machine", "Suspension": "suspension",
}  # fmt: skip
# The steps in which a load is raised, in kg, where one kind of equipment alone carries it.
STEPS_KG = {
    "barbell": {1.25, 2.5, 5}, "cable": {1.25, 2.5, 5}, "dumbbell": {0.5, 1, 2, 2.5}, "ez_bar": {1.25, 2.5},
    "kettlebell": {4}, "machine": {2.5, 5}, "medicine_ball": {1},
}  # fmt: skip


# -- what there is ---------------------------------------------------------------------------------------------------


def test_the_catalog_holds_at_least_a_thousand_exercises() -> None:
    assert len(EXERCISES) >= 1_000


@pytest.mark.parametrize("muscle", sorted(MUSCLES))
def test_every_muscle_is_trained_and_stretched(muscle: str) -> None:
    working = Counter(each.category == "stretching" for each in EXERCISES if muscle in each.primary_muscles)
    assert working[False] >= 10 and working[True] >= 1


@pytest.mark.parametrize(("field", "least"), [("category", 10), ("equipment", 10), ("level", 100), ("measure", 5)])
def test_every_word_of_the_vocabulary_is_used(field: str, least: int) -> None:
    type_ = COLLECTIONS["exercises"].fields[field].type
    assert isinstance(type_, Enum)
    said = [getattr(each, field) for each in EXERCISES]
    used = Counter(word for each in said for word in ((each,) if isinstance(each, str) else each))
    assert {word for word in type_.values if used[word] < least} == set()


def test_a_file_holds_one_pattern_of_a_size_that_can_be_read() -> None:
    files = [file for file in resources.files(catalog).iterdir() if file.name.endswith(".json")]
    sizes = {file.name: len(msgspec.json.decode(file.read_bytes())) for file in files}
    assert {name: size for name, size in sizes.items() if size > 60} == {}


# -- form ------------------------------------------------------------------------------------------------------------


def test_an_exercise_has_exactly_the_declared_fields() -> None:
    assert [field for field in Exercise.__struct_fields__ if field != "id"] == list(COLLECTIONS["exercises"].fields)


def test_ids_are_unique_and_derived() -> None:
    assert len({each.id for each in EXERCISES}) == len(EXERCISES)
    assert {UUID(each.id).version for each in EXERCISES} == {5}
    assert {each.name for each in EXERCISES if each.id != exercise_id(each.name)} == set()


def test_an_exercise_that_was_shipped_stays() -> None:
    shipped = (Path(__file__).parent / "shipped_exercises.txt").read_text(encoding="utf-8").splitlines()
    ids = {each.id for each in EXERCISES}
    assert len(shipped) >= 1_000
    assert {name for name in shipped if exercise_id(name) not in ids} == set()


def test_every_word_is_of_the_declared_vocabulary() -> None:
    for exercise in EXERCISES:
        values = exercise.values()
        for name, field in COLLECTIONS["exercises"].fields.items():
            if not isinstance(field.type, Enum) or values[name] is None:
                continue
            said = values[name] if field.kind == "set" else [values[name]]
            assert set(said) <= set(field.type.values), name
        assert set(exercise.primary_muscles) | set(exercise.secondary_muscles) <= MUSCLES


def test_sets_are_sorted_and_without_repetition() -> None:
    for exercise in EXERCISES:
        for elements in (
            exercise.aliases, exercise.equipment, exercise.primary_muscles, exercise.secondary_muscles,
        ):  # fmt: skip
            assert list(elements) == sorted(set(elements))


# -- sense -----------------------------------------------------------------------------------------------------------


def test_an_exercise_works_a_muscle_and_no_muscle_twice() -> None:
    for exercise in EXERCISES:
        assert exercise.primary_muscles
        assert not set(exercise.primary_muscles) & set(exercise.secondary_muscles)


def test_an_exercise_is_done_with_something() -> None:
    assert [each.name for each in EXERCISES if not each.equipment] == []


def test_the_equipment_matches_the_name() -> None:
    for exercise in EXERCISES:
        for word, equipment in EQUIPMENT_IN_NAMES.items():
            if re.search(rf"(?:^|[ -]){word}(?:[ -]|$)", exercise.name) and "Machine" not in word:
                assert equipment in exercise.equipment, exercise.name
            if "Machine" in word and word in exercise.name:
                assert equipment in exercise.equipment, exercise.name


def test_body_weight_counts_by_a_fraction_exactly_where_it_is_part_of_the_load() -> None:
    for exercise in EXERCISES:
        carries_the_body = exercise.load_mode in ("bodyweight_plus", "assisted")
        assert (exercise.bodyweight_fraction is not None) == carries_the_body
        assert carries_the_body == (exercise.measure in ("bodyweight_reps", "assisted_reps"))
        assert (exercise.load_mode == "assisted") == (exercise.measure == "assisted_reps")
        if exercise.bodyweight_fraction is not None:
            assert 0.2 <= exercise.bodyweight_fraction <= 1


def test_a_step_of_the_load_is_given_exactly_where_there_is_a_load() -> None:
    for exercise in EXERCISES:
        loaded = exercise.load_mode != "none"
        assert (exercise.weight_increment is not None) == loaded
        assert (exercise.load_mode == "external") == (
            exercise.measure in ("weight_reps", "weight_duration", "weight_distance")
        )
        if exercise.weight_increment is not None:
            assert exercise.weight_increment.unit == "kg" and 0.5 <= exercise.weight_increment.value <= 5


def test_a_step_of_the_load_is_one_that_the_equipment_has() -> None:
    for exercise in EXERCISES:
        steps = STEPS_KG.get(exercise.equipment[0]) if len(exercise.equipment) == 1 else None
        if steps is not None and exercise.load_mode == "external" and exercise.weight_increment is not None:
            assert exercise.weight_increment.value in steps, exercise.name


def test_what_only_bands_or_the_body_resist_has_no_load_of_its_own() -> None:
    for exercise in EXERCISES:
        if set(exercise.equipment) <= {"band", "bodyweight", "exercise_ball", "foam_roller", "suspension"}:
            assert exercise.load_mode != "external", exercise.name


def test_rest_is_sensible_for_the_kind_of_work() -> None:
    for exercise in EXERCISES:
        if exercise.measure == "distance_duration":
            assert exercise.default_rest_s is None
            continue
        least, most = (15, 30) if exercise.category == "stretching" else (45, 240)
        assert exercise.default_rest_s is not None
        assert least <= exercise.default_rest_s <= most and exercise.default_rest_s % 15 == 0, exercise.name
        if exercise.mechanic == "isolation":
            assert exercise.default_rest_s <= 120, exercise.name


def test_ways_are_measured_in_cardio_and_in_carries_alone() -> None:
    for exercise in EXERCISES:
        if exercise.measure == "distance_duration":
            assert exercise.category == "cardio", exercise.name
        if exercise.measure == "weight_distance":
            assert exercise.category in ("cardio", "strength", "strongman"), exercise.name


def test_a_stretch_has_neither_load_nor_mechanic() -> None:
    for exercise in EXERCISES:
        if exercise.category == "stretching":
            assert exercise.measure in ("duration", "reps_only") and exercise.mechanic is None, exercise.name
        else:
            assert exercise.mechanic is not None, exercise.name


def test_a_hold_is_static_and_timed() -> None:
    holds = [each for each in EXERCISES if each.name.endswith((" Hold", " Hang"))]
    assert len(holds) > 20
    for exercise in holds:
        assert exercise.force == "static" and exercise.measure in ("duration", "weight_duration"), exercise.name


def test_what_one_limb_does_by_name_is_unilateral() -> None:
    named = [each for each in EXERCISES if re.search(r"\b(?:Single|One)-(?:Arm|Leg)\b", each.name)]
    assert len(named) > 80
    assert [each.name for each in named if not each.is_unilateral] == []


def test_variations_of_a_movement_share_a_main_muscle() -> None:
    groups: dict[str, list[Exercise]] = {}
    for each in EXERCISES:
        assert each.variation_group is not None
        groups.setdefault(each.variation_group, []).append(each)
    assert sum(len(group) > 5 for group in groups.values()) > 50
    for group in groups.values():
        told = Counter(muscle for each in group for muscle in (*each.primary_muscles, *each.secondary_muscles))
        assert max(told.values()) == len(group), [each.name for each in group]


def test_every_exercise_says_whose_it_is_and_under_which_licence() -> None:
    assert {(each.licence, each.author, each.source_url) for each in EXERCISES} == {("MIT", "FitAI", None)}
