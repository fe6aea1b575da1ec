"""Mutants of the write path: numbers, holes, contexts, lives, rights, the ledger."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import msgspec

from conflict.vectors import merged
from storage import push_writes
from storage import retention as retention_store
from storage.errors import StorageError
from sync import planner, push, retention
from sync.errors import DeviceForked
from sync.messages import After
from sync.planner import Planner
from sync.push import DeviceWriter
from sync.repeats import compare
from sync.working_copy import WorkingCopy
from sync.write_path import WritePath
from tests.simulator.mutants.registry import Patch, mutant

_HELD: ContextVar[tuple[Sequence[Any], dict[str, int]]] = ContextVar("held", default=((), {}))
_TASKS: set[asyncio.Task[None]] = set()


@mutant("I2")
def repeats_apply_again(patch: Patch) -> None:
    """No uniqueness of dots: what a device sends again is merged again."""
    check, judge, write = DeviceWriter._check_device, DeviceWriter._judge, push_writes.write_push

    async def checking(self: DeviceWriter, tx: Any, caller: Any, opened: Any, request: Any, held: Any) -> Any:
        _HELD.set((held, {request.device: opened.space.version.get(request.device, 0)}))
        return await check(self, tx, caller, opened, request, held)

    async def judging(self: DeviceWriter, tx: Any, plan: Planner, new: Any, context: Any) -> None:
        await judge(self, tx, plan, [*_HELD.get()[0], *new], context)

    async def writing(tx: Any, *, space: Any, changes: Iterable[Any], **rest: Any) -> None:
        # The ledger has them already, and would say so; nor does the version go back.
        held, version = _HELD.get()
        known = {change.n for change in held}
        new = [change for change in changes if change.n not in known]
        await write(tx, space=replace(space, version=merged(space.version, version)), changes=new, **rest)

    patch(DeviceWriter, "_check_device", checking)
    patch(DeviceWriter, "_judge", judging)
    patch(push_writes, "write_push", writing)


def over(writer: DeviceWriter, database: Any) -> DeviceWriter:
    """The same writer over another database."""
    attempts = replace(writer.path.attempts, database=database)
    return replace(writer, path=replace(writer.path, attempts=attempts))


class _Early:
    """A database whose writes are over before they are stored."""

    def __init__(self, database: Any) -> None:
        self._database = database

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    @asynccontextmanager
    async def write(self, *, single: bool = False) -> AsyncIterator[Any]:
        context = self._database.write()
        tx = await context.__aenter__()
        try:
            yield tx
        except BaseException:
            await context.__aexit__(*sys.exc_info())
            raise
        task = asyncio.ensure_future(self._store(context))
        _TASKS.add(task)
        task.add_done_callback(_TASKS.discard)

    async def _store(self, context: Any) -> None:
        with suppress(StorageError):
            await context.__aexit__(None, None, None)


@mutant("I1", needs=lambda plan: plan.store.abort > 0.02)
def answer_before_commit(patch: Patch) -> None:
    """A push is answered once its statements have run, and commits afterwards."""
    once = DeviceWriter._push_once

    async def pushing(self: DeviceWriter, *arguments: Any, lock: bool) -> Any:
        return await once(over(self, _Early(self.path.attempts.database)), *arguments, lock=lock)

    patch(DeviceWriter, "_push_once", pushing)


class _Late:
    """A transaction that reads before it has its turn to write."""

    def __init__(self, database: Any, reading: Any) -> None:
        self._database = database
        self._tx = reading
        self.writing: Any = None

    @property
    def dialect(self) -> Any:
        return self._tx.dialect

    @property
    def timeline(self) -> Any:
        return self._tx.timeline

    async def execute(self, *arguments: Any) -> Any:
        return await self._tx.execute(*arguments)

    async def execute_all(self, *statements: Any) -> None:
        self.writing = self._database.write()
        self._tx = await self.writing.__aenter__()
        await self._tx.execute_all(*statements)


class _Unlocked:
    """A database whose writes look at the space before they lock it."""

    def __init__(self, database: Any) -> None:
        self._database = database

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    @asynccontextmanager
    async def write(self, *, single: bool = False) -> AsyncIterator[Any]:
        async with self._database.read() as reading:
            late = _Late(self._database, reading)
            try:
                yield late
            except BaseException:
                if late.writing is not None:
                    await late.writing.__aexit__(*sys.exc_info())
                raise
            if late.writing is not None:
                await late.writing.__aexit__(None, None, None)


@mutant("I9", needs=lambda plan: plan.store.latency_s > 0.003 and sum(plan.devices) > 5)
def seq_without_lock(patch: Patch) -> None:
    """The head is read before the space is locked, so two pushes give the same seqs, and one forgets the other."""
    once = DeviceWriter._push_once

    async def pushing(self: DeviceWriter, *arguments: Any, lock: bool) -> Any:
        return await once(over(self, _Unlocked(self.path.attempts.database)), *arguments, lock=lock)

    patch(DeviceWriter, "_push_once", pushing)


@mutant("I3", needs=lambda plan: not plan.bugs.resend)
def batch_in_parts(patch: Patch) -> None:
    """Each change of a batch commits by itself, those of a group too."""
    once = DeviceWriter._push_once

    async def pushing(self: DeviceWriter, caller: Any, space: str, request: Any, *rest: Any, lock: bool) -> Any:
        if len(request.changes) < 2:
            return await once(self, caller, space, request, *rest, lock=lock)
        after, context, head, answers = request.after, None, None, []
        for change in request.changes:
            context = change.context if change.context is not None else context
            one = msgspec.structs.replace(
                request, after=after, changes=[msgspec.structs.replace(change, context=context)]
            )
            before, answer = await once(self, caller, space, one, *rest, lock=lock)
            head = before if head is None else head
            answers.append(answer)
            after = After(n=change.n, hlc=change.hlc)
        rejected = [one for answer in answers for one in answer.rejected]
        clamped = [n for answer in answers for n in answer.clamped]
        return head, replace(answers[-1], rejected=rejected, clamped=clamped)

    patch(DeviceWriter, "_push_once", pushing)


@mutant("I2", needs=lambda plan: plan.accidents.fail_over > 1 and plan.accidents.fail_over_lose > 5)
def holes_accepted(patch: Patch) -> None:
    """A batch that begins beyond the next number is taken, and a device that is ahead is not told."""

    def check(request: Any, acked: int, repeated: Any) -> None:
        if repeated.forked:
            raise DeviceForked(details=repeated.details())

    def comparing(request: Any, after: Any, held: Any, stored: Any) -> Any:
        repeated = compare(request, after, held, stored)
        # Nothing is held against what the ledger does not have.
        return repeated if held or after is not None else replace(repeated, forked=False)

    patch(push, "check_numbers", check)
    patch(push, "compare", comparing)


@mutant("I2", needs=lambda plan: plan.bugs.clone > 0.1 or plan.bugs.old_copy > 0.1)
def forks_unnoticed(patch: Patch) -> None:
    """What is sent again is skipped by its number, whatever it says."""
    patch(push, "compare", lambda *arguments: replace(compare(*arguments), forked=False))


@mutant("I2", "suite", tests="tests/sync/test_push.py")
def after_unchecked(patch: Patch) -> None:
    """The change that a device says came last is not held against the ledger."""

    def comparing(request: Any, after: Any, held: Any, stored: Any) -> Any:
        if after is not None and request.after is not None:
            after = after._replace(hlc=request.after.hlc)
        return compare(request, after, held, stored)

    patch(push, "compare", comparing)


@mutant("I8")
def version_overwritten(patch: Patch) -> None:
    """A push leaves its own device alone in the space's version."""
    finish = Planner.finish

    async def finishing(self: Planner) -> Any:
        plan = await finish(self)
        if self.judged:
            last = {self.device: self.judged[-1].sent.n}
            plan.space = replace(plan.space, version=last)
        return plan

    patch(Planner, "finish", finishing)


@mutant("I8")
def context_not_cut(patch: Patch) -> None:
    """A device may claim to have seen what nobody wrote."""
    patch(planner, "cut", lambda context, seen: dict(context))


@mutant("I14", needs=lambda plan: plan.clocks.wild > 0)
def stamps_not_clamped(patch: Patch) -> None:
    """A device of the year 2099 wins for ever."""
    patch(planner, "clamp", lambda hlc, now_ms: hlc)


@mutant("I11")
def no_new_life(patch: Patch) -> None:
    """A database that went back goes on in the same life."""
    patch(WritePath, "in_present_life", lambda self, tx, space: replace(space, timeline=tx.timeline))


@mutant("I24", needs=lambda plan: plan.bugs.revoke > 0.1)
def revoked_device_accepted(patch: Patch) -> None:
    """A device that its user has revoked goes on writing."""
    check = DeviceWriter._check_device

    async def checking(self: DeviceWriter, tx: Any, caller: Any, opened: Any, *rest: Any) -> Any:
        return await check(self, tx, caller, replace(opened, device_revoked=False), *rest)

    patch(DeviceWriter, "_check_device", checking)


@mutant("I3", needs=lambda plan: plan.mishaps.refused_group > 1)
def group_by_halves(patch: Patch) -> None:
    """Of a group the good changes stand, though one was refused."""
    patch(Planner, "_reject_whole_group", lambda self, begun: None)


@mutant("I7", needs=lambda plan: plan.work.deletes > 0.05)
def puts_not_carried_up(patch: Patch) -> None:
    """A delete is judged without what was written below the record."""
    patch(WorkingCopy, "_carry_up", lambda self: None)


@mutant("I17")
def quota_counts_twice(patch: Patch) -> None:
    """What a space holds grows with each refused change."""
    finish = Planner.finish

    async def finishing(self: Planner) -> Any:
        plan = await finish(self)
        plan.space = replace(plan.space, records=plan.space.records + len(plan.rejected))
        return plan

    patch(Planner, "finish", finishing)


@mutant("I19", "suite", tests="tests/sync/test_push.py -k repeats_a_void")
def a_repeated_void_is_called_taken(patch: Patch) -> None:
    """A change whose number is spent on a void counts as stored."""

    def comparing(*arguments: Any) -> Any:
        found = compare(*arguments)
        return replace(found, rejected=[one for one in found.rejected if one.code != "withdrawn"])

    patch(push, "compare", comparing)


@mutant("I13", "suite", tests="tests/sync/test_retention.py")
def tombstones_go_unseen(patch: Patch) -> None:
    """A tombstone is collected though a device has not promised to know it."""
    patch(retention, "_knows", lambda voter, dots: True)


@mutant("I10", "suite", tests="tests/sync/test_retention.py")
def floor_stays(patch: Patch) -> None:
    """Tombstones are collected, and a cursor from before them is as good as ever."""
    real = retention_store.set_floor
    patch(retention_store, "set_floor", lambda tx, space, floor, removed: real(tx, space, 0, removed))
