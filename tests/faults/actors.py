"""Who writes: phones with the real SDK, and plain writers that speak the protocol by themselves.

Owns: what they write, drawn from the seed, and that every acknowledgement they get is logged. A plain writer has no
code in common with the SDK, and takes every answer exactly; what it does not expect is a `Violation`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any, Final

import aiohttp

from fitai_client import Client
from fitai_client.core.digest import local_digest
from fitai_client.core.environment import Environment
from fitai_client.core.records import SHOWN
from fitai_client.errors import FitaiError, InvalidWrite, NotFound
from tests.faults.acks import AckLog, Change
from tests.faults.verdict import Violation

EMAIL: Final = "you@example.com"
PASSWORD: Final = "a long enough phrase"

_OWN: Final = "FROM log WHERE space = 1 AND op <> 'void'"
_ANSWERED: Final = (
    f"SELECT device, n, op, collection, id, fields, verdict {_OWN} AND state = 2 AND device = ? AND n > ? ORDER BY n"
)
_WRITTEN: Final = f"SELECT pos, op, collection, id, fields {_OWN} AND pos > ? ORDER BY pos"
_STREAMS: Final = "SELECT device FROM streams WHERE space = 1 AND device <> ''"
_SHOWN: Final = f"SELECT collection, id, seq FROM records WHERE space = 1 AND status = {SHOWN}"
# A plain writer's patience with one request; a phone's own is the SDK's.
REQUEST_S: Final = 10.0


class Pace:
    """Whether the actors write now. They go on sending what they have while it is paused.

    busy: how many are in the middle of something; for a moment also after `pause`.
    """

    def __init__(self) -> None:
        self._may = asyncio.Event()
        self.busy = 0

    def resume(self) -> None:
        self._may.set()

    def pause(self) -> None:
        self._may.clear()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Around one piece of writing; begins when writing is allowed."""
        await self._may.wait()
        self.busy += 1
        try:
            yield
        finally:
            self.busy -= 1


class Phone:
    """One installation: the SDK over its own file, in the background as an app has it."""

    def __init__(self, name: str, client: Client, log: AckLog, random: Random) -> None:
        self.name = name
        self.client = client
        self._log = log
        self._random = random
        self._written = 0
        self._noted: dict[str, int] = {}
        self._issued_upto = 0
        self._workouts: list[str] = []
        self._sets: list[str] = []

    @classmethod
    @asynccontextmanager
    async def open(
        cls, name: str, folder: Path, url: str, log: AckLog, random: Random, environment: Environment | None = None
    ) -> AsyncIterator[Phone]:
        path = folder / f"{name}.db"
        async with await Client.open(path, server=url, name=name, environment=environment) as client:
            phone = cls(name, client, log, random)
            noting = asyncio.create_task(phone.note_acks(), name=f"{name} notes")
            try:
                yield phone
            finally:
                noting.cancel()
                await asyncio.gather(noting, return_exceptions=True)

    # -- writing -----------------------------------------------------------------------------------------------------

    async def write(self, pace: Pace) -> None:
        """Write for ever, as a hurried person does."""
        while True:
            async with pace.turn():
                await self.write_once()
            await asyncio.sleep(self._random.uniform(0.01, 0.12))

    async def write_once(self) -> None:
        """One thing that people do. What another device deleted meanwhile is passed over."""
        if self._written % 20 == 19:
            await self._look_around()
        self._written += 1
        marker = f"{self.name} {self._written} {self._random.getrandbits(40):010x}"
        what = self._random.choices(
            (self._create, self._train, self._rename, self._count, self._delete), (25, 30, 25, 15, 5)
        )
        with contextlib.suppress(NotFound, InvalidWrite):
            await what[0](marker)

    async def _look_around(self) -> None:
        """Learn what the others made, so that everybody edits everything."""
        self._workouts = [one.id for one in await self.client.workouts.list(limit=200)]
        self._sets = [one.id for one in await self.client.sets.list(limit=200)]

    async def _create(self, marker: str) -> None:
        self._workouts.append((await self.client.workouts.create(title=marker, tags=[marker])).id)

    async def _train(self, marker: str) -> None:
        if not self._workouts:
            return await self._create(marker)
        async with self.client.transaction():
            workout = self._random.choice(self._workouts)
            above = await self.client.workout_exercises.create(
                workout=workout, exercise=self.client.new_id(), position="a0"
            )
            for position in ("a0", "a1", "a2")[: self._random.randint(1, 3)]:
                one = await self.client.sets.create(
                    workout_exercise=above.id, position=position, reps=self._random.randint(1, 20), notes=marker
                )
                self._sets.append(one.id)
        return None

    async def _rename(self, marker: str) -> None:
        if self._workouts:
            await self.client.workouts.update(self._random.choice(self._workouts), title=marker)

    async def _count(self, marker: str) -> None:
        if self._sets:
            await self.client.sets.update(self._random.choice(self._sets), notes=marker)

    async def _delete(self, marker: str) -> None:
        if len(self._sets) > 20:
            await self.client.sets.delete(self._sets.pop(self._random.randrange(len(self._sets))))

    # -- what it was told --------------------------------------------------------------------------------------------

    async def note_acks(self) -> None:
        """Log each acknowledgement as soon as the SDK has it, until the client is closed."""
        while True:
            moved = asyncio.ensure_future(self.client._sync.progress())
            try:
                await self.note()
                await moved
            except FitaiError:
                return
            finally:
                moved.cancel()

    async def note(self) -> None:
        """Log what has been acknowledged since the last time."""

        def read(conn: sqlite3.Connection) -> list[Any]:
            rows = []
            for (device,) in conn.execute(_STREAMS).fetchall():
                rows += conn.execute(_ANSWERED, (device, self._noted.get(device, 0))).fetchall()
            return rows

        for device, n, op, collection, id, fields, verdict in await self.client.read(read):
            self._noted[device] = n
            if verdict is None:
                self._log.acknowledged(self.name, (device, n), Change.of(op, collection, id, fields))

    async def note_issued(self) -> None:
        """Log everything that was ever written here, sent or not."""
        await self.note()
        upto = self._issued_upto
        rows = await self.client.read(lambda conn: conn.execute(_WRITTEN, (upto,)).fetchall())
        for pos, op, collection, id, fields in rows:
            self._issued_upto = pos
            self._log.issue(Change.of(op, collection, id, fields))

    async def shown(self) -> list[tuple[str, str, int]]:
        """(collection, id, seq) of every record that it shows."""
        return await self.client.read(lambda conn: conn.execute(_SHOWN).fetchall())

    async def digest(self) -> dict[str, str] | None:
        """What it shows, as the server's digest has it; None while something of its own is unanswered."""
        if (await self.client.status()).pending:
            return None
        return local_digest(await self.shown())


class PlainWriter:
    """A device of some twenty lines: it numbers its changes, keeps them, and sends what is not acknowledged."""

    def __init__(
        self, name: str, url: str, log: AckLog, random: Random, *, new_only: bool = False, hlc_ahead_ms: int = 0
    ) -> None:
        """new_only: it makes records and edits none. hlc_ahead_ms: how wrong its clock is."""
        self.name = name
        self.url = url
        self.device = ""
        self.space = ""
        self.acked = 0
        # When a push was last sent that was then acknowledged, by time.monotonic(): a server lived after that.
        self.last_success = 0.0
        # Requests without an answer, and answers that say "later".
        self.resent = 0
        self.refused = 0
        self._log = log
        self._random = random
        self._new_only = new_only
        self._hlc_ahead_ms = hlc_ahead_ms
        self._changes: list[dict[str, Any]] = []
        self._workouts: list[str] = []
        self._hlc = 0
        self._token = ""
        self._session: aiohttp.ClientSession

    @asynccontextmanager
    async def opened(self, server: str) -> AsyncIterator[PlainWriter]:
        """Sign in and get an id at `server` itself; everything after that goes by `url`."""
        timeout = aiohttp.ClientTimeout(total=REQUEST_S)
        async with aiohttp.ClientSession(timeout=timeout) as self._session:
            await self._sign_in(server)
            body = {"key": str(uuid.UUID(int=self._random.getrandbits(128), version=4)), "name": self.name}
            body |= {"platform": "rig", "app_version": "1"}
            self.device = (await self._ask(server, "POST", "/api/sync/devices", body))["device"]
            spaces = (await self._ask(server, "GET", "/api/sync/spaces"))["spaces"]
            self.space = next(one["id"] for one in spaces if one["kind"] == "personal")
            yield self

    async def write(self, pace: Pace) -> None:
        """Write for ever: a batch, and the next one once it is acknowledged."""
        while True:
            async with pace.turn():
                self.make()
                await self.send()
            await asyncio.sleep(self._random.uniform(0.02, 0.1))

    @property
    def unsent(self) -> int:
        """How many changes are not acknowledged."""
        return len(self._changes) - self.acked

    def make(self) -> None:
        """One more batch of changes: new workouts, and new titles of old ones."""
        for _ in range(self._random.randint(1, 3)):
            n = len(self._changes) + 1
            marker = f"{self.name} {n} {self._random.getrandbits(40):010x}"
            if self._workouts and not self._new_only and self._random.random() < 0.4:
                id = self._random.choice(self._workouts)
            else:
                id = self._new_id()
                self._workouts.append(id)
            self._hlc = max(self._hlc + 1, time.time_ns() // 1_000_000 + self._hlc_ahead_ms << 16)
            change = {"n": n, "hlc": f"{self._hlc:016x}", "context": {}, "collection": "workouts", "id": id}
            change |= {"op": "put", "fields": {"title": marker}}
            self._changes.append(change)
            self._log.issue(Change.of("put", "workouts", id, change["fields"]))

    def _new_id(self) -> str:
        """A UUID of version 7."""
        made = uuid.UUID(int=(time.time_ns() // 1_000_000 << 80) | self._random.getrandbits(80), version=4).bytes
        return str(uuid.UUID(bytes=made[:6] + bytes([0x70 | made[6] & 0x0F]) + made[7:]))

    async def send(self, *, until: Callable[[], bool] | None = None) -> None:
        """Push what is not acknowledged until it is, or until `until` says enough."""
        while self.acked < len(self._changes) and not (until and until()):
            if not await self.push_once():
                await asyncio.sleep(self._random.uniform(0.02, 0.15))

    async def push_once(self) -> bool:
        """One request; True where it was answered well. Raises Violation on an answer that nothing explains."""
        last = len(self._changes)
        after = None if self.acked == 0 else {name: self._changes[self.acked - 1][name] for name in ("n", "hlc")}
        body = {"device": self.device, "schema": 1, "after": after, "changes": self._changes[self.acked :]}
        sent = time.monotonic()
        try:
            status, answer = await self._request(self.url, "POST", f"/api/sync/spaces/{self.space}/push", body)
        except (aiohttp.ClientError, TimeoutError, ConnectionError, ValueError):
            self.resent += 1
            return False
        if status == 200:
            self._take(answer, last)
            self.last_success = max(self.last_success, sent)
            return True
        code = answer.get("code")
        if code == "server_behind":
            # What it lost is sent again, out of the log.
            self.acked = int(answer["details"]["acked"])
        elif code == "gap":
            self.acked = int(answer["details"]["expected"]) - 1
        elif status == 401:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, Violation):
                await self._sign_in(self.url)
        elif status in (429, 503):
            self.refused += 1
        else:
            raise Violation("answer", f"{self.name} got {status} {answer} for a push that is in order")
        return False

    def _take(self, answer: dict[str, Any], last: int) -> None:
        if answer["rejected"]:
            raise Violation("refused", f"{self.name} had changes refused: {answer['rejected']}")
        if answer["acked"] < last:
            raise Violation("answer", f"{self.name} pushed up to {last} and was told {answer['acked']}")
        for change in self._changes[self.acked : last]:
            said = Change.of("put", "workouts", change["id"], change["fields"])
            self._log.acknowledged(self.name, (self.device, change["n"]), said)
        self.acked = last

    async def _sign_in(self, server: str) -> None:
        answer = await self._ask(server, "POST", "/api/users/login", {"email": EMAIL, "password": PASSWORD})
        self._token = answer["data"]["access_token"]

    async def server_digest(self, server: str) -> dict[str, Any]:
        """What `server` shows of the space, as a digest."""
        return await self._ask(server, "GET", f"/api/sync/spaces/{self.space}/digest")

    async def server_shown(self, server: str) -> dict[tuple[str, str], int]:
        """The seq of every record that `server` shows, by collection and id."""
        shown = {}
        for bucket in (await self.server_digest(server))["buckets"]:
            answer = await self._ask(server, "GET", f"/api/sync/spaces/{self.space}/digest?bucket={bucket}")
            shown |= {(one["collection"], one["id"]): one["seq"] for one in answer["records"]}
        return shown

    async def _ask(self, server: str, method: str, path: str, body: Any = None) -> dict[str, Any]:
        status, answer = await self._request(server, method, path, body)
        if status == 401:
            await self._sign_in(server)
            status, answer = await self._request(server, method, path, body)
        if status >= 300:
            raise Violation("answer", f"{method} {path} was answered {status}: {answer}")
        return answer

    async def _request(self, server: str, method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        headers = {"Sync-Protocol": "1"} | ({"Authorization": f"Bearer {self._token}"} if self._token else {})
        async with self._session.request(method, server + path, json=body, headers=headers) as response:
            answer: dict[str, Any] = json.loads(await response.read())
            return response.status, answer
