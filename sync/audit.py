"""The audit of a database: every rule of `sync/audit_rules.py` over everything that is stored.

Each space is read in one snapshot, so a server may go on writing meanwhile. Records are worked out again from the
ledger (`sync/audit_records.py`), in parts and by other processes where there are any; the ledger is walked for records
that are not there.

Invariants
    A1  The audit writes nothing.
    A2  Memory does not grow with the database.
    A4  Parts are put together only where all of them were read from one and the same state of the space; where somebody
        wrote meanwhile, the space is gone over again in one snapshot.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import msgspec

from conflict.vectors import covers
from storage import audit as store
from storage.audit import ORPHANS, START
from storage.database import Database, Transaction
from storage.errors import DatabaseUnavailable, StorageError
from storage.retention import LEDGER_KEPT
from storage.rows import Key
from storage.spaces import SpaceRow, read_space
from sync.audit_records import Counted, RecordAudit
from sync.audit_rules import ODD, Finding, Violation, check_space, is_verdict
from sync.audit_workers import Part, PartAudit, Workers
from sync.texts import TextReader

SPACES_PER_PAGE: Final = 200
# Of one kind; a table that is broken throughout needs no longer list.
ORPHANS_MAX: Final = 1_000
# Numbers of one device that one statement goes over.
NUMBERS_PER_PAGE: Final = 10_000
# Records that a process goes over at a time: some seconds, of which starting is nothing.
RECORDS_PER_PART: Final = 10_000

_vector = msgspec.json.Decoder(dict[str, int])


@dataclass(slots=True)
class Tally:
    """What an audit went over; `violations` counts all that were found."""

    spaces: int = 0
    records: int = 0
    changes: int = 0
    violations: int = 0


@dataclass
class Audit:
    """One audit of one database. `found` is told of each violation as it is found, `walked` of records gone over."""

    database: Database
    texts: TextReader
    found: Callable[[Violation], None]
    walked: Callable[[int], None] = lambda _: None
    workers: Workers | None = None
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        # One more than there are processes, so that none of them waits for what is to be asked here; and no more than
        # SQLite has readers.
        self._at_once = asyncio.Semaphore(1 if self.workers is None else min(self.workers.count + 1, 4))

    async def size(self) -> int:
        """About how many records there are to go over, tombstones too; 0 where damage keeps them from being counted."""
        try:
            async with self.database.read() as tx:
                return await store.read_size(tx)
        except StorageError:
            return 0  # `run` tells what is damaged.

    async def run(self) -> Tally:
        """Go over everything once.

        Raises StorageError where the database cannot be read on; what was found until then was told.
        """
        try:
            async with self.database.read() as tx:
                damage = await store.read_damage(tx)
        except DatabaseUnavailable as error:
            damage = [str(error).rstrip(".")]  # It ends even the search for what is broken.
        for words in damage:
            self._tell(None, None, Finding("file_damaged", f"SQLite says: {words}"))
        async with self.database.read() as tx:
            for kind in ORPHANS:
                for orphan in await store.read_orphans(tx, kind, ORPHANS_MAX):
                    what = f"{kind.replace('_', ' ')}: it names {orphan.missing}"
                    self._tell(orphan.space, orphan.row, Finding(kind, what))
        last = ""
        while True:
            async with self.database.read() as tx:
                page = await store.read_space_ids(tx, last, SPACES_PER_PAGE)
            await self._spaces(page)
            if len(page) < SPACES_PER_PAGE:
                return self.tally
            last = page[-1]

    async def _spaces(self, page: Sequence[str]) -> None:
        if self.workers is not None:
            await asyncio.gather(*(self._in_snapshot(space) for space in page))
            return
        for space in page:
            await self._in_snapshot(space)

    async def _in_snapshot(self, space: str) -> None:
        async with self._at_once, self.database.read(snapshot=True) as tx:
            try:
                await self._space(tx, space)
            except ODD as error:
                # One row must not hide what is wrong with all others.
                self._tell(
                    space,
                    None,
                    Finding("row_unreadable", f"a value in one of its rows is none that its column has ({error})"),
                )

    def _told(self, violation: Violation) -> None:
        self.tally.violations += 1
        self.found(violation)

    def _tell(self, space: str | None, record: str | None, finding: Finding) -> None:
        self._told(Violation(finding.rule, space, record, finding.what))

    # -- one space -------------------------------------------------------------------------------------------

    async def _space(self, tx: Transaction, space_id: str) -> None:
        self.tally.spaces += 1
        try:
            space = await read_space(tx, space_id)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._tell(space_id, None, Finding("space_unreadable", "its version or its lives cannot be read"))
            return
        if space is None or space.kind == "erasing":
            return  # It was removed since it was listed, or goes piece by piece.
        for finding in check_space(space):
            self._tell(space_id, None, finding)
        for seq in await store.repeated_seqs(tx, space_id, ORPHANS_MAX):
            self._tell(space_id, None, Finding("seq_repeated", f"more than one served record has the seq {seq}"))
        parts = await self._begun_parts(tx, space)
        try:
            await self._ledger(tx, space)
            await self._seen(tx, space)
            ledger_bytes = await store.ledger_bytes(tx, space_id)
            counted = self._together(space, await asyncio.gather(*parts)) if parts else None
        finally:
            for part in parts:
                part.cancel()
        if counted is None:
            counted = await RecordAudit(tx, space, self.texts, self._told, self.walked).run(START, None)
        self.tally.records += counted.rows
        self.tally.changes += counted.changes
        counted.bytes += ledger_bytes
        for name, stored, real in (
            ("records", space.records, counted.records),
            ("bytes", space.bytes, counted.bytes),
        ):
            if stored != real:
                self._tell(space_id, None, Finding("counter_differs", f"it says {name} = {stored}, and has {real}"))

    async def _ledger(self, tx: Transaction, space: SpaceRow) -> None:
        version = dict(space.version)
        lost: set[Key] = set()
        device, last, whole = "", 0, True
        while (found := await store.next_device(tx, space.id, device)) is not None:
            device, oldest, newest = found
            n = version.pop(device, 0)
            if n != newest:
                whole = False
                what = f"the space has seen {n} of {device}, and the ledger's newest is {newest}"
                self._tell(space.id, None, Finding("version_differs", what))
            above = max(0, newest - LEDGER_KEPT)
            count, arrival = await store.count_newest(tx, space.id, device, above)
            last = max(last, arrival)
            if count != newest - above:
                whole = False
                what = f"{newest - above - count} of the newest {newest - above} changes of {device} are missing"
                self._tell(space.id, None, Finding("ledger_hole", what))
            if arrival > space.head:
                what = f"a change of {device} arrived at {arrival}, above the head {space.head}"
                self._tell(space.id, None, Finding("head_behind", what))
            for start in range(oldest - 1, newest, NUMBERS_PER_PAGE):
                upto = start + NUMBERS_PER_PAGE
                for n, key, verdict in await store.read_verdicts(tx, space.id, device, start, upto):
                    if not is_verdict(verdict):
                        what = f"change {n} of {device} was rejected, and why cannot be read: its device gets no answer"
                        self._tell(space.id, "/".join(key), Finding("change_unreadable", what))
                lost |= set(await store.read_lost(tx, space.id, device, start, upto, ORPHANS_MAX))
                if len(lost) > ORPHANS_MAX:
                    break
        for key in sorted(lost):
            what = "the ledger has accepted changes of it, and it is not stored"
            self._tell(space.id, "/".join(key), Finding("record_missing", what))
        for device, n in version.items():
            whole = False
            what = f"the space has seen {n} of {device}, and the ledger has nothing of it"
            self._tell(space.id, None, Finding("version_differs", what))
        # Each batch notes the head that it leaves, rejected changes and voids too, and of each device the newest stay
        # whatever is collected: only where lines are missing may the one that led to the head be among them.
        if whole and last < space.head:
            what = f"its head is {space.head}, and the newest change arrived at {last}"
            self._tell(space.id, None, Finding("head_ahead", what))

    async def _seen(self, tx: Transaction, space: SpaceRow) -> None:
        device = ""
        while page := await store.read_seen(tx, space.id, device, SPACES_PER_PAGE):
            for device, data in page:
                try:
                    seen = _vector.decode(data)
                except (msgspec.DecodeError, UnicodeDecodeError):
                    self._tell(space.id, device, Finding("seen_ahead", "its promise cannot be read"))
                    continue
                ahead = sorted(each for each, n in seen.items() if not covers(space.version, each, n))
                if ahead:
                    what = f"{device} promises to know changes of {', '.join(ahead)} that the space has not seen"
                    self._tell(space.id, device, Finding("seen_ahead", what))

    # -- its records, by other processes ---------------------------------------------------------------------

    async def _begun_parts(self, tx: Transaction, space: SpaceRow) -> list[asyncio.Task[PartAudit]]:
        """What other processes have begun to go over: all records of a space, or none where there are no processes."""
        if self.workers is None:
            return []
        workers, bounds = self.workers, [START]
        while (bound := await store.nth_key(tx, space.id, bounds[-1], RECORDS_PER_PART)) is not None:
            bounds.append(bound)

        async def audit(part: Part) -> PartAudit:
            made = await workers.audit(part)
            self.walked(made.counted.rows)
            return made

        parts = [Part(space.id, after, upto) for after, upto in pairwise([*bounds, None]) if after is not None]
        return [asyncio.create_task(audit(part)) for part in parts]

    def _together(self, space: SpaceRow, made: Sequence[PartAudit]) -> Counted | None:
        """What the parts come to; None where they were not all of this state (A4)."""
        if any(each.space != space for each in made):
            self.walked(-sum(each.counted.rows for each in made))
            return None
        counted = Counted()
        for each in made:
            counted.add(each.counted)
            for violation in each.violations:
                self._told(violation)
        return counted
