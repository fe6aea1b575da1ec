"""The real application over SQLite and Postgres, and the rule that nothing hostile makes it fail."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.api.harness import Server, running, settings_for
from tests.security.harness import Person, faults, join


@pytest_asyncio.fixture
async def server(database_url: str, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Server]:
    """A server that has logged no error and no traceback when the test is over."""
    async with running(settings_for(database_url)) as server:
        yield server
    assert faults(caplog.get_records("call")) == []


@pytest_asyncio.fixture
async def mallory(server: Server) -> Person:
    """The one who attacks."""
    return await join(server)


@pytest_asyncio.fixture
async def ann(server: Server) -> Person:
    """The one who is attacked."""
    return await join(server)


@pytest_asyncio.fixture
async def sqlite_pair(sqlite_url: str, caplog: pytest.LogCaptureFixture) -> AsyncIterator[tuple[Person, Person, str]]:
    """Two members of a shared space over SQLite, for what no database can change."""
    async with running(settings_for(sqlite_url)) as server:
        ann, mallory = await join(server), await join(server)
        yield ann, mallory, await ann.shared_with(mallory)
    assert faults(caplog.get_records("call")) == []
