"""A server as the load generator meets it: by URL, over HTTP and the socket, as any device does.

Owns: accounts, devices, pushes, snapshots and sockets of the load generator, and the check that every answer is a
good one: a benchmark of refusals measures nothing.

Refuses to know: which server answers. The bare limit is spoken to by the same requests.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import msgspec

from bench.load import Log

PAGE: Final = 1_000
# What a server writes by itself, of what was sent and whenever it comes to it: no part of the load.
KEPT: Final = "personal_records"
# A stalled server ends the run instead of hanging it.
TIMEOUT_S: Final = 120.0


class BenchError(Exception):
    """The run cannot go on, or its figures would be worthless. The message is one sentence for the operator."""


class _Acked(msgspec.Struct):
    acked: int
    rejected: list[msgspec.Raw] = []
    cursor: str = ""


class _Collected(msgspec.Struct):
    collection: str


class _Page(msgspec.Struct):
    records: list[_Collected]
    before: str | None


class _Pulled(msgspec.Struct):
    records: list[msgspec.Raw]
    cursor: str


class _Named(msgspec.Struct):
    id: str


class _Frame(msgspec.Struct):
    """What a socket says, as far as the generator looks."""

    type: str
    id: int | str | None = None
    records: list[_Named] = []
    acked: int = 0
    rejected: list[msgspec.Raw] = []


class _Enveloped(msgspec.Struct):
    data: Any


_enveloped = msgspec.json.Decoder(_Enveloped).decode
_acked = msgspec.json.Decoder(_Acked).decode
_page = msgspec.json.Decoder(_Page).decode
_pulled = msgspec.json.Decoder(_Pulled).decode
_frame = msgspec.json.Decoder(_Frame).decode


@dataclass
class Home:
    """A user of the server with their personal space, the token of their session, and what they sign in with."""

    token: str
    space: str
    email: str
    password: str


@dataclass
class Writer:
    """A device with its log, and the address to which it pushes."""

    server: Server
    home: Home
    log: Log

    async def push(self, body: bytes, n: int) -> str:
        """Send a prepared batch whose last change is number `n`; the cursor behind it.

        Raises BenchError unless all of it was taken.
        """
        url = f"/api/sync/spaces/{self.home.space}/push"
        answer = _acked(
            await self.server.request("POST", url, token=self.home.token, device=self.log.device, data=body)
        )
        _check_taken(self.server.name, answer.acked, answer.rejected, n)
        return answer.cursor


class Server:
    """One server under load. Made by `connect`, closed with its block."""

    def __init__(self, name: str, url: str, http: aiohttp.ClientSession) -> None:
        self.name = name
        self.url = url
        self._http = http

    async def request(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        device: str | None = None,
        data: bytes | None = None,
        media: str = "application/json",
    ) -> bytes:
        """The body of a good answer. Raises BenchError for any other, and where the server cannot be reached."""
        headers = {"Sync-Protocol": "1", "Accept-Encoding": "identity"}
        if data is not None:
            headers["Content-Type"] = media
        if device is not None:
            headers["Sync-Device"] = device
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        try:
            async with self._http.request(method, path, data=data, headers=headers) as response:
                body = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise BenchError(f"{self.name} does not answer {method} {path}: {type(error).__name__} {error}") from None
        if response.status >= 400:
            shown = body[:300].decode(errors="replace")
            raise BenchError(f"{self.name} answers {method} {path} with {response.status}: {shown}")
        return body

    async def expect(self, otherwise: str) -> None:
        """Find out whether anything answers at its address. Raises BenchError, with what to do, where nothing does."""
        try:
            async with self._http.get("/"):
                pass
        except (aiohttp.ClientError, TimeoutError):
            raise BenchError(f"Nothing answers at {self.url}: {otherwise}.") from None

    async def rest(self, method: str, path: str, token: str, body: Any = None) -> Any:
        """The `data` of the answer of a REST request, whose body is JSON. Raises as `request`."""
        sent = None if body is None else msgspec.json.encode(body)
        return _enveloped(await self.request(method, path, token=token, data=sent)).data

    async def home(self) -> Home:
        """Register a new user, who owns an empty personal space."""
        name = uuid.uuid4().hex
        email, password = f"bench-{name}@example.com", f"bench {name}"[:40]
        made = await self._json("POST", "/api/users/register", {"email": email, "password": password, "name": "Bench"})
        token: str = made["data"]["access_token"]
        spaces = msgspec.json.decode(await self.request("GET", "/api/sync/spaces", token=token))["spaces"]
        return Home(token, next(space["id"] for space in spaces if space["kind"] == "personal"), email, password)

    async def device(self, home: Home) -> str:
        """Register one more device of a user; its id."""
        made = await self._json(
            "POST",
            "/api/sync/devices",
            {"key": str(uuid.uuid4()), "name": "Bench", "platform": "bench", "app_version": "1"},
            token=home.token,
        )
        device: str = made["device"]
        return device

    async def writer(self) -> Writer:
        """A new user's device that has opened a workout, ready to push sets."""
        home = await self.home()
        writer = Writer(self, home, Log(await self.device(home)))
        await writer.push(writer.log.workout(), writer.log.n)
        return writer

    async def snapshot(self, home: Home, device: str) -> AsyncIterator[int]:
        """Pull a space as a new device does, newest first; yields how many records of the load each page brought."""
        before: str | None = None
        while True:
            more = "" if before is None else f"&before={before}"
            path = f"/api/sync/spaces/{home.space}/snapshot?limit={PAGE}{more}"
            page = _page(await self.request("GET", path, token=home.token, device=device))
            yield sum(record.collection != KEPT for record in page.records)
            if page.before is None:
                return
            before = page.before

    async def pull(self, home: Home, device: str, cursor: str) -> int:
        """Pull what moved after a cursor, in one page; how many records that brought."""
        path = f"/api/sync/spaces/{home.space}/pull?cursor={cursor}"
        return len(_pulled(await self.request("GET", path, token=home.token, device=device)).records)

    async def first_page(self, home: Home, device: str) -> int:
        """Pull the newest page as a new device does; how many records it brought."""
        path = f"/api/sync/spaces/{home.space}/snapshot?limit={PAGE}"
        return len(_page(await self.request("GET", path, token=home.token, device=device)).records)

    async def idle_socket(self, home: Home, device: str) -> asyncio.Task[None]:
        """A live socket that was welcomed and reads until it ends; cancel the task to close it."""
        return asyncio.create_task(self._read(await self._welcomed(home, device)))

    @asynccontextmanager
    async def live_socket(
        self, home: Home, device: str, received: Callable[[list[str]], None]
    ) -> AsyncIterator[LiveSocket]:
        """A live socket for as long as the block lasts; `received` is told the ids of the records of each delta."""
        socket = LiveSocket(self.name, await self._welcomed(home, device), received)
        try:
            yield socket
        finally:
            await socket.close()

    async def _welcomed(self, home: Home, device: str) -> aiohttp.ClientWebSocketResponse:
        hello = {
            "type": "hello",
            "protocol": 1,
            "schema": 1,
            "token": home.token,
            "device": device,
            "spaces": {home.space: None},
        }
        try:
            socket = await self._http.ws_connect("/api/sync/live", compress=0, max_msg_size=0)
            await socket.send_str(msgspec.json.encode(hello).decode())
            first = await socket.receive(TIMEOUT_S)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise BenchError(f"{self.name} opens no socket: {type(error).__name__} {error}") from None
        if first.type is not aiohttp.WSMsgType.TEXT or _frame(first.data).type != "welcome":
            raise BenchError(f"{self.name} does not welcome a socket: {first.data!r} {first.extra or ''}")
        return socket

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        try:
            async for _ in socket:
                pass
            raise BenchError(f"{self.name} closed an idle socket with {socket.close_code}.")
        finally:
            await socket.close()

    async def _json(self, method: str, path: str, body: dict[str, Any], *, token: str | None = None) -> Any:
        return msgspec.json.decode(await self.request(method, path, token=token, data=msgspec.json.encode(body)))


class LiveSocket:
    """A socket that pushes and listens. Made by `Server.live_socket`."""

    def __init__(
        self, name: str, socket: aiohttp.ClientWebSocketResponse, received: Callable[[list[str]], None]
    ) -> None:
        self._name = name
        self._socket = socket
        self._received = received
        self._pushes = 0
        self._acks: dict[int | str, asyncio.Future[_Frame]] = {}
        self._reading = asyncio.create_task(self._read())

    async def push(self, space: str, body: bytes, n: int) -> None:
        """Send a prepared batch whose last change is number `n`. Raises BenchError unless all of it was taken."""
        self._pushes += 1
        answer = self._acks[self._pushes] = asyncio.get_running_loop().create_future()
        frame = b'{"type":"push","id":%d,"space":"%b",%b' % (self._pushes, space.encode(), body[1:])
        try:
            await self._socket.send_str(frame.decode())
            async with asyncio.timeout(TIMEOUT_S):
                told = await answer
        except (aiohttp.ClientError, ConnectionError, TimeoutError) as error:
            raise BenchError(f"{self._name} answers no push over a socket: {type(error).__name__} {error}") from None
        _check_taken(self._name, told.acked, told.rejected, n)

    async def _read(self) -> None:
        try:
            async for message in self._socket:
                frame = _frame(message.data)
                if frame.type == "delta":
                    self._received([record.id for record in frame.records])
                elif frame.type == "ack" and frame.id in self._acks:
                    self._acks.pop(frame.id).set_result(frame)
                elif frame.type in ("error", "behind"):
                    self._fail(f"{self._name} says over a socket: {message.data[:300]}")
            self._fail(f"{self._name} closed a socket with {self._socket.close_code}.")
        except (msgspec.DecodeError, TypeError) as error:
            self._fail(f"{self._name} says over a socket what is no message: {error}")

    def _fail(self, why: str) -> None:
        for waiting in self._acks.values():
            if not waiting.done():
                waiting.set_exception(BenchError(why))

    async def close(self) -> None:
        """End it."""
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        await self._socket.close()


def _check_taken(name: str, acked: int, rejected: Sequence[msgspec.Raw], n: int) -> None:
    if rejected:
        raise BenchError(f"{name} rejected changes of the load: {bytes(rejected[0]).decode()}")
    if acked < n:
        raise BenchError(f"{name} acknowledged {acked} changes of {n}.")


@asynccontextmanager
async def connect(name: str, url: str) -> AsyncIterator[Server]:
    """Speak to the server at a URL for as long as the block lasts."""
    # The limit is the workload's: sockets and devices hold as many connections as they are.
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=TIMEOUT_S, sock_read=TIMEOUT_S)
    async with aiohttp.ClientSession(url.rstrip("/"), connector=connector, timeout=timeout) as http:
        yield Server(name, url, http)
