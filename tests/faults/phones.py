"""Phones: the real SDK over a file of its own, and somebody who writes in a hurry.

Owns: what they write, drawn from the seed, and that every acknowledgement they get is logged.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any, Final

from fitai_client import Client
from fitai_client.core.adopting import LOST_CODE
from fitai_client.core.digest import local_digest
from fitai_client.core.environment import Environment
from fitai_client.core.records import SHOWN
from fitai_client.core.writing import WRITTEN_ANEW
from fitai_client.errors import FitaiError, InvalidWrite, NotFound
from tests.faults.acks import AckLog, Change

EMAIL: Final = "you@example.com"
PASSWORD: Final = "a long enough phrase"

_OWN: Final = "FROM log WHERE space = 1 AND op <> 'void'"
_ANSWERED: Final = (
    f"SELECT device, n, op, collection, id, fields, verdict {_OWN} AND state = 2 AND device = ? AND n > ? ORDER BY n"
)
_WRITTEN: Final = f"SELECT pos, op, collection, id, fields, before, seen, context, mark {_OWN} AND pos > ? ORDER BY pos"
_STREAMS: Final = "SELECT device FROM streams WHERE space = 1 AND device <> ''"
_SHOWN: Final = f"SELECT collection, id, seq FROM records WHERE space = 1 AND status = {SHOWN}"


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
        # While it is there: what no server holds is written anew under another number.
        await self.note()

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
        """Log what was written, sent or not, and what has been acknowledged since the last time."""
        upto = self._issued_upto

        def read(conn: sqlite3.Connection) -> tuple[list[Any], list[Any]]:
            answered = []
            for (device,) in conn.execute(_STREAMS).fetchall():
                answered += conn.execute(_ANSWERED, (device, self._noted.get(device, 0))).fetchall()
            return conn.execute(_WRITTEN, (upto,)).fetchall(), answered

        written, answered = await self.client.read(read)
        for pos, op, collection, id, fields, before, seen, context, mark in written:
            self._issued_upto = pos
            change = Change.of(op, collection, id, fields)
            if mark == WRITTEN_ANEW:
                self._log.issue_anew(change)
            else:
                self._log.issue(self.name, change, seen=_shown(before, seen), context=json.loads(context))
        for device, n, op, collection, id, fields, verdict in answered:
            self._noted[device] = n
            if verdict is None:
                self._log.acknowledged(self.name, (device, n), Change.of(op, collection, id, fields))

    async def offered(self) -> list[Change]:
        """What waits in the inbox because the server lost it, and something else is there now."""
        entries = [entry for entry in await self.client.inbox() if entry.code == LOST_CODE]
        return [Change.of("put", entry.collection or "", entry.id or "", entry.fields) for entry in entries]

    async def shown(self) -> list[tuple[str, str, int]]:
        """(collection, id, seq) of every record that it shows."""
        return await self.client.read(lambda conn: conn.execute(_SHOWN).fetchall())

    async def digest(self) -> dict[str, str] | None:
        """What it shows, as the server's digest has it; None while something of its own is unanswered."""
        if (await self.client.status()).pending:
            return None
        return local_digest(await self.shown())


def _shown(before: str | None, seen: str | None) -> dict[str, list[Any]]:
    """What a change's author was shown in its fields: the value, and what the server had shown below own ones."""
    found: dict[str, list[Any]] = {name: list(values) for name, values in json.loads(seen or "{}").items()}
    for name, value in json.loads(before or "{}").items():
        found.setdefault(name, []).append(value)
    return found
