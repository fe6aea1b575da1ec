"""What a test leaves in its Postgres database is not there for the next one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from storage.migrations import revisions
from tests.conftest import TEMPLATE, Servers
from tests.services.databases import Databases
from tests.services.postgres import USER, run_statement

ROW = "INSERT INTO meta (key, value) VALUES ('k', 'v')"


@pytest.fixture
def databases(servers: Servers) -> Iterator[Databases]:
    made = Databases(f"postgresql+asyncpg://{USER}@127.0.0.1:{servers.postgres_port()}", TEMPLATE)
    yield made
    made.close()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    connection = await asyncpg.connect(url.replace("postgresql+asyncpg", "postgresql"))
    yield connection
    await connection.close()


async def rows(url: str) -> list[list[tuple[Any, ...]]]:
    async with connected(url) as connection:
        return [
            [tuple(row) for row in await connection.fetch(f"SELECT * FROM {table}")]
            for table in ("meta", "alembic_version")
        ]


def after(databases: Databases, *statements: str) -> tuple[str, str]:
    """The database in which statements were run, and the one that is taken next."""
    first = databases.take()
    for statement in statements:
        asyncio.run(run_statement(first, statement))
    databases.give_back(first)
    return first, databases.take()


def test_rows_are_gone_and_those_of_the_template_are_as_they_were(databases: Databases) -> None:
    first, second = after(databases, ROW, "UPDATE alembic_version SET version_num = 'other'")
    assert first == second
    assert asyncio.run(rows(second)) == [[], [(revisions()[0],)]]
    databases.give_back(second)


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE meta ADD COLUMN more text",
        "DROP INDEX ix_audit_log_user_id_at",
        "CREATE SEQUENCE numbers",
        "ANALYZE",
    ],
)
def test_what_a_wipe_cannot_make_as_new_is_not_given_again(databases: Databases, statement: str) -> None:
    first, second = after(databases, statement)
    assert first != second
    assert asyncio.run(rows(second)) == [[], [(revisions()[0],)]]
    databases.give_back(second)


def test_a_test_that_left_a_transaction_open_holds_up_no_other(databases: Databases) -> None:
    url = databases.take()
    loop = asyncio.new_event_loop()
    left = loop.run_until_complete(asyncpg.connect(url.replace("postgresql+asyncpg", "postgresql")))
    loop.run_until_complete(left.execute(f"BEGIN; {ROW}; LOCK TABLE spaces"))
    databases.give_back(url)
    left.terminate()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    assert databases.take() == url
    assert asyncio.run(rows(url))[0] == []
    databases.give_back(url)
