"""The indexes of a process: how they follow their spaces, and how many there are."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from api.training.exercise_indexes import PAGE_ROWS, ExerciseIndexes
from api.training.exercise_search import Asked, ExerciseSearch
from storage import tables
from storage.search.queries import read_places
from storage.spaces import CATALOG_SPACE
from sync.caller import Caller
from tests.api.training.exercises.world import called, custom, names
from tests.sync.harness import World


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """One database: how they follow is asked of both in test_exercise_search.py."""
    return sqlite_url


async def test_more_writes_than_a_page_has_are_found(world: World, search: ExerciseSearch) -> None:
    device = await world.device()
    await names(search, device.caller)
    ids = [world.uuid() for _ in range(2 * PAGE_ROWS + 10)]
    await device.push(*(device.put("exercises", id, name=f"Own {number}") for number, id in enumerate(ids)))
    found = await search.search(device.caller, Asked("own"))
    assert (found.total, found.complete) == (len(ids), True)


async def test_an_index_of_another_history_of_the_database_is_built_anew(world: World) -> None:
    gone = await custom(await world.device(), "Jefferson Curl")
    indexes = ExerciseIndexes(world.database)
    async with world.database.read() as tx:
        place = next(place for place in await read_places(tx, world.user) if place.is_own)
    assert set((await indexes.caught_up(place)).index.documents) == {gone}
    async with world.database.write() as tx:
        await tx.execute(tables.records.delete().where(tables.records.c.id == gone))
    assert set((await indexes.caught_up(place)).index.documents) == {gone}
    assert (await indexes.caught_up(replace(place, timeline="after a failover"))).index.documents == {}


async def test_searches_that_come_at_once_build_an_index_once(world: World, search: ExerciseSearch) -> None:
    caller = Caller(world.user, "session")
    await search.warm()
    before = world.database.statements
    await search.warm()
    assert world.database.statements - before == 1
    fresh = ExerciseSearch(world.database, world.engine.environment)
    before = world.database.statements
    await asyncio.gather(*(names(fresh, caller, "bench") for _ in range(10)))
    # Each asks what there is and reads its page; the catalog and the own space are read once, in two steps and in one.
    assert world.database.statements - before <= 10 * 2 + 3 + 10 + 1


async def test_a_search_that_comes_while_the_catalog_is_read_waits_for_it(world: World) -> None:
    caller = Caller(world.user, "session")
    alone = ExerciseSearch(world.database, world.engine.environment)
    expected = await names(alone, caller, "bench")
    fresh = ExerciseSearch(world.database, world.engine.environment)
    _, found = await asyncio.gather(fresh.warm(), names(fresh, caller, "bench"))
    assert found == expected != []


async def test_of_a_space_with_too_many_exercises_the_newest_are_found_and_the_answer_says_so(world: World) -> None:
    device = await world.device()
    indexes = ExerciseIndexes(world.database, names_max=3)
    search = ExerciseSearch(world.database, world.engine.environment, indexes=indexes)
    for number in range(3):
        await custom(device, f"Own {number}")
    # The catalog has a dozen names, and one's own space comes after it.
    whole = ExerciseSearch(
        world.database, world.engine.environment, indexes=ExerciseIndexes(world.database, names_max=3)
    )
    assert (await whole.search(device.caller, Asked("own"))).complete is False
    async with world.database.write() as tx:
        await tx.execute(tables.records.delete().where(tables.records.c.space_id == CATALOG_SPACE))
    found = await search.search(device.caller, Asked("own"))
    assert (found.total, found.complete) == (3, True)
    newest = await custom(device, "Own 3")
    for level in ("beginner", "advanced"):
        found = await search.search(device.caller, Asked("own"))
        assert (sorted(called(found)), found.complete) == (["Own 1", "Own 2", "Own 3"], False)
        # What was let go of does not come back with the next change.
        await device.push(device.put("exercises", newest, level=level))
    again = ExerciseSearch(
        world.database, world.engine.environment, indexes=ExerciseIndexes(world.database, names_max=3)
    )
    found = await again.search(device.caller, Asked("own"))
    assert (sorted(called(found)), found.complete) == (["Own 1", "Own 2", "Own 3"], False)


async def test_indexes_that_are_let_go_are_built_again(world: World) -> None:
    devices = [await world.device(user) for user in [await world.add_user() for _ in range(4)]]
    for device in devices:
        space = await world.add_space(device.caller.user)
        await custom(device, "Jefferson Curl", space=space)
    indexes = ExerciseIndexes(world.database, held_names_max=2)
    search = ExerciseSearch(world.database, world.engine.environment, indexes=indexes)
    for _ in range(2):
        for device in devices:
            assert await names(search, device.caller, "jefferson") == ["Jefferson Curl"]
    # The catalog's, and two of one name each.
    assert indexes.held == 3
