"""The live socket between a phone and a worker, without a byte of WebSocket: frames, pings, pongs, a close code.

Each end does with them what the product's driver of aiohttp does: the server's as api/sync/websocket.py, the phone's as
`LiveConnection` with the heartbeat of aiohttp.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from sync.live import Live
from sync.outgoing import OUTGOING_BYTES_MAX, Kind
from sync.protocol import Moment
from tests.simulator.loop import Process, VirtualLoop
from tests.simulator.network import Network, Wire

PING: Final = b"ping"
PONG: Final = b"pong"
RESET_CODE: Final = 1006
decode: Final = msgspec.json.decode


class Closed:
    """The other side closed, with this code."""

    def __init__(self, code: int) -> None:
        self.code = code


class PhoneEnd:
    """The phone's end: `LiveConnection` of the SDK."""

    def __init__(
        self,
        network: Network,
        process: Process,
        path: tuple[str, str],
        heartbeat_s: float,
        seen: Callable[[bytes], None],
    ) -> None:
        self.network = network
        self._process = process
        self._heartbeat_s = heartbeat_s
        self._seen = seen
        self.close_code: int | None = None
        self._frames: deque[bytes] = deque()
        self._waiting: asyncio.Future[None] | None = None
        self._heard_at = network.loop.now
        self._asked = False
        self._watch: asyncio.TimerHandle | None = None
        self.peer: WorkerEnd | None = None
        self.up = Wire(network, path, self._to_worker, self.broken)
        self._arm(heartbeat_s)

    def _to_worker(self, frame: Any) -> None:
        if self.peer is not None:
            self.peer.take(frame)

    async def send(self, frame: Mapping[str, Any]) -> None:
        if self.close_code is None:
            text = json.dumps(frame, separators=(",", ":"))
            self.up.send(text, len(text))
            await self.up.room()

    async def receive(self) -> dict[str, Any] | None:
        while not self._frames:
            if self.close_code is not None:
                return None
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting
        frame: dict[str, Any] = decode(self._frames.popleft())
        return frame

    async def close(self) -> None:
        if self.close_code is None:
            self.up.send(Closed(1000))
            self._end(1000)

    # -- what the network brings -----------------------------------------------------------------------------------

    def take(self, frame: Any) -> None:
        """A frame of the server is there: the phone's process sees it once it runs."""
        self.network.loop.call_soon(self._take, frame, context=self._process.context)

    def _take(self, frame: Any) -> None:
        if self.close_code is not None:
            return
        self._heard_at, self._asked = self.network.loop.now, False
        if isinstance(frame, Closed):
            self._end(frame.code)
        elif frame is PING:
            self.up.send(PONG)
        elif frame is not PONG:
            self._seen(frame)
            self._frames.append(frame)
            self._wake()

    def broken(self) -> None:
        """The connection is gone."""
        self.take(Closed(RESET_CODE))

    def _arm(self, delay_s: float) -> None:
        loop = self.network.loop
        self._watch = loop.call_at(loop.now + delay_s, self._look, context=self._process.context)

    def _look(self) -> None:
        """The heartbeat: ask a silent server, and give it up where it does not answer."""
        silent_s = self.network.loop.now - self._heard_at
        if silent_s >= self._heartbeat_s * 1.5:
            self.up.send(Closed(RESET_CODE))
            self._end(RESET_CODE)
            return
        if silent_s >= self._heartbeat_s and not self._asked:
            self._asked = True
            self.up.send(PING)
        due_s = (1.5 if self._asked else 1.0) * self._heartbeat_s - silent_s
        self._arm(max(due_s, 0.001))

    def _end(self, code: int) -> None:
        if self.close_code is None:
            self.close_code = code
            if self._watch is not None:
                self._watch.cancel()
            self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


class WorkerEnd:
    """The server's end: drives one session of `sync.protocol` in its worker's process."""

    def __init__(
        self,
        loop: VirtualLoop,
        process: Process,
        live: Live,
        now: Callable[[], Moment],
        network: Network,
        path: tuple[str, str],
        peer: PhoneEnd,
    ) -> None:
        self._loop = loop
        self._process = process
        self._live = live
        self._now = now
        self._frames: deque[Any] = deque()
        self._arrived: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._writer: asyncio.Task[Any] | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self.down = Wire(network, path, peer.take, self.broken)
        peer.peer = self
        self._peer = peer
        self.ended = False
        self.session = live.open(now(), self._wake)
        loop.spawn(process, self._run(), "socket")

    # -- what the network brings -----------------------------------------------------------------------------------

    def take(self, frame: Any) -> None:
        """A frame of the phone is there. A stopped process reads it when it goes on."""
        if not self._process.alive or self.ended:
            # Nobody has this connection any more, and its machine says so.
            self.reset_peer()
            return
        self._frames.append(frame)
        self._let_reader_go_on()

    def broken(self) -> None:
        """The connection is gone."""
        self.take(Closed(RESET_CODE))

    def reset_peer(self) -> None:
        """Tell the phone that the connection is gone; the message may be lost like any other."""
        self.down.close()
        self.down.network.send(self.down.path, self._peer.broken)

    # -- the handler -----------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        session = self.session
        try:
            self._tick()
            while session.closing is None:
                frame = await self._next()
                if frame is None or isinstance(frame, Closed):
                    break
                if isinstance(frame, str):
                    now = self._now()
                    action = session.receive(frame, now)
                    if action is not None:
                        await self._live.act(session, action, now)
                        self._tick()
                else:
                    session.heard()
                    if frame is PING:
                        self.down.send(PONG)
                await self._wait_for_room()
        finally:
            self.ended = True
            self._live.closed(session)
            if self._deadline is not None:
                self._deadline.cancel()
        if self._writer is not None:
            await asyncio.wait([self._writer], timeout=5.0)
        code = session.closing.code if session.closing else 1000
        self.down.send(Closed(code))

    async def _next(self) -> Any:
        while not self._frames:
            if self.session.closing is not None:
                return None
            self._arrived = self._loop.create_future()
            await self._arrived
        return self._frames.popleft()

    async def _wait_for_room(self) -> None:
        while self.session.outgoing.size > OUTGOING_BYTES_MAX and self.session.closing is None:
            self._drained = self._loop.create_future()
            await self._drained

    def _wake(self) -> None:
        if self._writer is None and self.session.outgoing:
            self._writer = self._loop.spawn(self._process, self._write(), "writer")
        if self.session.closing is not None:
            _finish(self._drained)
            self._let_reader_go_on()

    def _let_reader_go_on(self) -> None:
        _finish(self._arrived)

    async def _write(self) -> None:
        session = self.session
        try:
            while frames := session.take_outgoing():
                for frame in frames:
                    self.down.send(PING if frame.kind is Kind.PING else frame.data, len(frame.data))
                await self.down.room()
                self._live.written(session, session.written(frames))
                _finish(self._drained)
        finally:
            self._writer = None

    # -- deadlines -------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        now = self._now()
        due_ms = self.session.tick(now)
        if due_ms is not None and not self.ended:
            delay_s = max(due_ms - now.steady_ms, 250) / 1_000
            self._deadline = self._loop.call_at(self._loop.now + delay_s, self._tick, context=self._process.context)


def _finish(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
