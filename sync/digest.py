"""An order-free digest of what a space shows, so that a device can check itself and fetch only what differs."""

from __future__ import annotations

import hashlib
from typing import Any

from storage.database import Database
from storage.feed import read_shown_keys
from storage.spaces import membership
from sync.caller import Caller
from sync.cursors import encode_cursor
from sync.errors import Malformed, NotFound

_MASK = (1 << 128) - 1


def bucket_of(collection: str, id_: str) -> str:
    """The first byte of SHA-256(collection, U+0000, id), as two hex digits."""
    return hashlib.sha256(f"{collection}\0{id_}".encode()).hexdigest()[:2]


def weight_of(collection: str, id_: str, seq: int) -> int:
    """The first 16 bytes of SHA-256(collection, U+0000, id, U+0000, seq in decimal), as a number."""
    return int.from_bytes(hashlib.sha256(f"{collection}\0{id_}\0{seq}".encode()).digest()[:16], "big")


async def digest(database: Database, caller: Caller, space: str, bucket: str | None) -> dict[str, Any]:
    """The digest of a space, or the records of one bucket of it.

    The sum of `weight_of` over all shown records, modulo 2^128, in all and by bucket. O(records shown).

    Raises:
        NotFound: no such space, or none that the caller may see.
        Malformed: `bucket` is not two hex digits.
    """
    if bucket is not None and (len(bucket) != 2 or not set(bucket) <= set("0123456789abcdef")):
        raise Malformed("bucket is two lowercase hex digits.")
    async with database.read(snapshot=True) as tx:
        found = await membership(tx, space, caller.user)
        if found is None or found[2] != "member":
            raise NotFound()
        cursor = encode_cursor(found[0])
        keys = await read_shown_keys(tx, space)
    if bucket is not None:
        return {
            "cursor": cursor,
            "records": [
                {"collection": collection, "id": id_, "seq": seq}
                for collection, id_, seq in keys
                if bucket_of(collection, id_) == bucket
            ],
        }
    total = 0
    buckets: dict[str, int] = {}
    for collection, id_, seq in keys:
        weight = weight_of(collection, id_, seq)
        name = bucket_of(collection, id_)
        total += weight
        buckets[name] = buckets.get(name, 0) + weight
    return {
        "cursor": cursor,
        "count": len(keys),
        "digest": f"{total & _MASK:032x}",
        "buckets": {name: f"{weight & _MASK:032x}" for name, weight in sorted(buckets.items())},
    }
