"""Real servers for the whole run, a fresh database for each test.

The process that drives the run starts one PostgreSQL, lazily where there are no workers, and hands its port to the
workers; it ends with the run, however the workers end. Each worker has a Redis of its own: what is published in one
database of a Redis is heard in all of them.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings

from storage.database import Database, open_database
from storage.migrations import upgrade
from tests.patience import PatientLoop, patience
from tests.services.databases import Databases
from tests.services.postgres import USER, Postgres, fastest, postgres
from tests.services.processes import NotInstalled
from tests.services.redis import Redis, redis_server
from tests.services.redis import binary as find_redis

__all__ = ["patience"]

POSTGRES_PORT = "TESTS_POSTGRES_PORT"
TEMPLATE = "fitai_template"

settings.register_profile(
    "default",
    max_examples=int(os.environ.get("FITAI_HYPOTHESIS_EXAMPLES", "60")),
    # The same examples in every run, so that a red suite means a change; whoever looks for more gets new ones.
    derandomize="FITAI_HYPOTHESIS_EXAMPLES" not in os.environ,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("default")


class Servers:
    """The run's servers, started when the first test asks."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._postgres: Postgres | None = None
        self._redis: Redis | None = None

    def postgres_port(self) -> int:
        if POSTGRES_PORT in os.environ:
            return int(os.environ[POSTGRES_PORT])
        if self._postgres is None:
            self._postgres = self._stack.enter_context(postgres())
            asyncio.run(upgrade(self._postgres.create_database(TEMPLATE)))
        return self._postgres.port

    def redis(self) -> Redis:
        """This process's own."""
        if self._redis is None:
            self._redis = self._stack.enter_context(redis_server())
        return self._redis

    def close(self) -> None:
        self._stack.close()


SERVERS = pytest.StashKey[Servers]()


def pytest_configure(config: pytest.Config) -> None:
    if (memory := fastest()) is not None:
        # SQLite waits for the disk at each commit, and no test is there to see whether it does.
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(memory))
    servers = config.stash[SERVERS] = Servers()
    drives_workers = not hasattr(config, "workerinput") and bool(config.getoption("numprocesses", default=None))
    if drives_workers:
        # Workers inherit the environment, and find the server there.
        try:
            os.environ[POSTGRES_PORT] = str(servers.postgres_port())
            find_redis()
        except NotInstalled as error:
            raise pytest.UsageError(f"The tests need real servers: {error}.") from None


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Mapping[str, type[PatientLoop]]:
    return {"patient": PatientLoop}


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[SERVERS].close()


@pytest.fixture(scope="session")
def servers(request: pytest.FixtureRequest) -> Servers:
    return request.config.stash[SERVERS]


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file; a test copies it."""
    path = tmp_path_factory.mktemp("template") / "template.db"
    asyncio.run(upgrade(f"sqlite+aiosqlite:///{path}"))
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A fresh migrated SQLite database."""
    path = tmp_path / "fitai.db"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite+aiosqlite:///{path}"


@pytest.fixture(scope="session")
def postgres_databases(servers: Servers) -> Iterator[Databases]:
    """Where this process has its Postgres databases from."""
    databases = Databases(f"postgresql+asyncpg://{USER}@127.0.0.1:{servers.postgres_port()}", TEMPLATE)
    yield databases
    databases.close()


@pytest.fixture
def postgres_url(postgres_databases: Databases) -> Iterator[str]:
    """A migrated Postgres database with nothing in it."""
    url = postgres_databases.take()
    yield url
    postgres_databases.give_back(url)


# A new database of a kind ("sqlite" or "postgres"), in which there is not even a table.
Empty = Callable[[str], str]


@pytest.fixture
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Empty]:
    """Makes empty places of either database; a test within an event loop may too."""
    made: list[tuple[Databases, str]] = []

    def make(kind: str) -> str:
        if kind == "sqlite":
            return f"sqlite+aiosqlite:///{tmp_path}/empty_{uuid.uuid4().hex[:12]}.db"
        databases: Databases = _aside(lambda: request.getfixturevalue("postgres_databases"))
        url = _aside(databases.new)
        made.append((databases, url))
        return url

    yield make
    for databases, url in made:
        _aside(lambda databases=databases, url=url: databases.drop(url))  # type: ignore[misc]


@pytest.fixture(params=["sqlite", "postgres"])
def empty_url(request: pytest.FixtureRequest, empty: Empty) -> str:
    """An empty place of either database in turn."""
    return empty(request.param)


T = TypeVar("T")


def _aside(work: Callable[[], T]) -> T:
    """Done in a thread of its own, where no event loop runs."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(work).result()


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A fresh migrated database, on SQLite and on Postgres in turn."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An open database, on SQLite and on Postgres in turn."""
    opened = await open_database(database_url)
    yield opened
    await opened.close()


@pytest.fixture
def redis_url(servers: Servers) -> str:
    """An empty Redis, which no other process uses."""
    import redis

    url = servers.redis().url()
    with redis.Redis.from_url(url) as connection:
        connection.flushdb()
    return url


@pytest.fixture
def redis_of_its_own() -> Iterator[Redis]:
    """A Redis that the test may kill."""
    with redis_server() as server:
        yield server
