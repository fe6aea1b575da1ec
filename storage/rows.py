"""The rows of the sync path, as the statements read and write them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from storage.collections import LISTED_BY

__all__ = [
    "CHANGE_COLUMNS",
    "LINE_BYTES",
    "LINE_WEIGHT_SQL",
    "Key",
    "StoredChange",
    "StoredRecord",
    "VoterRow",
    "listed_at",
]

# (collection, id): what names a record within a space.
Key = tuple[str, str]


class StoredRecord(NamedTuple):
    """One record's row. `body` is the object as it is served, without its seq; `state` is the kernel's.

    status: 0 shown, 1 deleted, 2 hidden, 3 a stub that only carries what lies below it.
    """

    collection: str
    id: str
    seq: int
    parent: Key | None
    status: int
    body: bytes
    state: bytes


class StoredChange(NamedTuple):
    """One line of the ledger: a change as it was sent, and what became of it.

    arrival: the head after its batch. context: as it was cut. fields: JSON as sent, None for a delete and a void.
    verdict: the rejection as JSON, None where it was accepted. clamped_hlc: the stamp that counts, where another.
    """

    device: str
    n: int
    arrival: int
    collection: str | None
    id: str | None
    op: str
    hlc: str
    clamped_hlc: str | None
    group: str | None
    context: bytes
    fields: bytes | None
    verdict: bytes | None
    received_at: int
    user: str

    @property
    def weight(self) -> int:
        """The bytes that a line takes of its space's quota; LINE_WEIGHT_SQL is the same."""
        return LINE_BYTES + len(self.context) + len(self.fields or b"") + len(self.verdict or b"")


# The columns of a line of the ledger, in the order of StoredChange.
CHANGE_COLUMNS = (
    "device_id, n, arrival, collection, record_id, op, hlc, clamped_hlc, grp, context, fields, verdict, "
    "received_at, user_id"
)
# What the short columns of a line take, with their index: about, and the same for every line.
LINE_BYTES = 200
LINE_WEIGHT_SQL = f"({LINE_BYTES} + length(context) + coalesce(length(fields), 0) + coalesce(length(verdict), 0))"


@dataclass(frozen=True, slots=True)
class VoterRow:
    """A device's place in a space: what it has promised to know, and whether it owes a snapshot."""

    device: str
    user: str
    seen: dict[str, int]
    seen_at: int
    first_at: int
    resync: bool


class _Listed(msgspec.Struct):
    values: dict[str, Any] = {}


_decode_listed = msgspec.json.Decoder(_Listed).decode


def listed_at(collection: str, status: int, body: bytes) -> str | None:
    """Where a record stands in the list of its collection, which is ordered by a time: "" where it has none yet.

    None where it is not shown, or its collection is not listed so (`CollectionSpec.listed_by`).
    """
    by = LISTED_BY.get(collection)
    if by is None or status != 0:
        return None
    try:
        return _decode_listed(body).values.get(by) or ""
    except msgspec.DecodeError:  # a row that was damaged, which the audit finds
        return ""
