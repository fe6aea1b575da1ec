"""Letting old tombstones go, and no earlier than every device that could still contradict them knows them.

A tombstone stays for `keep_ms`, and goes only when every live device with a vote in its space has promised, by
`seen`, that its later changes know the delete. A device whose promise lags a delete by `lag_ms` loses its vote: its
pushes are Resync until it has taken a snapshot.

Invariants
    G1  A tombstone goes with everything below it; the puts below it go on counting in a parent that stays.
    G2  The floor rises to the highest seq that went, so a cursor that never saw it is Resync.
    G3  The ledger keeps each device's newest numbers whatever goes, so a repeated push is still compared.
"""

from __future__ import annotations

from dataclasses import dataclass

from conflict.vectors import covers
from storage import retention as store
from storage.database import Database, Transaction
from storage.rows import VoterRow
from storage.spaces import CATALOG_SPACE, lock_space
from sync.environment import Environment

DAY_MS = 86_400_000
KEEP_MS = 30 * DAY_MS
LAG_MS = 180 * DAY_MS
# One transaction holds the space's lock no longer than a large push does.
TOMBSTONES_PER_PASS = 500
SPACES_PER_PASS = 100


@dataclass(frozen=True)
class Retention:
    """The collection of old tombstones over every space of one database."""

    database: Database
    environment: Environment
    keep_ms: int = KEEP_MS
    lag_ms: int = LAG_MS

    async def run(self) -> int:
        """One pass over the spaces that hold old tombstones; the records removed. Safe to run in many processes."""
        before = self.environment.now_ms() - self.keep_ms
        async with self.database.read() as tx:
            spaces = await store.spaces_with_tombstones(tx, before, SPACES_PER_PASS)
        return sum([await self.collect(space) for space in spaces])

    async def collect(self, space_id: str) -> int:
        """Let go what may go in one space; the records removed."""
        now = self.environment.now_ms()
        async with self.database.write() as tx:
            space = await lock_space(tx, space_id)
            if space is None:
                return 0
            old = await store.old_tombstones(tx, space_id, now - self.keep_ms, TOMBSTONES_PER_PASS)
            voters = [] if space_id == CATALOG_SPACE else await store.read_voters(tx, space_id)
            going = []
            for tombstone in old:
                dots = await store.delete_dots(tx, space_id, (tombstone.collection, tombstone.id))
                ignorant = [voter for voter in voters if not _knows(voter, dots)]
                if ignorant and tombstone.deleted_at <= now - self.lag_ms:
                    await self._take_votes(tx, space_id, ignorant)
                    voters = [voter for voter in voters if voter not in ignorant]
                    ignorant = []
                if not ignorant:
                    going.append(tombstone)
            if not going:
                return 0
            keys = [(tombstone.collection, tombstone.id) for tombstone in going]
            removed = await store.remove_records(tx, space_id, keys, space.version)
            floor = max(space.floor, *(tombstone.seq for tombstone in going))
            await store.set_floor(tx, space_id, floor, removed)
            return removed.rows

    async def _take_votes(self, tx: Transaction, space: str, voters: list[VoterRow]) -> None:
        for voter in voters:
            await store.take_vote(tx, space, voter.device)


def _knows(voter: VoterRow, dots: dict[str, int]) -> bool:
    """Whether the voter's later changes know all these deletes; its own it always knows."""
    return all(device == voter.device or covers(voter.seen, device, n) for device, n in dots.items())
