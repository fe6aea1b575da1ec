"""A server over each database in turn, and one over SQLite for what no database can change."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.api.harness import Server, running, settings_for


@pytest_asyncio.fixture
async def server(database_url: str, tmp_path: Path) -> AsyncIterator[Server]:
    """A server without rate limits, on SQLite and on Postgres in turn."""
    async with running(settings_for(database_url, blob_url=f"file://{tmp_path}/blobs")) as made:
        yield made


@pytest_asyncio.fixture
async def plain_server(sqlite_url: str) -> AsyncIterator[Server]:
    """A server without rate limits, on SQLite."""
    async with running(settings_for(sqlite_url)) as made:
        yield made
