"""`python -m tests.faults.broken_server WAY serve …`: the product's server, broken in one way.

The product has no switch for any of this: its functions are replaced here, in a process of its own, once its database
is prepared.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import text

# How late a transaction commits after its numbers were handed out, at most.
COMMIT_DELAY_S: Final = 0.3
# Numbers that one push takes at once, more than it has records.
SEQUENCE: Final = "CREATE SEQUENCE plain_feed START 10000 INCREMENT 10000"


def synchronous(level: str) -> None:
    """SQLite answers before the disk has it."""

    class Hasty(sqlite3.Connection):
        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            return super().execute(sql.replace("synchronous = FULL", f"synchronous = {level}"), *parameters)

    connect = sqlite3.connect
    sqlite3.connect = lambda *args, **named: connect(*args, **{"factory": Hasty} | named)  # type: ignore[assignment]


def plain_sequence() -> None:
    """The feed is numbered by a sequence of the database, and no lock holds commits in the order of the numbers.

    All else is as it should be: what the pushes leave in the space's row is put together under a lock at their end.
    """
    from storage import push_reads, push_writes
    from storage.prepared import Prepared

    _with_locks_alone()
    real_open, real_write = push_reads.open_push, push_writes.write_push
    next_number = text("SELECT nextval('plain_feed')")
    locked = text("SELECT head, version FROM spaces WHERE id = :space FOR UPDATE")
    push_reads._LOCK = Prepared(postgresql=f"SELECT {push_reads._SPACE} FROM spaces AS s WHERE s.id = :space")

    async def open_push(tx: Any, **named: Any) -> Any:
        opened = await real_open(tx, **named)
        if opened is None or not named["keys"]:
            return opened
        head = (await tx.execute(next_number))[0][0]
        return replace(opened, space=replace(opened.space, head=head))

    async def write_push(tx: Any, *, space: Any, **named: Any) -> None:
        await asyncio.sleep(random.uniform(0, COMMIT_DELAY_S))
        ((head, version),) = await tx.execute(locked, {"space": space.id})
        known: dict[str, int] = push_reads._vector_decoder.decode(version)
        merged = {
            device: max(known.get(device, 0), space.version.get(device, 0)) for device in {*known, *space.version}
        }
        await real_write(tx, space=replace(space, head=max(head, space.head), version=merged), **named)

    push_reads.open_push, push_writes.write_push = open_push, write_push


def _with_locks_alone() -> None:
    """Every push takes the lock first, whoever else writes: the breaks below are made for that way."""
    from sync.attempts import Attempts

    begin = Attempts._begin
    Attempts._begin = lambda self, space: begin(self, space) and False  # type: ignore[method-assign]


def redis_alone() -> None:
    """Deltas follow from what Redis brings and from nothing else: what it lost is not looked for."""
    from sync.bus import LOST, MemoryBus
    from sync.live import Live

    deliver = MemoryBus.deliver

    def without_lost(self: MemoryBus, topic: str, message: bytes) -> None:
        if message != LOST:
            deliver(self, topic, message)

    async def never(self: Live, users: Any = None) -> None:
        return None

    MemoryBus.deliver = without_lost  # type: ignore[method-assign]
    Live.recheck = never  # type: ignore[method-assign]


def acknowledge_before_commit() -> None:
    """A push is answered while its transaction is still open, and commits a moment later, if it does."""
    from storage import postgres, push_writes

    _with_locks_alone()
    real_write, real_committed = push_writes.write_push, postgres._committed
    pushing: set[Any] = set()
    late: set[asyncio.Task[None]] = set()

    async def write_push(tx: Any, **named: Any) -> None:
        await real_write(tx, **named)
        pushing.add(tx._connection)

    async def committed(connection: Any) -> None:
        if connection not in pushing:
            await real_committed(connection)

    give_back = postgres.PostgresDatabase._give_back

    def later(self: Any, connection: Any) -> None:
        if connection not in pushing:
            give_back(self, connection)
            return
        pushing.discard(connection)

        async def commit() -> None:
            await asyncio.sleep(random.uniform(0, COMMIT_DELAY_S))
            await real_committed(connection)
            give_back(self, connection)

        task = asyncio.ensure_future(commit())
        late.add(task)
        task.add_done_callback(late.discard)

    push_writes.write_push = write_push
    postgres._committed = committed
    postgres.PostgresDatabase._give_back = later  # type: ignore[method-assign]


def clock(ahead_s: str) -> None:
    """The server's clock is wrong by so many seconds."""
    from api import app
    from sync.environment import Environment, system

    def wrong() -> Environment:
        right = system()
        return replace(right, now_ms=lambda: right.now_ms() + int(ahead_s) * 1000)

    app.system = wrong  # type: ignore[attr-defined]


WAYS: Final[dict[str, Callable[..., None]]] = {
    "synchronous": synchronous,
    "plain-sequence": plain_sequence,
    "redis-alone": redis_alone,
    "acknowledge-before-commit": acknowledge_before_commit,
    "clock": clock,
}


def program(way: str) -> tuple[str, ...]:
    """What python runs for a server that is broken in a way, like "synchronous=OFF"."""
    return ("-m", "tests.faults.broken_server", way)


def break_when_it_serves(way: str) -> None:
    """Let the application of this process be made broken."""
    from api.command_line import serve

    name, _, argument = way.partition("=")
    create = serve.create_app  # type: ignore[attr-defined]

    async def create_app(*args: Any, **named: Any) -> Any:
        WAYS[name](*([argument] if argument else []))
        return await create(*args, **named)

    serve.create_app = create_app  # type: ignore[attr-defined]


if __name__ == "__main__":
    from api.command_line.main import main

    break_when_it_serves(sys.argv.pop(1))
    main()
