"""The one read path: what every record is now, in the order of its last change.

Pages are put together from stored bytes; no record is parsed. A page, its space's head and its version come from
one statement, so they are one state of the server.

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
from sync.cursors import decode_before, decode_cursor, encode_before, encode_cursor, encode_mark, kept_of
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
        async with self.database.read() as tx:
            row = await self._visible(tx, caller, space)
            after = decode_cursor(cursor, row) if cursor else 0
            page = await store.read_after(tx, space, after, limit + 1, enough=self.limits.page_bytes_max)
        assert page is not None
        if cursor:
            # The floor may have risen, or a life begun, between the two statements.
            decode_cursor(cursor, page.space)
        rows = self._cut(page.rows, limit)
        more = len(rows) < len(page.rows)
        head: dict[str, object] = {
            "life": page.space.life,
            "cursor": encode_cursor(page.space, rows[-1][0]) if more else encode_cursor(page.space),
            "more": more,
        }
        if not more:
            head["version"] = page.space.version
        return _answer(rows, head)

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
        return _join(parts, {"life": row.life, "cursor": encode_cursor(row), "more": False})

    async def snapshot(
        self, caller: Caller, space: str, before: str | None, limit: int, *, cursor: str | None = None
    ) -> bytes:
        """One page of what is shown, newest first, below the ceiling that the first page fixed.

        The first page carries the `version` at the ceiling; and, to a device that says with `cursor` where it stood,
        in `kept` the seq up to which this history has all that the device was served, unless that cannot be said.
        Raises as `pull`; Resync where the life in which the snapshot began is over.
        """
        limit = max(1, min(limit, self.limits.page_records_max))
        # The first page's ceiling and its version must be of one state.
        async with self.database.read(snapshot=before is None) as tx:
            row = await self._visible(tx, caller, space)
            ceiling, below = decode_before(before, row) if before else (row.head, row.head + 1)
            page = await store.read_down(tx, space, ceiling, below, limit + 1, enough=self.limits.page_bytes_max)
        assert page is not None
        if before:
            decode_before(before, page.space)
        rows = self._cut(page.rows, limit)
        more = len(rows) < len(page.rows)
        head: dict[str, object] = {
            "before": encode_before(page.space, ceiling, rows[-1][0]) if more else None,
            "life": page.space.life,
            "cursor": encode_mark(space, page.space.life, ceiling),
        }
        if before is None:
            head["version"] = page.space.version
            if cursor and (kept := kept_of(cursor, page.space)) is not None:
                head["kept"] = kept
        return _answer(rows, head)

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

    def _cut(self, rows: list[tuple[int, bytes]], limit: int) -> list[tuple[int, bytes]]:
        """The rows that fit a page: at most `limit`, and at most the page's bytes, but at least one."""
        size = 0
        for index, (_, body) in enumerate(rows[:limit]):
            size += len(body)
            if size > self.limits.page_bytes_max and index > 0:
                return rows[:index]
        return rows[:limit]


def _answer(rows: list[tuple[int, bytes]], head: dict[str, object]) -> bytes:
    return _join([wire(seq, body) for seq, body in rows], head)


def _join(records: list[bytes], head: dict[str, object]) -> bytes:
    return b'{"records":[%b],%b' % (b",".join(records), _encode(head)[1:])
