"""What answers is no server of the protocol: no call ends in anything but this package's errors, or without end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from fitai_client import Unreachable
from fitai_client.core.requests import Request
from fitai_client.transport import ANSWER_BYTES_MAX, HttpTransport
from tests.client_sdk.conftest import OpenPhone

TOKENS = {"access_token": "a", "refresh_token": "r", "expires_in": 900}


@asynccontextmanager
async def answering(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server:
        yield str(server.make_url("/"))


@pytest.mark.parametrize(
    "data",
    [{}, TOKENS | {"expires_in": 1e300}, TOKENS | {"expires_in": "soon"}, TOKENS | {"refresh_token": None}],
    ids=["empty", "for ever", "no number", "no token"],
)
async def test_tokens_that_are_none_sign_nobody_in(open_phone: OpenPhone, data: dict[str, Any]) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response({"data": {"user": ["no user"], **data}})

    async with answering(answer) as url:
        phone = await open_phone("phone", url, background=False)
        with pytest.raises(Unreachable):
            await phone.sign_in("ann@example.com", "a long enough phrase")
        assert phone.identity is None and not (await phone.status()).signed_in


async def test_an_answer_without_end_is_cut_off() -> None:
    sent = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        # Far beyond the limit, where nobody cuts it off.
        while sent < 4 * ANSWER_BYTES_MAX:
            await response.write(b" " * 1_048_576)
            sent += 1_048_576
        return response

    async with answering(answer) as url:
        transport = HttpTransport(url)
        try:
            with pytest.raises(Unreachable, match="more than the protocol has"):
                await transport.send(Request("about", "GET", "/"))
        finally:
            await transport.close()
    assert sent < 3 * ANSWER_BYTES_MAX
