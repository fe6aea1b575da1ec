"""A client that sends what no client should: bytes over a connection, and what comes back taken apart.

Owns: connections, the reading of HTTP answers and of frames. Refuses to know: what is asked and what is allowed.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from dataclasses import dataclass
from typing import Final

# A server that says nothing for this long is stuck; every rule of its own ends sooner.
TIMEOUT_S: Final = 60.0
# Bytes that are only half a request get no answer; who waits longer sees nothing more.
SILENCE_S: Final = 0.04


class Stuck(Exception):
    """The server neither answered nor closed."""


@dataclass(frozen=True)
class Reply:
    """One HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Heard:
    """One frame of the server's."""

    opcode: int
    payload: bytes

    @property
    def close_code(self) -> int | None:
        """The code of a close frame; None for another, and for one without."""
        return int.from_bytes(self.payload[:2]) if self.opcode == 8 and len(self.payload) >= 2 else None


class Connection:
    """One connection. Opened by its first use, again after it was closed; `close` it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._reader is None or self._writer is None or self._reader.at_eof():
            await self.close()
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, limit=2**22)
        return self._reader, self._writer

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            with contextlib.suppress(ConnectionError):
                await self._writer.wait_closed()
        self._reader = self._writer = None

    async def ask(self, request: bytes, *, method: str = "GET") -> Reply:
        """Send a well-framed request; its answer."""
        for _ in range(2):
            reader, writer = await self._open()
            writer.write(request)
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    reply = await _read_reply(reader, method)
            except TimeoutError:
                raise Stuck from None
            except (ConnectionError, asyncio.IncompleteReadError):
                # A connection that was kept alive may have been closed meanwhile.
                await self.close()
                continue
            if reply.headers.get("connection", "").lower() == "close":
                await self.close()
            return reply
        raise Stuck("the connection was closed without an answer")

    async def throw(self, data: bytes, *, method: str = "GET") -> list[Reply]:
        """Send whatever bytes; every answer, until the server closes or says nothing more for SILENCE_S."""
        await self.close()
        reader, writer = await self._open()
        replies: list[Reply] = []
        try:
            writer.write(data)
            while True:
                async with asyncio.timeout(SILENCE_S):
                    replies.append(await _read_reply(reader, method))
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError):
            return replies
        finally:
            await self.close()

    async def upgrade(self, head: bytes) -> Reply:
        """Send the handshake of a socket; afterwards `say` and `hear`."""
        await self.close()
        reader, writer = await self._open()
        writer.write(head)
        async with asyncio.timeout(TIMEOUT_S):
            return await _read_reply(reader, "GET")

    async def say(self, data: bytes, *, end: bool = False) -> None:
        """Frames as bytes, the last ones with `end`; a connection that is gone takes them silently."""
        assert self._writer is not None
        self._writer.write(data)
        with contextlib.suppress(ConnectionError, OSError):
            await self._writer.drain()
            if end:
                self._writer.write_eof()

    async def hear(self) -> Heard | None:
        """The next frame; None where the connection ended without one."""
        assert self._reader is not None
        try:
            async with asyncio.timeout(TIMEOUT_S):
                head = await self._reader.readexactly(2)
                size = head[1] & 0x7F
                if size > 125:
                    size = int.from_bytes(await self._reader.readexactly(2 if size == 126 else 8))
                return Heard(head[0] & 0x0F, await self._reader.readexactly(size))
        except TimeoutError:
            raise Stuck from None
        except (ConnectionError, asyncio.IncompleteReadError):
            return None


async def _read_reply(reader: asyncio.StreamReader, method: str) -> Reply:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    status = int(head[0].split(" ", 2)[1])
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
    if status == 100:
        return await _read_reply(reader, method)
    bodiless = method == "HEAD" or status in (101, 204, 304)
    body = b"" if bodiless else await reader.readexactly(int(headers["content-length"]))
    return Reply(status, headers, body)


def frame(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    """A frame of a client, masked by zeros."""
    size = len(payload)
    head = bytes([opcode | 0x80 * final])
    if size < 126:
        head += bytes([size | 0x80])
    elif size < 65_536:
        head += bytes([126 | 0x80]) + struct.pack(">H", size)
    else:
        head += bytes([127 | 0x80]) + struct.pack(">Q", size)
    return head + b"\0\0\0\0" + payload
