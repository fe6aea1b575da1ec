"""Empty places of both databases, and small worlds to back up."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest
import pytest_asyncio

from storage.database import Database
from tests.conftest import Servers
from tests.services.postgres import USER, run_statement
from tests.sync.harness import World


@pytest_asyncio.fixture
async def world(database: Database) -> AsyncIterator[World]:
    """One engine over each database in turn, with one user."""
    made = await World.make(database)
    yield made
    await made.close()


T = TypeVar("T")

# A new database of a kind ("sqlite" or "postgres"), in which there is not even a table.
Empty = Callable[[str], str]


def _aside(work: Callable[[], T]) -> T:
    """Done in a thread of its own, so that a test within an event loop may make a place too."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(work).result()


def _run(url: str, statement: str) -> None:
    _aside(lambda: asyncio.run(run_statement(url, statement)))


@pytest.fixture
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Empty]:
    made: list[str] = []
    base = ""

    def make(kind: str) -> str:
        nonlocal base
        name = f"empty_{uuid.uuid4().hex[:12]}"
        if kind == "sqlite":
            return f"sqlite+aiosqlite:///{tmp_path}/{name}.db"
        servers: Servers = request.getfixturevalue("servers")
        base = f"postgresql+asyncpg://{USER}@127.0.0.1:{_aside(servers.postgres_port)}"
        _run(f"{base}/postgres", f'CREATE DATABASE "{name}" TEMPLATE template0')
        made.append(name)
        return f"{base}/{name}"

    yield make
    for name in made:
        _run(f"{base}/postgres", f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(params=["sqlite", "postgres"])
def empty_url(request: pytest.FixtureRequest, empty: Empty) -> str:
    """An empty place of either database in turn."""
    return empty(request.param)
