"""The jobs of imports: writing what a file brings, step by step, and taking it back.

Owns: the steps, what is noted with each, and whose turn it is.
Refuses to know: what a person may ask for (service.py), which records are missing (planning.py) and which may go
(taking_back.py).

Invariants
    M2  A step is one transaction, which also notes how far the import is: a server that dies goes on behind its last
        step, and an import that is taken up again writes nothing twice.
    M3  What was brought is noted with it in the same transaction, with the seq that each record got. Undoing takes back
        what still has that seq: nobody has written it since, and nothing else goes.
    M8  Several people's imports are worked on at once, and their steps take turns: together they load the server as one
        does, and one that has much to write holds up another by a step, not by all of its own.
    M10 Where more wait than are worked on, an import gives way after `turn_steps`: at most TURNS_MAX times, since its
        file is read again for each, and what is kept of it meanwhile is on disk.
    M11 What was deleted of an import since it wrote it stays deleted, however often the import is taken up again, and
        what lies below it is not written. An exercise alone is made again, where it was deleted before a turn that
        still has workouts with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from api.errors import InvalidFields
from api.operations.jobs import Job
from api.training.imports.comparing import Comparing
from api.training.imports.planning import Planned, Step, parent_of, roots
from api.training.imports.reading import Unreadable, read_file
from api.training.imports.summaries import bounded
from api.training.imports.taking_back import Brought, Kept, read_brought, untouched, unused
from storage import imports as store
from storage.database import Transaction
from storage.imports import ImportRow
from storage.rows import Key, StoredRecord
from sync.caller import Caller
from sync.errors import NotFound, OverQuota
from sync.records import Edit, View

# Workouts that one transaction takes back: some thousand records.
_TREES: Final = 200
# Some seconds of writing.
TURN_STEPS: Final = 20
TURNS_MAX: Final = 8

_encode = msgspec.json.encode


def turn_steps(steps: int) -> int:
    """How many of an import's steps are written before others have their turn (M10)."""
    return max(TURN_STEPS, -(-steps // TURNS_MAX))


@dataclass(frozen=True)
class Writing:
    """Writes into one database."""

    comparing: Comparing
    # Whoever has it writes one step (M8).
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    async def run(self, job: Job) -> None:
        """Read a file, and write what is new of it unless its owner wants to look first."""
        caller = Caller(user=job.user, session="")
        row = await self._import(job)
        async with self.comparing.database.read() as tx:
            file = await store.read_file(tx, id=row.id, user=row.user)
        if file is None:
            return await self._end(job, row, "failed", {"refused": "The file is no longer kept; hand it in again."})
        try:
            brought = await asyncio.to_thread(read_brought, row.brought)
            reading = await read_file(file, await self.comparing.arguments(caller, row, brought.roots))
        except Unreadable as error:
            return await self._end(job, row, "failed", {"refused": str(error)})
        if job.memory is None:
            planned = await self.comparing.plan(caller, row, reading)
            # Of all its steps: those that are left are fewer with each turn.
            turn = turn_steps(len(planned.steps))
            job.memory = {"groups": 0, "known": planned.known, "turn": turn}
        else:
            planned = await self.comparing.plan(
                caller, row, reading, done=job.memory["groups"], brought=set(brought.roots)
            )
            # One that an earlier version began did not note it.
            turn = job.memory.get("turn", turn_steps(len(planned.steps)))
        seen = reading.seen | {"known": job.memory["known"], "twins": planned.twins, "new": planned.new + job.done}
        if row.state == "reading":
            return await self._end(job, row, "ready", seen, keep_file=True)
        job.total = planned.new + job.done
        try:
            for number, step in enumerate(planned.steps):
                if number >= turn:
                    await job.give_way()
                brought = await self._write(job, caller, row, step, brought)
        except InvalidFields as error:
            seen |= {"refused": "The server refuses some of its records; what came before them is there."}
            return await self._end(job, row, "failed", seen | {"faults": error.fields[:100]}, keep_file=True)
        except OverQuota:
            # Trying again would meet the same; its owner alone can make room.
            seen |= {"refused": "Your space is full, and what came before that is there; make room and confirm again."}
            return await self._end(job, row, "failed", seen, keep_file=True)
        return await self._end(job, row, "done", seen | {"written": job.done})

    async def _write(self, job: Job, caller: Caller, row: ImportRow, step: Step, brought: Brought) -> Brought:
        """Make the records of one step that do not show, and note with them that they were brought (M2, M3).

        brought: what is noted so far; nobody but who has the job notes more. Returns what is noted then.
        """
        noted = brought

        async def decide(view: View) -> Sequence[Edit]:
            missing[:] = await _missing(view, step.records)
            job.done = before + len(missing)
            job.memory = {**job.memory, "groups": step.groups}
            await job.keep(view.tx)
            return [Edit("put", *each) for each in missing]

        async def note(tx: Transaction, left: Sequence[StoredRecord]) -> None:
            nonlocal noted
            noted = Brought([*brought.roots], [*brought.seqs])
            # What came back with a record that the import made again is not of the import.
            made = {(collection, id) for collection, id, _ in missing}
            seqs = [each.seq for each in left if (each.collection, each.id) in made]
            noted.add(roots(missing), seqs)
            await store.note_brought(tx, id=row.id, user=row.user, brought=_encode(noted))

        missing: list[Planned] = []
        before = job.done
        keys = [(each[0], each[1]) for each in step.records]
        async with self._turn:
            try:
                await self.comparing.records.decide(caller, row.space, keys, decide, writes_more=True, after=note)
            except (InvalidFields, OverQuota):
                job.done = before  # Nothing of the step is there.
                raise
        return noted

    async def undo(self, job: Job) -> None:
        """Delete what an import brought and nobody wrote since."""
        caller = Caller(user=job.user, session="")
        row = await self._import(job)
        brought = read_brought(row.brought)
        kept: list[Kept] = []
        job.done, job.total = 0, len(brought.roots)
        # From the top down, and exercises last: whether one is used is known once the workouts are gone.
        others = [key for key in brought.roots if key[0] != "exercises"]
        exercises = [key for key in brought.roots if key[0] == "exercises"]
        stays: set[Key] = set()
        steps = [keys[at : at + _TREES] for keys in (others, exercises) for at in range(0, len(keys), _TREES)]
        # A job that was cut off, or gave way, goes through all of it again, and finds what stays again.
        turn = turn_steps(len(steps)) + (job.memory or 0)
        for number, keys in enumerate(steps):
            if number >= turn:
                await job.give_way()
            job.memory = max(job.memory or 0, number + 1)
            kept += await self._take_back(job, caller, row.space, brought, keys, stays)
        summary = msgspec.json.decode(row.summary) if row.summary else {}
        await self._end(job, row, "undone", summary | {"kept": msgspec.to_builtins(kept)})

    async def _take_back(
        self, job: Job, caller: Caller, space: str, brought: Brought, keys: Sequence[Key], stays: set[Key]
    ) -> list[Kept]:
        """Delete what may go of some roots; what stays of them. What lies in their trees joins `stays`."""

        async def decide(view: View) -> Sequence[Edit]:
            inside.clear()
            goes, changed = await untouched(view, brought, keys, stays, inside)
            named = [key for key in goes if key[0] == "exercises"]
            free, used = await unused(view, caller.user, named)
            kept[:] = changed + used
            job.done = before + len(keys)
            await job.keep(view.tx)
            return [Edit("delete", *key) for key in goes if key not in named or key in free]

        kept: list[Kept] = []
        inside: set[Key] = set()
        before = job.done
        async with self._turn:
            await self.comparing.records.decide(caller, space, keys, decide, writes_more=True)
        stays |= inside
        return kept

    async def _end(
        self, job: Job, row: ImportRow, state: str, summary: Mapping[str, Any] | None, *, keep_file: bool = False
    ) -> None:
        async with self.comparing.database.write() as tx:
            await store.end_import(
                tx,
                id=row.id,
                user=row.user,
                state=state,
                summary=None if summary is None else _encode(bounded(summary)),
                keep_file=keep_file,
            )
            await job.finish(tx)

    async def _import(self, job: Job) -> ImportRow:
        async with self.comparing.database.read() as tx:
            row = await store.find_import(tx, id=job.arguments["import"], user=job.user)
        if row is None:
            raise NotFound
        return row


async def _missing(view: View, records: Sequence[Planned]) -> list[Planned]:
    """Those that do not show, but for what lies below what the import brought and somebody deleted since (M11)."""
    missing: list[Planned] = []
    made: set[Key] = set()
    parents = [parent_of(collection, fields) for collection, _, fields in records]
    await view.look_up([each for each in parents if each is not None])
    for (collection, id, fields), parent in zip(records, parents, strict=True):
        if await view.find(collection, id) is not None:
            continue
        if parent is not None and parent not in made and await view.find(*parent) is None:
            continue
        made.add((collection, id))
        missing.append((collection, id, fields))
    return missing
