"""Worlds of devices around the model server, for the device's rules."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from fitai_client import Client
from tests.api.harness import Server
from tests.client_sdk.server import server_process
from tests.client_sdk.world import World

OpenPhone = Callable[..., Awaitable[Client]]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


@pytest_asyncio.fixture
async def server(database_url: str) -> AsyncIterator[Server]:
    """The product's server, on SQLite and on Postgres in turn."""
    async with server_process(database_url) as (_, running):
        yield running


@pytest_asyncio.fixture
async def lite(sqlite_url: str) -> AsyncIterator[Server]:
    """The product's server on SQLite alone, for what does not depend on the database."""
    async with server_process(sqlite_url) as (_, running):
        yield running


@pytest_asyncio.fixture
async def open_phone(tmp_path: Path) -> AsyncIterator[OpenPhone]:
    """Opens clients by name; all are closed at the end."""
    async with AsyncExitStack() as stack:

        async def opened(name: str, url: str, **options: Any) -> Client:
            path = tmp_path / f"{name}.db"
            return await stack.enter_async_context(await Client.open(path, server=url, name=name, **options))

        yield opened
