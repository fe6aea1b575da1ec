"""The search for exercises over an engine, and the writes that its tests need."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any

from api.training.exercise_search import Asked, ExerciseSearch, Found
from storage.catalog import Exercise, load
from storage.database import Database
from sync.caller import Caller
from sync.catalog import seed_catalog
from tests.sync.harness import Device, World

CATALOG = load()
BENCHES = [each for each in CATALOG if each.name.endswith("Bench Press")][:12]
BENCH = next(each for each in BENCHES if each.name == "Barbell Bench Press")


@asynccontextmanager
async def a_world(database: Database, catalog: Sequence[Exercise] | None = None) -> AsyncIterator[World]:
    """One user, with a personal space, over a seeded catalog."""
    world = await World.make(database)
    try:
        await seed_catalog(world.engine, catalog)
        yield world
    finally:
        await world.close()


async def names(search: ExerciseSearch, caller: Caller, text: str = "", **more: Any) -> list[str]:
    """The names that somebody finds, in their order."""
    return called(await search.search(caller, Asked(text, **more)))


def called(found: Found) -> list[str]:
    return [each.record.values["name"] for each in found.exercises]


async def train(device: Device, exercises: Collection[str], space: str | None = None) -> str:
    """One workout with these exercises; its id."""
    world = device.world
    workout = world.uuid()
    changes = [device.put("workouts", workout, title="Training")]
    changes += [
        device.put("workout_exercises", world.uuid(), workout=workout, exercise=exercise, position="a0")
        for exercise in exercises
    ]
    await device.push(*changes, space=space)
    return workout


async def custom(device: Device, name: str, *, space: str | None = None, id: str | None = None, **more: Any) -> str:
    """Write an exercise of one's own; its id."""
    id = id or device.world.uuid()
    await device.push(device.put("exercises", id, name=name, **more), space=space)
    return id
