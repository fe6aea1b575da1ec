"""A server with nothing but the live socket, over the real engine and a real database, and a client that speaks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import ClientWebSocketResponse, WSMsgType, web
from aiohttp.test_utils import TestServer
from sqlalchemy import insert

from api.errors import ENVIRONMENT, LINE, answer_errors
from api.shedding import Line
from api.sync.websocket import LiveSockets
from storage.database import Database
from storage.tables import sessions
from sync.access import DatabaseAccess
from sync.bus import Bus
from sync.caller import Caller
from sync.environment import Environment
from sync.errors import Unauthenticated
from sync.live import Live
from sync.rights import Admitted
from tests.sync.harness import Device, World


@dataclass
class Clock:
    """The steady clock of the sockets; the wall clock is the world's."""

    steady_ms: int = 0


@dataclass
class LiveServer:
    """One process: its own sockets over the world's database and engine."""

    world: World
    live: Live
    sockets: LiveSockets
    server: TestServer
    client: aiohttp.ClientSession
    clock: Clock
    ended: set[str] = field(default_factory=set)

    async def raw(self, **options: Any) -> ClientWebSocketResponse:
        return await self.client.ws_connect(self.server.make_url("/api/sync/live"), **options)

    async def token(self, user: str, session: str, *, lives_s: int = 900) -> str:
        async with self.world.database.write() as tx:
            await tx.execute(
                insert(sessions).values(
                    id=session,
                    user_id=user,
                    created_at=self.world.clock.ms,
                    last_used_at=self.world.clock.ms,
                    expires_at=self.world.clock.ms + 10**10,
                )
            )
        return f"{user}/{session}/{self.world.clock.ms + lives_s * 1_000}"

    async def connect(
        self, device: Device, spaces: dict[str, str | None], *, lives_s: int = 900, **options: Any
    ) -> Socket:
        """A greeted socket of `device`, its welcome read."""
        ws = await self.raw(**options)
        socket = Socket(ws, device)
        await socket.say(
            "hello",
            protocol=1,
            schema=1,
            token=await self.token(device.caller.user, self.world.uuid(), lives_s=lives_s),
            device=device.id,
            spaces=spaces,
        )
        assert (await socket.hear())["type"] == "welcome"
        return socket

    def move(self, ms: int) -> None:
        """Time passes on both clocks, and every deadline is judged."""
        self.clock.steady_ms += ms
        self.world.clock.ms += ms
        self.sockets.tick()


@dataclass
class Socket:
    """The client's end of a socket."""

    ws: ClientWebSocketResponse
    device: Device

    async def say(self, type: str, **message: Any) -> None:
        await self.ws.send_str(json.dumps({"type": type, **message}))

    async def hear(self) -> dict[str, Any]:
        message = await self.ws.receive(timeout=60)
        assert message.type is WSMsgType.TEXT, message
        heard: dict[str, Any] = json.loads(message.data)
        return heard

    async def hear_close(self) -> int | None:
        """The code with which the server closes; what it says before is skipped."""
        return await closed(self.ws)


async def closed(ws: ClientWebSocketResponse) -> int | None:
    while True:
        message = await ws.receive(timeout=60)
        if message.type in (WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.CLOSING, WSMsgType.ERROR):
            await ws.close()
            return ws.close_code


@asynccontextmanager
async def live_server(world: World, database: Database, *, bus: Bus | None = None) -> AsyncIterator[LiveServer]:
    """Serve `world` until the block ends."""
    environment = Environment(world.clock.now_ms, world.clock.token_bytes)

    async def open_token(token: str) -> Admitted:
        try:
            user, session, expires_ms = token.split("/")
        except ValueError:
            raise Unauthenticated from None
        return Admitted(Caller(user, session), int(expires_ms))

    live = Live(
        bus=bus or world.engine.bus,
        feed=world.engine.feed,
        pusher=world.engine,
        access=DatabaseAccess(database, environment, open_token),
        environment=environment,
        limits=world.engine.limits,
    )
    clock = Clock()
    sockets = LiveSockets(
        live,
        environment,
        check_token=open_token,
        origins=["https://app.example.com"],
        steady_ms=lambda: clock.steady_ms,
    )
    app = web.Application(middlewares=[answer_errors])
    app[LINE] = Line(lambda: 0)
    app[ENVIRONMENT] = environment
    app.add_routes(sockets.routes())
    server = TestServer(app)
    await server.start_server()
    await live.start()
    async with aiohttp.ClientSession() as client:
        try:
            yield LiveServer(world, live, sockets, server, client, clock)
        finally:
            await sockets.close_all()
            await live.close()
            await server.close()
            await asyncio.sleep(0)
