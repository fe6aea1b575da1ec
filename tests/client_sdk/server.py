"""The product's server for the client's tests: the real application on a port that stays, so that it can restart."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from api.app import DATABASE, create_app
from api.server import HttpServer
from tests.api.harness import Clock, Server, environment, settings_for
from tests.services.processes import free_port


class ServerProcess:
    """One server's address. `start` and `stop` as often as wanted; the database stays."""

    def __init__(self, database_url: str) -> None:
        self.clock = Clock()
        self._settings = settings_for(database_url)
        self._http: HttpServer | None = None
        self._session: aiohttp.ClientSession | None = None
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> Server:
        app = await create_app(self._settings, environment=environment(self.clock))
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", self.port))
        listening.setblocking(False)
        self._http = HttpServer(app)
        await self._http.start(listening)
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        return Server(app, self.clock, self.port, self._session, self._http, app[DATABASE])

    async def stop(self) -> None:
        if self._session is not None:
            await self._session.close()
        if self._http is not None:
            await self._http.stop()
            self._http = None


@asynccontextmanager
async def server_process(database_url: str) -> AsyncIterator[tuple[ServerProcess, Server]]:
    process = ServerProcess(database_url)
    server = await process.start()
    try:
        yield process, server
    finally:
        await process.stop()
