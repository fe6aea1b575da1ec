"""The product's own sync engine over SQLite, without sockets: the other server that a world of devices may stand on.

Answers what `model_server.py` answers, in the same thread, under the world's clock and randomness. A backup is a copy
of the database; a restored one gets a new timeline, so the engine begins a new life by itself.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import sqlite3
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from sqlalchemy import insert

from conflict import record as kernel
from fitai_client.core.requests import Answer, Request
from storage.collections import RULES
from storage.database import open_database
from storage.tables import sessions
from sync.bodies import HIDDEN, STUB
from sync.bus import MemoryBus
from sync.caller import Caller
from sync.devices import Registration
from sync.engine import Engine
from sync.environment import Environment
from sync.errors import SyncError
from sync.limits import Limits
from sync.messages import decode_push
from sync.retention import Retention
from tests.client_sdk.model_server import Json, Key
from tests.sync.harness import TestClock
from tests.sync.harness import World as Users
from tests.sync.inline_texts import InlineTexts

T = TypeVar("T")
encode = msgspec.json.encode


def waiting_records(query: Callable[..., Sequence[Any]], space: str) -> dict[Key, Json]:
    """What is kept in a space of a database, and hidden until a parent comes; `query(statement, *values)` reads."""
    rows = {
        (collection, id): (status, (above, above_id), state)
        for collection, id, status, above, above_id, state in query(
            "SELECT collection, id, status, parent_collection, parent_id, state FROM records WHERE space_id = ?", space
        )
    }

    def waits(key: Key) -> bool:
        status, above, _ = rows[key]
        return status == STUB or (status == HIDDEN and (above not in rows or waits(above)))

    found: dict[Key, Json] = {}
    for key, (status, _, state) in rows.items():
        if status == HIDDEN and waits(key):
            shown = kernel.show(kernel.decode(state), RULES[key[0]])
            losers = {name: [one.value for one in many] for name, many in shown.conflicts.items()}
            found[key] = {"values": shown.values, "conflicts": losers}
    return found


class EngineServer:
    """`handle` takes what a transport would carry. Close it: it has a loop and a database of its own."""

    def __init__(self, template: Path, folder: Path, now_ms: Callable[[], int], seed: int, *, page: int) -> None:
        self._folder = folder
        self._path = folder / "server.db"
        self._environment = Environment(now_ms, random.Random(seed).randbytes)
        self._limits = Limits(page_records_max=page)
        self._loop = asyncio.new_event_loop()
        self._backups = 0
        shutil.copyfile(template, self._path)
        self._run(self._open())
        self._user, self._space = self._run(self._sign_up())

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(work)

    async def _open(self) -> None:
        self._database = await open_database(f"sqlite+aiosqlite:///{self._path}")
        self._engine = Engine(self._database, MemoryBus(), InlineTexts(), self._environment, self._limits)

    async def _sign_up(self) -> tuple[str, str]:
        users = Users(self._database, TestClock(), self._engine)
        user = await users.add_user()
        now = self._environment.now_ms()
        session = {"id": "session", "user_id": user, "created_at": now, "last_used_at": now, "expires_at": now * 2}
        async with self._database.write() as tx:
            await tx.execute(insert(sessions).values(session))
        return user, await users.add_space(user)

    def close(self) -> None:
        self._run(self._database.close())
        self._run(self._loop.shutdown_default_executor())
        self._loop.close()

    # -- accidents -----------------------------------------------------------------------------------------------

    def backup(self) -> Path:
        self._backups += 1
        copy = self._folder / f"backup{self._backups}.db"
        source, target = sqlite3.connect(self._path), sqlite3.connect(copy)
        source.backup(target)
        source.close()
        target.close()
        return copy

    def restore(self, backup: Path) -> None:
        self._run(self._database.close())
        for suffix in ("-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        shutil.copyfile(backup, self._path)
        conn = sqlite3.connect(self._path)
        conn.execute("DELETE FROM meta WHERE key = 'timeline'")
        conn.commit()
        conn.close()
        self._run(self._open())

    def has_device(self, device: str) -> bool:
        return any(line["device"] == device for line in self._run(self._engine.devices.of(self._caller(None))))

    def revoke(self, device: str) -> None:
        self._run(self._engine.devices.revoke(self._caller(None), device))

    def forget_tombstones(self) -> None:
        """Every tombstone is old now, and who has not said that it knows the delete loses its vote."""
        self._run(Retention(self._database, self._environment, keep_ms=-1, lag_ms=-1).collect(self._space))

    # -- what is there -------------------------------------------------------------------------------------------

    def visible(self) -> dict[Key, Json]:
        records: dict[Key, Json] = {}
        before: str | None = None
        while True:
            page = json.loads(self._run(self._engine.feed.snapshot(self._caller(None), self._space, before, 1_000)))
            records |= {(record["collection"], record["id"]): record for record in page["records"]}
            before = page["before"]
            if before is None:
                return records

    def acked(self) -> dict[str, int]:
        page = json.loads(self._run(self._engine.feed.snapshot(self._caller(None), self._space, None, 1)))
        version: dict[str, int] = page["version"]
        return version

    def orphans(self) -> dict[Key, Json]:
        """What is kept, and hidden until a parent comes that was refused or is still on its way."""
        conn = sqlite3.connect(self._path)
        found = waiting_records(lambda statement, *values: conn.execute(statement, values).fetchall(), self._space)
        conn.close()
        return found

    def delta(self, cursor: str) -> Json | None:
        """The delta from a device's cursor to the head, as the socket would bring it."""
        try:
            page = json.loads(self._run(self._engine.feed.pull(self._caller(None), self._space, cursor, 1_000)))
        except SyncError:
            return None
        if page["more"]:
            return None
        return {"space": self._space, "from": cursor, "to": page["cursor"], **page}

    # -- the calls -----------------------------------------------------------------------------------------------

    def handle(self, request: Request) -> Answer:
        """One request; never raises."""
        try:
            return Answer(200, self._run(self._call(request)))
        except SyncError as error:
            body = {"success": False, "error": error.message, "code": error.code, "details": error.details}
            return Answer(error.status, encode(body), error.retry_after_s)

    def _caller(self, device: str | None) -> Caller:
        return Caller(self._user, "session", device=device)

    async def _call(self, request: Request) -> bytes:
        engine, caller = self._engine, self._caller(request.device)
        if request.path == "/api/sync":
            return encode(engine.describe(""))
        if request.path == "/api/sync/devices":
            body = json.loads(request.body or "")
            device, _ = await engine.devices.register(caller, Registration(**body))
            return encode({"device": device})
        if request.path == "/api/sync/spaces":
            return encode({"spaces": await engine.spaces.of(caller)})
        call, query = request.path.rsplit("/", 1)[1], request.query
        limit = int(query.get("limit", "1000"))
        if call == "push":
            batch = decode_push((request.body or "").encode(), self._limits)
            return encode((await engine.push(caller, self._space, batch)).as_json())
        if call == "digest":
            return encode(await engine.digest(caller, self._space, query.get("bucket")))
        if call == "snapshot":
            before, cursor = query.get("before"), query.get("cursor")
            page = await engine.feed.snapshot(caller, self._space, before, limit, cursor=cursor)
            await engine.votes.note(caller, self._space, snapshot="before" not in query)
            return page
        if "ids" in query:
            return await engine.feed.pull_ids(caller, self._space, query["ids"].split(","))
        page = await engine.feed.pull(caller, self._space, query["cursor"], limit)
        await engine.votes.note(caller, self._space)
        return page
