"""The server needs no right over its tables but to their rows."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from storage.database import open_database
from storage.errors import StorageError
from storage.migrations import upgrade
from tests.api.harness import running, settings_for
from tests.security.harness import join, record_id
from tests.services.postgres import run_statement


@pytest.fixture
def role(postgres_url: str) -> Iterator[str]:
    """A role that may read and write rows of a migrated database, and nothing else; the database by its URL."""
    name = f"rows_{uuid.uuid4().hex[:12]}"

    def tell(*statements: str) -> None:
        for statement in statements:
            asyncio.run(run_statement(postgres_url, statement))

    tell(
        f"CREATE ROLE {name} LOGIN",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {name}",
    )
    yield make_url(postgres_url).set(username=name).render_as_string(hide_password=False)
    tell(f"DROP OWNED BY {name}", f"DROP ROLE {name}")


async def test_a_server_whose_role_may_touch_rows_alone_serves(role: str) -> None:
    # As `serve` does: there is nothing to migrate.
    await upgrade(role)
    async with running(settings_for(role)) as server:
        ann = await join(server)
        assert (await ann.push(ann.put(record_id(1), title="Legs"))).status == 200
        assert (await ann.ask("GET", "/api/workouts")).status == 200
        assert (await ann.ask("DELETE", "/api/users/account", {"password": "lift heavy things"})).status == 202


@pytest.mark.parametrize("statement", ["DROP TABLE users", "ALTER TABLE users ADD x text", "CREATE TABLE mine (x int)"])
async def test_that_role_changes_no_table(role: str, statement: str) -> None:
    database = await open_database(role)
    with pytest.raises(StorageError):
        async with database.write() as tx:
            await tx.execute(text(statement))
    await database.close()
