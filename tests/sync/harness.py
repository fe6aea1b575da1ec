"""A small world for tests of the sync engine: users, spaces, devices that number and stamp their changes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import insert

from conflict import clock
from storage import tables
from storage.database import Database
from sync.bus import MemoryBus
from sync.caller import Caller
from sync.engine import Engine
from sync.environment import Environment, uuid7
from sync.limits import LIMITS, Limits
from sync.messages import PushRequest, read_push
from sync.push_answer import Answer
from sync.texts import ProcessTextReader, TextReader

START_MS = 1_795_000_000_000


class TestClock:
    """A clock that only the test moves."""

    __test__ = False

    def __init__(self) -> None:
        self.ms = START_MS
        self._seed = 0

    def now_ms(self) -> int:
        return self.ms

    def token_bytes(self, count: int) -> bytes:
        self._seed += 1
        return (self._seed * 0x9E3779B97F4A7C15 % 2**64).to_bytes(8, "big").rjust(count, b"\1")[-count:]


@dataclass
class Device:
    """Numbers and stamps changes as an SDK does; keeps what it knows of the server."""

    id: str
    caller: Caller
    world: World
    n: int = 0
    after: dict[str, Any] | None = None
    context: dict[str, int] = field(default_factory=dict)
    cursor: str | None = None
    log: list[dict[str, Any]] = field(default_factory=list)

    def stamp(self) -> str:
        self.world.clock.ms += 1
        return clock.pack(self.world.clock.ms, 0)

    def change(self, op: str, collection: str | None = None, id: str | None = None, **more: Any) -> dict[str, Any]:
        self.n += 1
        change: dict[str, Any] = {"n": self.n, "hlc": self.stamp(), "op": op, "context": dict(self.context)}
        if collection is not None:
            change |= {"collection": collection, "id": id}
        change |= more
        self.log.append(change)
        return change

    def put(self, collection: str, id: str, _more: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
        return self.change("put", collection, id, fields=fields, **(_more or {}))

    def delete(self, collection: str, id: str, **more: Any) -> dict[str, Any]:
        return self.change("delete", collection, id, **more)

    def void(self) -> dict[str, Any]:
        change = self.change("void")
        del change["context"]
        return change

    def request(self, changes: list[dict[str, Any]], **more: Any) -> PushRequest:
        body = {"device": self.id, "schema": 1, "after": self.after, "changes": changes} | more
        return read_push(json.loads(json.dumps(body)), self.world.engine.limits)

    async def push(self, *changes: dict[str, Any], space: str | None = None, **more: Any) -> Answer:
        """Push, and keep what the answer says."""
        request = self.request(list(changes), **more)
        answer = await self.world.engine.push(self.caller, space or self.world.space, request)
        if changes:
            self.after = {"n": changes[-1]["n"], "hlc": changes[-1]["hlc"]}
        return answer

    async def pull(self, space: str | None = None, limit: int = 1_000) -> list[dict[str, Any]]:
        """Every page from the device's cursor on; the version becomes its context."""
        records: list[dict[str, Any]] = []
        while True:
            page = json.loads(
                await self.world.engine.feed.pull(self.caller, space or self.world.space, self.cursor, limit)
            )
            records += page["records"]
            self.cursor = page["cursor"]
            if not page["more"]:
                self.context = page["version"]
                return records


@dataclass
class World:
    """One engine over one database, with one user and their personal space to begin with."""

    database: Database
    clock: TestClock
    engine: Engine
    user: str = ""
    space: str = ""
    devices: int = 0

    @classmethod
    async def make(cls, database: Database, limits: Limits = LIMITS, texts: TextReader | None = None) -> World:
        test_clock = TestClock()
        environment = Environment(test_clock.now_ms, test_clock.token_bytes)
        engine = Engine(database, MemoryBus(), texts or ProcessTextReader(), environment, limits)
        world = cls(database, test_clock, engine)
        world.user = await world.add_user()
        world.space = await world.add_space(world.user)
        return world

    async def close(self) -> None:
        await self.engine.votes.flush()
        await self.engine.devices.flush()
        await self.engine.texts.close()

    def uuid(self) -> str:
        return uuid7(self.engine.environment)

    async def add_user(self) -> str:
        user = self.uuid()
        async with self.database.write() as tx:
            await tx.execute(
                insert(tables.users).values(
                    id=user,
                    email=f"{user}@example.com",
                    email_key=f"{user}@example.com",
                    name="Someone",
                    password_hash="x",
                    created_at=START_MS,
                )
            )
        return user

    async def add_space(self, owner: str, kind: str = "personal") -> str:
        space = self.uuid()
        async with self.database.write() as tx:
            await tx.execute(
                insert(tables.spaces).values(
                    id=space,
                    kind=kind,
                    name="Space",
                    owner_id=owner,
                    head=0,
                    version=b"{}",
                    life="a1",
                    lives=b'[["a1",0]]',
                    timeline=self.database.timeline,
                    floor=0,
                    records=0,
                    bytes=0,
                    server_device="server-a1",
                    server_hlc=clock.pack(START_MS, 0),
                    created_at=START_MS,
                )
            )
        await self.add_member(space, owner, "owner")
        return space

    async def add_member(self, space: str, user: str, role: str, state: str = "member") -> None:
        async with self.database.write() as tx:
            await tx.execute(
                insert(tables.members).values(
                    space_id=space, user_id=user, role=role, state=state, invited_by=None, created_at=START_MS
                )
            )

    async def device(self, user: str | None = None) -> Device:
        self.devices += 1
        user = user or self.user
        device = f"device{self.devices}"
        async with self.database.write() as tx:
            await tx.execute(
                insert(tables.devices).values(
                    id=device,
                    user_id=user,
                    key=self.uuid(),
                    name="Phone",
                    platform="test",
                    app_version="1",
                    created_at=START_MS,
                    last_seen_at=START_MS,
                )
            )
        return Device(device, Caller(user, "session", device=device), self)

    async def revoke(self, device: Device) -> None:
        async with self.database.write() as tx:
            await tx.execute(
                tables.devices.update().where(tables.devices.c.id == device.id).values(revoked_at=self.clock.ms)
            )
