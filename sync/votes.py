"""Which devices keep the tombstones of a space: those that have been there and may still come with old changes.

A device has a vote from its first push, pull or snapshot under its name. It moves its vote by `seen`, and loses
it where `seen` lags a delete by `LAG_MS_MAX`; from then on its pushes are Resync until it has taken a snapshot.

Invariants
    V1  A device's first vote is written behind the answer that it stands for, and no answer waits for it. One that
        is lost with the process is given by the next read; until then no tombstone goes that the device does not
        know, since each stays for 30 days, and after that it costs the device a snapshot.
    V2  The end of a device's duty is written before the answer: its next push, to whichever process, must find it.
    V3  Only what is new is written: for a device that has its place, a read costs at most one statement, and none
        once it is remembered. The memory is a cache, the rows decide.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

from storage.database import Database
from storage.devices import find_place, note_voter
from storage.errors import StorageError
from storage.spaces import CATALOG_SPACE
from sync.caller import Caller
from sync.environment import Environment

log = logging.getLogger(__name__)

# Enough for every device that calls one process in a day; past it the memory starts anew.
REMEMBERED_MAX = 100_000


@dataclass
class Votes:
    """The votes of every space of one database. Await `flush` before the database is closed."""

    database: Database
    environment: Environment
    remembered_max: int = REMEMBERED_MAX
    _known: set[tuple[str, str]] = field(default_factory=set)
    # (space, device) → the writing of its first vote.
    _pending: dict[tuple[str, str], asyncio.Task[None]] = field(default_factory=dict)

    async def note(self, caller: Caller, space: str, *, snapshot: bool = False) -> None:
        """Give the caller's device its vote in `space`; `snapshot` also ends its duty to take one.

        A device that is not the caller's, or none at all, gets no vote and no error: reading needs no device.
        """
        device = caller.device
        if device is None or space == CATALOG_SPACE or ((space, device) in self._known and not snapshot):
            return
        async with self.database.read() as tx:
            place = await find_place(tx, space, device)
        if place is None or place.user != caller.user:
            return
        if place.owes is None:
            self._write_later(space, device, caller.user)
            return
        if place.owes and snapshot:
            await self._write(space, device, caller.user, snapshot=True)
        self._remember(space, device)

    def pushed(self, space: str, device: str) -> None:
        """A push of the device was taken, which gives it its vote."""
        self._remember(space, device)

    async def flush(self) -> None:
        """Wait until every vote that was noted is written, or could not be."""
        while self._pending:
            await asyncio.wait(list(self._pending.values()))

    def _write_later(self, space: str, device: str, user: str) -> None:
        if (space, device) in self._pending:
            return
        # A task of its own: whoever asked may hang up, and the vote counts all the same.
        task = asyncio.get_running_loop().create_task(self._write_first(space, device, user), name="vote")
        self._pending[space, device] = task
        task.add_done_callback(lambda _: self._pending.pop((space, device), None))

    async def _write_first(self, space: str, device: str, user: str) -> None:
        try:
            await self._write(space, device, user, snapshot=False)
        except StorageError as error:
            # Not remembered: the next read gives it.
            log.warning("the vote of device %s is not written yet: %s", device, error)
        else:
            self._remember(space, device)

    async def _write(self, space: str, device: str, user: str, *, snapshot: bool) -> None:
        now_ms = self.environment.now_ms()
        async with self.database.write() as tx:
            await note_voter(tx, space=space, device=device, user=user, now_ms=now_ms, snapshot=snapshot)

    def _remember(self, space: str, device: str) -> None:
        if len(self._known) >= self.remembered_max:
            self._known.clear()
        self._known.add((space, device))
