"""Who may call what: every role against every endpoint, as the endpoints themselves declare it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio

from api.accounts.administration import ROLES
from api.app import ENDPOINTS
from api.rest.endpoint import Permission
from storage.roles import grant
from tests.api.harness import Server, running, settings_for

# The roles of a server, and beside them one that nobody knows any more.
MAY = {
    "user": {Permission.OWN},
    "premium": {Permission.OWN},
    "admin": {Permission.OWN, Permission.MODERATE, Permission.ADMINISTER},
    "retired": set[Permission](),
}
# What no endpoint knows is refused with 422, after the right to call was asked for and before anything happens.
PROBE = "?no_such_parameter=1"


@pytest_asyncio.fixture
async def plain_server(sqlite_url: str) -> AsyncIterator[Server]:
    """Without rate limits, on SQLite."""
    async with running(settings_for(sqlite_url)) as made:
        yield made


@pytest_asyncio.fixture
async def tokens(plain_server: Server) -> dict[str, str]:
    """An access token of each role."""
    made: dict[str, str] = {}
    for role in MAY:
        account: Any = await plain_server.register(f"{role}@example.com")
        async with plain_server.database.write() as tx:
            await grant(tx, account["user"]["id"], role=role, plan="free")
        made[role] = account["access_token"]
    return made


def test_every_role_that_can_be_given_is_in_the_table() -> None:
    assert MAY.keys() - {"retired"} == set(ROLES)


async def test_every_role_calls_exactly_the_endpoints_that_its_permissions_open(
    plain_server: Server, tokens: dict[str, str]
) -> None:
    wrong: list[tuple[str, str, str, int]] = []
    for endpoint in plain_server.app[ENDPOINTS]:
        path = re.sub(r"\{\w+\}", "x", endpoint.path)
        for role, token in tokens.items():
            answer = await plain_server.ask(endpoint.method, path + PROBE, token=token)
            allowed = endpoint.public or endpoint.permission in MAY[role]
            if answer.status != (422 if allowed else 404):
                wrong.append((role, endpoint.method, endpoint.path, answer.status))
    assert wrong == []


async def test_an_endpoint_that_one_may_not_call_is_one_that_does_not_exist(
    plain_server: Server, tokens: dict[str, str]
) -> None:
    def shape(text: str) -> str:
        return re.sub(r'"meta":\{.*\}', "", text)

    refused = await plain_server.ask("GET", "/api/users/me", token=tokens["retired"])
    unknown = await plain_server.ask("GET", "/api/exercises/no-such-exercise", token=tokens["user"])
    assert (refused.status, shape(refused.text)) == (404, shape(unknown.text))
