"""Which devices keep the tombstones of a space: those that have been there and may still come with old changes.

A device has a vote from its first push, pull or snapshot under its name. It moves its vote by `seen`, and loses
it where `seen` lags a delete by `LAG_MS_MAX`; from then on its pushes are Resync until it has taken a snapshot.

Invariants
    V1  A vote is written before the answer that gives the device something to know.
    V2  A remembered vote costs no statement: the memory is a cache, the rows decide.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from storage.database import Database
from storage.devices import note_voter, owner_of
from storage.spaces import CATALOG_SPACE
from sync.caller import Caller
from sync.environment import Environment

# Enough for every device that calls one process in a day; past it the memory starts anew.
REMEMBERED_MAX = 100_000


@dataclass
class Votes:
    """The votes of every space of one database."""

    database: Database
    environment: Environment
    _known: set[tuple[str, str]] = field(default_factory=set)

    async def note(self, caller: Caller, space: str, *, snapshot: bool = False) -> None:
        """Give the caller's device its vote in `space`; `snapshot` also ends its duty to take one.

        A device that is not the caller's, or none at all, gets no vote and no error: reading needs no device.
        """
        device = caller.device
        if device is None or space == CATALOG_SPACE or ((space, device) in self._known and not snapshot):
            return
        async with self.database.write() as tx:
            if await owner_of(tx, device) != caller.user:
                return
            await note_voter(
                tx, space=space, device=device, user=caller.user, now_ms=self.environment.now_ms(), snapshot=snapshot
            )
        if len(self._known) >= REMEMBERED_MAX:
            self._known.clear()
        self._known.add((space, device))
