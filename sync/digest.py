"""An order-free digest of what a space shows, so that a device can check itself and fetch only what differs.

A space may hold a million records, and two hashes of each take seconds: they are read and hashed in pages, in one
snapshot, so that neither the event loop nor the memory notices how many there are.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Any, Final

from storage.database import Database, Transaction
from storage.feed import read_shown_keys
from storage.spaces import membership
from sync.caller import Caller
from sync.cursors import encode_cursor
from sync.errors import Malformed, NotFound

# Hashing as many takes some milliseconds.
KEYS_PER_PAGE: Final = 2_000
_MASK = (1 << 128) - 1


def bucket_of(collection: str, id_: str) -> str:
    """The first byte of SHA-256(collection, U+0000, id), as two hex digits."""
    return hashlib.sha256(f"{collection}\0{id_}".encode()).hexdigest()[:2]


def weight_of(collection: str, id_: str, seq: int) -> int:
    """The first 16 bytes of SHA-256(collection, U+0000, id, U+0000, seq in decimal), as a number."""
    return int.from_bytes(hashlib.sha256(f"{collection}\0{id_}\0{seq}".encode()).digest()[:16], "big")


class Digests:
    """The digests of one database. One is worked out at a time; the others of this process wait, holding nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._turn = asyncio.Lock()

    async def of(self, caller: Caller, space: str, bucket: str | None) -> dict[str, Any]:
        """The digest of a space, or the records of one bucket of it.

        The sum of `weight_of` over all shown records, modulo 2^128, in all and by bucket. O(records shown).

        Raises:
            NotFound: no such space, or none that the caller may see.
            Malformed: `bucket` is not two hex digits.
        """
        if bucket is not None and (len(bucket) != 2 or not set(bucket) <= set("0123456789abcdef")):
            raise Malformed("bucket is two lowercase hex digits.")
        async with self._turn, self._database.read(snapshot=True) as tx:
            found = await membership(tx, space, caller.user)
            if found is None or found[2] != "member":
                raise NotFound()
            cursor = encode_cursor(found[0])
            if bucket is None:
                return {"cursor": cursor, **await _sums(tx, space)}
            return {"cursor": cursor, "records": await _records(tx, space, bucket)}


async def _sums(tx: Transaction, space: str) -> dict[str, Any]:
    count = total = 0
    buckets: dict[str, int] = {}
    async for page in _pages(tx, space):
        for collection, id_, seq in page:
            weight = weight_of(collection, id_, seq)
            name = bucket_of(collection, id_)
            total += weight
            buckets[name] = buckets.get(name, 0) + weight
        count += len(page)
    return {
        "count": count,
        "digest": f"{total & _MASK:032x}",
        "buckets": {name: f"{weight & _MASK:032x}" for name, weight in sorted(buckets.items())},
    }


async def _records(tx: Transaction, space: str, bucket: str) -> list[dict[str, Any]]:
    return [
        {"collection": collection, "id": id_, "seq": seq}
        async for page in _pages(tx, space)
        for collection, id_, seq in page
        if bucket_of(collection, id_) == bucket
    ]


async def _pages(tx: Transaction, space: str) -> AsyncIterator[list[tuple[str, str, int]]]:
    """What a space shows, a page at a time: between two of them the process serves others."""
    after = 0
    while page := await read_shown_keys(tx, space, after, KEYS_PER_PAGE):
        yield page
        after = page[-1][2]
