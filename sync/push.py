"""Pushes: a batch of a device's changes becomes rows, in one transaction, or is refused whole.

What is checked, in this order: the right to see the space, the device, the schema, the right to write, the
device's cursor, `after` (server_behind, device_forked), repeated numbers (device_forked), holes (gap); then each
change alone (`sync.planner`); then what the batch leaves (mass_delete, over_quota). An answer means that the
transaction has committed. How it is tried, stored and announced: sync/write_path.py.

Invariants
    W2  A dot counts once: numbers at or below the device's entry in the space's version are compared with the
        ledger as they were sent, and skipped.
    W3  A context is cut to what the space has seen, so `saw` has no cycles and no device can fake knowledge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import msgspec

from conflict.vectors import cut, merged
from storage import push_reads
from storage.collections import SCHEMA
from storage.database import Transaction
from storage.push_reads import Opened
from storage.rows import VoterRow
from storage.spaces import SpaceRow
from sync.caller import Caller
from sync.errors import DeviceRevoked, Invalid, NotFound, SchemaAhead, UnknownDevice
from sync.messages import PushRequest, SentChange
from sync.planner import Planner, named_keys
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
from sync.write_path import WritePath, settle, store


@dataclass(frozen=True)
class DeviceWriter:
    """Pushes of devices, into any space of one database."""

    path: WritePath
    guard: TextGuard

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
        opened_at = self.path.environment.now_ms()
        before, answer = await self.path.attempts.make(
            space, lambda lock: self._push_once(caller, space, request, unreadable, opened_at, lock=lock)
        )
        await self.path.announce(space, before, answer.space.head, caller.user)
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
        async with self.path.attempts.transaction(space, lock=lock) as tx:
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
            opened = replace(opened, space=self.path.in_present_life(tx, opened.space))
            acked = opened.space.version.get(request.device, 0)
            held = [change for change in request.changes if change.n <= acked]
            new = [change for change in request.changes if change.n > acked]
            repeated = await self._check_device(tx, caller, opened, request, held)
            check_rights(opened, request)
            if new:
                check_cursor(opened, request, acked)
            check_numbers(request, acked, repeated)
            if new and opened.space.kind == "shared" and request.device not in opened.space.version:
                await check_room_for_device(tx, caller, opened.space, self.path.limits)
            planner = Planner(
                opened.space,
                request.device,
                caller.user,
                opened.records,
                self.path.texts,
                self.path.limits,
                now_ms,
                unreadable=unreadable,
            )
            await self._judge(tx, planner, new, repeated.context)
            plan = await planner.finish()
            if new:
                if not request.confirm_deletes:
                    await check_deletes(tx, planner, opened.space, self.path.limits)
                check_quota(plan, self.path.limits, puts=any(change.op == "put" for change in request.changes))
            await store(tx, opened, planner, plan, voter=_voter(opened, plan.space, request, caller, now_ms))
        return opened.space.head, Answer(
            acked=max(acked, new[-1].n if new else 0),
            space=plan.space,
            server_ms=now_ms,
            skew_ms=skew_ms(request.sent_at, now_ms),
            rejected=repeated.rejected + plan.rejected,
            clamped=repeated.clamped + plan.clamped,
            limits=self.path.limits,
        )

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
        await settle(tx, planner.space.id, planner)

    async def _announce_seen(self, caller: Caller, space: SpaceRow, request: PushRequest) -> None:
        # Cut like every claim of a device (W3): nobody is told that it has what nobody wrote.
        seen = cut(request.seen or {}, space.version)
        event = {"kind": "seen", "space": space.id, "device": request.device, "version": seen}
        await self.path.bus.publish(f"user:{caller.user}", msgspec.json.encode(event))


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
