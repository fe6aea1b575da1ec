"""The one read path: what every record is now, in the order of its last change.

Pages are put together from stored bytes, by the database; no record is parsed. A page, its space's head and version,
and the right to see it come from one statement, so they are one state of the server.

Invariants
    F1  A page's cursor never passes a record that the page, or one before it, did not bring.
    F2  `version` stands on the last page of a pull alone, and is that of the state the page was read from.
    F3  What is hidden is not on the wire at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from storage import feed as store
from storage.database import Database, Transaction
from storage.spaces import SpaceRow, membership
from sync.bodies import DELETED, SHOWN, wire
from sync.caller import Caller
from sync.cursors import (
    NOWHERE,
    decode_before,
    decode_cursor,
    encode_before,
    encode_cursor,
    encode_mark,
    kept_of,
    named_by_before,
    named_by_cursor,
)
from sync.errors import Malformed, NotFound, TooLarge
from sync.limits import Limits

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Delta:
    """Everything that moved in a space after `from_seq`, up to its head when it was read."""

    space: str
    life: str
    from_seq: int
    to_seq: int
    records: tuple[bytes, ...]
    # The whole version at `to_seq`; what of it moved is for the reader of deltas to work out.
    version: dict[str, int]


@dataclass(frozen=True)
class Feed:
    """Pull, snapshot and deltas of any space of one database."""

    database: Database
    limits: Limits

    async def pull(self, caller: Caller, space: str, cursor: str | None, limit: int) -> bytes:
        """One page of what moved after `cursor`, in seq order; `cursor` None reads from the beginning.

        Raises:
            NotFound: no such space, or none that the caller may see.
            BadCursor, Resync: the device takes a snapshot.
        """
        limit = max(1, min(limit, self.limits.page_records_max))
        after = named_by_cursor(cursor) if cursor else 0
        async with self.database.read() as tx:
            page = await store.serve_after(tx, space, caller.user, after, limit, enough=self.limits.page_bytes_max)
        if page is None:
            raise NotFound()
        if cursor:
            # Judged by the space as it was when the page was read: a cursor that is no good has read in vain.
            decode_cursor(cursor, page.space)
        head: dict[str, object] = {
            "life": page.space.life,
            "cursor": encode_cursor(page.space, page.last if page.more else None),
            "more": page.more,
        }
        if not page.more:
            head["version"] = page.space.version
        return _answer(page.records, head)

    async def pull_ids(self, caller: Caller, space: str, ids: list[str]) -> bytes:
        """Just these records, whatever their collection: a tombstone with its seq, what is not held without one.

        Raises:
            Malformed, TooLarge: more ids, or more bytes of records, than one answer has; the device asks in parts.
        """
        if len(ids) > self.limits.ids_max:
            raise Malformed(f"{len(ids)} ids were asked for and at most {self.limits.ids_max} may be; ask in parts.")
        async with self.database.read(snapshot=True) as tx:
            row = await self._visible(tx, caller, space)
            size = await store.bytes_of_ids(tx, space, ids)
            if size > self.limits.ids_bytes_max and len(set(ids)) > 1:
                raise TooLarge(
                    f"These records have {size} bytes and at most {self.limits.ids_bytes_max} are answered at once; "
                    "ask for fewer ids."
                )
            records = await store.read_ids(tx, space, ids)
        visible = [r for r in records if r.status in (SHOWN, DELETED)]
        found = {r.id for r in visible}
        parts = [wire(r.seq, r.body) for r in visible]
        parts += [_encode({"id": id_, "deleted": True}) for id_ in dict.fromkeys(ids) if id_ not in found]
        return _answer(b",".join(parts), {"life": row.life, "cursor": encode_cursor(row), "more": False})

    async def snapshot(
        self, caller: Caller, space: str, before: str | None, limit: int, *, cursor: str | None = None
    ) -> bytes:
        """One page of what is shown, newest first, below the ceiling that the first page fixed.

        The first page carries the `version` at the ceiling; and, to a device that says with `cursor` where it stood,
        in `kept` the seq up to which this history has all that the device was served, unless that cannot be said.
        Raises as `pull`; Resync where the life in which the snapshot began is over.
        """
        limit = max(1, min(limit, self.limits.page_records_max))
        ceiling, below = named_by_before(before) if before else (NOWHERE, NOWHERE)
        async with self.database.read() as tx:
            page = await store.serve_down(
                tx, space, caller.user, ceiling, below, limit, enough=self.limits.page_bytes_max
            )
        if page is None:
            raise NotFound()
        if before:
            decode_before(before, page.space)
        else:
            # The first page is of one state with its space, and nothing of that stands above its head.
            ceiling = page.space.head
        head: dict[str, object] = {
            "before": encode_before(page.space, ceiling, page.last) if page.more and page.last is not None else None,
            "life": page.space.life,
            "cursor": encode_mark(space, page.space.life, ceiling),
        }
        if before is None:
            head["version"] = page.space.version
            if cursor and (kept := kept_of(cursor, page.space)) is not None:
                head["kept"] = kept
        return _answer(page.records, head)

    async def read_delta(self, space: str, after: int) -> Delta | None:
        """What moved after seq `after`; None where it is too much for a socket, or the space is gone.

        For the hub, which checks membership by itself.
        """
        async with self.database.read() as tx:
            page = await store.read_after(
                tx, space, after, self.limits.delta_records_max + 1, enough=self.limits.delta_bytes_max
            )
        if page is None or len(page.rows) > self.limits.delta_records_max:
            return None
        if sum(len(body) for _, body in page.rows) > self.limits.delta_bytes_max:
            return None
        records = tuple(wire(seq, body) for seq, body in page.rows)
        return Delta(space, page.space.life, after, page.space.head, records, page.space.version)

    async def space(self, space: str) -> SpaceRow:
        """The space as it is now. Raises NotFound."""
        async with self.database.read() as tx:
            page = await store.read_after(tx, space, 2**62, 1)
        if page is None:
            raise NotFound()
        return page.space

    async def _visible(self, tx: Transaction, caller: Caller, space: str) -> SpaceRow:
        found = await membership(tx, space, caller.user)
        if found is None or found[2] != "member":
            raise NotFound()
        return found[0]


def _answer(records: bytes, head: dict[str, object]) -> bytes:
    return b'{"records":[%b],%b' % (records, _encode(head)[1:])
