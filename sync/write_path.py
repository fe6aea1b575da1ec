"""The one write path: what every write of a space goes through, whoever writes it.

Owns: the life that a write finds, what is stored of a plan and with it, and who is told of the commit.
Refuses to know: what may be written and on what it is decided (sync/push.py for devices, sync/server_writes.py for the
server), and what follows from a change (sync/planner.py).

Invariants
    W1  Whatever a write rests on still holds when it commits: the space's row is locked first, or the write happens
        only where nobody has touched that row since it was read (storage/push_writes.py); which of the two, says
        sync/attempts.py. So within a space seq order is commit order.
    W4  What is announced after the commit is a hint; losing it costs latency only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import msgspec

from storage import push_reads, push_writes
from storage.database import Transaction
from storage.errors import Moved
from storage.push_reads import Opened
from storage.rows import VoterRow
from storage.spaces import SpaceRow
from sync.attempts import Attempts
from sync.bus import Bus
from sync.environment import Environment
from sync.limits import Limits
from sync.lives import begin_life
from sync.planner import Plan, Planner
from sync.published import renew, touched
from sync.texts import TextReader

# Told of each commit of this process behind it, as a hint (W4): the space that moved, and who wrote; None: the server.
Heard = Callable[[str, str | None], None]


@dataclass(frozen=True)
class WritePath:
    """The writes of one process into the spaces of one database. `listeners` are told of each commit."""

    attempts: Attempts
    texts: TextReader
    bus: Bus
    environment: Environment
    limits: Limits
    listeners: list[Heard] = field(default_factory=list)

    def in_present_life(self, tx: Transaction, space: SpaceRow) -> SpaceRow:
        """Begin a new life where the database's timeline changed since the space was last written."""
        # The connection's own: after a failover one of a pool may still be of the timeline before.
        timeline = tx.timeline
        if space.timeline == timeline:
            return space
        if not space.timeline:
            return replace(space, timeline=timeline)
        return begin_life(space, self.environment, timeline)

    async def announce(self, space: str, before: int, head: int, user: str | None) -> None:
        """Tell of a commit by which the head of a space moved: a hint (W4). user: who wrote; None: the server."""
        if head > before:
            for heard in self.listeners:
                heard(space, user)
            await self.bus.publish(f"space:{space}", msgspec.json.encode({"from": before, "to": head}))


async def settle(tx: Transaction, space: str, planner: Planner) -> None:
    """Settle what the judged changes mean for parents and for what lies below, which is read where it is needed."""
    moved = await planner.working_copy.settle()
    if moved:
        await planner.working_copy.absorb(await push_reads.read_below(tx, space, moved))


async def store(tx: Transaction, opened: Opened, planner: Planner, plan: Plan, voter: VoterRow | None = None) -> None:
    """Write what is planned, and with it the list of public templates.

    Raises Moved where a write without the lock came too late, or may not be one.
    """
    published = touched(planner.records.values(), plan.records) if plan.space.kind == "personal" else set()
    if published and opened.row_version is not None:
        # A write without a lock is one statement: this one needs some more.
        raise Moved("Public templates are written under the lock.")
    await push_writes.write_push(
        tx,
        space=plan.space,
        records=plan.records,
        changes=plan.changes,
        voter=voter,
        deleted_at=planner.now_ms,
        row_version=opened.row_version,
    )
    if published:
        await renew(tx, plan.space.id, published, now_ms=planner.now_ms)
