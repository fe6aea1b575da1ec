"""What is written beside the database names nobody: the log's lines stay lines, and Redis holds no address."""

from __future__ import annotations

import logging
import re

import pytest
import redis.asyncio

from api.logs import Formatter
from tests.api.harness import running, settings_for

MAIL = "canary@example.com"


@pytest.mark.parametrize(
    "typed",
    [
        "two\nlines",
        "carriage\r\nreturn",
        "\x1b[2J\x1b]0;title\x07",
        "c1 \x9b31m",
        "\u2028next",
        "nul\0",
    ],
)
def test_nothing_that_a_stranger_typed_forges_a_line_or_steers_a_terminal(typed: str) -> None:
    record = logging.makeLogRecord({"name": "api.x", "levelname": "INFO", "msg": "got %s", "args": (typed,)})
    line = Formatter().format(record)
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO api\.x got ", line)
    # What follows a line break is indented, so that it cannot be taken for an event.
    assert all(each.startswith("    ") for each in line.split("\n")[1:])
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]", line)


async def test_redis_holds_neither_an_address_nor_a_name_of_anybody(sqlite_url: str, redis_url: str) -> None:
    async with running(settings_for(sqlite_url, redis_url=redis_url, rate_limits=True)) as server:
        made = await server.register(MAIL)
        await server.login(MAIL, "not the password")
        await server.login(MAIL)
        await server.refresh(made["refresh_token"])
        await server.ask("GET", "/api/users/me/analytics?timeframe=all", token=made["access_token"])
        async with redis.asyncio.Redis.from_url(redis_url) as connection:
            keys = [bytes(key) async for key in connection.scan_iter()]
            held = b"\n".join([*keys, *[bytes(await connection.get(key) or b"") for key in keys]])
    assert len(keys) >= 3
    for trace in (MAIL, "canary", made["user"]["id"], made["refresh_token"], made["access_token"]):
        assert trace.encode() not in held
