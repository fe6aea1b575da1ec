"""The shipped exercise catalog: its data, and how a server's catalog space comes to hold it."""

from __future__ import annotations

import asyncio
import csv
import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
import pytest_asyncio

from storage.catalog import Exercise, exercise_id, load, names
from storage.collections import COLLECTIONS
from storage.database import Database
from storage.field_types import Enum, String
from storage.spaces import CATALOG_SPACE
from sync.catalog import seed_catalog, writes_for
from sync.messages import read_push
from tests.shared import shared
from tests.sync.harness import World

EXERCISES = load()
MUSCLES = {
    "abdominals", "abductors", "adductors", "biceps", "calves", "chest", "forearms", "glutes", "hamstrings", "lats",
    "lower_back", "middle_back", "neck", "quadriceps", "shoulders", "traps", "triceps",
}  # fmt: skip
EQUIPMENT_IN_NAMES = {
    "Barbell": "barbell", "Bodyweight": "bodyweight", "Cable": "cable", "Dumbbell": "dumbbell", "EZ-Bar": "ez_bar",
    "Kettlebell": "kettlebell", "Machine": "machine",
}  # fmt: skip
# Names in real logs that name no exercise.
NOT_AN_EXERCISE = {"Warm Up": "a label under which one logs whatever was done before the first exercise"}


def test_the_catalog_holds_at_least_150_exercises() -> None:
    assert len(EXERCISES) >= 150


def test_an_exercise_has_exactly_the_declared_fields() -> None:
    assert [field for field in Exercise.__struct_fields__ if field != "id"] == list(COLLECTIONS["exercises"].fields)


def test_ids_are_unique_and_derived() -> None:
    assert len({each.id for each in EXERCISES}) == len(EXERCISES)
    assert {UUID(each.id).version for each in EXERCISES} == {5}
    assert {each.name for each in EXERCISES if each.id != exercise_id(each.name)} == set()


def test_a_name_or_an_alias_means_one_exercise() -> None:
    told = Counter(name.casefold() for each in EXERCISES for name in (each.name, *each.aliases))
    assert {name for name, count in told.items() if count > 1} == set()
    assert len(names(EXERCISES)) == len(told)


def test_every_word_is_of_the_declared_vocabulary() -> None:
    for exercise in EXERCISES:
        values = exercise.values()
        for name, field in COLLECTIONS["exercises"].fields.items():
            if not isinstance(field.type, Enum) or values[name] is None:
                continue
            said = values[name] if field.kind == "set" else [values[name]]
            assert set(said) <= set(field.type.values), name
        assert set(exercise.primary_muscles) | set(exercise.secondary_muscles) <= MUSCLES


def test_every_text_fits_its_field() -> None:
    for exercise in EXERCISES:
        name = COLLECTIONS["exercises"].fields["name"].type
        assert isinstance(name, String)
        assert name.min_length <= len(exercise.name) <= name.max_length
        assert all(1 < len(alias) <= 100 for alias in exercise.aliases)


def test_sets_are_sorted_and_without_repetition() -> None:
    for exercise in EXERCISES:
        for elements in (
            exercise.aliases, exercise.equipment, exercise.primary_muscles, exercise.secondary_muscles,
        ):  # fmt: skip
            assert list(elements) == sorted(set(elements))


def test_an_exercise_works_a_muscle_and_no_muscle_twice() -> None:
    for exercise in EXERCISES:
        assert exercise.primary_muscles
        assert not set(exercise.primary_muscles) & set(exercise.secondary_muscles)


def test_an_exercise_is_explained_in_at_least_three_sentences() -> None:
    for exercise in EXERCISES:
        assert len(exercise.instructions) >= 3
        assert all(re.fullmatch(r"[A-Z].{20,}\.", step) for step in exercise.instructions)


def test_no_instruction_stands_twice_in_the_catalog() -> None:
    told = Counter(step for each in EXERCISES for step in each.instructions)
    assert {step for step, count in told.items() if count > 1} == set()


def test_no_sentence_is_taken_from_free_exercise_db() -> None:
    def sentences(texts: list[str]) -> set[str]:
        parts = [part for text in texts for part in re.split(r"(?<=[.!?;])\s+", text)]
        return {re.sub(r"[^a-z0-9]+", " ", part.casefold()).strip() for part in parts} - {""}

    theirs = json.loads((shared() / "data" / "free-exercise-db.json").read_text(encoding="utf-8"))
    taken = sentences([step for each in theirs for step in each["instructions"]])
    assert len(taken) > 2_000
    assert sentences([step for each in EXERCISES for step in each.instructions]) & taken == set()


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


def test_rest_is_sensible_for_the_kind_of_work() -> None:
    for exercise in EXERCISES:
        if exercise.measure == "distance_duration":
            assert exercise.default_rest_s is None
            continue
        assert exercise.default_rest_s is not None
        assert 45 <= exercise.default_rest_s <= 240 and exercise.default_rest_s % 15 == 0
        if exercise.mechanic == "isolation":
            assert exercise.default_rest_s <= 120


def test_the_equipment_matches_the_name() -> None:
    for exercise in EXERCISES:
        for word, equipment in EQUIPMENT_IN_NAMES.items():
            if word in exercise.name.split():
                assert equipment in exercise.equipment


def test_variations_of_a_movement_share_a_main_muscle() -> None:
    groups: dict[str, list[Exercise]] = {}
    for each in EXERCISES:
        assert each.variation_group is not None
        groups.setdefault(each.variation_group, []).append(each)
    assert any(len(group) > 5 for group in groups.values())
    for group in groups.values():
        told = Counter(muscle for each in group for muscle in (*each.primary_muscles, *each.secondary_muscles))
        assert max(told.values()) == len(group), [each.name for each in group]


def log_names(path: Path) -> set[str]:
    with path.open(encoding="utf-8", newline="") as file:
        return {row.get("exercise_title") or row["Exercise Name"] for row in csv.DictReader(file)}


@pytest.mark.parametrize("path", sorted((shared() / "data").glob("*.csv")), ids=lambda path: path.stem)
def test_every_exercise_of_a_real_log_resolves(path: Path) -> None:
    known = names(EXERCISES)
    found = log_names(path)
    assert found
    assert {name for name in found if name.casefold() not in known} - set(NOT_AN_EXERCISE) == set()


# -- seeding -------------------------------------------------------------------------------------------------------


@pytest_asyncio.fixture
async def world(database: Database) -> AsyncIterator[World]:
    made = await World.make(database)
    yield made
    await made.close()


async def test_a_device_pulls_the_catalog_as_it_is_shipped(world: World) -> None:
    assert await seed_catalog(world.engine) == len(EXERCISES)

    device = await world.device()
    records = await device.pull(space=CATALOG_SPACE)

    assert {record["id"]: record["values"] for record in records} == {each.id: each.values() for each in EXERCISES}


async def test_a_second_seeding_writes_nothing(world: World) -> None:
    await seed_catalog(world.engine)
    device = await world.device()
    await device.pull(space=CATALOG_SPACE)

    assert await seed_catalog(world.engine) == 0
    assert await device.pull(space=CATALOG_SPACE) == []


async def test_a_new_release_writes_only_what_changed(world: World) -> None:
    await seed_catalog(world.engine, EXERCISES[:3])
    device = await world.device()
    await device.pull(space=CATALOG_SPACE)
    renamed = msgspec.structs.replace(EXERCISES[1], name="Renamed", aliases=(*EXERCISES[1].aliases[1:], "Another"))

    assert await seed_catalog(world.engine, [EXERCISES[0], renamed, EXERCISES[2], EXERCISES[3]]) == 2

    pulled = {record["id"]: record["values"] for record in await device.pull(space=CATALOG_SPACE)}
    assert pulled == {
        renamed.id: {**renamed.values(), "aliases": sorted(renamed.aliases)},
        EXERCISES[3].id: EXERCISES[3].values(),
    }


async def test_an_exercise_that_is_shipped_no_longer_is_archived_once(world: World) -> None:
    await seed_catalog(world.engine, EXERCISES[:2])

    assert await seed_catalog(world.engine, EXERCISES[:1]) == 1
    assert await seed_catalog(world.engine, EXERCISES[:1]) == 0

    records = await (await world.device()).pull(space=CATALOG_SPACE)
    assert {record["id"]: record["values"]["archived"] for record in records} == {
        EXERCISES[0].id: False,
        EXERCISES[1].id: True,
    }


async def test_servers_that_start_at_once_seed_once(world: World) -> None:
    written = await asyncio.gather(*(seed_catalog(world.engine, EXERCISES[:5]) for _ in range(3)))
    assert sorted(written) == [0, 0, 5]


async def test_a_device_cannot_write_the_catalog(world: World) -> None:
    await seed_catalog(world.engine, EXERCISES[:1])
    device = await world.device()
    change = device.put("exercises", EXERCISES[0].id, name="Mine")
    body = {"device": device.id, "schema": 1, "after": None, "changes": [change]}

    with pytest.raises(Exception) as refused:
        await world.engine.push(device.caller, CATALOG_SPACE, read_push(body, world.engine.limits))
    assert getattr(refused.value, "code", None) == "read_only"


def test_a_put_names_only_the_fields_that_differ() -> None:
    exercise = EXERCISES[0]
    stored = {**exercise.values(), "level": "advanced", "equipment": ["cable", *exercise.equipment]}

    (write,) = writes_for([exercise], {exercise.id: stored})

    assert write.fields == {"level": exercise.level, "equipment": {"add": [], "remove": ["cable"]}}
