"""What a record was, and going back to it: history, restore, rewind.

Going back is never an erasure. What a record showed at an earlier moment is worked out from the ledger by the
merge kernel, and the difference to what it shows now is written as new changes of the server's own device, which
every device gets as an ordinary delta and could undo again.
"""

from __future__ import annotations

import base64
import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from conflict import clock
from conflict import record as kernel
from conflict.errors import RecordFull
from conflict.record import EMPTY, Change, RecordState
from conflict.text import UPDATE_BYTES_MAX
from storage import feed as store
from storage.collections import COLLECTIONS
from storage.database import Database, Transaction
from storage.history import read_touched
from storage.rows import Key, StoredChange
from storage.spaces import SpaceRow, membership
from sync.caller import Caller
from sync.errors import Forbidden, Invalid, Malformed, NotFound, ReadOnly, Unavailable
from sync.server_writes import ServerWrite, ServerWriter
from sync.texts import BadText, TextReader
from sync.validation import Rejection, check_put

# Why a field stayed as it is: a text has more than one change may carry; there was no value, and there has to be one.
TOO_LONG: Final = "too_long"
NOT_NULL: Final = "not_null"

# Of 64 KiB each: what a process holds of a record's history at once.
CHANGES_PER_PAGE: Final = 200
_BEFORE: Final = re.compile(r"([0-9]{1,16})\.([0-9]{1,16})")

_decode = msgspec.json.decode


@dataclass(frozen=True, slots=True)
class Rewound:
    """How many records went back, and what stayed as it is: collection, id, code, and field where it is one alone."""

    records: int
    left_out: list[dict[str, str]]


@dataclass(frozen=True)
class History:
    """The undo list of any record, and the ways back."""

    database: Database
    writer: ServerWriter
    texts: TextReader

    async def read(self, caller: Caller, space: str, key: Key, before: str | None = None) -> dict[str, Any]:
        """A page of one record's accepted changes, newest first, for as long as the retention keeps them.

        `before` of the answer is where the next page goes on; None where there is nothing older.

        Raises:
            NotFound: a space that the caller may not see, or a record without changes.
            Malformed: `before` is not of an answer.
        """
        place = None if before is None else _place(before)
        async with self.database.read() as tx:
            await _member(tx, caller, space)
            changes = await store.read_accepted(tx, space, key, place, CHANGES_PER_PAGE + 1)
        if not changes and place is None:
            raise NotFound()
        page = changes[:CHANGES_PER_PAGE]
        sizes = itertools.accumulate(len(change.fields or b"") for change in page)
        # One change always fits.
        page = page[: max(1, sum(size <= self.writer.path.limits.page_bytes_max for size in sizes))]
        return {
            "changes": [
                {
                    "device": change.device,
                    "n": change.n,
                    "at": clock.rfc3339(clock.wall_ms(_hlc(change))),
                    "op": change.op,
                    "fields": _decode(change.fields) if change.fields else {},
                }
                for change in page
            ],
            "before": f"{page[-1].arrival}.{page[-1].n}" if len(page) < len(changes) else None,
        }

    async def restore(self, caller: Caller, space: str, key: Key, dot: tuple[str, int]) -> list[dict[str, str]]:
        """Write what the record was just after the change `dot` as a new change; the fields that stayed as they are.

        Raises:
            NotFound: no such space, record or change.
            ReadOnly: the caller may read here and not write, or nobody but the server writes the collection.
            Invalid: a text is too long for one change.
        """
        left_out: list[dict[str, str]] = []

        async def guard(tx: Transaction, row: SpaceRow) -> Sequence[ServerWrite]:
            role = await _member(tx, caller, space)
            if role == "viewer":
                raise ReadOnly()
            if (spec := COLLECTIONS.get(key[0])) is not None and spec.server_only:
                raise ReadOnly(f"{spec.name} are written by the server alone; restore what they follow from.")
            changes = await _accepted(tx, space, key)
            place = next((i for i, c in enumerate(changes) if (c.device, c.n) == dot), None)
            if place is None:
                raise NotFound("The record has no such change.")
            kept = {(c.device, c.n) for c in changes[: place + 1]}
            left_out.clear()
            writes = await self._way_back(key, changes, lambda c: (c.device, c.n) in kept, left_out)
            for each in left_out:
                if each["code"] == TOO_LONG:
                    raise Invalid(
                        f"The text {each['field']} is too long to be written back; copy it from the history.",
                        details=each,
                    )
            return writes

        await self.writer.write_as_server(space, (), user=caller.user, guard=guard)
        return left_out

    async def rewind(self, caller: Caller, space: str, user: str, since: str) -> Rewound:
        """Take back what one member changed since a moment, record by record.

        A field that cannot go back is left out and named, so that it keeps nothing else from going back.

        Raises:
            NotFound: no such space. Forbidden: the caller is no owner of it. Invalid: `since` is no time.
        """
        since_ms = parse_time(since)
        left_out: list[dict[str, str]] = []
        refused: dict[Key, str] = {}
        numbered: dict[int, Key] = {}

        async def guard(tx: Transaction, row: SpaceRow) -> Sequence[ServerWrite]:
            if await _member(tx, caller, space) != "owner":
                raise Forbidden()
            left_out[:] = [{"collection": key[0], "id": key[1], "code": code} for key, code in refused.items()]
            writes: list[ServerWrite] = []
            for key in await read_touched(tx, space, user, since_ms):
                if key not in refused:
                    changes = await _accepted(tx, space, key)
                    writes += await self._way_back(
                        key, changes, lambda c: not (c.user == user and c.received_at >= since_ms), left_out
                    )
            first = row.version.get(row.server_device, 0) + 1
            numbered.update((n, (write.collection, write.id)) for n, write in enumerate(writes, first))
            return writes

        while True:
            try:
                plan = await self.writer.write_as_server(space, (), user=caller.user, guard=guard)
            except Invalid as error:
                # What others wrote since may leave no room for what was there: no reason to keep the rest from going.
                assert error.details is not None
                refused |= {numbered[each["n"]]: each["code"] for each in error.details["rejected"]}
            else:
                return Rewound(len({(change.collection, change.id) for change in plan.changes}), left_out)

    async def _way_back(
        self,
        key: Key,
        changes: list[StoredChange],
        keep: Callable[[StoredChange], bool],
        left_out: list[dict[str, str]],
    ) -> list[ServerWrite]:
        """The writes that turn what the record is now into what the kept changes alone make of it.

        The fields of which that cannot be said by a change are added to `left_out`.
        """
        now = await self._replay(key, changes)
        then = await self._replay(key, [change for change in changes if keep(change)])
        if not then.named or kernel.is_deleted(then):
            return [] if kernel.is_deleted(now) else [ServerWrite(*key, "delete")]
        fields = await self._difference(key, now, then, whole=kernel.is_deleted(now), left_out=left_out)
        return [ServerWrite(*key, "put", fields)] if fields else []

    async def _replay(self, key: Key, changes: list[StoredChange]) -> RecordState:
        spec = COLLECTIONS[key[0]]
        state = EMPTY
        for stored in changes:
            fields: dict[str, Any] = {}
            if stored.op == "put":
                checked = check_put(spec, key[1], _decode(stored.fields or b"{}"))
                assert not isinstance(checked, Rejection), "an accepted change passes the checks it passed"
                fields = checked
            change = Change(
                stored.device,
                stored.n,
                _hlc(stored),
                _decode(stored.context),
                "put" if stored.op == "put" else "delete",
                fields,
            )
            try:
                state = kernel.apply(state, change, spec.rules)
            except RecordFull:
                # When it came, what had been deleted before it was compacted away.
                state = kernel.apply(await self._read(state), change, spec.rules)
        return await self._read(state)

    async def _read(self, state: RecordState) -> RecordState:
        for name, update in kernel.unread_texts(state):
            try:
                (read,) = await self.texts.read([update])
            except BadText:  # It was read when it came: the reader has no time now
                raise Unavailable(retry_after_s=5) from None
            state = kernel.with_text(state, name, read.text, read.compacted)
        return state

    async def _difference(
        self, key: Key, now: RecordState, then: RecordState, *, whole: bool, left_out: list[dict[str, str]]
    ) -> dict[str, Any]:
        """The fields of a put that makes `now` show what `then` shows; every field where `whole`."""

        def leave_out(name: str, code: str) -> None:
            left_out.append({"collection": key[0], "id": key[1], "field": name, "code": code})

        spec = COLLECTIONS[key[0]]
        rules = spec.rules
        current, target = kernel.show(now, rules).values, kernel.show(then, rules).values
        fields: dict[str, Any] = {}
        for name, rule in rules.fields.items():
            here, there = current.get(name), target.get(name)
            if rules.parent is not None and name == rules.parent[0]:
                if whole and there is not None:
                    fields[name] = there
            elif rule.kind == "register":
                if name in target and (whole or here != there):
                    fields[name] = there
                elif name in current and name not in target and here is not None:
                    if spec.fields[name].nullable:
                        fields[name] = None
                    else:
                        leave_out(name, NOT_NULL)
            elif rule.kind == "set":
                add, remove = set(there or ()) - set(here or ()), set(here or ()) - set(there or ())
                if add or remove:
                    fields[name] = {"add": sorted(add), "remove": sorted(remove)}
            elif rule.kind == "counter":
                if (there or 0) != (here or 0):
                    fields[name] = {"inc": (there or 0) - (here or 0)}
            elif (there or {}).get("text") != (here or {}).get("text"):
                base = base64.b64decode(here["yjs"]) if here else b""
                update = await self.texts.rewrite(base, there["text"] if there else "")
                if len(update) > UPDATE_BYTES_MAX:
                    leave_out(name, TOO_LONG)
                    continue
                fields[name] = {"yjs": base64.b64encode(update).decode()}
        return fields


def parse_time(text: str) -> int:
    """RFC 3339 as Unix milliseconds. Raises Invalid where it is none, or names no zone."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise Invalid("since is no RFC 3339 time; write it as 2026-11-23T10:00:00.000Z.")
    return round(moment.timestamp() * 1000)


async def _member(tx: Transaction, caller: Caller, space: str) -> str:
    found = await membership(tx, space, caller.user)
    if found is None or found[2] != "member":
        raise NotFound()
    return found[1]


async def _accepted(tx: Transaction, space: str, key: Key) -> list[StoredChange]:
    changes = await store.read_history(tx, space, key[0], key[1])
    accepted = [change for change in changes if change.verdict is None and change.op != "void"]
    return sorted(accepted, key=lambda change: (change.arrival, change.n))


def _place(before: str) -> tuple[int, int]:
    match = _BEFORE.fullmatch(before)
    if match is None:
        raise Malformed("before is not what an answer of this address has given.")
    return int(match[1]), int(match[2])


def _hlc(change: StoredChange) -> str:
    return change.clamped_hlc or change.hlc
