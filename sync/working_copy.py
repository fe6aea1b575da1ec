"""The records that a batch touches, as it leaves them: what it writes itself, and what follows for others.

Owns: the working copy of each record, how what was taken over is taken back, and what a write means for the records
above and below it: puts are carried up, and who lies below a deleted record is hidden.
Refuses to know: whether a change may stand, and which rows come of it (sync/planner.py).

Invariants
    P4  `below` of a record covers every counting put of its descendants, so a delete is judged without reading
        them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from conflict import record as kernel
from conflict.record import EMPTY, RecordState
from storage.collection_specs import CollectionSpec
from storage.collections import COLLECTIONS
from storage.rows import Key, StoredRecord
from sync.bodies import DELETED, HIDDEN, SHOWN, STUB

# What lies below one record may be hundreds of thousands, and the process has others to serve meanwhile.
PAUSE_EVERY = 500


class Entry:
    """The working copy of one record. `size_bound` is an upper bound of its size as served, in bytes; exact sizes
    are computed only near the limit."""

    __slots__ = (
        "_state",
        "came_back",
        "deleted_by_batch",
        "key",
        "parent",
        "size_bound",
        "spec",
        "state_moved",
        "status",
        "status_before",
        "stored",
        "written",
    )

    def __init__(self, key: Key, spec: CollectionSpec, stored: StoredRecord | None) -> None:
        self.key = key
        self.spec = spec
        self.stored = stored
        self.written = self.deleted_by_batch = self.state_moved = self.came_back = False
        if stored is None:
            self._state: RecordState | None = EMPTY
            self.parent: Key | None = None
            self.status = self.status_before = STUB
            self.size_bound = 0
        else:
            # Read when it is asked for: what lies below a deleted workout is never asked.
            self._state = None
            self.parent = stored.parent
            self.status = self.status_before = stored.status
            self.size_bound = len(stored.state) + len(stored.body)

    @property
    def state(self) -> RecordState:
        state = self._state
        if state is None:
            assert self.stored is not None
            state = self._state = kernel.decode(self.stored.state)
        return state

    @state.setter
    def state(self, state: RecordState) -> None:
        self._state = state

    @property
    def moved(self) -> bool:
        """True where the batch changed the state, or there is no stored one yet."""
        return self.written or self.state_moved or self.stored is None

    def own_status(self) -> int:
        """STUB, DELETED or SHOWN, the parent left aside."""
        if not self.moved:
            return SHOWN if self.status_before == HIDDEN else self.status_before
        if not self.state.named:
            return STUB
        return DELETED if kernel.is_deleted(self.state) else SHOWN


@dataclass(slots=True)
class _Undo:
    entry: Entry
    state: RecordState
    parent: Key | None
    size_bound: int
    written: bool
    deleted_by_batch: bool


class WorkingCopy:
    """What one batch makes of the records that it was given."""

    __slots__ = ("_entries", "_undo", "records")

    def __init__(self, records: dict[Key, StoredRecord]) -> None:
        """`records`: those that the batch names, as they are stored, with all their ancestors."""
        self.records = records
        self._entries: dict[Key, Entry] = {}
        self._undo: list[_Undo] | None = None

    def entry(self, key: Key, spec: CollectionSpec | None = None) -> Entry:
        """The working copy of one record, `spec` being its collection's."""
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = Entry(key, spec or COLLECTIONS[key[0]], self.records.get(key))
        return entry

    def entries(self) -> Collection[Entry]:
        """Every record that the batch touched, in that order."""
        return self._entries.values()

    def parents_first(self) -> list[Entry]:
        """The same, parents before children (P2)."""
        return sorted(self._entries.values(), key=_depth)

    # -- what changes write ----------------------------------------------------------------------------------

    def begin(self, *, undoable: bool) -> None:
        """Begin a run of changes, which `roll_back` takes back where it is `undoable`."""
        self._undo = [] if undoable else None

    def take(self, entry: Entry, state: RecordState, parent: Key | None, size_bound: int, *, deleted: bool) -> None:
        """Take over what a change makes of its record; `deleted`: the change is a delete."""
        if self._undo is not None:
            self._undo.append(
                _Undo(entry, entry.state, entry.parent, entry.size_bound, entry.written, entry.deleted_by_batch)
            )
        entry.state = state
        entry.parent = parent
        entry.size_bound = size_bound
        entry.written = True
        if deleted:
            entry.deleted_by_batch = True

    def roll_back(self) -> None:
        """Take back everything that was taken over since `begin`."""
        for undo in reversed(self._undo or ()):
            entry = undo.entry
            entry.state, entry.parent, entry.size_bound = undo.state, undo.parent, undo.size_bound
            entry.written, entry.deleted_by_batch = undo.written, undo.deleted_by_batch

    def clear(self) -> None:
        """Forget the batch; the records are as they were given."""
        self._entries.clear()

    # -- what follows ----------------------------------------------------------------------------------------

    def deleted_live(self) -> dict[str, int]:
        """How many records that were shown the batch's accepted deletes name, by collection."""
        counts: dict[str, int] = {}
        for entry in self._entries.values():
            if entry.deleted_by_batch and entry.status_before == SHOWN:
                counts[entry.key[0]] = counts.get(entry.key[0], 0) + 1
        return counts

    async def settle(self) -> list[Key]:
        """Carry puts up to the ancestors and work out what is shown.

        Returns the records whose descendants must now be read and given to `absorb`: those that came, went or
        came back while something may lie below them.
        """
        self._carry_up()
        await self._restate()
        return [
            entry.key
            for entry in self._entries.values()
            if entry.stored is not None
            and entry.spec.has_children
            and (entry.status == SHOWN) != (entry.status_before == SHOWN)
        ]

    async def absorb(self, below: Iterable[StoredRecord]) -> None:
        """Take the descendants of what `settle` named, and work out what is shown of them."""
        for number, stored in enumerate(below, 1):
            key = (stored.collection, stored.id)
            self.records.setdefault(key, stored)
            self.entry(key)
            if number % PAUSE_EVERY == 0:
                await asyncio.sleep(0)
        await self._restate()

    def _carry_up(self) -> None:
        deepest = max((e.spec.depth for e in self._entries.values() if e.written), default=0)
        for depth in range(deepest, 0, -1):
            risen: dict[Key, dict[str, int]] = {}
            for entry in self._entries.values():
                if entry.spec.depth == depth and entry.parent and (entry.written or entry.state_moved):
                    highest = risen.setdefault(entry.parent, {})
                    for device, n in kernel.puts_at_or_below(entry.state).items():
                        if n > highest.get(device, 0):
                            highest[device] = n
            for key, puts in risen.items():
                parent = self.entry(key)
                state = kernel.raise_below(parent.state, puts)
                if state is not parent.state:
                    parent.state = state
                    parent.state_moved = True

    async def _restate(self) -> None:
        for number, entry in enumerate(self.parents_first(), 1):
            if number % PAUSE_EVERY == 0:
                await asyncio.sleep(0)
            status = entry.own_status()
            if status == SHOWN and entry.spec.rules.parent is not None:
                above = None if entry.parent is None else self._status_of(entry.parent)
                status = SHOWN if above == SHOWN else HIDDEN
            entry.status = status
            entry.came_back = status == SHOWN and entry.status_before != SHOWN

    def _status_of(self, key: Key) -> int:
        entry = self._entries.get(key)
        if entry is not None:
            return entry.status
        # Nothing of the batch touches what is only given as an ancestor.
        stored = self.records.get(key)
        return STUB if stored is None else stored.status


def _depth(entry: Entry) -> int:
    return entry.spec.depth
