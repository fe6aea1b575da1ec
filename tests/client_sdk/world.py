"""A world of devices around one model server, in one thread, under virtual time, from one stream of choices.

Every device is the real core over a real SQLite file. The world carries its requests, loses and repeats answers,
kills and copies databases, and remembers what each user saw when they wrote, so that at the end it can be said of
every value ever written where it is, or who replaced it knowingly.
"""

from __future__ import annotations

import builtins
import json
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from fitai_client.core import undo
from fitai_client.core.database import LocalDatabase, Tx
from fitai_client.core.device import Device
from fitai_client.core.environment import Environment
from fitai_client.core.ids import uuid7
from fitai_client.core.inbox import Refused, read_inbox
from fitai_client.core.query import Query
from fitai_client.core.reads import Record, read_list, read_one
from fitai_client.core.records import recompute
from fitai_client.core.requests import Answer, Request
from fitai_client.core.spaces import PERSONAL, current_device, space
from fitai_client.core.status import Status, read_status
from fitai_client.core.writing import Write, write_groups
from tests.client_sdk.engine_server import EngineServer
from tests.client_sdk.model_server import Key, ModelServer
from tests.client_sdk.witness import Witness, only_here

COLLECTIONS = ("workouts", "workout_exercises", "sets")
START_MS = 1_800_000_000_000


class World:
    """One server, its clock and its randomness: the model server, or with `engine` the product's own engine.

    engine: a migrated SQLite database, of which the engine gets a copy.
    """

    def __init__(self, folder: Path, seed: int = 0, *, page: int = 3, engine: Path | None = None) -> None:
        self.folder = folder
        self.random = random.Random(seed)
        self.now = START_MS
        # Tests that look into the server are of the model server alone; a history asks for what both have.
        self.server: ModelServer = (
            ModelServer(lambda: self.now, page=page)
            if engine is None
            else cast(ModelServer, EngineServer(engine, folder, lambda: self.now, seed, page=page))
        )
        self.devices: list[Phone] = []
        self.made = 0
        self.witness = Witness()

    def tick(self, ms: int = 7) -> None:
        self.now += ms

    def phone(self, *, copy_of: Phone | None = None, skew_ms: int = 0) -> Phone:
        """A new device, or one whose database is a copy of another's."""
        # A name is given once: another phone may still be there when one is gone.
        path = self.folder / f"phone{self.made}.db"
        self.made += 1
        if copy_of is not None:
            copy_of.copy_to(path)
        phone = Phone(self, path, skew_ms)
        self.devices.append(phone)
        return phone

    def settle(self, rounds: int = 4) -> None:
        """Let every device finish, in turns, until nobody has anything to do.

        A device that is still asking after hundreds of requests is stuck: that is a failure.
        """
        for _ in range(rounds):
            for phone in self.devices:
                phone.heal()
                phone.finish()

    def close(self) -> None:
        for phone in self.devices:
            phone.db.close()
        self.server.close()

    def assert_settled(self) -> None:
        """Every device shows what the server shows, has nothing pending, and nothing was lost on the way."""
        served = self.server.visible()
        for phone in self.devices:
            with phone.db.write() as tx:
                assert tx.one("SELECT COUNT(*) FROM log WHERE state < 2")[0] == 0, (
                    f"{phone.path.name} has changes pending"
                )
                assert tx.one("SELECT COUNT(*) FROM log WHERE laid = 1")[0] == 0, f"{phone.path.name} still lays over"
                assert tx.one("SELECT COUNT(*) FROM records WHERE status <> 1")[0] == 0
                assert space(tx, PERSONAL).version == self.server.acked()
            assert "bucket" not in phone.asked, f"the digest of {phone.path.name} differed"
            shown = phone.shown()
            assert shown.keys() == served.keys(), phone.path.name
            for key, record in served.items():
                assert same(shown[key].values, record["values"]), (phone.path.name, key)
                losers = {name: [c.value for c in cs] for name, cs in shown[key].conflicts.items()}
                assert losers == {n: [x["value"] for x in xs] for n, xs in record.get("conflicts", {}).items()}

    def assert_nothing_lost(self) -> None:
        """Every value written shows, is a listed conflict, waits in an inbox, or was replaced by who had seen it."""
        inboxes = [entry for phone in self.devices for entry in read_inbox(phone.db.conn)]
        lost = self.witness.lost(self.server.visible(), self.server.orphans(), inboxes)
        assert not lost, f"lost: {sorted(map(str, lost))}"


def same(one: Any, other: Any) -> bool:
    """Equal as JSON values, texts by what they say."""
    return _plain(one) == _plain(other)


def _plain(values: Any) -> Any:
    return {
        name: value["text"] if isinstance(value, dict) and "yjs" in value else value for name, value in values.items()
    }


@dataclass
class Phone:
    """One device and its user."""

    world: World
    path: Path
    skew_ms: int = 0
    offline: bool = False
    db: LocalDatabase = field(init=False)
    device: Device = field(init=False)
    late: list[tuple[Request, Answer]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        environment = Environment(
            lambda: self.world.now + self.skew_ms, self.world.random.randbytes, lambda: self.world.now
        )
        self.db = LocalDatabase(self.path, environment)
        self.device = Device(self.db, {"name": self.path.stem, "platform": "test", "app_version": "1"})
        self.device.signed_in = True

    # -- accidents -----------------------------------------------------------------------------------------------

    def restart(self) -> None:
        """The process dies and comes back: only the file is left."""
        self.db.conn.close()
        self.late.clear()
        self.open()

    def copy_to(self, path: Path) -> None:
        """What a backup of the phone would hold now."""
        self.db.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copyfile(self.path, path)

    def go_back_to(self, path: Path) -> None:
        """An old copy of the database comes back. What was only in the one it replaces is gone for good."""
        with closing(sqlite3.connect(path)) as copy:
            kept = only_here(copy)
        for lost in only_here(self.db.conn):
            if lost not in kept:
                self.world.witness.given_up(*lost)
        self.db.conn.close()
        self.late.clear()
        for suffix in ("-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        shutil.copyfile(path, self.path)
        self.open()

    # -- what the user does ----------------------------------------------------------------------------------------

    def new_id(self) -> str:
        return uuid7(self.db.environment)

    def shown(self) -> dict[Key, Record]:
        return {(r.collection, r.id): r for name in COLLECTIONS for r in self.list(name)}

    def list(self, collection: str, **equals: Any) -> list[Record]:
        return read_list(self.db.conn, PERSONAL, collection, Query(equals=equals))

    def get(self, collection: str, id: str) -> Record | None:
        return read_one(self.db.conn, PERSONAL, collection, id)

    def put(self, collection: str, id: str | None = None, **fields: Any) -> str:
        """Write one record as its own change."""
        id = id or self.new_id()
        self.write([Write(collection, id, fields)])
        return id

    def delete(self, collection: str, id: str) -> None:
        self.write([Write(collection, id, op="delete")])

    def write(self, *groups: builtins.list[Write]) -> None:
        """Write groups, noting what the user saw of what they replace."""
        for group in groups:
            for one in group:
                self.world.witness.note(one, self.get, self.shown)
        self.world.tick()
        with self.db.write() as tx:
            write_groups(tx, PERSONAL, groups)
        self.assert_consistent()

    def undo(self) -> int:
        return self._by_the_log(undo.undo)

    def redo(self) -> int:
        return self._by_the_log(undo.redo)

    def _by_the_log(self, function: Callable[[Tx, int], int]) -> int:
        """Let the user take something back: what shows otherwise afterwards was replaced knowingly."""
        before = self.shown()
        self.world.tick()
        with self.db.write() as tx:
            done = function(tx, PERSONAL)
        self.world.witness.undone(before, self.shown())
        self.assert_consistent()
        return done

    # -- the network -----------------------------------------------------------------------------------------------

    def step(self, fate: str = "ok") -> Request | None:
        """Carry the request that is due. fate: ok, lost (on the way there), unheard (the answer is lost), twice
        (the server gets it twice), late (the answer comes at a later `deliver_late`)."""
        self.world.tick()
        request = self.device.next_request()
        if request is None:
            self.assert_armed()
            return None
        if fate == "lost":
            self.device.failed(request, "no network")
            return request
        self.asked.append(request.kind)
        answer = self.world.server.handle(request)
        if fate == "twice":
            answer = self.world.server.handle(request)
        if fate in ("unheard", "late"):
            self.device.failed(request, "no answer")
            if fate == "late":
                self.late.append((request, answer))
            return request
        self.device.answer(request, answer)
        self.assert_consistent()
        return request

    def refuse(
        self, status: int, code: str, details: dict[str, Any] | None = None, retry_after_s: float | None = None
    ) -> Request:
        """The request that is due gets this error, whatever the server would say."""
        self.world.tick()
        request = self.device.next_request()
        assert request is not None
        body = {"success": False, "error": f"The server says {code}.", "code": code, "details": details}
        self.device.answer(request, Answer(status, json.dumps(body).encode(), retry_after_s))
        self.assert_consistent()
        return request

    def status(self) -> Status:
        with self.db.write() as tx:
            device = self.device
            return read_status(
                tx,
                account="ann@example.com",
                signed_in=device.signed_in,
                live=bool(device.live),
                problem=device.problem,
                wait_ms=device.next_wake_ms() or 0,
            )

    def inbox(self) -> builtins.list[Refused]:
        return read_inbox(self.db.conn)

    def device_id(self) -> str:
        with self.db.write() as tx:
            return current_device(tx)

    def deliver_late(self) -> None:
        """An answer that was given up on comes after all."""
        if self.late:
            request, answer = self.late.pop(0)
            self.device.answer(request, answer)
            self.assert_consistent()

    def take_delta(self) -> None:
        """The socket brings what the server has beyond this device's cursor."""
        with self.db.write() as tx:
            cursor = space(tx, PERSONAL).cursor
        delta = self.world.server.delta(cursor) if cursor is not None else None
        if delta is not None:
            self.device.delta(PERSONAL, delta)
            self.assert_consistent()

    def heal(self) -> None:
        """The network is there again, and everything is looked at."""
        self.device.signed_in = True
        self.device.wake(pull=True, spaces=True, seen=True)

    def finish(self, limit: int = 400) -> None:
        """Carry requests until none is due."""
        for _ in range(limit):
            if self.step() is None:
                return
        raise AssertionError(f"{self.path.name} is stuck: {self.device.next_request()}")

    def sync(self) -> None:
        self.heal()
        self.finish()

    def assert_armed(self) -> None:
        """L1: where nothing is due and a change waits, a person must decide, or a timer is armed."""
        status = self.status()
        held = all(space.paused or space.phase == "gone" or not space.pending for space in status.spaces)
        assert held or not status.signed_in or self.device.next_wake_ms() is not None, status.why

    # -- what must hold at all times ---------------------------------------------------------------------------------

    def assert_consistent(self) -> None:
        """Laying everything over anew gives what is stored (O1), numbers have no gaps, and rows have their reasons."""
        with self.db.write() as tx:
            before = tx.all("SELECT * FROM records ORDER BY space, collection, id")
            for row in tx.all("SELECT space, collection, id FROM records"):
                recompute(tx, row[0], (row[1], row[2]))
            after = tx.all("SELECT * FROM records ORDER BY space, collection, id")
            assert before == after
            for device, after_n, last_n in tx.all("SELECT device, after_n, last_n FROM streams"):
                ns = [
                    r[0] for r in tx.all("SELECT n FROM log WHERE device = ? AND n > ? ORDER BY n", (device, after_n))
                ]
                assert ns == list(range(after_n + 1, last_n + 1)), (device, after_n, last_n, ns)
                assert (
                    tx.one("SELECT COUNT(*) FROM log WHERE device = ? AND n <= ? AND state < 2", (device, after_n))[0]
                    == 0
                )
