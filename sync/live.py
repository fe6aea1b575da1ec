"""The live side of one process: carries out what sockets ask for, and passes on what happens elsewhere.

Owns: pushes over the socket, the right to a signal, the events of a user, and the safety net under lost ones.
Refuses to know: aiohttp (api/sync/websocket.py drives the sockets), storage (`Access` and `Engine` are ports), how a
socket is let in (greeting.py) and listens to a space (subscribing.py).

Invariants
    L1  Of those two: what is listened to is joined before the right to it is asked for.
    L2  Whoever loses a space is unsubscribed before they are told.
    L3  A lost event costs at most RECHECK_S: sessions, devices, memberships and heads are then compared with the
        database, in a few statements for all sockets together.
    L4  A push over the socket is the push of HTTP: the same limits, the same decoding, the same engine, the same codes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Coroutine
from dataclasses import replace
from typing import Any, Final, Protocol

import msgspec

from sync.bus import LOST, Bus
from sync.caller import Caller
from sync.environment import Environment
from sync.errors import NotFound, SyncError, Unauthenticated
from sync.greeting import Greeting
from sync.hub import DeltaFeed, Hub
from sync.limits import Limits
from sync.messages import PushRequest, read_push
from sync.outgoing import Kind
from sync.protocol import (
    CLOSE_RESTARTING,
    CLOSE_REVOKED,
    CLOSE_UNAUTHENTICATED,
    Action,
    Hello,
    Moment,
    Push,
    Seen,
    Session,
    Signal,
    Subscribe,
    Token,
    Unsubscribe,
)
from sync.rights import Access, Present
from sync.roster import Roster
from sync.signals import Signals
from sync.subscribing import Subscribing
from sync.tasks import end_tasks
from sync.throttle import Throttle, Unthrottled
from sync.unexpected import is_defect, level, of_unexpected

log = logging.getLogger(__name__)

# What a lost event or hint costs at most; a token that was revoked meanwhile reads no longer than that.
RECHECK_S: Final = 30.0
RECHECK_SOCKETS: Final = 200
# Reading a frame of a mebibyte costs as much as many refusals: who does not wait as told is read that rarely.
REFUSED_PAUSE_S: Final = 5.0

_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


class Answered(Protocol):
    """The answer of a push."""

    def as_json(self) -> dict[str, Any]: ...


class Pusher(Protocol):
    """The one write path; `sync.engine.Engine` is one."""

    async def push(self, caller: Caller, space: str, request: PushRequest) -> Answered: ...

    def note_later(self, caller: Caller) -> None: ...


class Live:
    """The live side of one process. `start` it, `close` it; the driver opens a session for each socket."""

    def __init__(
        self,
        *,
        bus: Bus,
        feed: DeltaFeed,
        pusher: Pusher,
        access: Access,
        environment: Environment,
        limits: Limits,
        throttle: Throttle | None = None,
    ) -> None:
        self._throttle = throttle or Unthrottled()
        self._pusher = pusher
        self._access = access
        self._environment = environment
        self._limits = limits
        self._tasks: set[asyncio.Task[Any]] = set()
        # Users of whom events may have been lost.
        self._doubtful: set[str] = set()
        self._doubted = asyncio.Event()
        self._sessions: set[Session] = set()
        self.hub = Hub(bus, feed, fraction=lambda: environment.token_bytes(1)[0] / 256)
        self.roster = Roster(bus, now_ms=environment.now_ms, heard=self._heard, later=self._later)
        self.signals = Signals(
            bus,
            id=environment.token_bytes(8).hex(),
            now_ms=environment.now_ms,
            # Who has only joined yet, and whose right to is being looked for, hears nothing.
            sessions=lambda space: [s.session for s in self.hub.subscribers(space) if s.role],
            later=self._later,
        )
        self._subscribing = Subscribing(self.hub, self.signals, access, self._throttle)
        self._greeting = Greeting(access, self._subscribing, self.roster, pusher, environment, limits)

    @property
    def sockets(self) -> int:
        """How many sockets are open, greeted or not."""
        return len(self._sessions)

    async def start(self) -> None:
        """Begin the periodic comparison with the database (L3)."""
        self._later(self._watch())

    async def close(self) -> None:
        """Stop; `close_all` first, so that the devices know."""
        await self.hub.close()
        await end_tasks(list(self._tasks))

    def open(self, now: Moment, wake: Callable[[], None]) -> Session:
        """A new socket. Call `closed` with it at the end, whatever happened."""
        session = Session(self._environment.token_bytes(8).hex(), now, wake)
        self._sessions.add(session)
        return session

    def closed(self, session: Session) -> None:
        """The socket is gone: nothing is kept of it."""
        self._sessions.discard(session)
        self.roster.leave(session)
        for space in list(session.subscriptions):
            self._subscribing.leave(session, space)

    def close_all(self, code: int = CLOSE_RESTARTING, reason: str = "restarting") -> None:
        """End every socket: the devices reconnect with jitter."""
        for session in list(self._sessions):
            session.close(code, reason)

    def written(self, session: Session, spaces: list[str]) -> None:
        """What `Session.written` returned: the `behind` of these spaces is out."""
        self.hub.written_behind(session, spaces)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- what a device asks for ------------------------------------------------------------------------------

    async def act(self, session: Session, action: Action, now: Moment) -> None:
        """Carry out one action of `session`, one after the other: answers come in the order of the questions.

        Raises nothing for what a device asked or a database did; it is told by an `error`.
        """
        if isinstance(action, Hello):
            await self._greeting.greet(session, action, now)
        elif isinstance(action, Token):
            await self._renew(session, action, now)
        elif isinstance(action, Unsubscribe):
            self._subscribing.leave(session, action.space)
        elif isinstance(action, Push):
            await self._answering(session, action.id, None, self._push(session, action))
        elif isinstance(action, Subscribe):
            await self._answering(
                session, None, action.space, self._subscribing.subscribe(session, action.space, action.cursor)
            )
        elif isinstance(action, Signal):
            await self._answering(session, None, action.space, self._signal(session, action))
        else:
            await self._answering(session, None, action.space, self._seen(session, action))

    async def _answering(
        self, session: Session, id_: str | int | None, space: str | None, work: Coroutine[Any, Any, None]
    ) -> None:
        """Run `work`; what it raises becomes an `error`."""
        try:
            await work
        except SyncError as error:
            details = error.details
            if space is not None:
                details = {**(details or {}), "space": space}
            if error.retry_after_s is not None:
                details = {**(details or {}), "retry_after_s": error.retry_after_s}
            session.refuse(id_, error.code, error.message, details)
        except Exception as error:  # One request's failure is told and logged; the socket goes on
            log.log(level(error), "a request over the socket failed: %s", error, exc_info=is_defect(error))
            code, message = of_unexpected(error)
            session.refuse(id_, code, message, None if space is None else {"space": space})

    async def _push(self, session: Session, push: Push) -> None:
        assert session.caller is not None
        await self._count(session, session.caller.user)
        request = read_push(push.body, self._limits)
        await self._throttle.upload(session.caller.user, len(request.changes), push.size)
        answer = await self._pusher.push(session.caller, push.space, request)
        session.send({"type": "ack", "id": push.id, **answer.as_json()})

    async def _count(self, session: Session, user: str) -> None:
        """Count a push. A socket that does not wait as it was told is answered late, and read no further until then."""
        try:
            await self._throttle.write(user)
        except SyncError:
            if session.told_to_wait:
                await asyncio.sleep(REFUSED_PAUSE_S)
            session.told_to_wait = True
            raise
        session.told_to_wait = False

    async def _seen(self, session: Session, seen: Seen) -> None:
        assert session.caller is not None
        await self._throttle.seen(session.caller.user)
        request = PushRequest(device=session.device, schema=1, seen=seen.version)
        await self._pusher.push(session.caller, seen.space, request)

    async def _signal(self, session: Session, signal: Signal) -> None:
        subscription = session.subscriptions.get(signal.space)
        if subscription is None or not subscription.role:
            raise NotFound()
        await self.signals.send(session, signal)

    async def _renew(self, session: Session, token: Token, now: Moment) -> None:
        """A fresh token of the same user; a bad one ends the socket, for its device must sign in anyway."""
        assert session.caller is not None
        try:
            admitted = await self._access.admit(token.token)
        except Unauthenticated as error:
            session.close(CLOSE_UNAUTHENTICATED, error.code)
            return
        except Exception as error:  # The old token stays good until it expires
            log.log(level(error), "a token could not be judged: %s", error, exc_info=is_defect(error))
            session.refuse(None, "unavailable", "The token could not be checked; send it again.")
            return
        if admitted.caller.user != session.caller.user or admitted.expires_ms <= now.wall_ms:
            session.close(CLOSE_UNAUTHENTICATED, "unauthenticated")
            return
        session.admit(replace(admitted.caller, device=session.device), admitted.expires_ms)

    # -- what happens elsewhere ------------------------------------------------------------------------------

    def _heard(self, user: str, data: bytes) -> None:
        """An event on a user's topic; one that cannot be read is as good as lost (L3)."""
        if data == LOST:
            self._doubt(user)
            return
        try:
            event = _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            log.warning("an event on the bus is not one of ours")
            self._doubt(user)
            return
        kind = event.get("kind")
        if kind == "connected":
            self.roster.connected(user, event)
            return
        for session in self.roster.of(user):
            self._tell(session, str(kind), event)

    def _tell(self, session: Session, kind: str, event: dict[str, Any]) -> None:
        if kind == "space":
            self._tell_space(session, str(event.get("space")), event.get("role"), event.get("state"))
        elif kind == "seen" and event.get("device") != session.device:
            session.send({"type": "seen", **{k: event.get(k) for k in ("space", "device", "version")}}, Kind.HINT)
        elif kind == "event":
            session.send({"type": "event", "event": event.get("event"), "data": event.get("data")}, Kind.HINT)
        elif kind == "session_ended":
            # An event that names no session means all of the user's: closing too much costs a reconnect.
            ended = event.get("session")
            if ended is None or (session.caller is not None and session.caller.session == ended):
                session.close(CLOSE_UNAUTHENTICATED, "session_ended")
        elif kind == "device_revoked" and event.get("device") == session.device:
            session.close(CLOSE_REVOKED, "device_revoked")

    def _tell_space(self, session: Session, space: str, role: Any, state: Any) -> None:
        if role is None or state != "member":
            self._subscribing.leave(session, space)
        elif (subscription := session.subscriptions.get(space)) is not None and subscription.role:
            subscription.role = role
        session.send({"type": "space", "space": space, "role": role, "state": state})

    # -- the safety net --------------------------------------------------------------------------------------

    def _doubt(self, user: str) -> None:
        self._doubtful.add(user)
        self._doubted.set()

    async def _watch(self) -> None:
        """Everybody each RECHECK_S, and at once those of whom events may have been lost."""
        loop = asyncio.get_running_loop()
        everybody_at = loop.time() + RECHECK_S
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(everybody_at):
                    await self._doubted.wait()
            self._doubted.clear()
            doubtful, self._doubtful = self._doubtful, set()
            if loop.time() < everybody_at:
                await self._recheck_safely(doubtful)
            else:
                everybody_at = loop.time() + RECHECK_S
                await self._recheck_safely(None)

    async def _recheck_safely(self, users: set[str] | None) -> None:
        try:
            await self.recheck(users)
        except Exception:
            # Whatever a database does, the next round asks again.
            log.warning("the sockets could not be compared with the database", exc_info=True)

    async def recheck(self, users: Collection[str] | None = None) -> None:
        """Compare the sockets of `users` (of everybody) with the database: what a lost event or hint left standing
        ends now (L3)."""
        chosen = self.roster if users is None else [s for user in users for s in self.roster.of(user)]
        sessions = [s for s in chosen if s.closing is None]
        for start in range(0, len(sessions), RECHECK_SOCKETS):
            part = sessions[start : start + RECHECK_SOCKETS]
            callers = {(s.caller.user, s.caller.session, s.device) for s in part if s.caller}
            pairs = {(space, s.caller.user) for s in part if s.caller for space in s.subscriptions}
            present = await self._access.present(callers, pairs)
            for session in part:
                self._recheck_one(session, present, pairs)
            self.hub.compare(present.heads)

    def _recheck_one(self, session: Session, present: Present, asked: Collection[tuple[str, str]]) -> None:
        assert session.caller is not None
        if session.caller.session not in present.sessions:
            session.close(CLOSE_UNAUTHENTICATED, "session_ended")
        elif session.device not in present.devices:
            session.close(CLOSE_REVOKED, "device_revoked")
        else:
            for space in list(session.subscriptions):
                pair = (space, session.caller.user)
                # What was joined while the database was asked has just been checked.
                if pair in asked and pair not in present.roles:
                    self._tell_space(session, space, None, None)
