"""Comparing what this device holds with what the server shows, and fetching only what differs.

After a `resync`, and once a week, the digests are compared at an equal cursor: all at once, then by bucket, then the
records of a bucket that differs. Nothing should ever differ; this is what notices if it does, a flipped bit or a bug.

The digest is order-free: the sum, modulo 2^128, of the first 16 bytes of SHA-256(collection, U+0000, id, U+0000,
seq in decimal); a record's bucket is the first byte of SHA-256(collection, U+0000, id).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from .clock import past
from .database import Tx
from .records import SHOWN, Key, bury, drop
from .requests import Kind, Request, space_path
from .spaces import Space, save, wish_pull

__all__ = [
    "CHECK_EVERY_MS",
    "RETRY_MS",
    "Check",
    "bucket_of",
    "compare",
    "digest_request",
    "due",
    "gone",
    "local_digest",
]

log = logging.getLogger("fitai_client.digest")

CHECK_EVERY_MS = 7 * 24 * 3600 * 1000
# Where the server moved between the pull and the question, ask again soon.
RETRY_MS = 3600 * 1000
# Ids are 36 characters each, and an address should stay under 8 KiB.
IDS_A_REQUEST = 100

_MODULUS = 1 << 128


@dataclass(slots=True)
class Check:
    """A comparison on its way, good as long as the space stands at `cursor`.

    at_once: how many keys a question names.
    """

    cursor: str
    buckets: list[str] = field(default_factory=list)
    keys: list[Key] = field(default_factory=list)
    at_once: int = IDS_A_REQUEST


def due(found: Space, now_ms: int) -> bool:
    """True where it is time to compare, and nothing else is on its way."""
    return found.phase == "live" and not found.resync and past(found.checked_at, CHECK_EVERY_MS, now_ms)


def bucket_of(key: Key) -> str:
    return sha256(f"{key[0]}\0{key[1]}".encode()).digest()[:1].hex()


def local_digest(records: Iterable[tuple[str, str, int]]) -> dict[str, str]:
    """The digest by bucket of (collection, id, seq)s; empty buckets are left out."""
    sums: dict[str, int] = {}
    for collection, id, seq in records:
        bucket = bucket_of((collection, id))
        part = int.from_bytes(sha256(f"{collection}\0{id}\0{seq}".encode()).digest()[:16], "big")
        sums[bucket] = (sums.get(bucket, 0) + part) % _MODULUS
    return {bucket: f"{total:032x}" for bucket, total in sums.items()}


def digest_request(found: Space, device: str, check: Check | None) -> Request:
    """The next question: the digests, the records of a bucket that differs, or the records themselves."""
    kind: Kind = "digest"
    call, query = "digest", {}
    if check is not None and check.buckets:
        kind, query = "bucket", {"bucket": check.buckets[0]}
    elif check is not None and check.keys:
        kind, call = "repair", "pull"
        query = {"ids": ",".join(sorted({id for _, id in check.keys[: check.at_once]}))}
    return Request(
        kind=kind,
        method="GET",
        path=space_path(found.id or "", call),
        query=query,
        device=device,
        space=found.no,
        asked={"cursor": found.cursor},
    )


def compare(tx: Tx, found: Space, request: Request, body: Mapping[str, Any], check: Check | None) -> Check | None:
    """Take an answer; the check as it goes on, or None where it is over. `repair` answers are for `gone`."""
    now_ms = tx.environment.now_ms()
    if body["cursor"] != found.cursor or request.asked["cursor"] != found.cursor:
        # Not one state: what moved comes by a pull first.
        wish_pull(tx, found)
        save(tx, found, checked_at=now_ms - CHECK_EVERY_MS + RETRY_MS)
        return None
    mine = _held(tx, found.no)
    if request.kind == "digest":
        local = local_digest(mine)
        served = body["buckets"]
        differing = sorted(b for b in {*local, *served} if local.get(b) != served.get(b))
        check = Check(found.cursor or "", buckets=differing)
    elif check is not None and check.buckets:
        bucket = check.buckets.pop(0)
        held = {(c, i, s) for c, i, s in mine if bucket_of((c, i)) == bucket}
        served_records = {(r["collection"], r["id"], r["seq"]) for r in body["records"]}
        check.keys += sorted({(c, i) for c, i, _ in held ^ served_records})
    if check is None or not (check.buckets or check.keys):
        save(tx, found, checked_at=now_ms)
        return None
    return check


def gone(tx: Tx, found: Space, body: Mapping[str, Any], check: Check) -> list[dict[str, Any]]:
    """Take a `repair` answer: drop what the server does not show, and return what it does, for the caller to show."""
    asked = set(check.keys[: check.at_once])
    del check.keys[: check.at_once]
    served = {(r.get("collection"), r["id"]): r for r in body["records"] if r.get("seq") is not None}
    log.warning("%d records differed from the server's and were mended", len(asked))
    for key in asked:
        record = served.get(key)
        if record is None:
            drop(tx, found.no, key, "dropped")
        elif record.get("deleted"):
            bury(tx, found.no, key, record["seq"])
    if not check.keys:
        save(tx, found, checked_at=tx.environment.now_ms())
    return [record for key, record in served.items() if key in asked and not record.get("deleted")]


def _held(tx: Tx, no: int) -> list[tuple[str, str, int]]:
    return tx.all(f"SELECT collection, id, seq FROM records WHERE space = ? AND status = {SHOWN}", (no,))
