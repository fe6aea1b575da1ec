"""`GET /api/sync/live`: moves bytes between aiohttp's sockets and the sessions of sync/protocol.py.

Owns: the checks before the upgrade, one reader and one writer a socket, one timer for all of them, and the end of
each. Only this file awaits a socket.
Refuses to know: what any message means.

Invariants
    S1  Nothing of a socket outlives it: whatever ends the handler, `Live.closed` is called and the transport is
        closed, by force where the peer takes nothing.
    S2  A socket that waits costs no task but its handler: the writer is a task only while there is something to
        write, and deadlines stand in one heap.
    S3  What the peer does not read is bounded by sync/outgoing.py; and a peer that leaves its answers lying is not
        read from either, so it cannot ask for more.
    S4  An abrupt end is an ordinary end: no traceback.
    S5  Nobody is closed for a silence while what they said lies unread: a hello that is missing, and whatever is looked
        at late because the process stood still, is looked at once more when what had come by then was read.
    S6  Of whoever is closed for sending too much, nothing more is looked at.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import re
from collections.abc import Awaitable, Callable, Collection, Sequence
from itertools import count
from typing import Any, Final

from aiohttp import WSMsgType, web
from yarl import URL

from api.bodies import Bodies
from api.errors import OriginDenied
from api.sync.arriving import Arriving, Listening
from storage.pool import begin_work
from sync.environment import Environment
from sync.errors import Malformed, Unauthenticated, Unavailable
from sync.live import Live
from sync.outgoing import OUTGOING_BYTES_MAX, Kind
from sync.protocol import (
    CLOSE_FLOOD,
    CLOSE_MALFORMED,
    CLOSE_RESTARTING,
    CLOSE_TRY_LATER,
    FRAME_BYTES_MAX,
    Hello,
    Moment,
    Session,
    State,
    Token,
)

log = logging.getLogger(__name__)

# About 20 KiB each: a gigabyte. Beyond, another process serves better.
SOCKETS_MAX: Final = 50_000
# For the last frames, the close frame, and the peer's own.
CLOSE_S: Final = 5.0
# Deadlines are met this much late at most, and so many of them share one wake-up.
TICK_MS: Final = 250
# A deadline that is looked at so much later was not waited for: the process stood still.
LATE_MS: Final = 1_000
# Of a masked ping or pong.
CONTROL_HEAD_BYTES: Final = 6

_BEARER: Final = re.compile(r"bearer +(\S+)", re.IGNORECASE)
_TOKEN_PARAMETERS: Final = ("access_token", "token", "refresh_token", "authorization")


class LiveSockets:
    """Every socket of one process. `handle` is the aiohttp handler; await `close_all` before the server stops."""

    def __init__(
        self,
        live: Live,
        environment: Environment,
        *,
        check_token: Callable[[str], Awaitable[Any]],
        bodies: Bodies | None = None,
        origins: Collection[str] = (),
        steady_ms: Callable[[], int] | None = None,
    ) -> None:
        """
        Args:
            check_token: raises Unauthenticated for a bad access token.
            bodies: those of the whole process; frames wait among them.
            origins: web origins beside the server's own host that may open a socket.
            steady_ms: a clock that never jumps; the event loop's where none is given.
        """
        self.live = live
        self._environment = environment
        self._check_token = check_token
        self.bodies = bodies or Bodies()
        self.arriving = Arriving()
        self._origins = {origin.rstrip("/") for origin in origins}
        self.steady_ms = steady_ms or (lambda: int(asyncio.get_running_loop().time() * 1_000))
        self._heap: list[list[Any]] = []
        self._serial = count()
        self._timer: asyncio.TimerHandle | None = None
        self._ended = asyncio.Event()
        self._open = 0

    def routes(self) -> list[web.RouteDef]:
        """The one route of this file."""
        return [web.get("/api/sync/live", self.handle, allow_head=False)]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Check what can be checked before the upgrade, then serve the socket to its end."""
        await self._admit(request)
        # Compression would cost half the throughput for frames of a few hundred bytes. aiohttp refuses a message
        # of just its limit.
        ws = web.WebSocketResponse(autoping=False, compress=False, max_msg_size=FRAME_BYTES_MAX + 1, timeout=CLOSE_S)
        await ws.prepare(request)
        self._open += 1
        try:
            await _Socket(self, ws, request).run()
        finally:
            self._open -= 1
            self._ended.set()
        return ws

    async def _admit(self, request: web.Request) -> None:
        if request.body_exists or not request.headers.get("Sec-WebSocket-Key", "").isascii():
            # A body could be taken for frames by somebody on the way; aiohttp fails on such a key.
            raise Malformed("This is no handshake of a WebSocket.")
        if any(name in request.query for name in _TOKEN_PARAMETERS):
            raise Unauthenticated("A token belongs into the hello, never into the address.")
        origin = request.headers.get("Origin")
        if origin is not None and not self._is_allowed(origin, request.host):
            raise OriginDenied
        authorization = request.headers.get("Authorization")
        if authorization is not None:
            match = _BEARER.fullmatch(authorization.strip())
            if match is None:
                raise Unauthenticated
            await self._check_token(match[1])
        if self._open >= SOCKETS_MAX:
            raise Unavailable(retry_after_s=5)

    def _is_allowed(self, origin: str, host: str) -> bool:
        """Our own host, and what the operator named. There are no cookies, so this only keeps honest browsers apart."""
        if origin in self._origins:
            return True
        try:
            url = URL(origin)
            return url.scheme in ("http", "https") and str(url.origin()) == origin and url.authority == host
        except ValueError:
            return False

    async def close_all(self) -> None:
        """Tell every device that the server restarts, and wait until they are gone or have had their time."""
        self.live.close_all()
        try:
            async with asyncio.timeout(2 * CLOSE_S):
                while self._open:
                    self._ended.clear()
                    await self._ended.wait()
        except TimeoutError:
            log.warning("%d sockets did not close in time", self._open)

    def now(self) -> Moment:
        """Now, on both clocks."""
        return Moment(self._environment.now_ms(), self.steady_ms())

    # -- deadlines -------------------------------------------------------------------------------------------

    def schedule(self, socket: _Socket, at_ms: int) -> None:
        """See that `socket` is ticked at `at_ms` of the steady clock, in place of a later time."""
        if socket.entry is not None:
            if socket.entry[0] <= at_ms:
                return
            socket.entry[2] = None
        socket.entry = [at_ms, next(self._serial), socket]
        heapq.heappush(self._heap, socket.entry)
        if self._timer is None:
            self._set_timer()

    def _set_timer(self) -> None:
        if self._heap:
            delay_ms = max(TICK_MS, self._heap[0][0] - self.steady_ms())
            # No further ahead than a second, so that an earlier deadline that comes later needs no new timer.
            self._timer = asyncio.get_running_loop().call_later(min(delay_ms, 1_000) / 1_000, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.tick()
        self._set_timer()

    def tick(self) -> None:
        """Judge every deadline that has come. Called by the timer."""
        now = self.now()
        unheard: list[_Socket] = []
        while self._heap and (self._heap[0][2] is None or self._heap[0][0] <= now.steady_ms):
            at_ms, _, socket = heapq.heappop(self._heap)
            if socket is not None:
                socket.entry = None
                if socket.session.state is State.AWAITING_HELLO or now.steady_ms - at_ms > LATE_MS:
                    unheard.append(socket)
                else:
                    self._judge(socket, now)
        if unheard:
            # By then the loop has read what had come, and the readers that it woke were there first.
            loop = asyncio.get_running_loop()
            loop.call_later(TICK_MS / 1_000, loop.call_soon, self._judge_all, unheard)

    def _judge_all(self, sockets: Sequence[_Socket]) -> None:
        now = self.now()
        for socket in sockets:
            if not socket.gone:
                self._judge(socket, now)

    def _judge(self, socket: _Socket, now: Moment) -> None:
        following = socket.session.tick(now)
        if following is not None:
            self.schedule(socket, max(following, now.steady_ms + TICK_MS))


class _Socket:
    """One socket: a reader (the handler's own task) and, while there is something to write, a writer."""

    __slots__ = (
        "_deaf",
        "_drained",
        "_owner",
        "_reader",
        "_receiving",
        "_request",
        "_unfinished",
        "_writer",
        "_ws",
        "entry",
        "gone",
        "session",
    )

    def __init__(self, owner: LiveSockets, ws: web.WebSocketResponse, request: web.Request) -> None:
        self._owner = owner
        self._ws = ws
        self._request = request
        self._reader = asyncio.current_task()
        self._receiving = False
        self._writer: asyncio.Task[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        # Bytes that arrived since the last message was there; and whether none are looked at any more.
        self._unfinished = 0
        self._deaf = False
        self.entry: list[Any] | None = None
        self.gone = False
        self.session: Session = owner.live.open(owner.now(), self._wake)

    async def run(self) -> None:
        """Serve until either side ends it."""
        owner, session = self._owner, self.session
        try:
            self._listen()
            owner.schedule(self, session.next_deadline_ms(owner.now()))
            while session.closing is None:
                message = await self._receive()
                if message is None or not await self._take(message):
                    break
                await self._wait_for_room()
        finally:
            owner.live.closed(session)
            self.gone = True
            if self.entry is not None:
                self.entry[2] = None
            try:
                await self._end()
            finally:
                self._deaf = True
                self._let_go(self._unfinished)

    def _listen(self) -> None:
        transport = self._request.transport
        if transport is not None and not transport.is_closing():
            transport.set_protocol(Listening(transport.get_protocol(), self._arrived))  # type: ignore[arg-type]

    def _arrived(self, size: int) -> bool:
        """Count a read; whether it is looked at."""
        if self._deaf:
            return False
        self._unfinished += size
        self._owner.arriving.held += size
        if not self._owner.arriving.has_room(self._unfinished, nameless=self.session.caller is None):
            self._deaf = True
            self.session.close(CLOSE_TRY_LATER, "Too much is being sent at once.")
        return not self._deaf

    def _let_go(self, size: int) -> None:
        size = min(size, self._unfinished)
        self._unfinished -= size
        self._owner.arriving.held -= size

    async def _receive(self) -> Any:
        """The next message; None where this side closes."""
        self._receiving = True
        try:
            return await self._ws.receive()
        except asyncio.CancelledError:
            if self.session.closing is None or self._reader is None or self._reader.uncancel() > 0:
                raise  # Not by `_wake`: the server itself ends this handler.
            return None
        finally:
            self._receiving = False

    async def _take(self, message: Any) -> bool:
        """Act on one message; False where the socket is at its end."""
        owner, session = self._owner, self.session
        if message.type is WSMsgType.TEXT:
            self._let_go(self._unfinished)
            # A socket has one frame under way; while that waits, nothing more is read from it.
            async with owner.bodies.working(len(message.data), patient=True):
                await self._act(message.data)
            return True
        session.beat(owner.now())
        if message.type in (WSMsgType.PING, WSMsgType.PONG):
            self._let_go(CONTROL_HEAD_BYTES + len(message.data))
        self._deaf = self._deaf or (session.closing is not None and session.closing.code == CLOSE_FLOOD)
        if message.type is WSMsgType.PING:
            try:
                await self._ws.pong(message.data)
            except ConnectionError:
                return False
        elif message.type is WSMsgType.BINARY:
            session.close(CLOSE_MALFORMED, "Frames are text.")
        # What is left is the end of the socket: closed by the peer, by an error, or gone.
        return message.type in (WSMsgType.PING, WSMsgType.PONG, WSMsgType.BINARY)

    async def _act(self, text: str) -> None:
        owner, session = self._owner, self.session
        now = owner.now()
        action = session.receive(text, now)
        if action is not None:
            begin_work()
            await owner.live.act(session, action, now)
            if isinstance(action, Hello | Token) and session.closing is None:
                owner.schedule(self, session.next_deadline_ms(owner.now()))

    async def _wait_for_room(self) -> None:
        """Read no further from a peer that leaves its answers lying (S3)."""
        while self.session.outgoing.size > OUTGOING_BYTES_MAX and self.session.closing is None:
            self._drained = asyncio.get_running_loop().create_future()
            await self._drained

    def _wake(self) -> None:
        """The session has something to write, or has closed."""
        if self._writer is None and self.session.outgoing:
            self._writer = asyncio.get_running_loop().create_task(self._write())
        if self.session.closing is not None:
            self._let_reader_go_on()
            if self._receiving and self._reader is not None:
                # Once: `_receive` has left the waiting by the time it could be cancelled again.
                self._receiving = False
                self._reader.cancel()

    def _let_reader_go_on(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    async def _write(self) -> None:
        session, ws = self.session, self._ws
        try:
            while frames := session.take_outgoing():
                for frame in frames:
                    opcode = WSMsgType.PING if frame.kind is Kind.PING else WSMsgType.TEXT
                    await ws.send_frame(frame.data, opcode)
                self._owner.live.written(session, session.written(frames))
                self._let_reader_go_on()
        except ConnectionError:
            self._abort()
        finally:
            self._writer = None
            self._let_reader_go_on()

    async def _end(self) -> None:
        """Write what must still be told, say goodbye, and see that the connection ends (S1)."""
        writer = self._writer
        try:
            async with asyncio.timeout(CLOSE_S):
                if writer is not None:
                    await asyncio.wait([writer])
                # Where the peer has closed already, none of this is sent; where not, the server itself stops.
                code, reason = self.session.closing or (CLOSE_RESTARTING, "restarting")
                await self._ws.close(code=code, message=reason.encode())
        except TimeoutError:
            self._abort()
        finally:
            if writer is not None and not writer.done():
                writer.cancel()
            transport = self._request.transport
            if transport is not None and getattr(transport, "get_write_buffer_size", int)():
                # It was offered its time; whatever it has not taken by now is held for nobody.
                self._abort()

    def _abort(self) -> None:
        transport = self._request.transport
        if transport is not None:
            getattr(transport, "abort", transport.close)()
