"""A running server for a test: the real application on a real socket, with a clock that the test moves."""

from __future__ import annotations

import asyncio
import atexit
import functools
import json
import os
import shutil
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
from aiohttp import web

from api.app import create_app
from api.server import HttpServer
from api.settings import Settings
from storage.database import Database
from sync.environment import Environment

SECRET = "7f" + "0123456789abcdef" * 3 + "e4d909c290d0fb"
PASSWORD = "lift heavy things"


@dataclass
class Clock:
    """Begins with the real time, and goes on by a millisecond with each look and by as much as the test says.

    So what a test finds does not depend on how fast the machine is.
    """

    ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)

    def now_ms(self) -> int:
        self.ms += 1
        return self.ms

    def advance(self, *, seconds: float = 0, days: float = 0) -> None:
        self.ms += int(seconds * 1_000 + days * 86_400_000)


@dataclass
class FrozenClock(Clock):
    """A time that stands still until the test moves it: whatever passes, passes at once."""

    def now_ms(self) -> int:
        return self.ms


def environment(clock: Clock) -> Environment:
    return Environment(now_ms=clock.now_ms, token_bytes=os.urandom)


def settings_for(database_url: str, **changes: Any) -> Settings:
    plain = Settings(database_url=database_url, secret_key=SECRET, port=0, rate_limits=False, bcrypt_cost=4)
    if not plain.is_sqlite:
        plain = replace(plain, mail_folder=_mail_folder())
    return replace(plain, **changes)


@functools.cache
def _mail_folder() -> str:
    """Where the mails of servers without a file of their own go, until the run ends."""
    folder = tempfile.mkdtemp(prefix="fitai-mails-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@dataclass
class Answer:
    status: int
    headers: Any
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def data(self) -> Any:
        assert self.json["success"] is True, self.text
        return self.json["data"]

    @property
    def code(self) -> str:
        assert self.json["success"] is False, self.text
        return str(self.json["code"])


@dataclass
class Server:
    """One server and a client of it. `token` is sent unless a request brings its own, or None."""

    app: web.Application
    clock: Clock
    port: int
    session: aiohttp.ClientSession
    http: HttpServer
    database: Database
    users: int = field(default=0)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        data: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        if body is not None:
            data = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        async with self.session.request(method, self.url + path, data=data, headers=sent) as response:
            return Answer(response.status, response.headers, await response.text())

    async def register(self, email: str | None = None, password: str = PASSWORD) -> Any:
        """A new account's {user, access_token, refresh_token, expires_in}."""
        self.users += 1
        body = {"email": email or f"user{self.users}@example.com", "password": password, "name": "Ann"}
        answer = await self.ask("POST", "/api/users/register", body)
        assert answer.status == 201, answer.text
        return answer.data

    async def login(self, email: str, password: str = PASSWORD, **more: Any) -> Answer:
        return await self.ask("POST", "/api/users/login", {"email": email, "password": password}, **more)

    async def refresh(self, token: str) -> Answer:
        return await self.ask("POST", "/api/auth/refresh", {"refresh_token": token})

    async def me(self, token: str | None, **more: Any) -> Answer:
        return await self.ask("GET", "/api/users/me", token=token, **more)


async def until(holds: Callable[[], bool | Awaitable[bool]]) -> None:
    """Wait until a condition holds, for at most a generous while."""
    for _ in range(6_000):
        found = holds()
        if found if isinstance(found, bool) else await found:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came to hold")


def listening_socket() -> socket.socket:
    made = socket.socket()
    made.bind(("127.0.0.1", 0))
    made.setblocking(False)
    return made


@asynccontextmanager
async def serving(app: web.Application, clock: Clock | None = None) -> AsyncIterator[Server]:
    """Serve `app` until the block ends."""
    from api.app import DATABASE

    http = HttpServer(app)
    listening = listening_socket()
    port = listening.getsockname()[1]
    await http.start(listening)
    # No cookies and no decompression of ours: what the server sends is what the test sees.
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        try:
            yield Server(app, clock or Clock(), port, session, http, app[DATABASE])
        finally:
            await session.close()
            await http.stop()


@asynccontextmanager
async def running(settings: Settings, clock: Clock | None = None) -> AsyncIterator[Server]:
    """Run a whole server over `settings` until the block ends."""
    clock = clock or Clock()
    async with serving(await create_app(settings, environment=environment(clock)), clock) as server:
        yield server
