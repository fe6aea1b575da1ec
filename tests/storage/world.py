"""Rows for tests of the storage: users, spaces, devices, and pushes made by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import text

from storage import accounts, devices, spaces
from storage.database import Database
from storage.push_reads import Opened, open_push
from storage.push_writes import write_push
from storage.rows import Key, StoredChange, StoredRecord, VoterRow

NOW = 1_795_000_000_000


async def add_user(database: Database, user: str) -> str:
    async with database.write() as tx:
        await accounts.add_user(
            tx, user=user, email=f"{user}@Example.com", email_key=f"{user}@example.com", name=user, password_hash="x",
            now_ms=NOW,
        )  # fmt: skip
    return user


async def add_space(database: Database, space: str, owner: str | None, kind: str = "personal") -> str:
    async with database.write() as tx:
        await spaces.create_space(tx, space=space, kind=kind, name=space, owner=owner, life="a1", now_ms=NOW)
    return space


async def add_device(database: Database, device: str, user: str, key: str | None = None) -> str:
    async with database.write() as tx:
        row = devices.DeviceRow(device, user, key or f"key of {device}", "Phone", "test", "1", NOW, NOW, None)
        await devices.add_device(tx, row)
    return device


async def add_home(database: Database, user: str = "ann", space: str = "home", device: str = "phone") -> None:
    """A user with their space and a device."""
    await add_user(database, user)
    await add_space(database, space, user)
    await add_device(database, device, user)


def record(
    id: str, seq: int, *, collection: str = "sets", parent: Key | None = None, status: int = 0, body: bytes = b"{}"
) -> StoredRecord:
    return StoredRecord(collection, id, seq, parent, status, body, b"state of " + id.encode())


def change(
    n: int, id: str | None = "a", *, device: str = "phone", collection: str | None = "sets", **more: Any
) -> StoredChange:
    line = StoredChange(
        device, n, n, collection, id, "put", "0193575e3b010000", None, None, b"{}", b'{"reps":8}', None, NOW, "ann"
    )
    return line._replace(**more)


def voter(device: str = "phone", user: str = "ann", **more: Any) -> VoterRow:
    return replace(VoterRow(device, user, {}, NOW, NOW, False), **more)


async def opened(
    database: Database, space: str = "home", user: str = "ann", device: str = "phone", *, keys: Collection[Key] = (),
    after_n: int | None = None,
) -> Opened | None:  # fmt: skip
    """What a push would find; nothing is written."""
    async with database.write() as tx:
        return await open_push(tx, space=space, user=user, device=device, after_n=after_n, keys=keys)


async def push(
    database: Database, rows: Sequence[StoredRecord] = (), lines: Sequence[StoredChange] = (), /, *,
    space: str = "home", device: str = "phone", vote: VoterRow | None = None, deleted_at: int = NOW, **moved: Any,
) -> None:  # fmt: skip
    """Write one push; the space's head follows its records, and `moved` is whatever else of the space does."""
    async with database.write() as tx:
        found = await open_push(tx, space=space, user="ann", device=device, after_n=None, keys=())
        assert found is not None
        head = max([found.space.head, *(each.seq for each in rows)])
        after = replace(found.space, **{"head": head, **moved})
        await write_push(tx, space=after, records=rows, changes=lines, voter=vote, deleted_at=deleted_at)


async def until_blocked(database: Database) -> None:
    """Until some statement of a Postgres waits for a lock."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    async with database.read() as tx, asyncio.timeout(60):
        while not (await tx.execute(waiting))[0][0]:  # noqa: ASYNC110 - the server sets no event
            await asyncio.sleep(0.01)
