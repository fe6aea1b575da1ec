"""A small world for tests of the live side: a feed, an access and an engine in memory that behave as the real ones."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import Any

from sync.bus import Bus, MemoryBus, space_topic
from sync.caller import Caller
from sync.cursors import encode_cursor
from sync.environment import Environment
from sync.errors import DeviceRevoked, NotFound, RateLimited, Unauthenticated, UnknownDevice
from sync.limits import LIMITS
from sync.live import Live
from sync.messages import PushRequest
from sync.outgoing import Kind
from sync.protocol import Moment, Session
from sync.rights import Admitted, Present, Sight
from sync.throttle import Throttle, Unthrottled

START_MS = 1_795_000_000_000


class TestClock:
    """A clock that only the test moves; its bytes never repeat."""

    __test__ = False

    def __init__(self, seed: int = 0) -> None:
        self.ms = START_MS
        self._drawn = seed

    def now_ms(self) -> int:
        return self.ms

    def token_bytes(self, count: int) -> bytes:
        self._drawn += 1
        return self._drawn.to_bytes(8, "big").rjust(count, b"\1")[-count:]

    @property
    def moment(self) -> Moment:
        return Moment(self.ms, self.ms - START_MS)


@dataclass(frozen=True)
class FakeState:
    id: str
    head: int = 0
    life: str = "a1"
    lives: list[tuple[str, int]] = field(default_factory=lambda: [("a1", 0)])
    floor: int = 0
    version: dict[str, int] = field(default_factory=dict)
    records: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class FakeDelta:
    life: str
    to_seq: int
    records: tuple[bytes, ...]
    version: dict[str, int]


class Store:
    """Spaces, members, sessions and devices: one truth for any number of processes."""

    def __init__(self) -> None:
        self.spaces: dict[str, FakeState] = {}
        self.roles: dict[tuple[str, str], str] = {}
        self.sessions: set[str] = set()
        self.devices: dict[str, str] = {}
        self.revoked: set[str] = set()
        # What each space held at each of its heads, for a restore.
        self.past: dict[tuple[str, int], tuple[tuple[str, int], ...]] = {}
        self.delta_records_max = 50
        self.fail_reads = 0
        self.gate: asyncio.Event | None = None

    def add(self, space: str, *users: str) -> None:
        self.spaces[space] = FakeState(space)
        for user in users:
            self.roles[space, user] = "editor"

    def write(self, space: str, *ids: str, device: str = "writer", pad: int = 0) -> tuple[int, int]:
        """Commit one change to each of these records; return the hint's (from, to)."""
        state = self.spaces[space]
        records = dict(state.records)
        head = state.head
        for id_ in ids:
            head += 1
            records.pop(id_, None)
            records[id_ + "." * pad] = head
        version = {**state.version, device: state.version.get(device, 0) + len(ids)}
        self.spaces[space] = replace(state, head=head, records=tuple(records.items()), version=version)
        self.past[space, head] = tuple(records.items())
        return state.head, head

    def restore(self, space: str, head: int, life: str) -> None:
        """The newest state at or below `head` comes back, as the beginning of a new life."""
        state = self.spaces[space]
        head = max([at for of, at in self.past if of == space and at <= head], default=0)
        kept = self.past.get((space, head), ())
        self.spaces[space] = replace(
            state, head=head, records=kept, life=life, lives=[*state.lives, (life, head)], version={}
        )
        self.past = {(of, at): past for (of, at), past in self.past.items() if of != space or at <= head}

    # -- the feed

    async def read_delta(self, space: str, after: int) -> FakeDelta | None:
        state = self.spaces.get(space)
        if self.gate is not None:
            await self.gate.wait()
        if self.fail_reads:
            self.fail_reads -= 1
            raise ConnectionError("the database is gone")
        if state is None:
            return None
        rows = [(id_, seq) for id_, seq in state.records if seq > after]
        if len(rows) > self.delta_records_max:
            return None
        records = tuple(json.dumps({"seq": seq, "id": id_}).encode() for id_, seq in rows)
        return FakeDelta(state.life, state.head, records, dict(state.version))

    async def space(self, space: str) -> FakeState:
        if space not in self.spaces:
            raise NotFound
        return self.spaces[space]

    # -- access: a token is "user/session/expires_ms"

    async def admit(self, token: str) -> Admitted:
        user, session, expires_ms = token.split("/")
        if session not in self.sessions:
            raise Unauthenticated
        return Admitted(Caller(user, session), int(expires_ms))

    async def check_device(self, user: str, device: str) -> None:
        if self.devices.get(device) != user:
            raise UnknownDevice
        if device in self.revoked:
            raise DeviceRevoked

    async def greet(self, user: str, device: str, spaces: Collection[str]) -> dict[str, Sight]:
        await self.check_device(user, device)
        sights: dict[str, Sight] = {}
        for space in spaces:
            with contextlib.suppress(NotFound):
                sights[space] = await self.see(user, space)
        return sights

    async def see(self, user: str, space: str) -> Sight:
        await asyncio.sleep(0)
        role = self.roles.get((space, user))
        if role is None or space not in self.spaces:
            raise NotFound
        return Sight(self.spaces[space], role, signals=space != "catalog")

    async def present(self, callers: Collection[tuple[str, str, str]], pairs: Collection[tuple[str, str]]) -> Present:
        return Present(
            sessions=self.sessions,
            devices=self.devices.keys() - self.revoked,
            roles={pair: self.roles[pair] for pair in pairs if pair in self.roles},
            heads={s: (self.spaces[s].life, self.spaces[s].head) for s, _ in pairs if s in self.spaces},
        )


@dataclass
class FakeAnswer:
    acked: int

    def as_json(self) -> dict[str, Any]:
        return {"acked": self.acked, "rejected": []}


@dataclass
class FakePusher:
    """Commits each change as a write to the record it names, and announces it."""

    store: Store
    bus: Bus
    seen: list[tuple[str, str, dict[str, int]]] = field(default_factory=list)
    # (session, device) of each socket that was let in.
    spoken_for: list[tuple[str, str | None]] = field(default_factory=list)

    async def push(self, caller: Caller, space: str, request: PushRequest) -> FakeAnswer:
        if (space, caller.user) not in self.store.roles:
            raise NotFound
        if request.seen:
            self.seen.append((space, request.device, request.seen))
        if request.changes:
            await announce(self.bus, space, *self.store.write(space, *(str(c.id) for c in request.changes)))
        return FakeAnswer(request.changes[-1].n if request.changes else 0)

    def note_later(self, caller: Caller) -> None:
        self.spoken_for.append((caller.session, caller.device))


async def announce(bus: Bus, space: str, before: int, after: int) -> None:
    await bus.publish(space_topic(space), json.dumps({"from": before, "to": after}).encode())


class Budget(Unthrottled):
    """An account that may push as often as `left` says and read as often as `reads`, and not once more."""

    def __init__(self, left: int, reads: int = 1_000) -> None:
        self.left = left
        self.reads = reads

    async def read(self, user: str) -> None:
        if self.reads == 0:
            raise RateLimited(retry_after_s=1)
        self.reads -= 1

    async def write(self, user: str) -> None:
        if self.left == 0:
            raise RateLimited(retry_after_s=1)
        self.left -= 1


class Process:
    """One process of the server, without sockets: the test reads and writes as the driver would."""

    def __init__(
        self,
        store: Store,
        bus: Bus | None = None,
        clock: TestClock | None = None,
        throttle: Throttle | None = None,
    ) -> None:
        self.store = store
        self.bus = bus or MemoryBus()
        self.clock = clock or TestClock()
        self.pusher = FakePusher(store, self.bus)
        self.live = Live(
            bus=self.bus,
            feed=store,
            pusher=self.pusher,
            access=store,
            environment=Environment(self.clock.now_ms, self.clock.token_bytes),
            limits=LIMITS,
            throttle=throttle,
        )

    def token(self, user: str, session: str = "s1", *, lives_s: int = 900) -> str:
        self.store.sessions.add(session)
        return f"{user}/{session}/{self.clock.ms + lives_s * 1_000}"

    async def connect(self, user: str, device: str, spaces: dict[str, str | None] | None = None, **hello: Any) -> Peer:
        """A device that has said hello; look at its messages for how that went."""
        self.store.devices.setdefault(device, user)
        peer = Peer(self)
        await peer.say(
            "hello",
            **{"protocol": 1, "schema": 1, "token": self.token(user), "device": device, "spaces": spaces or {}} | hello,
        )
        return peer

    async def write(self, space: str, *ids: str, **more: Any) -> None:
        """Commit and announce, then wait until every channel has read it."""
        await announce(self.bus, space, *self.store.write(space, *ids, **more))
        await self.settle()

    async def settle(self) -> None:
        """Wait until no channel has anything left to read."""
        await until(lambda: not any(t.get_name() != "watch" for t in self.live.hub._tasks))

    async def close(self) -> None:
        await self.live.close()


class Peer:
    """The other end of a socket. It reads when the test says so; until then everything stays queued."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.woken = 0
        self.session: Session = process.live.open(process.clock.moment, self._wake)

    def _wake(self) -> None:
        self.woken += 1

    async def say(self, type: str, **message: Any) -> None:
        now = self.process.clock.moment
        action = self.session.receive(json.dumps({"type": type, **message}), now)
        if action is not None:
            await self.process.live.act(self.session, action, now)

    def read(self) -> list[dict[str, Any]]:
        """Everything that waits, as the writer of the driver would send it."""
        messages = []
        while frames := self.session.take_outgoing():
            messages += [json.loads(f.data) for f in frames if f.kind is not Kind.PING]
            self.process.live.written(self.session, self.session.written(frames))
        return messages

    def types(self) -> list[str]:
        return [message["type"] for message in self.read()]

    def cut(self) -> None:
        self.process.live.closed(self.session)


def cursor_of(store: Store, space: str) -> str:
    """The cursor that a pull gives now."""
    return encode_cursor(store.spaces[space])


async def until(condition: Callable[[], bool], *, seconds: float = 60.0) -> None:
    """Wait until `condition` holds; fails loudly where it never does."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - conditions of many kinds, none of which sets an event
            await asyncio.sleep(0.002)
