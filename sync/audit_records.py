"""The audit of records: each compared with its parent's row, and worked out again from its lines of the ledger.

Records are walked page by page in the order of their key, each page with its lines; so a space may be gone over in
parts, in several processes.

Invariants
    A2  Memory does not grow with the database: a page of records, and one record's replay.
    A3  A line that was left behind by a collected tombstone is no part of a record that began anew.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Final

from conflict import record as kernel
from conflict.record import RecordState
from storage import audit as store
from storage.audit import AuditedRecord, Place, Put
from storage.collections import COLLECTIONS
from storage.database import Transaction
from storage.rows import Key, StoredChange
from storage.spaces import SpaceRow
from sync.audit_rules import ODD, Finding, Parent, Replay, Violation, check_record, decode_state, differences
from sync.bodies import HIDDEN, SHOWN
from sync.texts import BadText, TextReader

# Each may have a quarter of a megabyte, twice.
RECORDS_PER_PAGE: Final = 200
LINES_PER_PAGE: Final = 1_000
# A parent counts one put of each device that ever wrote below it.
PUTS_PER_STATEMENT: Final = 1_000


@dataclass(slots=True)
class Counted:
    """What some records come to: those that count for the quota, the bytes of all, and the rows and lines gone over."""

    records: int = 0
    bytes: int = 0
    rows: int = 0
    changes: int = 0

    def add(self, other: Counted) -> None:
        self.records += other.records
        self.bytes += other.bytes
        self.rows += other.rows
        self.changes += other.changes


@dataclass
class RecordAudit:
    """Goes over records of one space in one snapshot. `found` is told of each violation, `walked` of records."""

    tx: Transaction
    space: SpaceRow
    texts: TextReader
    found: Callable[[Violation], None]
    walked: Callable[[int], None] = lambda _: None
    counted: Counted = field(default_factory=Counted)

    async def run(self, after: Key, upto: Key | None) -> Counted:
        """Go over the records whose keys are above `after` and at most `upto`; to the end where that is None."""
        while True:
            rows = await store.read_records(self.tx, self.space.id, after, upto, RECORDS_PER_PAGE)
            try:
                await self._replay({row.key: row.seq for row in rows}, await self._page(rows))
            except ODD as error:
                # One row must not hide what is wrong with the other pages.
                where = f"in it, in one of the {len(rows) - 1} records after it or in their changes"
                what = f"a value {where} is none that its column has ({error})"
                self._tell("/".join(map(str, rows[0].key)), Finding("row_unreadable", what))
            self.walked(len(rows))
            if len(rows) < RECORDS_PER_PAGE:
                return self.counted
            after = rows[-1].key

    def _tell(self, record: str, finding: Finding) -> None:
        self.found(Violation(finding.rule, self.space.id, record, finding.what))

    async def _page(self, rows: list[AuditedRecord]) -> dict[Key, RecordState | None]:
        """Check the rows of a page; their states by key, None where one cannot be read or is of no known collection."""
        keys = {(row.parent_collection or "", row.parent_id) for row in rows if row.parent_id is not None}
        parents: dict[Key, Parent] = {}
        for key, (status, data) in (await store.read_parents(self.tx, self.space.id, keys)).items():
            state = decode_state(data)
            parents[key] = Parent(status, None if state is None else state.below)
        states: dict[Key, RecordState | None] = {}
        for row in rows:
            self.counted.records += row.status in (SHOWN, HIDDEN)
            self.counted.bytes += len(row.body) + len(row.state)
            states[row.key] = await self._record(row, parents)
        self.counted.rows += len(rows)
        puts = [Put(*key, device, n) for key, state in states.items() if state for device, n in state.below.items()]
        for at in range(0, len(puts), PUTS_PER_STATEMENT):
            for put in await store.unfounded(self.tx, self.space.id, puts[at : at + PUTS_PER_STATEMENT]):
                what = f"it counts change {put.n} of {put.device} as a put below it, and that is none"
                self._tell(f"{put.collection}/{put.id}", Finding("below_unfounded", what))
        return states

    async def _record(self, row: AuditedRecord, parents: dict[Key, Parent]) -> RecordState | None:
        name = f"{row.collection}/{row.id}"
        if row.collection not in COLLECTIONS:
            self._tell(name, Finding("unknown_collection", "this version knows no such collection"))
            return None
        state = decode_state(row.state)
        if state is None:
            self._tell(name, Finding("state_unreadable", "its state cannot be read"))
            return None
        parent = None if row.parent_id is None else parents.get((row.parent_collection or "", row.parent_id))
        for finding in check_record(self.space, row, state, parent):
            self._tell(name, finding)
        for field_name, text in state.texts.items():
            if text.text is None or await self._read(text.yjs) != text.text:
                what = f"the text of {field_name} is not what its document says"
                self._tell(name, Finding("text_differs", what))
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

    async def _replay(self, seqs: dict[Key, int], states: dict[Key, RecordState | None]) -> None:
        """Work every record of a page out again from its lines."""
        unseen = {key for key, state in states.items() if state is not None and state.named}
        replay: Replay | None = None
        async for line in _lines(self.tx, self.space.id, list(states)):
            self.counted.changes += 1
            key = (line.collection or "", line.id or "")
            if replay is None or replay.key != key:
                if replay is not None:
                    await self._compare(replay, seqs[replay.key], states[replay.key])
                replay = Replay(key)
                unseen.discard(key)
            if not replay.add(line):
                replay.state = await self._compacted(replay.state)
                replay.add(line, compacted=True)
        if replay is not None:
            await self._compare(replay, seqs[replay.key], states[replay.key])
        for key in sorted(unseen):
            self._tell("/".join(key), Finding("ledger_missing", "none of its changes is in the ledger"))

    async def _compare(self, replay: Replay, seq: int, state: RecordState | None) -> None:
        name = "/".join(replay.key)
        if seq <= replay.before:
            what = f"its seq {seq} is of before its newest change, which arrived after {replay.before}"
            self._tell(name, Finding("seq_stale", what))
        if replay.broken is not None:
            self._tell(name, Finding("change_unreadable", replay.broken))
        elif state is not None and (differing := await self._differences(state, replay.state)):
            what = f"its {', '.join(differing)} are not what its changes make of it"
            self._tell(name, Finding("replay_differs", what))

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
