"""A TCP proxy that behaves as badly as a network may: late, slow, one-way, silent, or cut at a byte.

Owns: the connections that go through it, and what becomes of each byte of them. Refuses to know: what the bytes mean;
who wants to know is a `Tap`.

What a partition holds back is not lost, as TCP would send it again: it arrives when the link is healed, or the
connection is reset then, or it stays silent for ever. A connection that is opened meanwhile is accepted, and reaches
nobody before that.

Invariants
    X1  Bytes of one direction of a connection arrive in order, each once, and none is made up.
    X2  Of a connection that is cut after n bytes of a direction, exactly n arrive.
    X3  After `stop` no socket of it is open.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import Final, Literal

CHUNK_BYTES: Final = 64 * 1024
# A slow link hands over a piece so often.
TICK_S: Final = 0.02


class Direction(Enum):
    """UP: from the client to the server. DOWN: its answers."""

    UP = "up"
    DOWN = "down"


# What becomes of connections that a partition held something of: TCP sends it again, a router that has forgotten them
# resets them, or nobody ever hears of them again though both ends think they stand.
Healing = Literal["deliver", "reset", "silence"]
# Is given every byte of one connection that arrives at the server, in order.
Tap = Callable[[bytes], None]


@dataclass
class Weather:
    """How the link is when it works: each piece is late by a draw from `delay_s`, and at most so many bytes pass."""

    delay_s: tuple[float, float] = (0.0, 0.0)
    bytes_per_s: float | None = None


@dataclass
class _Cut:
    direction: Direction
    left: int
    how: Literal["reset", "close"]
    done: asyncio.Future[None]


class _Connection:
    """One client, and what was opened for it."""

    def __init__(self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._client = (reader, writer)
        self._server: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.held = False
        self.silent = False

    async def run(self) -> None:
        try:
            # The very first packet does not get through either.
            await self._passable(Direction.UP)
            try:
                self._server = await asyncio.open_connection(*self._proxy.target)
            except OSError:
                self.reset()
                return
            tap = self._proxy.new_tap() if self._proxy.new_tap is not None else None
            up = self._carry(Direction.UP, self._client[0], self._server[1], tap)
            down = self._carry(Direction.DOWN, self._server[0], self._client[1], None)
            tasks = [asyncio.ensure_future(up), asyncio.ensure_future(down)]
            try:
                await asyncio.gather(*tasks)
            except (OSError, ConnectionError):
                self.reset()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            await self._close()

    async def _carry(
        self, direction: Direction, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tap: Tap | None
    ) -> None:
        # `drain` returns once the kernel has it all.
        writer.transport.set_write_buffer_limits(0)
        while data := await reader.read(CHUNK_BYTES):
            await self._passable(direction)
            await self._proxy.late(len(data))
            # It may have been cut off while it was late.
            await self._passable(direction)
            data, cut = self._proxy.cut_of(direction, data)
            for piece in self._proxy.pieces(data):
                if tap is not None:
                    tap(piece)
                writer.write(piece)
                await writer.drain()
                if len(piece) < len(data):
                    await asyncio.sleep(TICK_S)
            if cut is not None:
                # All of it is the kernel's by now, and on a loopback the other end's (X2).
                if cut.how == "reset":
                    self.reset()
                else:
                    await self._close()
                if not cut.done.done():
                    cut.done.set_result(None)
                return
        await self._passable(direction)
        if writer.can_write_eof():
            writer.write_eof()

    async def _passable(self, direction: Direction) -> None:
        gate = self._proxy.gate(direction)
        if not gate.is_set():
            self.held = True
            await gate.wait()
        if self.silent:
            # Until `stop`, or until an end that hears nothing gives up.
            await asyncio.Event().wait()

    def reset(self) -> None:
        """Both ends get a reset, now."""
        for _, writer in filter(None, (self._client, self._server)):
            made = writer.get_extra_info("socket")
            if made is not None:
                with contextlib.suppress(OSError):
                    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    async def _close(self) -> None:
        for _, writer in filter(None, (self._client, self._server)):
            writer.close()
        for _, writer in filter(None, (self._client, self._server)):
            with contextlib.suppress(OSError, ConnectionError):
                await writer.wait_closed()


class Proxy:
    """One link. Its faults are set at any time, and hold for the connections that stand and for those that come."""

    def __init__(self, target_port: int, random: Random) -> None:
        self.target = ("127.0.0.1", target_port)
        self.weather = Weather()
        self.new_tap: Callable[[], Tap] | None = None
        self.port = 0
        # How many connections came, for who wants to see that somebody comes back.
        self.accepted = 0
        self._random = random
        self._gates = {direction: asyncio.Event() for direction in Direction}
        for gate in self._gates.values():
            gate.set()
        self._cut: _Cut | None = None
        self._connections: dict[_Connection, asyncio.Task[None]] = {}
        self._server: asyncio.Server | None = None

    @property
    def open_connections(self) -> int:
        return len(self._connections)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self.reset()
        for task in list(self._connections.values()):
            task.cancel()
        await asyncio.gather(*self._connections.values(), return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()

    def aim(self, port: int) -> None:
        """From the next connection on, another server."""
        self.target = ("127.0.0.1", port)

    def partition(self, *directions: Direction) -> None:
        """Let nothing through, in these directions or in both. The ends see an open connection that is silent."""
        for direction in directions or tuple(Direction):
            self._gates[direction].clear()

    def heal(self, how: Healing = "deliver") -> None:
        """Let everything through again; `how` is for the connections that a partition held something of."""
        for connection in list(self._connections):
            if connection.held and how == "reset":
                connection.reset()
            elif connection.held and how == "silence":
                connection.silent = True
            connection.held = False
        for gate in self._gates.values():
            gate.set()

    def reset(self) -> None:
        """Reset every connection."""
        for connection in list(self._connections):
            connection.reset()

    def cut_after(
        self, direction: Direction, count: int, how: Literal["reset", "close"] = "reset"
    ) -> asyncio.Future[None]:
        """Cut the connection that carries the next byte number `count` + 1 of a direction; done when it is cut."""
        done = asyncio.get_running_loop().create_future()
        self._cut = _Cut(direction, count, how, done)
        return done

    def uncut(self) -> None:
        """Cut nothing any more."""
        if self._cut is not None:
            self._cut.done.cancel()
        self._cut = None

    # -- for the connections -----------------------------------------------------------------------------------------

    def gate(self, direction: Direction) -> asyncio.Event:
        return self._gates[direction]

    def late(self, size: int) -> Awaitable[None]:
        return asyncio.sleep(self._random.uniform(*self.weather.delay_s) if self.weather.delay_s[1] else 0)

    def pieces(self, data: bytes) -> list[bytes]:
        """The data as the link hands it over: at once, or tick by tick."""
        if self.weather.bytes_per_s is None:
            return [data] if data else []
        size = max(int(self.weather.bytes_per_s * TICK_S), 1)
        return [data[start : start + size] for start in range(0, len(data), size)]

    def cut_of(self, direction: Direction, data: bytes) -> tuple[bytes, _Cut | None]:
        """What still passes of the data, and the cut that follows it."""
        cut = self._cut
        if cut is None or cut.direction is not direction:
            return data, None
        if len(data) < cut.left:
            cut.left -= len(data)
            return data, None
        self._cut = None
        return data[: cut.left], cut

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        connection = _Connection(self, reader, writer)
        task = asyncio.current_task()
        assert task is not None
        self._connections[connection] = task
        try:
            await connection.run()
        except asyncio.CancelledError:
            connection.reset()
        finally:
            del self._connections[connection]
