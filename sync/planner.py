"""From a batch of changes to the rows it leaves: pure, but for the reading of texts, which is a port.

A `Planner` is given the locked space and the stored records that the batch names, with all their ancestors. It
judges the changes one by one against a working copy (`judge`), then settles what follows from them for parents
and for what lies below (`settle`, `absorb`), and yields the rows to write (`finish`). Nothing here touches a
database or a clock.

Invariants
    P1  A rejected change leaves no trace but its verdict; of a group, all changes are rejected or none.
    P2  Whatever gets an accepted write, or comes back, gets a new seq above the head; parents before children.
    P3  The head moves with every batch that spends a number, so that every reader hears of it.
    P4  `below` of a record covers every counting put of its descendants, so a delete is judged without reading
        them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from conflict import record as kernel
from conflict.clock import clamp
from conflict.errors import KernelError
from conflict.record import EMPTY, Change, RecordState
from conflict.vectors import cut, merged
from storage.collections import COLLECTIONS, CollectionSpec
from storage.push import Key, SpaceRow, StoredChange, StoredRecord
from sync.bodies import DELETED, HIDDEN, SHOWN, STUB, deleted_body, shown_body
from sync.limits import Limits
from sync.messages import Rejected, SentChange
from sync.texts import BadText, TextReader, TextTimeout
from sync.validation import Rejection, check_id, check_put

# Merging a set costs its size with every change; tags and muscles are a handful.
SET_ELEMENTS_MAX = 1_000
# Each has cost the reader's whole time limit, with the space locked.
TEXT_TIMEOUTS_MAX = 2

_encode = msgspec.json.Encoder().encode


@dataclass(slots=True, eq=False)
class Entry:
    """The working copy of one record."""

    key: Key
    spec: CollectionSpec
    stored: StoredRecord | None
    state: RecordState
    parent: Key | None
    status: int
    # An upper bound of the record's size as served; exact sizes are computed only near the limit.
    size_bound: int
    written: bool = False
    deleted_by_batch: bool = False
    state_moved: bool = False
    came_back: bool = False

    @property
    def status_before(self) -> int:
        return STUB if self.stored is None else self.stored.status


@dataclass(frozen=True, slots=True)
class Judged:
    """One change of the batch with its verdict."""

    sent: SentChange
    context: dict[str, int]
    hlc: str
    rejection: Rejection | None
    fields: bytes | None


@dataclass(slots=True)
class Plan:
    """What a batch leaves behind: rows to write, and what to tell the device."""

    space: SpaceRow
    records: list[StoredRecord]
    changes: list[StoredChange]
    rejected: list[Rejected]
    clamped: list[int]


@dataclass(slots=True)
class _Undo:
    entry: Entry
    state: RecordState
    parent: Key | None
    size_bound: int
    written: bool
    deleted_by_batch: bool


def named_keys(changes: Iterable[SentChange]) -> set[Key]:
    """The records that a batch names, and the parents that its puts name: what the planner must be given."""
    keys: set[Key] = set()
    for change in changes:
        if change.collection is None or change.id is None:
            continue
        spec = COLLECTIONS.get(change.collection)
        # What is no id is rejected when it is judged, and reaches no query: databases refuse some characters.
        if spec is None or check_id(spec, change.id) is not None:
            continue
        keys.add((change.collection, change.id))
        parent = _named_parent(spec, change.fields or {})
        if parent is not None and check_id(COLLECTIONS[parent[0]], parent[1]) is None:
            keys.add(parent)
    return keys


# Longer names are of no collection and no record; an index would refuse them.
_LEDGER_NAME_CHARS_MAX = 100


def ledger_name(name: str | int | None) -> str | None:
    """A collection, an id or a group as the ledger keeps it: what no database stores is replaced, what is no
    name is cut. A change under such a name was rejected; the ledger only has to know it again."""
    return None if name is None else str(name).replace("\0", "\ufffd")[:_LEDGER_NAME_CHARS_MAX]


def _named_parent(spec: CollectionSpec, fields: dict[str, Any]) -> Key | None:
    rule = spec.rules.parent
    if rule is None:
        return None
    parent = fields.get(rule[0])
    return (rule[1], parent) if isinstance(parent, str) else None


@dataclass(eq=False)
class Planner:
    """Judges one batch of one device in one locked space; used once."""

    space: SpaceRow
    device: str
    user: str
    records: dict[Key, StoredRecord]
    texts: TextReader
    limits: Limits
    now_ms: int
    # The server itself writes what devices may not (records, achievements, the catalog).
    as_server: bool = False
    judged: list[Judged] = field(default_factory=list)
    _entries: dict[Key, Entry] = field(default_factory=dict)
    _undo: list[_Undo] | None = None
    _contexts: dict[int, dict[str, int]] = field(default_factory=dict)
    _one_by_one: bool = False
    _timeouts: int = 0

    # -- judging ---------------------------------------------------------------------------------------------

    async def judge(self, changes: Sequence[SentChange], first_context: dict[str, int] | None = None) -> None:
        """Judge the changes in order; the verdicts stand in `judged`.

        `first_context` is the context of the first change where it names none itself: that of the last repeated
        change before it in the batch.

        Texts are read together at the end: one question to the reader for a batch. Where that shows that some change
        cannot stand, the batch is judged anew, reading each text as it moves, to find out which.
        """
        await self._judge_all(changes, first_context or {})
        if not await self._texts_stand():
            self.judged.clear()
            self._entries.clear()
            self._one_by_one = True
            await self._judge_all(changes, first_context or {})

    async def _judge_all(self, changes: Sequence[SentChange], context: dict[str, int]) -> None:
        for unit in _units(changes):
            grouped = unit[0].group is not None
            self._undo = [] if grouped else None
            verdicts: list[Judged] = []
            for change in unit:
                context = change.context if change.context is not None else context
                verdicts.append(await self._judge_one(change, context))
            failed = next((v for v in verdicts if v.rejection is not None), None)
            if grouped and failed is not None:
                self._roll_back()
                verdicts = [_reject_with_group(v, failed.sent.n) for v in verdicts]
            self._undo = None
            self.judged += verdicts

    async def _texts_stand(self) -> bool:
        """Read every text that moved, and say whether the batch may stay as it was judged."""
        moved = [entry for entry in self._entries.values() if kernel.unread_texts(entry.state)]
        if any(v.rejection is not None and v.rejection.code == "record_full" for v in self.judged):
            # What was deleted is still counted in a text that nobody has read; read, it may fit.
            return not any(_text_field(entry.spec, entry.spec.rules.fields) for entry in self._entries.values())
        for entry in moved:
            try:
                entry.state = await self._with_texts(entry.state)
            except BadText:
                return False
            if len(shown_body(entry.key, entry.state, entry.spec)) > self.limits.record_bytes_max:
                return False
        return True

    async def _judge_one(self, sent: SentChange, context: dict[str, int]) -> Judged:
        known = self._cut(context)
        hlc = clamp(sent.hlc, self.now_ms)
        if sent.op == "void":
            return Judged(sent, known, hlc, None, None)
        fields = _encode(sent.fields or {}) if sent.op == "put" else None
        rejection = await self._try(sent, known, hlc, fields)
        return Judged(sent, known, hlc, rejection, fields)

    def _cut(self, context: dict[str, int]) -> dict[str, int]:
        # Inherited contexts are the same object, so a batch usually cuts one.
        found = self._contexts.get(id(context))
        if found is None:
            found = self._contexts[id(context)] = cut(context, self.space.version)
        return found

    async def _try(
        self, sent: SentChange, context: dict[str, int], hlc: str, encoded: bytes | None
    ) -> Rejection | None:
        assert sent.collection is not None and sent.id is not None
        spec = COLLECTIONS.get(sent.collection)
        if spec is None:
            return Rejection("unknown_collection", None, f"this server has no collection {sent.collection[:60]!r}")
        if spec.server_only and not self.as_server:
            return Rejection("read_only", None, f"{spec.name} are written by the server alone")
        if (refused := check_id(spec, sent.id)) is not None:
            return refused
        if encoded is not None and len(encoded) > self.limits.change_bytes_max and not self.as_server:
            return Rejection(
                "too_long", None, f"the change has {len(encoded)} bytes and at most {self.limits.change_bytes_max} fit"
            )
        fields: dict[str, Any] = {}
        if sent.op == "put":
            checked = check_put(spec, sent.id, sent.fields or {})
            if isinstance(checked, Rejection):
                return checked
            fields = checked

        entry = self._entry((sent.collection, sent.id), spec)
        parent = _named_parent(spec, fields)
        if parent is not None and entry.parent is not None and parent != entry.parent:
            assert spec.rules.parent is not None
            return Rejection(
                "immutable", spec.rules.parent[0], "a record's parent never changes; copy it and delete this one"
            )
        change = Change(self.device, sent.n, hlc, context, "put" if sent.op == "put" else "delete", fields)
        try:
            state = kernel.apply(entry.state, change, spec.rules)
            if self._one_by_one and kernel.unread_texts(state):
                if self._timeouts >= TEXT_TIMEOUTS_MAX:
                    raise BadText("texts of this batch took too long to read")
                state = await self._with_texts(state)
        except TextTimeout as error:
            self._timeouts += 1
            return Rejection("bad_text", _text_field(spec, fields), f"the text update cannot be read: {error}")
        except BadText as error:
            return Rejection("bad_text", _text_field(spec, fields), f"the text update cannot be read: {error}")
        except KernelError as error:
            return Rejection(error.code, _text_field(spec, fields), error.message)
        if (crowded := _crowded_set(entry.state, state, fields)) is not None:
            return Rejection("record_full", crowded, f"a set holds at most {SET_ELEMENTS_MAX} elements")
        size_bound = entry.size_bound + len(encoded or b"")
        # A text is served with its string beside its state, which may be several times as long as what was sent.
        grown = self._one_by_one and bool(state.texts) and state.texts is not entry.state.texts
        if (size_bound > self.limits.record_bytes_max or grown) and sent.op == "put":
            size_bound = len(shown_body(entry.key, state, spec))
            if size_bound > self.limits.record_bytes_max and size_bound > len(shown_body(entry.key, entry.state, spec)):
                return Rejection(
                    "record_full", None, f"the record would have more than {self.limits.record_bytes_max} bytes"
                )

        self._remember(entry)
        entry.state = state
        entry.parent = entry.parent or parent
        entry.size_bound = size_bound
        entry.written = True
        entry.deleted_by_batch = entry.deleted_by_batch or sent.op == "delete"
        return None

    async def _with_texts(self, state: RecordState) -> RecordState:
        unread = kernel.unread_texts(state)
        if unread:
            texts = await self.texts.read([update for _, update in unread])
            for (name, _), read in zip(unread, texts, strict=True):
                state = kernel.with_text(state, name, read.text, read.compacted)
        return state

    def _remember(self, entry: Entry) -> None:
        if self._undo is not None:
            self._undo.append(
                _Undo(entry, entry.state, entry.parent, entry.size_bound, entry.written, entry.deleted_by_batch)
            )

    def _roll_back(self) -> None:
        for undo in reversed(self._undo or ()):
            entry = undo.entry
            entry.state, entry.parent, entry.size_bound = undo.state, undo.parent, undo.size_bound
            entry.written, entry.deleted_by_batch = undo.written, undo.deleted_by_batch

    def _entry(self, key: Key, spec: CollectionSpec | None = None) -> Entry:
        entry = self._entries.get(key)
        if entry is None:
            spec = spec or COLLECTIONS[key[0]]
            stored = self.records.get(key)
            if stored is None:
                entry = Entry(key, spec, None, EMPTY, None, STUB, 0)
            else:
                state = kernel.decode(stored.state)
                size = len(stored.state) + len(stored.body)
                entry = Entry(key, spec, stored, state, stored.parent, stored.status, size)
            self._entries[key] = entry
        return entry

    # -- what follows ----------------------------------------------------------------------------------------

    def deleted_live(self) -> dict[str, int]:
        """How many records that were shown the batch's accepted deletes name, by collection."""
        counts: dict[str, int] = {}
        for entry in self._entries.values():
            if entry.deleted_by_batch and entry.status_before == SHOWN:
                counts[entry.key[0]] = counts.get(entry.key[0], 0) + 1
        return counts

    def settle(self) -> list[Key]:
        """Carry puts up to the ancestors and work out what is shown.

        Returns the records whose descendants must now be read and given to `absorb`: those that came, went or
        came back while something may lie below them.
        """
        self._carry_up()
        self._restate()
        return [
            entry.key
            for entry in self._entries.values()
            if entry.stored is not None
            and entry.spec.has_children
            and (entry.status == SHOWN) != (entry.status_before == SHOWN)
        ]

    def absorb(self, below: Iterable[StoredRecord]) -> None:
        """Take the descendants of what `settle` named, and work out what is shown of them."""
        for stored in below:
            self.records.setdefault((stored.collection, stored.id), stored)
            self._entry((stored.collection, stored.id))
        self._restate()

    def _carry_up(self) -> None:
        deepest = max((e.spec.depth for e in self._entries.values() if e.written), default=0)
        for depth in range(deepest, 0, -1):
            risen: dict[Key, dict[str, int]] = {}
            for entry in list(self._entries.values()):
                if entry.spec.depth == depth and entry.parent and (entry.written or entry.state_moved):
                    puts = kernel.puts_at_or_below(entry.state)
                    known = risen.get(entry.parent)
                    risen[entry.parent] = puts if known is None else merged(known, puts)
            for key, puts in risen.items():
                parent = self._entry(key)
                state = kernel.raise_below(parent.state, puts)
                if state != parent.state:
                    parent.state = state
                    parent.state_moved = True

    def _restate(self) -> None:
        memo: dict[Key, int] = {}
        for entry in list(self._entries.values()):
            entry.status = self._status(entry.key, memo)
            entry.came_back = entry.status == SHOWN and entry.status_before != SHOWN

    def _status(self, key: Key, memo: dict[Key, int]) -> int:
        known = memo.get(key)
        if known is not None:
            return known
        entry = self._entries.get(key)
        if entry is None:
            stored = self.records.get(key)
            if stored is None:
                return STUB
            entry = self._entry(key)
        if not entry.state.named:
            status = STUB
        elif kernel.is_deleted(entry.state):
            status = DELETED
        elif entry.spec.rules.parent is None:
            status = SHOWN
        elif entry.parent is None or self._status(entry.parent, memo) != SHOWN:
            status = HIDDEN
        else:
            status = SHOWN
        memo[key] = status
        return status

    # -- rows ------------------------------------------------------------------------------------------------

    def finish(self) -> Plan:
        """The rows to write and the new state of the space. Call once, after `settle` and `absorb`."""
        head = self.space.head
        rows: list[StoredRecord] = []
        records, size = self.space.records, self.space.bytes
        for entry in sorted(self._entries.values(), key=lambda e: e.spec.depth):
            stored = entry.stored
            renewed = entry.written or entry.came_back
            if renewed:
                head += 1
            elif not (entry.state_moved or entry.status != entry.status_before):
                continue
            rows.append(self._row(entry, head if renewed else (stored.seq if stored else 0), renewed))
            records += _counted(rows[-1]) - _counted(stored)
            size += _weight(rows[-1]) - _weight(stored)
        if self.judged and head == self.space.head:
            head += 1
        version = self.space.version
        if self.judged:
            version = {**version, self.device: self.judged[-1].sent.n}
        space = replace(self.space, head=head, version=version, records=records, bytes=size)
        return Plan(
            space=space,
            records=rows,
            changes=[self._change(judged, head) for judged in self.judged],
            rejected=[rejected(judged) for judged in self.judged if judged.rejection is not None],
            clamped=[judged.sent.n for judged in self.judged if judged.hlc != judged.sent.hlc],
        )

    def _row(self, entry: Entry, seq: int, renewed: bool) -> StoredRecord:
        stored = entry.stored
        if entry.status == STUB:
            body = b""
        elif entry.status == DELETED:
            body = stored.body if stored and not renewed else deleted_body(entry.key, entry.state)
        elif stored is not None and not entry.written and stored.status in (SHOWN, HIDDEN):
            body = stored.body
        else:
            body = shown_body(entry.key, entry.state, entry.spec)
        moved = entry.written or entry.state_moved or stored is None
        state = kernel.encode(entry.state) if moved or stored is None else stored.state
        return StoredRecord(
            collection=entry.key[0],
            id=entry.key[1],
            seq=seq,
            parent=entry.parent,
            status=entry.status,
            body=body,
            state=state,
        )

    def _change(self, judged: Judged, arrival: int) -> StoredChange:
        sent = judged.sent
        return StoredChange(
            device=self.device,
            n=sent.n,
            arrival=arrival,
            collection=ledger_name(sent.collection) if sent.op != "void" else None,
            id=ledger_name(sent.id) if sent.op != "void" else None,
            op=sent.op,
            hlc=sent.hlc,
            clamped_hlc=judged.hlc if judged.hlc != sent.hlc else None,
            group=ledger_name(sent.group),
            context=_encode(judged.context),
            fields=kept_fields(judged),
            verdict=None if judged.rejection is None else encode_verdict(judged.rejection),
            received_at=self.now_ms,
            user=self.user,
        )


def _units(changes: Sequence[SentChange]) -> Iterator[list[SentChange]]:
    """Runs of adjacent changes of one group; a change without a group is a unit of its own."""
    unit: list[SentChange] = []
    for change in changes:
        if unit and (change.group is None or change.group != unit[-1].group):
            yield unit
            unit = []
        unit.append(change)
    if unit:
        yield unit


def _reject_with_group(judged: Judged, failed: int) -> Judged:
    if judged.rejection is not None or judged.sent.op == "void":
        return judged
    return replace(judged, rejection=Rejection("group", None, f"change {failed} of the same group was rejected"))


def _text_field(spec: CollectionSpec, fields: Iterable[str]) -> str | None:
    return next((name for name in fields if spec.rules.fields[name].kind == "text"), None)


def _crowded_set(before: RecordState, after: RecordState, fields: dict[str, Any]) -> str | None:
    """The set field that a change would fill beyond its maximum; one that makes it smaller passes."""
    if after.sets is before.sets:
        return None
    for name in fields:
        count = len(after.sets.get(name, ()))
        if count > SET_ELEMENTS_MAX and count > len(before.sets.get(name, ())):
            return name
    return None


def kept_fields(judged: Judged) -> bytes | None:
    """The fields as the ledger keeps them: as sent, or a digest of what was refused for its very size."""
    if judged.rejection is None or judged.rejection.code != "too_long" or judged.fields is None:
        return judged.fields
    return digest_of(judged.fields)


def digest_of(fields: bytes) -> bytes:
    """A JSON text that stands for fields too long to keep; enough to know them again."""
    return b'"sha256:%b"' % hashlib.sha256(fields).hexdigest().encode()


def encode_verdict(rejection: Rejection) -> bytes:
    """A rejection as the ledger keeps it, so that a repeated push is answered alike."""
    return _encode({"code": rejection.code, "field": rejection.field, "message": rejection.message})


def rejected(judged: Judged) -> Rejected:
    """A rejection as the device is told it."""
    assert judged.rejection is not None
    return Rejected(judged.sent.n, judged.rejection.code, judged.rejection.field, judged.rejection.message)


def _counted(row: StoredRecord | None) -> int:
    return 1 if row is not None and row.status in (SHOWN, HIDDEN) else 0


def _weight(row: StoredRecord | None) -> int:
    return 0 if row is None else len(row.body) + len(row.state)
