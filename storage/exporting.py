"""What an export reads of a space beside its records: the ledger, a page at a time."""

from __future__ import annotations

from typing import NamedTuple

from storage.database import Transaction
from storage.prepared import Prepared


class LedgerLine(NamedTuple):
    """One change as it was sent. fields and verdict are JSON; hlc is the stamp that counts."""

    device: str
    n: int
    collection: str | None
    id: str | None
    op: str
    hlc: str
    fields: bytes | None
    verdict: bytes | None
    received_at: int
    user: str


_PAGE = Prepared(
    "SELECT device_id, n, collection, record_id, op, coalesce(clamped_hlc, hlc), fields, verdict, received_at, user_id "
    "FROM changes WHERE space_id = :space AND (device_id, n) > (:device, :n) ORDER BY device_id, n LIMIT :most"
)


async def read_ledger(tx: Transaction, space: str, after: tuple[str, int], most: int) -> list[LedgerLine]:
    """At most `most` lines of a space after (device, n), in that order; ("", 0) begins. Walks the primary key."""
    rows = await tx.execute(_PAGE, {"space": space, "device": after[0], "n": after[1], "most": most})
    return [LedgerLine(*row) for row in rows]
