"""The one write path: a batch of changes becomes rows, in one transaction, or is refused whole.

What is checked, in this order: the right to see the space, the device, the schema, the right to write, the
device's cursor, `after` (server_behind, device_forked), repeated numbers (device_forked), holes (gap); then each
change alone (`sync.planner`); then what the batch leaves (mass_delete, over_quota). An answer means that the
transaction has committed.

Invariants
    W1  Whatever a write rests on still holds when it commits: the space's row is locked first, or the write happens
        only where nobody has touched that row since it was read (storage/push_writes.py); which of the two, says
        sync/attempts.py. So within a space seq order is commit order.
    W2  A dot counts once: numbers at or below the device's entry in the space's version are compared with the
        ledger as they were sent, and skipped.
    W3  A context is cut to what the space has seen, so `saw` has no cycles and no device can fake knowledge.
    W4  What is announced after the commit is a hint; losing it costs latency only.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from conflict import clock
from conflict.vectors import cut, merged
from storage import push_reads, push_writes
from storage.collections import SCHEMA
from storage.database import Transaction
from storage.errors import Moved
from storage.push_reads import Opened
from storage.rows import Key, StoredRecord, VoterRow
from storage.spaces import SpaceRow
from sync.attempts import Attempts
from sync.bus import Bus
from sync.caller import Caller
from sync.environment import Environment
from sync.errors import (
    DeviceRevoked,
    Invalid,
    NotFound,
    ReadOnly,
    SchemaAhead,
    UnknownDevice,
)
from sync.limits import Limits
from sync.lives import begin_life
from sync.messages import PushRequest, SentChange
from sync.planner import Plan, Planner, named_keys
from sync.published import renew, touched
from sync.push_answer import Answer, skew_ms
from sync.push_checks import (
    check_cursor,
    check_deletes,
    check_numbers,
    check_quota,
    check_rights,
    check_room_for_device,
)
from sync.repeats import Repeated, compare
from sync.text_guard import TextGuard
from sync.texts import TextReader


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
# Told of each commit of this process behind it, as a hint (W4): the space that moved, and who wrote; None: the server.
Heard = Callable[[str, str | None], None]


@dataclass(frozen=True)
class Writer:
    """Pushes of devices, and the server's own writes, into any space of one database."""

    attempts: Attempts
    texts: TextReader
    bus: Bus
    environment: Environment
    limits: Limits
    guard: TextGuard
    listeners: list[Heard] = field(default_factory=list)

    async def push(self, caller: Caller, space: str, request: PushRequest) -> Answer:
        """Apply one batch.

        Args:
            caller: whose session it is; the device of the request must be theirs.
            space: the id of the space; one that the caller may not see is NotFound.
            request: a batch that passed `decode_push`.

        Raises:
            SyncError: nothing was applied. `sync.errors` says for each what the device does next.
        """
        if request.schema > SCHEMA:
            raise SchemaAhead(details={"schema": SCHEMA})
        if request.schema < 1:
            raise Invalid(f"schema is {request.schema}; schemas count from 1.")
        unreadable = await self.guard.unreadable(caller.user, request.changes)
        opened_at = self.environment.now_ms()
        before, answer = await self.attempts.make(
            space, lambda lock: self._push_once(caller, space, request, unreadable, opened_at, lock=lock)
        )
        await self._announce(space, before, answer.space.head, caller.user)
        if request.seen:
            await self._announce_seen(caller, answer.space, request)
        return answer

    async def _push_once(
        self,
        caller: Caller,
        space: str,
        request: PushRequest,
        unreadable: Mapping[int, str],
        now_ms: int,
        *,
        lock: bool,
    ) -> tuple[int, Answer]:
        async with self.attempts.transaction(space, lock=lock) as tx:
            opened = await push_reads.open_push(
                tx,
                space=space,
                user=caller.user,
                device=request.device,
                after_n=request.after.n if request.after else None,
                keys=named_keys(request.changes),
                lock=lock,
            )
            if opened is None or opened.role is None or opened.state != "member":
                raise NotFound()
            opened = replace(opened, space=self._in_present_life(tx, opened.space))
            acked = opened.space.version.get(request.device, 0)
            held = [change for change in request.changes if change.n <= acked]
            new = [change for change in request.changes if change.n > acked]
            repeated = await self._check_device(tx, caller, opened, request, held)
            check_rights(opened, request)
            if new:
                check_cursor(opened, request, acked)
            check_numbers(request, acked, repeated)
            if new and opened.space.kind == "shared" and request.device not in opened.space.version:
                await check_room_for_device(tx, caller, opened.space, self.limits)
            planner = Planner(
                opened.space,
                request.device,
                caller.user,
                opened.records,
                self.texts,
                self.limits,
                now_ms,
                unreadable=unreadable,
            )
            await self._judge(tx, planner, new, repeated.context)
            plan = await planner.finish()
            if new:
                if not request.confirm_deletes:
                    await check_deletes(tx, planner, opened.space, self.limits)
                check_quota(plan, self.limits, puts=any(change.op == "put" for change in request.changes))
            await _store(tx, opened, planner, plan, voter=_voter(opened, plan.space, request, caller, now_ms))
        return opened.space.head, Answer(
            acked=max(acked, new[-1].n if new else 0),
            space=plan.space,
            server_ms=now_ms,
            skew_ms=skew_ms(request.sent_at, now_ms),
            rejected=repeated.rejected + plan.rejected,
            clamped=repeated.clamped + plan.clamped,
            limits=self.limits,
        )

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

        before, plan = await self.attempts.make_locked(lambda _: self._server_once(space, user, (), decide, lock=True))
        await self._announce(space, before, plan.space.head, user)
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
        before, plan = await self.attempts.make(
            space,
            lambda lock: self._server_once(space, caller.user, keys, decide, lock=lock, for_person=True, after=after),
            needs_lock=writes_more,
        )
        await self._announce(space, before, plan.space.head, caller.user)
        return plan

    async def _server_once(
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
        now_ms = self.environment.now_ms()
        async with self.attempts.transaction(space_id, lock=lock) as tx:
            # The row is locked first, or its version remembered: what `decide` reads after it cannot be outdated.
            opened = await push_reads.open_push(
                tx, space=space_id, user=user or "", device="", after_n=None, keys=keys, lock=lock
            )
            if opened is None or (for_person and (opened.role is None or opened.state != "member")):
                raise NotFound()
            if for_person and opened.role == "viewer":
                raise ReadOnly()
            space = self._in_present_life(tx, opened.space)
            writes = await decide(tx, replace(opened, space=space))
            changes, last_hlc = _server_changes(space, writes, now_ms)
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
                self.texts,
                self.limits,
                now_ms,
                as_server=not for_person,
            )
            await planner.judge(changes)
            await _settle(tx, space_id, planner)
            plan = await planner.finish()
            if plan.rejected:
                raise Invalid(
                    "The server refuses its own write.", details={"rejected": msgspec.to_builtins(plan.rejected)}
                )
            if for_person:
                check_quota(plan, self.limits, puts=any(write.op == "put" for write in writes))
            if changes:
                await _store(tx, opened, planner, plan)
            if after is not None:
                await after(tx, plan.records)
        return opened.space.head, plan

    # -- checks ----------------------------------------------------------------------------------------------

    def _in_present_life(self, tx: Transaction, space: SpaceRow) -> SpaceRow:
        """Begin a new life where the database's timeline changed since the space was last written."""
        # The connection's own: after a failover one of a pool may still be of the timeline before.
        timeline = tx.timeline
        if space.timeline == timeline:
            return space
        if not space.timeline:
            return replace(space, timeline=timeline)
        return begin_life(space, self.environment, timeline)

    async def _check_device(
        self,
        tx: Transaction,
        caller: Caller,
        opened: Opened,
        request: PushRequest,
        held: list[SentChange],
    ) -> Repeated:
        if opened.device_user != caller.user:
            raise UnknownDevice(details={"matched": 0, "rejected": []})
        stored = (
            await push_reads.read_changes(tx, opened.space.id, request.device, held[0].n, held[-1].n) if held else []
        )
        repeated = compare(request, opened.after, held, stored)
        if opened.device_revoked:
            raise DeviceRevoked(details=repeated.details())
        return repeated

    # -- the plan --------------------------------------------------------------------------------------------

    async def _judge(
        self, tx: Transaction, planner: Planner, new: list[SentChange], context: dict[str, int] | None
    ) -> None:
        if not new:
            return
        try:
            await planner.judge(new, context)
        finally:
            if planner.timeouts:
                self.guard.hung(planner.user)
        await _settle(tx, planner.space.id, planner)

    async def _announce(self, space: str, before: int, head: int, user: str | None) -> None:
        if head > before:
            for heard in self.listeners:
                heard(space, user)
            await self.bus.publish(f"space:{space}", msgspec.json.encode({"from": before, "to": head}))

    async def _announce_seen(self, caller: Caller, space: SpaceRow, request: PushRequest) -> None:
        # Cut like every claim of a device (W3): nobody is told that it has what nobody wrote.
        seen = cut(request.seen or {}, space.version)
        event = {"kind": "seen", "space": space.id, "device": request.device, "version": seen}
        await self.bus.publish(f"user:{caller.user}", msgspec.json.encode(event))


async def _settle(tx: Transaction, space: str, planner: Planner) -> None:
    moved = await planner.working_copy.settle()
    if moved:
        await planner.working_copy.absorb(await push_reads.read_below(tx, space, moved))


async def _store(tx: Transaction, opened: Opened, planner: Planner, plan: Plan, voter: VoterRow | None = None) -> None:
    """Write what is planned, and with it the list of public templates."""
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


def _server_changes(space: SpaceRow, writes: Sequence[ServerWrite], now_ms: int) -> tuple[list[SentChange], str]:
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


def _voter(opened: Opened, space: SpaceRow, request: PushRequest, caller: Caller, now_ms: int) -> VoterRow | None:
    """The device's vote on tombstones, where this push gives one or moves it."""
    known = opened.voter
    if space.kind == "catalog" or (known is not None and not request.seen):
        return None
    seen = cut(request.seen or {}, space.version)
    if known is None:
        return VoterRow(
            device=request.device, user=caller.user, seen=seen, seen_at=now_ms, first_at=now_ms, resync=False
        )
    return replace(known, seen=merged(known.seen, seen), seen_at=now_ms)
