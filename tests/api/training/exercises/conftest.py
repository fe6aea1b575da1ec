from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from api.training.exercise_search import ExerciseSearch
from storage.database import Database
from tests.api.training.exercises.world import BENCHES, a_world
from tests.sync.harness import World


@pytest_asyncio.fixture
async def world(database: Database) -> AsyncIterator[World]:
    """One user over each database in turn, and a catalog of a dozen bench presses."""
    async with a_world(database, BENCHES) as made:
        yield made


@pytest.fixture
def search(world: World) -> ExerciseSearch:
    return ExerciseSearch(world.database, world.engine.environment)
