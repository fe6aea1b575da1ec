"""What phones and their owners do that they must not: resent batches, parallel loops, old copies, clones.

The server has to stand all of it, and the phones have to find their way back by themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from fitai_client.core.requests import Answer, Request
from fitai_client.errors import FitaiError
from tests.client_sdk.witness import only_here
from tests.simulator.discarded import Discarded
from tests.simulator.nemesis import Nemesis
from tests.simulator.phone import Phone
from tests.simulator.tidying import Tidying
from tests.simulator.world import World

# No account may have more devices than this live, so clones end somewhere.
PHONES_MAX = 10


class Bugs:
    """The bugs of one world. `start` them once."""

    def __init__(
        self,
        world: World,
        nemesis: Nemesis,
        watch: Callable[[Phone], None],
        tidying: Tidying,
        replaced: Callable[[Phone], None],
    ) -> None:
        self.world = world
        self._nemesis = nemesis
        self._watch = watch
        self._tidying = tidying
        self._replaced = replaced
        self.discarded = Discarded(world)
        self._pushes: dict[str, list[Request]] = {}
        self._copies: dict[str, list[Path]] = {}
        self._made = 0

    def start(self) -> None:
        bugs, work = self.world.plan.bugs, self.world.plan.work
        phones = len(self.world.phones)
        for name, an_hour, strike in (
            ("resent batch", bugs.resend, self._resend),
            ("parallel loops", bugs.parallel, self._parallel),
            ("old copy", bugs.old_copy, self._old_copy),
            ("clone", bugs.clone, self._clone),
            ("forgotten cursor", bugs.forget_cursor, self._forget_cursor),
            ("revoked id", bugs.revoke, self._revoke),
            ("away", work.away, self._away),
        ):
            if an_hour > 0:
                self._nemesis.every(name, an_hour * phones, strike)

    def remember(self, phone: Phone, request: Request) -> None:
        """A push left a phone; it may be sent again."""
        if self.world.plan.bugs.resend:
            kept = self._pushes.setdefault(phone.name, [])
            kept.append(request)
            del kept[:-20]

    # -- one device sends too much -----------------------------------------------------------------------------------

    async def _resend(self, draws: Random) -> str | None:
        """A batch of before leaves again under other boundaries; nobody waits for the answer."""
        phone = draws.choice(self.world.phones)
        pushes = self._pushes.get(phone.name)
        if not pushes or not phone.is_up:
            return None
        same = [one for one in pushes if one.path == pushes[-1].path]
        body = _regrouped([json.loads(one.body or "{}") for one in same[-draws.randint(1, 3) :]], draws)
        if body is None:
            return None
        request = replace(pushes[-1], body=json.dumps(body))
        worker = draws.choice(self.world.workers)
        path = (phone.name, worker.name)
        self.world.trace.note("fault", "resend", phone.name, body["changes"][0]["n"], body["changes"][-1]["n"])
        self.world.network.send(path, worker.serve, request, phone.token, _nobody, _nobody)
        return phone.name

    async def _parallel(self, draws: Random) -> str | None:
        """A second loop asks for what is due, beside the one that runs."""
        phone = draws.choice(self.world.phones)
        if not phone.is_up or not phone.is_running:
            return None
        self.world.trace.note("fault", "parallel", phone.name)
        self.world.loop.spawn(phone.process, _steps(phone, draws.randint(1, 5)), "second loop")
        return phone.name

    async def _forget_cursor(self, draws: Random) -> str | None:
        """The next pull names a cursor that nobody gave out."""
        phone = draws.choice(self.world.phones)
        phone.spoil = True
        self.world.trace.note("fault", "forget cursor", phone.name)
        return phone.name

    # -- one database too many ---------------------------------------------------------------------------------------

    async def _old_copy(self, draws: Random) -> str | None:
        """A copy of the file is kept, and some time later it comes back in the place of the phone's."""
        phone = draws.choice(self.world.phones)
        if not phone.is_up:
            return None
        copy = self._copy(phone)
        self.world.trace.note("fault", "copy", phone.name)
        await asyncio.sleep(draws.expovariate(1 / 900))
        if self.world.calm or not phone.process.alive:
            return None
        with contextlib.closing(sqlite3.connect(copy)) as conn:
            kept = only_here(conn)
        for lost in only_here(phone.db.conn):
            if lost not in kept:
                self.world.witness.given_up(*lost)
        phone.kill()
        self.discarded.keep(phone.path)
        _put_in_place(copy, phone.path)
        self.discarded.look()
        self._replaced(phone)
        phone.boot()
        self.world.trace.note("fault", "old copy", phone.name)
        return phone.name

    async def _clone(self, draws: Random) -> str | None:
        """A new phone is set up from a copy of another's file, and both go on."""
        phone = draws.choice(self.world.phones)
        mine = [one for one in self.world.phones if one.user == phone.user]
        if not phone.is_up or len(mine) >= PHONES_MAX:
            return None
        copy = self._copy(phone)
        self._made += 1
        clone = self.world.add_phone(phone.user, f"{phone.name}c{self._made}")
        self._watch(clone)
        _put_in_place(copy, clone.path)
        self.world.hand_over(clone)
        self.world.trace.note("fault", "clone", phone.name, clone.name)
        return clone.name

    async def _revoke(self, draws: Random) -> str | None:
        """The user revokes an id that a phone of theirs uses."""
        phone = draws.choice(self.world.phones)
        worker = draws.choice(self.world.workers)
        if not phone.is_up or not worker.is_ready:
            return None
        device = phone.db.conn.execute("SELECT id FROM devices WHERE state = 'current'").fetchone()[0]
        self._tidying.revoke(phone, device, worker)
        return phone.name

    async def _away(self, draws: Random) -> str | None:
        """A phone is without network for a long while, and its user goes on writing."""
        phone = draws.choice(self.world.phones)
        paths = [
            path for worker in self.world.workers for path in ((phone.name, worker.name), (worker.name, phone.name))
        ]
        self.world.network.cut(paths)
        self.world.trace.note("fault", "away", phone.name)
        await asyncio.sleep(draws.expovariate(1 / self.world.plan.work.away_s))
        if not self.world.calm:
            self.world.network.heal(paths)
        return phone.name

    def _copy(self, phone: Phone) -> Path:
        self._made += 1
        path = self.world.folder / f"copy{self._made}.db"
        target = sqlite3.connect(path)
        phone.db.conn.backup(target)
        target.close()
        return path


async def _steps(phone: Phone, count: int) -> None:
    for _ in range(count):
        with contextlib.suppress(FitaiError):
            if not await phone.loop._step():
                return


def _regrouped(bodies: list[dict[str, Any]], draws: Random) -> dict[str, Any] | None:
    """Some adjacent changes of these batches as one batch, from anywhere to anywhere."""
    last = bodies[-1]
    changes: dict[int, Any] = {}
    for body in bodies:
        if body["device"] == last["device"]:
            context: Any = None
            for change in body["changes"]:
                context = change.get("context", context)
                changes[change["n"]] = {**change, "context": context} if change["op"] != "void" else change
    if not changes:
        return None
    numbers = sorted(changes)
    start = draws.randrange(len(numbers))
    chosen = [numbers[start]]
    for n in numbers[start + 1 :]:
        if n != chosen[-1] + 1 or draws.random() < 0.2:
            break
        chosen.append(n)
    before = changes.get(chosen[0] - 1)
    after = last["after"] if before is None else {"n": before["n"], "hlc": before["hlc"]}
    return {**last, "after": after, "changes": [changes[n] for n in chosen]}


def _nobody(*_: Answer) -> None:
    """Nobody waits for this answer."""


def _put_in_place(copy: Path, path: Path) -> None:
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    path.write_bytes(copy.read_bytes())
