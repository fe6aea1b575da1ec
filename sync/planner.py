"""From a batch of changes to the rows it leaves: pure, but for the reading of texts, which is a port.

A `Planner` is given the locked space and the stored records that the batch names, with all their ancestors. It
judges the changes one by one against a working copy (`judge`); that settles what follows from them for parents and
for what lies below (`WorkingCopy.settle`, `absorb`); and then it yields the rows to write (`finish`). Nothing here
touches a database or a clock.

Invariants
    P1  A rejected change leaves no trace but its verdict; of a group, all changes are rejected or none.
    P2  Whatever gets an accepted write, or comes back, gets a new seq above the head; parents before children.
    P3  The head moves with every batch that spends a number, so that every reader hears of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

import msgspec

from conflict import record as kernel
from conflict.clock import COUNTER_MAX, DRIFT_MAX_MS, clamp, pack
from conflict.errors import KernelError
from conflict.record import Change, RecordState
from conflict.vectors import cut
from storage.collection_specs import CollectionSpec
from storage.collections import COLLECTIONS
from storage.rows import Key, StoredChange, StoredRecord
from storage.spaces import SpaceRow
from sync.bodies import DELETED, HIDDEN, SHOWN, STUB, deleted_body, shown_body
from sync.errors import TooLarge
from sync.ledger import Judged, is_storable, line, rejected
from sync.limits import Limits
from sync.messages import Rejected, SentChange
from sync.text_guard import TIMEOUTS_MAX, TOO_LONG
from sync.texts import BadText, TextReader, TextTimeout
from sync.validation import Rejection, check_fields, check_id
from sync.working_copy import PAUSE_EVERY, Entry, WorkingCopy

# Merging a set costs its size with every change; tags and muscles are a handful.
SET_ELEMENTS_MAX = 1_000
# How many bytes of texts a batch has read one by one, with the space locked: some hundred milliseconds. Past it the
# device sends the batch in parts.
ONE_BY_ONE_BYTES_MAX = 1_048_576

_encode = msgspec.json.Encoder().encode


class _Attempt(msgspec.Struct):
    """What one change would make of its record."""

    entry: Entry
    state: RecordState
    parent: Key | None
    size_bound: int


@dataclass(slots=True)
class Plan:
    """What a batch leaves behind: rows to write, and what to tell the device."""

    space: SpaceRow
    records: list[StoredRecord]
    changes: list[StoredChange]
    rejected: list[Rejected]
    clamped: list[int]


def named_keys(changes: Iterable[SentChange]) -> set[Key]:
    """The records that a batch names, and the parents that its puts name: what the planner must be given."""
    keys: set[Key] = set()
    for change in changes:
        if change.collection is None or change.id is None:
            continue
        spec = COLLECTIONS.get(change.collection)
        # What is no id is rejected when it is judged, and reaches no query.
        if spec is None or not is_storable(change.id):
            continue
        keys.add((change.collection, change.id))
        parent = _named_parent(spec, change.fields) if change.fields else None
        if parent is not None and is_storable(parent[1]):
            keys.add(parent)
    return keys


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
    # Numbers of changes whose text is known to be unreadable, and why (`TextGuard`).
    unreadable: Mapping[int, str] = field(default_factory=dict)
    # How many texts took the reader's whole time.
    timeouts: int = 0
    judged: list[Judged] = field(default_factory=list)
    working_copy: WorkingCopy = field(init=False)
    # By the identity of what was sent: inherited contexts are the same object, so a batch usually cuts one.
    _contexts: dict[int, tuple[dict[str, int], bytes]] = field(default_factory=dict)
    _one_by_one: bool = False
    _read_bytes: int = 0
    _latest_hlc: str = field(init=False)

    def __post_init__(self) -> None:
        self.working_copy = WorkingCopy(self.records)
        self._latest_hlc = pack(self.now_ms + DRIFT_MAX_MS, COUNTER_MAX)

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
            self.working_copy.clear()
            self._one_by_one = True
            await self._judge_all(changes, first_context or {})

    async def _judge_all(self, changes: Sequence[SentChange], context: dict[str, int]) -> None:
        for group, run in groupby(changes, key=lambda change: change.group):
            self.working_copy.begin(undoable=group is not None)
            begun = len(self.judged)
            for change in run:
                if change.context is not None:
                    context = change.context
                self.judged.append(await self._judge_one(change, context))
            if group is not None:
                self._reject_whole_group(begun)

    def _reject_whole_group(self, begun: int) -> None:
        """Of the changes judged since `begun`, one group, reject all where one is rejected (P1)."""
        verdicts = self.judged[begun:]
        failed = next((v.sent.n for v in verdicts if v.rejection is not None), None)
        if failed is not None:
            self.working_copy.roll_back()
            self.judged[begun:] = [_rejected_with_group(v, failed) for v in verdicts]

    async def _texts_stand(self) -> bool:
        """Read every text that moved, and say whether the batch may stay as it was judged."""
        moved = [entry for entry in self.working_copy.entries() if entry.written and kernel.unread_texts(entry.state)]
        full = {
            (v.sent.collection, v.sent.id)
            for v in self.judged
            if v.rejection is not None and v.rejection.code == "record_full"
        }
        if any(entry.key in full for entry in moved):
            # What was deleted is still counted in a text that nobody has read; read, it may fit.
            return False
        for entry in moved:
            try:
                entry.state = await self._with_texts(entry.state)
            except BadText as error:
                self.timeouts += isinstance(error, TextTimeout)
                return False
            if len(shown_body(entry.key, entry.state, entry.spec)) > self.limits.record_bytes_max:
                return False
        return True

    async def _judge_one(self, sent: SentChange, context: dict[str, int]) -> Judged:
        known = self._contexts.get(id(context))
        if known is None:
            seen = cut(context, self.space.version)
            known = self._contexts[id(context)] = seen, _encode(seen)
        seen, encoded_context = known
        hlc = sent.hlc if sent.hlc <= self._latest_hlc else clamp(sent.hlc, self.now_ms)
        if sent.op == "void":
            return Judged(sent, encoded_context, hlc, None, None)
        fields = _encode(sent.fields or {}) if sent.op == "put" else None
        outcome = self._attempt(sent, seen, hlc, fields)
        if self._one_by_one and not isinstance(outcome, Rejection):
            outcome = await self._read_texts_of(outcome, sent)
        rejection = outcome if isinstance(outcome, Rejection) else self._accept(outcome, sent)
        return Judged(sent, encoded_context, hlc, rejection, fields)

    def _attempt(
        self, sent: SentChange, context: dict[str, int], hlc: str, encoded: bytes | None
    ) -> _Attempt | Rejection:
        """Check one change and merge it, touching nothing."""
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
            checked = check_fields(spec, sent.fields or {})
            if isinstance(checked, Rejection):
                return checked
            fields = checked
            if (why := self.unreadable.get(sent.n)) is not None:
                return Rejection("bad_text", _text_field(spec, fields), f"the text update cannot be read: {why}")

        entry = self.working_copy.entry((sent.collection, sent.id), spec)
        parent = _named_parent(spec, fields)
        if parent is not None and entry.parent is not None and parent != entry.parent:
            assert spec.rules.parent is not None
            return Rejection(
                "immutable", spec.rules.parent[0], "a record's parent never changes; copy it and delete this one"
            )
        change = Change(self.device, sent.n, hlc, context, "put" if sent.op == "put" else "delete", fields)
        try:
            state = kernel.apply(entry.state, change, spec.rules)
        except KernelError as error:
            return Rejection(error.code, _text_field(spec, fields), error.message)
        if (crowded := _crowded_set(entry.state, state, fields)) is not None:
            return Rejection("record_full", crowded, f"a set holds at most {SET_ELEMENTS_MAX} elements")
        return _Attempt(entry, state, entry.parent or parent, entry.size_bound + len(encoded or b""))

    async def _read_texts_of(self, attempt: _Attempt, sent: SentChange) -> _Attempt | Rejection:
        """Read the texts that one change moved."""
        if not kernel.unread_texts(attempt.state):
            return attempt
        at_fault = _text_field(attempt.entry.spec, sent.fields or {})
        if self.timeouts > TIMEOUTS_MAX:
            return Rejection("bad_text", at_fault, f"the text update cannot be read: {TOO_LONG}")
        self._read_bytes += sum(len(update) for _, update in kernel.unread_texts(attempt.state))
        if self._read_bytes > ONE_BY_ONE_BYTES_MAX and len(self.judged) > 0 and not self.as_server:
            raise TooLarge("The texts of this batch have to be read one by one, and are too many for that; split it.")
        try:
            attempt.state = await self._with_texts(attempt.state)
        except BadText as error:
            self.timeouts += isinstance(error, TextTimeout)
            return Rejection("bad_text", at_fault, f"the text update cannot be read: {error}")
        return attempt

    def _accept(self, attempt: _Attempt, sent: SentChange) -> Rejection | None:
        """Take over what a change makes of its record, where that is not too large."""
        entry, state = attempt.entry, attempt.state
        # A text is served with its string beside its state, which may be several times as long as what was sent.
        grown = self._one_by_one and bool(state.texts) and state.texts is not entry.state.texts
        largest = self.limits.record_bytes_max
        if (attempt.size_bound > largest or grown) and sent.op == "put":
            attempt.size_bound = size = len(shown_body(entry.key, state, entry.spec))
            if size > largest and size > len(shown_body(entry.key, entry.state, entry.spec)):
                return Rejection("record_full", None, f"the record would have more than {largest} bytes")
        self.working_copy.take(entry, state, attempt.parent, attempt.size_bound, deleted=sent.op == "delete")
        return None

    async def _with_texts(self, state: RecordState) -> RecordState:
        unread = kernel.unread_texts(state)
        if unread:
            texts = await self.texts.read([update for _, update in unread])
            for (name, _), read in zip(unread, texts, strict=True):
                state = kernel.with_text(state, name, read.text, read.compacted)
        return state

    # -- rows ------------------------------------------------------------------------------------------------

    async def finish(self) -> Plan:
        """The rows to write and the new state of the space. Call once, after the working copy has settled."""
        head = self.space.head
        rows: list[StoredRecord] = []
        records, size = self.space.records, self.space.bytes
        for number, entry in enumerate(self.working_copy.parents_first(), 1):
            if number % PAUSE_EVERY == 0:
                await asyncio.sleep(0)
            stored = entry.stored
            renewed = entry.written or entry.came_back
            if renewed:
                head += 1
            elif not (entry.state_moved or entry.status != entry.status_before):
                continue
            row = self._row(entry, head if renewed else (stored.seq if stored else 0), renewed)
            rows.append(row)
            records += row.status in _COUNTED
            size += len(row.body) + len(row.state)
            if stored is not None:
                records -= stored.status in _COUNTED
                size -= len(stored.body) + len(stored.state)
        if self.judged and head == self.space.head:
            head += 1
        version = self.space.version
        if self.judged:
            version = {**version, self.device: self.judged[-1].sent.n}
        device, user, now_ms = self.device, self.user, self.now_ms
        lines = [line(each, device=device, user=user, arrival=head, received_at=now_ms) for each in self.judged]
        size += sum(each.weight for each in lines)
        return Plan(
            space=replace(self.space, head=head, version=version, records=records, bytes=size),
            records=rows,
            changes=lines,
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
        state = stored.state if stored is not None and not entry.moved else kernel.encode(entry.state)
        return StoredRecord(entry.key[0], entry.key[1], seq, entry.parent, entry.status, body, state)


# What a quota counts, of the records of a space.
_COUNTED = frozenset((SHOWN, HIDDEN))


def _rejected_with_group(judged: Judged, failed: int) -> Judged:
    if judged.rejection is not None or judged.sent.op == "void":
        return judged
    rejection = Rejection("group", None, f"change {failed} of the same group was rejected")
    return msgspec.structs.replace(judged, rejection=rejection)


def _text_field(spec: CollectionSpec, fields: Iterable[str]) -> str | None:
    return next((name for name in fields if spec.rules.fields[name].kind == "text"), None)


def _crowded_set(before: RecordState, after: RecordState, fields: dict[str, Any]) -> str | None:
    """The set field that a change would fill beyond its maximum; one that makes it smaller passes."""
    if not after.sets or after.sets is before.sets:
        return None
    for name in fields:
        count = len(after.sets.get(name, ()))
        if count > SET_ELEMENTS_MAX and count > len(before.sets.get(name, ())):
            return name
    return None
