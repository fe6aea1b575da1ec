"""Lists of exercises of other projects into one's own."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.training import exercise_import
from api.training.exercise_import import NewExercise, NotExercises, Problem, edits_of, preview, read_exercises
from api.training.exercise_search import Asked, ExerciseSearch
from storage.catalog import load, names
from storage.collections import COLLECTIONS
from sync.records import Records
from sync.validation import Rejection, check_put
from tests.api.training.exercises.world import BENCHES
from tests.shared import shared
from tests.sync.harness import World

FREE = (shared() / "data" / "free-exercise-db.json").read_bytes()
FREE_ROW = {
    "id": "Alternate_Hammer_Curl", "name": "Alternate Hammer Curl", "force": "pull", "level": "expert",
    "mechanic": "isolation", "equipment": "dumbbell", "primaryMuscles": ["biceps"], "category": "strength",
    "secondaryMuscles": ["forearms", "biceps"], "instructions": ["Stand."], "images": ["0.jpg"],
}  # fmt: skip
WGER_ROW = {
    "id": 345, "uuid": "0c3a4b5d-1111-4a4b-8f8f-000000000001", "created": "2023-08-06T10:17:17.422900+02:00",
    "category": {"id": 9, "name": "Legs"},
    "muscles": [{"id": 10, "name": "Quadriceps femoris", "name_en": "Quads", "is_front": True}],
    "muscles_secondary": [{"id": 8, "name": "Gluteus maximus", "name_en": "Glutes"}, {"id": 99, "name": "Toes"}],
    "equipment": [{"id": 1, "name": "Barbell"}, {"id": 4, "name": "Gym mat"}],
    "license": {"id": 2, "full_name": "Creative Commons Attribution Share Alike 4", "short_name": "CC-BY-SA 4"},
    "license_author": "somebody", "images": [], "variations": 42,
    "translations": [
        {"id": 1, "name": "Kniebeuge", "language": 1, "description": "<p>…</p>", "aliases": []},
        {"id": 2, "name": "Box Squat", "language": 2, "description": "<p>…</p>", "aliases": [{"alias": "Box squats"}]},
    ],
}  # fmt: skip


def encoded(*rows: Any) -> bytes:
    return json.dumps(rows).encode()


def fields_of(*rows: Any, **more: Any) -> dict[str, Any]:
    """The fields of the one exercise of a file."""
    read = read_exercises(encoded(*rows), **more)
    assert not read.errors
    (exercise,) = read.exercises
    return dict(exercise.values)


def is_taken(exercise: NewExercise) -> bool:
    """Whether the write path takes a record as it is."""
    spec = COLLECTIONS["exercises"]
    sets = {name: {"add": exercise.values[name]} for name, field in spec.fields.items() if field.kind == "set"}
    return not isinstance(check_put(spec, exercise.id, {**exercise.values, **sets}), Rejection)


# -- free-exercise-db ------------------------------------------------------------------------------------------------


def test_all_of_free_exercise_db_is_read_without_a_fault() -> None:
    read = read_exercises(FREE)
    assert (read.app, read.rows, len(read.exercises)) == ("free-exercise-db", 873, 873)
    assert read.errors == read.warnings == ()
    assert read.left_out == ("instructions", "images")


def test_every_record_is_one_that_the_write_path_takes() -> None:
    assert all(is_taken(each) for each in read_exercises(FREE).exercises)


def test_the_facts_of_free_exercise_db_stand_in_our_words() -> None:
    assert fields_of(FREE_ROW) == {
        "name": "Alternate Hammer Curl", "aliases": [], "category": "strength", "measure": "weight_reps",
        "force": "pull", "level": "advanced", "mechanic": "isolation", "equipment": ["dumbbell"],
        "primary_muscles": ["biceps"], "secondary_muscles": ["forearms"], "instructions": [], "load_mode": "external",
        "is_unilateral": False, "variation_group": None, "archived": False, "licence": "Unlicense", "author": None,
        "source_url": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("row", "measure", "load_mode"),
    [
        ({"equipment": "barbell"}, "weight_reps", "external"),
        ({"equipment": "body only"}, "bodyweight_reps", "bodyweight_plus"),
        ({"equipment": "bands"}, "reps_only", "none"),
        ({"equipment": None}, "weight_reps", "external"),
        ({"equipment": "other"}, "weight_reps", "external"),
        ({"equipment": "body only", "force": "static"}, "duration", "none"),
        ({"equipment": "dumbbell", "force": "static"}, "weight_duration", "external"),
        ({"category": "stretching", "equipment": "body only"}, "duration", "none"),
        ({"category": "cardio", "equipment": "machine"}, "distance_duration", "none"),
        ({"category": "olympic weightlifting", "equipment": None}, "weight_reps", "external"),
        ({"name": "Assisted Pull-Up", "equipment": "machine"}, "assisted_reps", "assisted"),
    ],
)
def test_what_is_logged_of_an_exercise_follows_from_its_facts(row: Any, measure: str, load_mode: str) -> None:
    fields = fields_of({**FREE_ROW, **row})
    assert (fields["measure"], fields["load_mode"]) == (measure, load_mode)


@pytest.mark.parametrize(
    ("name", "is_one_sided"),
    [("One-Arm Row", True), ("Single leg squat", True), ("One-Handed Hang", True), ("Two-Arm Row", False)],
)
def test_an_exercise_of_one_side_is_told_by_its_name(name: str, is_one_sided: bool) -> None:
    assert fields_of({**FREE_ROW, "name": name})["is_unilateral"] is is_one_sided


# -- wger ------------------------------------------------------------------------------------------------------------


def test_the_facts_of_wger_stand_in_our_words() -> None:
    read = read_exercises(encoded(WGER_ROW))
    fields = fields_of(WGER_ROW)
    assert read.app == "wger"
    assert (fields["name"], fields["aliases"]) == ("Box Squat", ["Box squats", "Kniebeuge"])
    assert (fields["primary_muscles"], fields["secondary_muscles"]) == (["quadriceps"], ["glutes"])
    assert (fields["equipment"], fields["measure"]) == (["barbell"], "weight_reps")
    assert (fields["licence"], fields["author"], fields["level"]) == ("CC-BY-SA 4", "somebody", "beginner")
    assert read.warnings == (
        Problem(1, "Box Squat", "secondary_muscles", "'Toes' has no place in secondary_muscles and was left out"),
    )


def test_a_wger_exercise_is_named_in_the_language_that_was_asked_for() -> None:
    fields = fields_of(WGER_ROW, language=1)
    assert (fields["name"], fields["aliases"]) == ("Kniebeuge", ["Box Squat", "Box squats"])
    assert fields_of(WGER_ROW, language=7)["name"] == "Kniebeuge"


def test_variations_of_one_movement_stay_together() -> None:
    first, second = fields_of(WGER_ROW), fields_of({**WGER_ROW, "uuid": "other"})
    assert first["variation_group"] == second["variation_group"] is not None
    assert fields_of({**WGER_ROW, "variations": [1, 2]})["variation_group"] is None


OLDER = {
    "id": 345, "uuid": "a", "category": 15, "muscles": [10, 11], "muscles_secondary": [8], "equipment": [7],
    "license": 2, "license_author": "",
}  # fmt: skip


@pytest.mark.parametrize(
    "named",
    [
        {"name": "Squat", "language": 2, "aliases": [{"id": 1, "alias": "Knee bend"}]},
        {"name": "Squat", "language": {"id": 2, "short_name": "en"}, "aliases": ["Knee bend"]},
        {"exercises": [{"name": "Squat", "language": 2, "aliases": [{"alias": "Knee bend"}]}]},
    ],
)
def test_every_form_of_wgers_answers_is_read(named: dict[str, Any]) -> None:
    fields = fields_of({**OLDER, **named})
    assert (fields["name"], fields["aliases"], fields["category"]) == ("Squat", ["Knee bend"], "cardio")
    assert fields["primary_muscles"] == ["hamstrings", "quadriceps"]
    assert (fields["equipment"], fields["licence"], fields["author"]) == (["bodyweight"], "CC-BY-SA 4", None)


def test_where_wger_names_no_muscle_the_part_of_the_body_tells() -> None:
    assert fields_of({**WGER_ROW, "muscles": [], "category": {"id": 11, "name": "Chest"}})["primary_muscles"] == [
        "chest"
    ]


def test_a_page_of_the_api_and_a_single_exercise_are_read_as_a_list_is() -> None:
    listed = read_exercises(encoded(WGER_ROW))
    page = {"count": 1, "next": None, "previous": None, "results": [WGER_ROW]}
    assert read_exercises(json.dumps(page).encode()) == listed
    assert read_exercises(json.dumps(WGER_ROW).encode()) == listed
    assert read_exercises(b"\xef\xbb\xbf" + encoded(WGER_ROW)) == listed


# -- rows and files that are wrong -----------------------------------------------------------------------------------


def test_a_row_that_cannot_be_read_costs_itself_alone() -> None:
    read = read_exercises(
        encoded(
            {**FREE_ROW, "id": None, "name": None},
            FREE_ROW,
            {**FREE_ROW, "id": "b", "primaryMuscles": "biceps"},
            "no exercise",
            {**FREE_ROW, "id": "c", "name": "x" * 101},
            {**FREE_ROW, "id": "d", "name": " x "},
            FREE_ROW,
        )
    )
    assert [each.row for each in read.exercises] == [2]
    assert [(each.row, each.field) for each in read.errors] == [
        (1, "name"), (3, "primaryMuscles"), (4, None), (5, "name"), (6, "name"), (7, None),
    ]  # fmt: skip
    assert read.errors[1].name == "Alternate Hammer Curl"
    assert "row 2" in read.errors[-1].message


def test_a_word_that_we_have_not_is_left_out_and_told() -> None:
    read = read_exercises(encoded({**FREE_ROW, "equipment": "log", "primaryMuscles": ["biceps", "Toes"]}))
    (exercise,) = read.exercises
    assert exercise.values["equipment"] == [] and exercise.values["primary_muscles"] == ["biceps"]
    assert [(each.field, each.message) for each in read.warnings] == [
        ("equipment", "'log' has no place in equipment and was left out"),
        ("primary_muscles", "'Toes' has no place in primary_muscles and was left out"),
    ]


NO_LIST = [
    b"", b"no JSON", b"\xff\xfe", b"5", b'"text"', b"[", b"[]", b"{}", b'[{"name": "x"}]', b'{"results": 5}',
    b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("data", NO_LIST, ids=range(len(NO_LIST)))
def test_a_file_that_is_no_list_of_exercises_is_refused_in_one_sentence(data: bytes) -> None:
    with pytest.raises(NotExercises, match=r"^The file [^.]+\.$"):
        read_exercises(data)


def test_a_file_that_is_too_large_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exercise_import, "ROWS_MAX", 2)
    with pytest.raises(NotExercises, match="3 rows"):
        read_exercises(encoded(1, 2, 3))
    monkeypatch.setattr(exercise_import, "BYTES_MAX", 4)
    with pytest.raises(NotExercises, match="5 bytes"):
        read_exercises(b"[    ")


def test_the_app_may_be_named() -> None:
    bare = encoded({"name": "Row", "uuid": "1"})
    assert read_exercises(bare, app="wger").exercises[0].name == "Row"
    with pytest.raises(NotExercises, match="neither free-exercise-db nor wger"):
        read_exercises(encoded(FREE_ROW), app="another")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
BOTH: list[dict[str, Any]] = [FREE_ROW, WGER_ROW]
ROWS = st.sampled_from(BOTH).flatmap(lambda row: st.tuples(st.just(row), st.sampled_from(sorted(row)), ANYTHING))


@given(st.lists(ROWS, min_size=1, max_size=4))
def test_whatever_a_row_says_the_file_is_read_row_by_row(changed: list[tuple[dict[str, Any], str, Any]]) -> None:
    rows = [{**row, name: value} for row, name, value in changed]
    read = read_exercises(encoded(*rows), app="wger" if "uuid" in rows[0] else "free-exercise-db")
    assert len(read.exercises) + len(read.errors) == len(rows)
    assert all(is_taken(each) for each in read.exercises)


# -- preview and writing ---------------------------------------------------------------------------------------------


def test_a_preview_tells_what_is_new_what_is_known_and_what_is_called_the_same() -> None:
    first = read_exercises(FREE).exercises[0]
    looked = preview(read_exercises(FREE), {first.id}, names(load()))
    assert looked.known == (first,)
    assert len(looked.new) == 872
    by_name = {each.id: each.name for each in looked.new}
    twins = {by_name[id]: other for id, other in looked.twins.items()}
    assert twins["Wide-Grip Barbell Bench Press"] == names(load())["wide-grip barbell bench press"]


def test_an_exercise_is_no_twin_of_its_own_copy_in_a_shared_space() -> None:
    read = read_exercises(encoded(FREE_ROW))
    (only,) = read.exercises
    assert preview(read, (), {only.name.casefold(): only.id}).twins == {}


async def test_twice_the_same_file_imports_once_and_edits_stay(world: World) -> None:
    device = await world.device()
    records = Records(world.database, world.engine.server_writer, world.engine.texts)
    search = ExerciseSearch(world.database, world.engine.environment)
    read = read_exercises(FREE)
    looked = preview(read, (), {})
    assert len((await records.write(device.caller, world.space, edits_of(looked))).records) == 873

    edited, left = read.exercises[0], read.exercises[1]
    await device.pull()
    await device.push(device.put("exercises", edited.id, name="Mine"), device.delete("exercises", left.id))
    shown = {each.id for each in read.exercises} - {left.id}
    assert {each["id"]: each["deleted"] for each in await device.pull()} == {edited.id: False, left.id: True}
    again = preview(read_exercises(FREE), shown, {})
    assert again.new == (left,)
    assert edits_of(again, without={left.id}) == []
    assert len((await records.write(device.caller, world.space, edits_of(again))).records) == 1

    found = await search.search(device.caller, Asked("", limit=1))
    assert found.total == len(BENCHES) + 873
    mine = await search.find(device.caller, edited.id)
    assert mine is not None and mine.record.values["name"] == "Mine"
