"""The one form of a record: the bytes that the write path makes and that every reader gets.

Owns: what a served record looks like, and what a row's status means. Refuses to know: where rows come from.
"""

from __future__ import annotations

from typing import Any

import msgspec

from conflict import record as kernel
from conflict.clock import time_of
from conflict.record import RecordState
from storage.collection_specs import CollectionSpec
from storage.rows import Key

# What the wire sees of a row: the record, its tombstone, or nothing. A stub is a parent that nobody named yet.
SHOWN, DELETED, HIDDEN, STUB = 0, 1, 2, 3

_encode = msgspec.json.Encoder().encode


def shown_body(key: Key, state: RecordState, spec: CollectionSpec) -> bytes:
    """The record as it is served, without its seq: the same bytes on disk, on the wire and in the delta."""
    shown = kernel.show(state, spec.rules)
    body: dict[str, Any] = {"collection": key[0], "id": key[1], "deleted": False, "values": shown.values}
    if shown.conflicts:
        body["conflicts"] = {
            name: [{"value": loser.value, "device": loser.device, "at": time_of(loser.hlc)} for loser in losers]
            for name, losers in shown.conflicts.items()
        }
    body["updated_at"] = time_of(state.at) if state.at else None
    body["updated_by"] = state.by or None
    return _encode(body)


def deleted_body(key: Key, state: RecordState) -> bytes:
    """The record's tombstone as it is served, without its seq."""
    return _encode(
        {
            "collection": key[0],
            "id": key[1],
            "deleted": True,
            "updated_at": time_of(state.at),
            "updated_by": state.by,
        }
    )


def wire(seq: int, body: bytes) -> bytes:
    """A stored body as it goes over the wire, without being parsed."""
    return b'{"seq":%d,%b' % (seq, body[1:])
