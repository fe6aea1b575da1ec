"""The audit of a database: every rule of `sync/audit_rules.py` over everything that is stored.

Each space is read in one snapshot, so a server may go on writing meanwhile. Records are walked page by page, each
page with its lines of the ledger, from which every record is worked out again; then the ledger is walked for
records that are not there.

Invariants
    A1  The audit writes nothing.
    A2  Memory does not grow with the database: a page of records, and one record's replay.
    A3  A line that was left behind by a collected tombstone is no part of a record that began anew.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from conflict import record as kernel
from conflict.record import RecordState
from conflict.vectors import covers
from storage import audit as store
from storage.audit import ORPHANS, START, AuditedRecord, Place
from storage.collections import COLLECTIONS
from storage.database import Database, Transaction
from storage.push import Key, SpaceRow, StoredChange
from storage.retention import LEDGER_KEPT
from storage.spaces import read_space
from sync.audit_rules import Finding, Parent, Replay, Violation, check_record, check_space, decode_state, differences
from sync.texts import BadText, TextReader

SPACES_PER_PAGE: Final = 200
# Each may have a quarter of a megabyte, twice.
RECORDS_PER_PAGE: Final = 100
LINES_PER_PAGE: Final = 1_000
# Of one kind; a table that is broken throughout needs no longer list.
ORPHANS_MAX: Final = 1_000
# Numbers of one device that one statement goes over.
NUMBERS_PER_PAGE: Final = 10_000

_vector = msgspec.json.Decoder(dict[str, int])


@dataclass(slots=True)
class Tally:
    """What an audit went over; `violations` counts all that were found."""

    spaces: int = 0
    records: int = 0
    changes: int = 0
    violations: int = 0


@dataclass(slots=True)
class _Counted:
    records: int = 0
    bytes: int = 0


@dataclass
class Audit:
    """One audit of one database. `found` is told of each violation as it is found, `walked` of records gone over."""

    database: Database
    texts: TextReader
    found: Callable[[Violation], None]
    walked: Callable[[int], None] = lambda _: None
    tally: Tally = field(default_factory=Tally)

    async def size(self) -> int:
        """About how many records there are, for a progress bar: the sum of the spaces' own counters."""
        async with self.database.read() as tx:
            return (await store.read_size(tx))[1]

    async def run(self) -> Tally:
        """Go over everything once.

        Raises StorageError where the database cannot be read on; what was found until then was told.
        """
        async with self.database.read() as tx:
            for words in await store.read_damage(tx):
                self._tell(None, None, Finding("file_damaged", f"SQLite says: {words}"))
            for kind in ORPHANS:
                for orphan in await store.read_orphans(tx, kind, ORPHANS_MAX):
                    what = f"{kind.replace('_', ' ')}: it names {orphan.missing}"
                    self._tell(orphan.space, orphan.row, Finding(kind, what))
        last = ""
        while True:
            async with self.database.read() as tx:
                page = await store.read_space_ids(tx, last, SPACES_PER_PAGE)
            for space in page:
                async with self.database.read(snapshot=True) as tx:
                    await self._space(tx, space)
            if len(page) < SPACES_PER_PAGE:
                return self.tally
            last = page[-1]

    def _tell(self, space: str | None, record: str | None, finding: Finding) -> None:
        self.tally.violations += 1
        self.found(Violation(finding.rule, space, record, finding.what))

    # -- one space -------------------------------------------------------------------------------------------

    async def _space(self, tx: Transaction, space_id: str) -> None:
        self.tally.spaces += 1
        try:
            space = await read_space(tx, space_id)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._tell(space_id, None, Finding("space_unreadable", "its version or its lives cannot be read"))
            return
        if space is None:
            return  # It was removed since it was listed.
        for finding in check_space(space):
            self._tell(space_id, None, finding)
        for seq in await store.repeated_seqs(tx, space_id, ORPHANS_MAX):
            self._tell(space_id, None, Finding("seq_repeated", f"more than one served record has the seq {seq}"))
        await self._ledger(tx, space)
        await self._seen(tx, space)
        counted = _Counted(bytes=await store.ledger_bytes(tx, space_id))
        after = START
        while True:
            rows = await store.read_records(tx, space_id, after, RECORDS_PER_PAGE)
            await self._replay(tx, space, await self._records(tx, space, rows, counted))
            if len(rows) < RECORDS_PER_PAGE:
                break
            after = rows[-1].key
        for name, stored, real in (
            ("records", space.records, counted.records),
            ("bytes", space.bytes, counted.bytes),
        ):
            if stored != real:
                self._tell(space_id, None, Finding("counter_differs", f"it says {name} = {stored}, and has {real}"))

    async def _ledger(self, tx: Transaction, space: SpaceRow) -> None:
        version = dict(space.version)
        lost: set[Key] = set()
        device = ""
        while (found := await store.next_device(tx, space.id, device)) is not None:
            device, oldest, newest = found
            n = version.pop(device, 0)
            if n != newest:
                what = f"the space has seen {n} of {device}, and the ledger's newest is {newest}"
                self._tell(space.id, None, Finding("version_differs", what))
            above = max(0, newest - LEDGER_KEPT)
            count, arrival = await store.count_newest(tx, space.id, device, above)
            if count != newest - above:
                what = f"{newest - above - count} of the newest {newest - above} changes of {device} are missing"
                self._tell(space.id, None, Finding("ledger_hole", what))
            if arrival > space.head:
                what = f"a change of {device} arrived at {arrival}, above the head {space.head}"
                self._tell(space.id, None, Finding("head_behind", what))
            for start in range(oldest - 1, newest, NUMBERS_PER_PAGE):
                upto = start + NUMBERS_PER_PAGE
                lost |= set(await store.read_lost(tx, space.id, device, start, upto, ORPHANS_MAX))
                if len(lost) > ORPHANS_MAX:
                    break
        for key in sorted(lost):
            what = "the ledger has accepted changes of it, and it is not stored"
            self._tell(space.id, "/".join(key), Finding("record_missing", what))
        for device, n in version.items():
            what = f"the space has seen {n} of {device}, and the ledger has nothing of it"
            self._tell(space.id, None, Finding("version_differs", what))

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

    # -- records ---------------------------------------------------------------------------------------------

    async def _records(
        self, tx: Transaction, space: SpaceRow, rows: list[AuditedRecord], counted: _Counted
    ) -> dict[Key, RecordState | None]:
        """Check the rows of a page; their states by key, None where one cannot be read or is of no known collection."""
        keys = {(row.parent_collection or "", row.parent_id) for row in rows if row.parent_id is not None}
        parents: dict[Key, Parent] = {}
        for key, (status, data) in (await store.read_parents(tx, space.id, keys)).items():
            state = decode_state(data)
            parents[key] = Parent(status, None if state is None else state.below)
        states: dict[Key, RecordState | None] = {}
        for row in rows:
            counted.records += row.status in (0, 2)
            counted.bytes += len(row.body) + len(row.state)
            states[row.key] = await self._record(space, row, parents)
        self.tally.records += len(rows)
        self.walked(len(rows))
        return states

    async def _record(self, space: SpaceRow, row: AuditedRecord, parents: dict[Key, Parent]) -> RecordState | None:
        name = f"{row.collection}/{row.id}"
        if row.collection not in COLLECTIONS:
            self._tell(space.id, name, Finding("unknown_collection", "this version knows no such collection"))
            return None
        state = decode_state(row.state)
        if state is None:
            self._tell(space.id, name, Finding("state_unreadable", "its state cannot be read"))
            return None
        parent = None if row.parent_id is None else parents.get((row.parent_collection or "", row.parent_id))
        for finding in check_record(space, row, state, parent):
            self._tell(space.id, name, finding)
        for field_name, text in state.texts.items():
            if text.text is None or await self._read(text.yjs) != text.text:
                what = f"the text of {field_name} is not what its document says"
                self._tell(space.id, name, Finding("text_differs", what))
        return state

    async def _read(self, yjs: bytes) -> str | None:
        try:
            return (await self.texts.read([yjs]))[0].text
        except BadText:
            return None

    async def _compacted(self, state: RecordState) -> RecordState:
        for name, update in kernel.unread_texts(state):
            with contextlib.suppress(BadText):
                (read,) = await self.texts.read([update])
                state = kernel.with_text(state, name, read.text, read.compacted)
        return state

    # -- the ledger, record by record ------------------------------------------------------------------------

    async def _replay(self, tx: Transaction, space: SpaceRow, states: dict[Key, RecordState | None]) -> None:
        """Work every record of a page out again from its lines."""
        unseen = {key for key, state in states.items() if state is not None and state.named}
        replay: Replay | None = None
        async for line in _lines(tx, space.id, list(states)):
            self.tally.changes += 1
            key = (line.collection or "", line.id or "")
            if replay is None or replay.key != key:
                if replay is not None:
                    await self._compare(space, replay, states[replay.key])
                replay = Replay(key)
                unseen.discard(key)
            if not replay.add(line):
                replay.state = await self._compacted(replay.state)
                replay.add(line, compacted=True)
        if replay is not None:
            await self._compare(space, replay, states[replay.key])
        for key in sorted(unseen):
            self._tell(space.id, "/".join(key), Finding("ledger_missing", "none of its changes is in the ledger"))

    async def _compare(self, space: SpaceRow, replay: Replay, state: RecordState | None) -> None:
        name = "/".join(replay.key)
        if replay.broken is not None:
            self._tell(space.id, name, Finding("change_unreadable", replay.broken))
        elif state is not None and (differing := await self._differences(state, replay.state)):
            what = f"its {', '.join(differing)} are not what its changes make of it"
            self._tell(space.id, name, Finding("replay_differs", what))

    async def _differences(self, state: RecordState, replayed: RecordState) -> list[str]:
        found = differences(state, replayed)
        for name in state.texts.keys() & replayed.texts.keys():
            here, there = state.texts[name].yjs, replayed.texts[name].yjs
            # The same document has more than one encoding.
            if here != there and await self._read(here) != await self._read(there):
                found.append(f"text {name}")
        return found


async def _lines(tx: Transaction, space: str, keys: list[Key]) -> AsyncIterator[StoredChange]:
    after = Place()
    while True:
        page = await store.read_lines(tx, space, keys, after, LINES_PER_PAGE)
        for line in page:
            yield line
        if len(page) < LINES_PER_PAGE:
            return
        last = page[-1]
        after = Place(last.collection or "", last.id or "", last.arrival, last.device, last.n)
