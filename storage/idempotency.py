"""Requests that may be sent again: which key a user gave, and what it was answered with."""

from __future__ import annotations

from typing import NamedTuple

from storage.database import Transaction
from storage.prepared import Prepared


class KeyRow(NamedTuple):
    """One key of one user. `status` and `body` are None while the first request is under way; `body` alone is None
    where the answer was too large to be kept.

    fingerprint: what the request asked for, hashed. claimed_at: Unix milliseconds.
    """

    fingerprint: str
    claimed_at: int
    status: int | None
    headers: bytes | None
    body: bytes | None


_claim = Prepared(
    "INSERT INTO idempotency_keys (user_id, key, fingerprint, claimed_at) VALUES (:user, :key, :fingerprint, :now_ms) "
    "ON CONFLICT (user_id, key) DO NOTHING RETURNING key"
)
_read = Prepared(
    "SELECT fingerprint, claimed_at, status, headers, body FROM idempotency_keys WHERE user_id = :user AND key = :key"
)
_take_over = Prepared(
    "UPDATE idempotency_keys SET claimed_at = :now_ms WHERE user_id = :user AND key = :key AND status IS NULL "
    "AND claimed_at = :claimed_at RETURNING key"
)
_finish = Prepared(
    "UPDATE idempotency_keys SET status = :status, headers = :headers, body = :body "
    "WHERE user_id = :user AND key = :key RETURNING key"
)
_release = Prepared(
    "DELETE FROM idempotency_keys WHERE user_id = :user AND key = :key AND status IS NULL RETURNING key"
)
_forget = Prepared("DELETE FROM idempotency_keys WHERE claimed_at < :before_ms RETURNING key")
# Newest first: those behind the first `keys_max`, and those with which the bodies are more than `bytes_max`.
_trim = Prepared(
    "DELETE FROM idempotency_keys WHERE user_id = :user AND key IN (SELECT key FROM ("
    "SELECT key, row_number() OVER aged AS place, sum(coalesce(length(body), 0)) OVER aged AS bytes "
    "FROM idempotency_keys WHERE user_id = :user AND status IS NOT NULL "
    "WINDOW aged AS (ORDER BY claimed_at DESC, key)) AS answered "
    "WHERE place > :keys_max OR bytes > :bytes_max) RETURNING key"
)


async def claim_key(tx: Transaction, *, user: str, key: str, fingerprint: str, now_ms: int) -> KeyRow | None:
    """Take a key for a request that begins; None where it was free, else what stands under it."""
    if await tx.execute(_claim, {"user": user, "key": key, "fingerprint": fingerprint, "now_ms": now_ms}):
        return None
    rows = await tx.execute(_read, {"user": user, "key": key})
    return KeyRow(*rows[0]) if rows else None


async def take_over_key(tx: Transaction, *, user: str, key: str, claimed_at: int, now_ms: int) -> bool:
    """Take a key whose first request never ended; whether nobody else did at the same moment."""
    values = {"user": user, "key": key, "claimed_at": claimed_at, "now_ms": now_ms}
    return bool(await tx.execute(_take_over, values))


async def finish_key(tx: Transaction, *, user: str, key: str, status: int, headers: bytes, body: bytes | None) -> None:
    """Keep the answer for repetitions; body: None where it is too large."""
    await tx.execute(_finish, {"user": user, "key": key, "status": status, "headers": headers, "body": body})


async def release_key(tx: Transaction, *, user: str, key: str) -> None:
    """Let a key go whose request had no effect."""
    await tx.execute(_release, {"user": user, "key": key})


async def trim_keys(tx: Transaction, *, user: str, keys_max: int, bytes_max: int) -> int:
    """Let go of a user's oldest answers beyond a number, and beyond the bytes of their bodies; how many."""
    values = {"user": user, "keys_max": keys_max, "bytes_max": bytes_max}
    return len(await tx.execute(_trim, values))


async def forget_keys(tx: Transaction, before_ms: int) -> int:
    """Let go of the keys that were taken before a moment; how many."""
    return len(await tx.execute(_forget, {"before_ms": before_ms}))
