"""The live side of one process: carries out what sockets ask for, and passes on what happens elsewhere.

Owns: the hello, the right to each subscription and signal, pushes over the socket, and the events of a user.
Refuses to know: aiohttp (api/sync/websocket.py drives the sockets) and storage (`Access` and `Engine` are ports).

Invariants
    L1  A subscription is joined before the right to it is checked, and a user's topic before their spaces are: a
        right that is lost meanwhile is found either by the check or by the event.
    L2  Whoever loses a space is unsubscribed before they are told.
    L3  A lost event costs at most RECHECK_S: sessions, devices, memberships and heads are then compared with the
        database, in a few statements for all sockets together.
    L4  A push over the socket is the push of HTTP: the same limits, the same decoding, the same engine, the same codes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import msgspec

from conflict.clock import rfc3339
from sync.bus import LOST, Bus
from sync.caller import Caller
from sync.environment import Environment
from sync.errors import DeviceRevoked, NotFound, SyncError, Unauthenticated, UnknownDevice
from sync.hub import DeltaFeed, Hub, SpaceState, Subscription
from sync.limits import Limits
from sync.messages import PushRequest, read_push
from sync.outgoing import Kind
from sync.protocol import (
    CLOSE_RESTARTING,
    CLOSE_REVOKED,
    CLOSE_TRY_LATER,
    CLOSE_UNAUTHENTICATED,
    HEARTBEAT_S,
    SPACES_MAX,
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
from sync.roster import Roster
from sync.signals import Signals
from sync.tasks import end_tasks
from sync.throttle import Throttle, Unthrottled

log = logging.getLogger(__name__)

# What a lost event or hint costs at most; a token that was revoked meanwhile reads no longer than that.
RECHECK_S: Final = 30.0
RECHECK_SOCKETS: Final = 200
# Reading a frame of a mebibyte costs as much as many refusals: who does not wait as told is read that rarely.
REFUSED_PAUSE_S: Final = 5.0
# Greetings together: five thousand devices that come back after a restart wait in line, not in the database.
OPENINGS_AT_ONCE: Final = 16

_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


@dataclass(frozen=True, slots=True)
class Admitted:
    """A good token: whose it is and until when, in Unix ms."""

    caller: Caller
    expires_ms: int


@dataclass(frozen=True, slots=True)
class Sight:
    """A space that the caller may see."""

    state: SpaceState
    role: str
    signals: bool = True


@dataclass(frozen=True, slots=True)
class Present:
    """What still holds of what was asked: the rest ended."""

    sessions: Collection[str]
    devices: Collection[str]
    # (space, user) → role, for members.
    roles: Mapping[tuple[str, str], str]
    # space → (life, head)
    heads: Mapping[str, tuple[str, int]]


class Access(Protocol):
    """Who somebody is and what they may see; `sync.access.DatabaseAccess` is one."""

    async def admit(self, token: str) -> Admitted:
        """Raises Unauthenticated."""
        ...

    async def greet(self, user: str, device: str, spaces: Collection[str]) -> Mapping[str, Sight]:
        """Those of `spaces` that the user may see, where the device is theirs.

        Raises UnknownDevice for an unknown device or another user's, DeviceRevoked.
        """
        ...

    async def see(self, user: str, space: str) -> Sight:
        """Raises NotFound for a space that is not there, or that the user may not see."""
        ...

    async def present(self, callers: Collection[tuple[str, str, str]], pairs: Collection[tuple[str, str]]) -> Present:
        """What still holds of these (user, session, device) and (space, user)."""
        ...


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
        self._openings = asyncio.Semaphore(OPENINGS_AT_ONCE)
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
            self._leave(session, space)

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
            await self._greet(session, action, now)
        elif isinstance(action, Token):
            await self._renew(session, action, now)
        elif isinstance(action, Unsubscribe):
            self._leave(session, action.space)
        elif isinstance(action, Push):
            await self._answering(session, action.id, None, self._push(session, action))
        elif isinstance(action, Subscribe):
            await self._answering(session, None, action.space, self._subscribe(session, action.space, action.cursor))
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
            log.log(_level(error), "a request over the socket failed: %s", error, exc_info=_is_defect(error))
            code, message = _of_unexpected(error)
            session.refuse(id_, code, message, None if space is None else {"space": space})

    async def _greet(self, session: Session, hello: Hello, now: Moment) -> None:
        async with self._openings:
            try:
                admitted = await self._access.admit(hello.token)
                if admitted.expires_ms <= now.wall_ms:
                    raise Unauthenticated()
                session.admit(replace(admitted.caller, device=hello.device), admitted.expires_ms)
                if not self.roster.join(session):
                    session.close(CLOSE_TRY_LATER, "too_many_sockets")
                    return
                # Before the right to any of them is asked for (L1).
                joined = self._join(session, hello)
                sights = await self._access.greet(admitted.caller.user, hello.device, joined)
                self._pusher.note_later(replace(admitted.caller, device=hello.device))
            except Unauthenticated as error:
                session.close(CLOSE_UNAUTHENTICATED, error.code)
            except (DeviceRevoked, UnknownDevice) as error:
                session.close(CLOSE_REVOKED, error.code)
            except Exception as error:  # Whatever a database does, the device is told to come again
                log.log(_level(error), "a hello could not be judged: %s", error, exc_info=_is_defect(error))
                session.close(CLOSE_TRY_LATER, "unavailable")
            if session.closing is None:
                await self.roster.announce(session)
                await self._open(session, hello, joined, sights)

    def _join(self, session: Session, hello: Hello) -> dict[str, Subscription]:
        """Join the spaces of a hello, also of those that may not be seen: only a look tells."""
        return {space: self.hub.join(session, space) for space in hello.spaces}

    async def _open(
        self, session: Session, hello: Hello, joined: Mapping[str, Subscription], sights: Mapping[str, Sight]
    ) -> None:
        """Go on with every space of the hello that may be seen, say welcome, then bring each up to date."""
        behind: list[tuple[Subscription, SpaceState, str]] = []
        refused: list[tuple[str, SyncError]] = []
        let_in = 0
        for space, cursor in hello.spaces.items():
            subscription = joined[space]
            sight = sights.get(space) if subscription.attached else None
            if sight is None or let_in == SPACES_MAX:
                refused.append((space, NotFound() if sight is None else TooManySpaces()))
                if subscription.attached:
                    self._leave(session, space)
                continue
            let_in += 1
            self._let_in(subscription, sight)
            if cursor is None:
                self.hub.go_live(subscription, sight.state)
            else:
                behind.append((subscription, sight.state, cursor))
        session.welcome(
            {
                "server_time": rfc3339(self._environment.now_ms()),
                "heartbeat_s": HEARTBEAT_S,
                "limits": self._limits.announced(),
            }
        )
        for space, refusal in refused:
            session.refuse(None, refusal.code, refusal.message, {**(refusal.details or {}), "space": space})
        for subscription, state, cursor in behind:
            await self.hub.resume(subscription, state, cursor)
        for space in list(session.subscriptions):
            self.signals.join(session, space)

    async def _look(self, session: Session, space: str) -> tuple[Subscription, Sight]:
        """Join a space, then check the right to (L1); on any failure nothing stays joined."""
        assert session.caller is not None
        if len(session.subscriptions) >= SPACES_MAX and space not in session.subscriptions:
            raise TooManySpaces()
        subscription = self.hub.join(session, space)
        try:
            sight = await self._access.see(session.caller.user, space)
            if not subscription.attached:
                raise NotFound()
        except BaseException:
            if subscription.attached:
                self._leave(session, space)
            raise
        self._let_in(subscription, sight)
        return subscription, sight

    def _let_in(self, subscription: Subscription, sight: Sight) -> None:
        subscription.role = sight.role if sight.signals else ""

    async def _subscribe(self, session: Session, space: str, cursor: str | None) -> None:
        subscription, sight = await self._look(session, space)
        if cursor is None:
            self.hub.go_live(subscription, sight.state)
        else:
            await self.hub.resume(subscription, sight.state, cursor)
        if subscription.attached:
            self.signals.join(session, space)

    def _leave(self, session: Session, space: str) -> None:
        self.hub.leave(session, space)
        if not self.hub.subscribers(space):
            self.signals.release(space)

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
            log.log(_level(error), "a token could not be judged: %s", error, exc_info=_is_defect(error))
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
            self._leave(session, space)
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


class TooManySpaces(SyncError):
    """More subscriptions than one socket may hold."""

    code = "too_many_spaces"
    status = 409
    default = f"A socket listens to at most {SPACES_MAX} spaces; unsubscribe from one."


def _is_defect(error: Exception) -> bool:
    """Five thousand devices that come back to a database that is gone are no five thousand defects."""
    return not isinstance(error, SyncError) and not getattr(error, "retryable", False)


def _level(error: Exception) -> int:
    return logging.ERROR if _is_defect(error) else logging.WARNING


def _of_unexpected(error: Exception) -> tuple[str, str]:
    """The code and sentence for what is not a SyncError."""
    if getattr(error, "retryable", False):
        return "unavailable", "The server is busy; wait a moment and send the same again."
    return "internal", "The server failed; the fault is logged."
