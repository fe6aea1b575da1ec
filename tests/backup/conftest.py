"""Small worlds to back up, and empty places of both databases to restore them to."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from storage.database import Database
from tests.conftest import Empty
from tests.sync.harness import World

__all__ = ["Empty"]


@pytest_asyncio.fixture
async def world(database: Database) -> AsyncIterator[World]:
    """One engine over each database in turn, with one user."""
    made = await World.make(database)
    yield made
    await made.close()
