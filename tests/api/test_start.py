"""What a start costs, by counting: a server that was killed is back soon, and what can wait comes once it serves."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import bcrypt
import pytest

from api.app import DATABASE, create_app
from api.preparing import is_prepared, prepare
from storage.database import open_database
from tests.api.harness import settings_for

ROOT = Path(__file__).resolve().parents[2]
# Large, and for other starts than that of a server over a SQLite file that is up to date.
NOT_NEEDED = {
    "aiosmtplib",
    "alembic",
    "api.accounts.oidc.provider",
    "asyncpg",
    "fitai_client",
    "mako",
    "pygments",
    "redis",
    "rich",
    "sqlalchemy.orm",
}
_START = """
import asyncio, json, sys
from api.command_line.serve import HttpServer, create_app, prepare
from tests.api.harness import settings_for

async def start(url):
    await prepare(settings_for(url))
    app = await create_app(settings_for(url))
    app.freeze()
    await app.cleanup()

asyncio.run(start(sys.argv[1]))
json.dump(sorted(sys.modules), sys.stdout)
"""


async def serve_before(url: str) -> None:
    """Let it be a database from which a server has served: the first start fills it, the next finds nothing to do."""
    for _ in range(2):
        await prepare(settings_for(url))


def test_a_start_imports_nothing_that_only_others_need(sqlite_url: str) -> None:
    asyncio.run(serve_before(sqlite_url))
    said = subprocess.run(
        [sys.executable, "-c", _START, sqlite_url], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert NOT_NEEDED & set(json.loads(said.stdout)) == set()


async def test_a_start_asks_little_of_a_database_that_is_up_to_date(database_url: str) -> None:
    await serve_before(database_url)
    database = await open_database(database_url)
    assert await is_prepared(database)
    assert database.statements == 2
    await database.close()
    app = await create_app(settings_for(database_url))
    # What begins by itself looks for jobs and mails.
    assert app[DATABASE].statements <= 4
    app.freeze()
    await app.cleanup()


async def test_a_start_hashes_no_password(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(bcrypt, "hashpw")
    app = await create_app(settings_for(sqlite_url))
    app.freeze()
    await app.cleanup()


@pytest.mark.parametrize(
    ("settings", "warned"),
    [
        ({"host": "0.0.0.0"}, True),
        ({"host": "0.0.0.0", "public_url": "https://fit.example.com"}, False),
        ({"host": "127.0.0.1"}, False),
    ],
)
async def test_a_server_for_others_that_does_not_know_its_address_says_so(
    sqlite_url: str, caplog: pytest.LogCaptureFixture, settings: dict[str, str], warned: bool
) -> None:
    await serve_before(sqlite_url)
    app = await create_app(settings_for(sqlite_url, rate_limits=True, bcrypt_cost=10, **settings))
    app.freeze()
    await app.cleanup()
    assert any("FITAI_PUBLIC_URL" in record.getMessage() for record in caplog.records) == warned
