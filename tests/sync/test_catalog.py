"""How a server's catalog space comes to hold the exercises that are shipped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio

from storage import tables
from storage.catalog import load
from storage.database import Database
from storage.spaces import CATALOG_SPACE
from sync.catalog import is_seeded, seed_catalog, writes_for
from sync.messages import read_push
from sync.server_writes import ServerWrite
from tests.sync.harness import World

EXERCISES = load()


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
    await seed_catalog(world.engine, EXERCISES[:20])
    device = await world.device()
    await device.pull(space=CATALOG_SPACE)

    assert await seed_catalog(world.engine, EXERCISES[:20]) == 0
    assert await device.pull(space=CATALOG_SPACE) == []


async def test_what_was_compared_is_not_compared_again_until_something_moves(world: World) -> None:
    async def seeded() -> bool:
        async with world.database.read() as tx:
            return await is_seeded(tx)

    assert not await seeded()
    await seed_catalog(world.engine)
    assert await seed_catalog(world.engine) == 0
    assert await seeded()

    renamed = ServerWrite("exercises", EXERCISES[0].id, "put", {"name": "Renamed"})
    await world.engine.server_writer.write_as_server(CATALOG_SPACE, [renamed])
    assert not await seeded()
    assert (await seed_catalog(world.engine), await seed_catalog(world.engine)) == (1, 0)
    assert await seeded()

    async with world.database.write() as tx:
        await tx.execute(tables.spaces.update().where(tables.spaces.c.id == CATALOG_SPACE).values(life="restored"))
    assert not await seeded()


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
