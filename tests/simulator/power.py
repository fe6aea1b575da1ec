"""A phone's power cut: of its file only what SQLite had put on the disk is left.

A file in WAL mode loses its newest frames: those after the last commit with `synchronous=FULL`, and after what was
copied into the file itself (a checkpoint syncs both). Which frames these are is read from SQLite's own index beside the
file, never from what the product says of itself.

I1   what was made durable, as the client does soon after each write, is there after the cut
I2   what a server may have heard of is there, and known to have been sent: else its number would be given again; and
     what was taken back from it stays so: the server holds a void under that number, and would call the change taken
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import struct
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, cast

from fitai_client.calls.base import DURABLE_AFTER_S
from fitai_client.core.database import LocalDatabase, Tx
from fitai_client.core.requests import Request
from tests.simulator.oracles import Oracles
from tests.simulator.phone import Phone
from tests.simulator.violation import Violation
from tests.simulator.world import World

_FULL = 2
_WAL_HEADER, _FRAME_HEADER = 32, 24


class Mark(NamedTuple):
    """How far a log of frames goes: which one, as its salt says, and how many frames of it."""

    salt: bytes
    frames: int


class WatchedDatabase(LocalDatabase):
    """A device's database that says after which commits everything is on the disk."""

    synced: Callable[[], None] = staticmethod(lambda: None)

    @contextmanager
    def write(self, *, durable: bool = False) -> Iterator[Tx]:
        is_outer = self._tx is None
        before = mark_of(self.path) if is_outer and durable else None
        with super().write(durable=durable) as tx:
            yield tx
        # A commit that wrote no frame syncs nothing, and leaves what was committed before it where it is.
        wrote = before is not None and mark_of(self.path) != before
        if wrote and self.conn.execute("PRAGMA synchronous").fetchone()[0] >= _FULL:
            self.synced()


class Power:
    """The power of a world's phones. Made before anybody writes."""

    def __init__(self, world: World, oracles: Oracles) -> None:
        self._world = world
        self._oracles = oracles
        self._marks: dict[str, Mark] = {}
        # The place in the log up to which what a phone wrote was made durable, and by which opening of its file.
        self._promised: dict[str, tuple[LocalDatabase, int]] = {}
        # The stamps of the voids that a phone has sent, and since which opening of its file.
        self._taken_back: dict[str, tuple[LocalDatabase, set[str]]] = {}
        for phone in world.phones:
            self._watch(phone)

    def _watch(self, phone: Phone) -> None:
        def opened(*what: Any) -> LocalDatabase:
            db = WatchedDatabase(*what)
            db.synced = lambda: self._synced(phone)
            self._marks[phone.name] = mark_of(phone.path)
            return db

        phone.open_database = opened
        asks, wake = phone.asks, phone.wake

        def sent(request: Request) -> None:
            asks(request)
            if request.kind == "push" and '"op":"void"' in (request.body or ""):
                self._note_voids(phone, request)

        phone.asks = sent

        def wrote() -> None:
            wake()
            if phone.is_up:
                self._world.loop.spawn(phone.process, self._make_durable(phone), "durable")

        phone.wake = wrote  # type: ignore[method-assign]
        # It runs already.
        phone.db.__class__ = WatchedDatabase
        cast(WatchedDatabase, phone.db).synced = lambda: self._synced(phone)

    def _note_voids(self, phone: Phone, request: Request) -> None:
        db, known = self._taken_back.get(phone.name, (phone.db, set()))
        stamps = known if db is phone.db else set()
        changes = json.loads(request.body or "{}")["changes"]
        stamps |= {change["hlc"] for change in changes if change["op"] == "void"}
        self._taken_back[phone.name] = (phone.db, stamps)

    def _synced(self, phone: Phone) -> None:
        self._marks[phone.name] = mark_of(phone.path)

    async def _make_durable(self, phone: Phone) -> None:
        """As the client does soon after each write."""
        await asyncio.sleep(DURABLE_AFTER_S)
        phone.db.make_durable()
        self._promised[phone.name] = (phone.db, _last(phone.db.conn))

    async def cut(self, draws: Random) -> str | None:
        """The power of one phone is cut; some time later it is switched on again."""
        world = self._world
        phone = draws.choice(world.phones)
        if not phone.is_up or phone.name not in self._marks:
            return None
        before, promised = _log(phone.db.conn), self._promised.get(phone.name)
        surely = promised[1] if promised is not None and promised[0] is phone.db else 0
        db, stamps = self._taken_back.get(phone.name, (phone.db, set()))
        taken_back = stamps if db is phone.db else set()
        files = left_by(phone.path, self._marks[phone.name])
        phone.kill()
        for suffix, data in files.items():
            phone.path.with_name(phone.path.name + suffix).write_bytes(data)
        phone.path.with_name(f"{phone.path.name}-shm").unlink(missing_ok=True)
        with closing(sqlite3.connect(phone.path)) as conn:
            after = _log(conn)
        self._judge(phone, before, after, surely, taken_back)
        self._oracles.replaced(phone)
        world.trace.note("fault", "power cut", phone.name, len(before) - len(after))
        await asyncio.sleep(draws.expovariate(1 / 60))
        if not world.calm and not phone.process.alive:
            phone.boot()
        return phone.name

    def _judge(
        self, phone: Phone, before: dict[int, _Line], after: dict[int, _Line], surely: int, taken_back: set[str]
    ) -> None:
        for pos, line in before.items():
            left = after.get(pos)
            if line.state > 0 and (left is None or left.state == 0 or left.hlc != line.hlc):
                self._world.loop.broke(Violation("I2", f"{phone.name} lost with its power that {line} was sent"))
            if left is not None and left.op != "void" and line.op == "void" and line.hlc in taken_back:
                self._world.loop.broke(Violation("I2", f"{phone.name} lost with its power that {left} was taken back"))
            if left is None and pos <= surely:
                self._world.loop.broke(Violation("I1", f"{phone.name} lost {line}, which was on the disk"))
            if left is None and line.fields is not None:
                self._world.witness.given_up(line.key, json.loads(line.fields))


class _Line(NamedTuple):
    state: int
    op: str
    hlc: str
    fields: str | None
    key: tuple[str, str]


def _log(conn: sqlite3.Connection) -> dict[int, _Line]:
    rows = conn.execute("SELECT pos, state, op, hlc, fields, collection, id FROM log").fetchall()
    return {
        pos: _Line(state, op, hlc, fields, (collection, id)) for pos, state, op, hlc, fields, collection, id in rows
    }


def _last(conn: sqlite3.Connection) -> int:
    pos: int = conn.execute("SELECT COALESCE(MAX(pos), 0) FROM log").fetchone()[0]
    return pos


def mark_of(path: Path) -> Mark:
    """How far the log beside a file goes now, by SQLite's index of it (the header of the -shm file)."""
    index = _index(path)
    if index is None:
        return Mark(b"", 0)
    return Mark(index[32:40], struct.unpack_from("=I", index, 16)[0])


def left_by(path: Path, synced: Mark) -> dict[str, bytes]:
    """What a power cut leaves of the file and of the log beside it, by suffix; `synced` surely was on the disk."""
    index, wal = _index(path), path.with_name(f"{path.name}-wal")
    log = wal.read_bytes() if wal.exists() else b""
    frames = 0
    if index is not None and len(log) >= _WAL_HEADER:
        now = mark_of(path)
        # What was copied into the file had been synced before.
        copied = struct.unpack_from("=I", index, 96)[0]
        frames = max(synced.frames if synced.salt == now.salt else 0, copied)
    page = struct.unpack_from(">I", log, 8)[0] if frames else 0
    kept = log[: _WAL_HEADER + frames * (_FRAME_HEADER + page)] if frames else b""
    return {"": path.read_bytes(), "-wal": kept}


def _index(path: Path) -> bytes | None:
    # After each durable commit of a phone: a path that is put together, and a file object, cost ten times the reading.
    try:
        shm = os.open(f"{path}-shm", os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        data = os.read(shm, 136)
    finally:
        os.close(shm)
    return data if len(data) == 136 else None
