from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from storage.database import Database
from tests.sync.harness import World


@pytest_asyncio.fixture
async def world(database: Database) -> AsyncIterator[World]:
    """One engine over each database in turn, with one user."""
    made = await World.make(database)
    yield made
    await made.close()
