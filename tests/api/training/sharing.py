"""Servers over either database with a small catalog, and what tests of sharing say of templates."""

from __future__ import annotations

import asyncio
import shutil
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio

from api.app import ENGINE
from storage.catalog import load
from sync.catalog import seed_catalog
from tests.api.harness import Server, running, settings_for
from tests.api.training.conftest import Person, person
from tests.conftest import TEMPLATE, Servers
from tests.services.postgres import USER, run_statement

_SHIPPED = load()[:2]
SQUAT, BENCH = [each.id for each in _SHIPPED]


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def either_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database for the tests of a module, on SQLite and on Postgres in turn."""
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("sharing") / "fitai.db"
        shutil.copyfile(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite+aiosqlite:///{path}"
        return
    servers: Servers = request.getfixturevalue("servers")
    name = f"sharing_{uuid.uuid4().hex[:16]}"
    base = f"postgresql+asyncpg://{USER}@127.0.0.1:{servers.postgres_port()}"
    asyncio.run(run_statement(f"{base}/postgres", f'CREATE DATABASE "{name}" TEMPLATE "{TEMPLATE}"'))
    yield f"{base}/{name}"
    asyncio.run(run_statement(f"{base}/postgres", f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def either_server(either_url: str) -> AsyncIterator[Server]:
    """A server over it, with two exercises in its catalog."""
    async with running(settings_for(either_url, public_url="https://fit.example.com")) as made:
        await seed_catalog(made.app[ENGINE], _SHIPPED)
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def eve(either_server: Server) -> Person:
    """Who makes templates."""
    return await person(either_server)


@pytest_asyncio.fixture(loop_scope="module")
async def rob(either_server: Server) -> Person:
    """Who looks at them."""
    return await person(either_server)


async def shown_to(who: Person, **profile: Any) -> None:
    """Write a profile."""
    closed = {"name": "Eve", "bio": "", "visibility": "private", "findable_by_name": False, "findable_by_email": False}
    assert (await who.ask("PUT", "/users/profile", closed | profile)).status == 200


async def publish(who: Person, title: str = "Push", **more: Any) -> dict[str, Any]:
    """A public template."""
    exercises = [{"exercise": SQUAT, "sets": [{"target_reps_min": 5}]}]
    made: dict[str, Any] = await who.made(
        "/templates", {"title": title, "visibility": "public", "exercises": exercises, **more}
    )
    return made


async def public(who: Person, query: str = "") -> list[dict[str, Any]]:
    """The public templates that somebody finds."""
    answer = await who.ask("GET", f"/templates/public?{query}")
    assert answer.status == 200, answer.text
    found: list[dict[str, Any]] = answer.data
    return found
