"""The writes of the server itself, and of people who have no device: its own device writes them.

Owns: that they are decided on what stands when they commit, and what may not be written for a person.
Refuses to know: what is decided, and why (the catalog, sync/records.py, sync/history.py, personal records); how a write
is tried, stored and announced (sync/write_path.py).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from conflict import clock
from storage import push_reads
from storage.database import Transaction
from storage.push_reads import Opened
from storage.rows import Key, StoredRecord
from storage.spaces import SpaceRow
from sync.caller import Caller
from sync.errors import Invalid, NotFound, ReadOnly
from sync.messages import SentChange
from sync.planner import Plan, Planner, named_keys
from sync.push_checks import check_quota
from sync.write_path import WritePath, settle, store


@dataclass(frozen=True, slots=True)
class ServerWrite:
    """A write of the server itself, as its own device: fields as a device would send them; empty for a delete."""

    collection: str
    id: str
    op: str
    fields: dict[str, Any] | None = None


# Looks at the locked space, may raise, and says what is to be written.
Guard = Callable[[Transaction, SpaceRow], Awaitable[Sequence[ServerWrite]]]
# The same for a person's write, which is given what was read of the space; it may be asked again, and decides anew.
Decide = Callable[[Transaction, Opened], Awaitable[Sequence[ServerWrite]]]
# Told, in the same transaction, which rows a person's write leaves; what it writes of its own counts with them.
After = Callable[[Transaction, Sequence[StoredRecord]], Awaitable[None]]


@dataclass(frozen=True)
class ServerWriter:
    """What is written without a device, into any space of one database."""

    path: WritePath

    async def write_as_server(
        self, space: str, writes: Sequence[ServerWrite], *, user: str | None = None, guard: Guard | None = None
    ) -> Plan:
        """Write records as the server's own device, with the head as context.

        `user` names the person on whose behalf it is (None for the catalog); the caller has checked their right.
        `guard(tx, space)` may look at the locked space first and raise; what it returns replaces `writes`.

        Raises:
            Invalid: a write was refused; nothing was applied. The details name each refusal.
            NotFound: there is no such space.
        """

        async def decide(tx: Transaction, opened: Opened) -> Sequence[ServerWrite]:
            return writes if guard is None else await guard(tx, opened.space)

        before, plan = await self.path.attempts.make_locked(
            lambda _: self._write_once(space, user, (), decide, lock=True)
        )
        await self.path.announce(space, before, plan.space.head, user)
        return plan

    async def write_for(
        self,
        caller: Caller,
        space: str,
        keys: Collection[Key],
        decide: Decide,
        *,
        writes_more: bool = False,
        after: After | None = None,
    ) -> Plan:
        """Write records for a person who has no device, as the server's own one, with the head as context.

        What a device may not do is refused here too: a right that is not there, a full space, a change that is too
        large, a collection that the server alone writes.

        Args:
            keys: the records that `decide` wants to look at, and those that it will write, as far as they are known.
            decide: is given them and says what is written; it may raise. What it reads holds until the commit (W1).
            writes_more: `decide` or `after` writes rows of its own, which count with the records or not at all.
            after: is told which rows are left, each with its seq.

        Raises:
            NotFound: no such space, or none that the caller may see. ReadOnly: they may not write there.
            OverQuota: the space is full.
            Invalid: a write was refused; nothing was applied. The details name each refusal.
        """
        before, plan = await self.path.attempts.make(
            space,
            lambda lock: self._write_once(space, caller.user, keys, decide, lock=lock, for_person=True, after=after),
            needs_lock=writes_more,
        )
        await self.path.announce(space, before, plan.space.head, caller.user)
        return plan

    async def _write_once(
        self,
        space_id: str,
        user: str | None,
        keys: Collection[Key],
        decide: Decide,
        *,
        lock: bool,
        for_person: bool = False,
        after: After | None = None,
    ) -> tuple[int, Plan]:
        now_ms = self.path.environment.now_ms()
        async with self.path.attempts.transaction(space_id, lock=lock) as tx:
            # The row is locked first, or its version remembered: what `decide` reads after it cannot be outdated.
            opened = await push_reads.open_push(
                tx, space=space_id, user=user or "", device="", after_n=None, keys=keys, lock=lock
            )
            if opened is None or (for_person and (opened.role is None or opened.state != "member")):
                raise NotFound()
            if for_person and opened.role == "viewer":
                raise ReadOnly()
            space = self.path.in_present_life(tx, opened.space)
            writes = await decide(tx, replace(opened, space=space))
            changes, last_hlc = _changes(space, writes, now_ms)
            records = opened.records
            if not (written := named_keys(changes)) <= set(keys):
                found = await push_reads.open_push(
                    tx, space=space_id, user=user or "", device="", after_n=None, keys=written, lock=lock
                )
                assert found is not None
                records = found.records
            planner = Planner(
                replace(space, server_hlc=last_hlc),
                space.server_device,
                user or "",
                records,
                self.path.texts,
                self.path.limits,
                now_ms,
                as_server=not for_person,
            )
            await planner.judge(changes)
            await settle(tx, space_id, planner)
            plan = await planner.finish()
            if plan.rejected:
                raise Invalid(
                    "The server refuses its own write.", details={"rejected": msgspec.to_builtins(plan.rejected)}
                )
            if for_person:
                check_quota(plan, self.path.limits, puts=any(write.op == "put" for write in writes))
            if changes:
                await store(tx, opened, planner, plan)
            if after is not None:
                await after(tx, plan.records)
        return opened.space.head, plan


def _changes(space: SpaceRow, writes: Sequence[ServerWrite], now_ms: int) -> tuple[list[SentChange], str]:
    n = space.version.get(space.server_device, 0)
    hlc = space.server_hlc
    changes = []
    for write in writes:
        n += 1
        hlc = clock.tick(hlc, now_ms)
        changes.append(
            SentChange(
                n=n,
                hlc=hlc,
                op="put" if write.op == "put" else "delete",
                collection=write.collection,
                id=write.id,
                fields=write.fields or {},
                context=dict(space.version),
            )
        )
    return changes, hlc
