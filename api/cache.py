"""Answers that are worth keeping for a while: in this process, or in Redis for all of them.

Owns: how much is kept, and for how long.
Refuses to know: what an answer means. Whoever keeps one names in its key the version of everything that it was made
from (a space's head), so what is found is never stale: after a write the key is another one.

Invariants
    K1  What is kept in a process is at most `bytes_max`; what was asked for longest ago goes first.
    K2  Without Redis each process keeps for itself, and nothing fails.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Final, Protocol

from api.optional_redis import OptionalRedis
from sync.environment import Environment

BYTES_MAX: Final = 64 * 1_048_576
# An answer that takes more than this part of the room would push out many that are asked for more often.
PART_MAX: Final = 16
# What a dictionary, a key and an entry take beside the value.
ENTRY_BYTES: Final = 300


class Cache(Protocol):
    """Keeps bytes under a key. One a process."""

    async def get(self, key: str) -> bytes | None:
        """What is kept under a key, or None."""
        ...

    async def put(self, key: str, value: bytes, *, for_ms: int) -> None:
        """Keep a value for at most that long."""
        ...

    async def close(self) -> None:
        """Let go of memory and connections."""
        ...


class MemoryCache:
    """What one process keeps."""

    def __init__(self, environment: Environment, *, bytes_max: int = BYTES_MAX) -> None:
        self._environment = environment
        self._bytes_max = bytes_max
        self._bytes = 0
        # key → (value, when it was put, for how long)
        self._kept: OrderedDict[str, tuple[bytes, int, int]] = OrderedDict()

    async def get(self, key: str) -> bytes | None:
        found = self._kept.get(key)
        if found is None:
            return None
        value, put_at, for_ms = found
        # A clock that was set back must not prolong anything.
        if not 0 <= self._environment.now_ms() - put_at < for_ms:
            self._remove(key)
            return None
        self._kept.move_to_end(key)
        return value

    async def put(self, key: str, value: bytes, *, for_ms: int) -> None:
        self._remove(key)
        if len(value) > self._bytes_max // PART_MAX:
            return
        self._kept[key] = (value, self._environment.now_ms(), for_ms)
        self._bytes += _size(key, value)
        while self._bytes > self._bytes_max:
            self._remove(next(iter(self._kept)))

    async def close(self) -> None:
        self._kept.clear()
        self._bytes = 0

    def _remove(self, key: str) -> None:
        found = self._kept.pop(key, None)
        if found is not None:
            self._bytes -= _size(key, found[0])


class RedisCache:
    """What all processes keep together. Its room is Redis's own `maxmemory`."""

    def __init__(self, url: str, environment: Environment, *, bytes_max: int = BYTES_MAX) -> None:
        self._alone = MemoryCache(environment, bytes_max=bytes_max)
        self._value_bytes_max = bytes_max // PART_MAX
        self._redis = OptionalRedis(url, environment, without="this process keeps answers for itself")

    async def get(self, key: str) -> bytes | None:
        found = await self._redis.ask("GET", _redis_key(key))
        return found if isinstance(found, bytes) else await self._alone.get(key)

    async def put(self, key: str, value: bytes, *, for_ms: int) -> None:
        if len(value) > self._value_bytes_max:
            return
        if await self._redis.ask("SET", _redis_key(key), value, "PX", for_ms) is None:
            await self._alone.put(key, value, for_ms=for_ms)

    async def close(self) -> None:
        await self._redis.close()
        await self._alone.close()


def _size(key: str, value: bytes) -> int:
    return len(value) + len(key) + ENTRY_BYTES


def _redis_key(key: str) -> str:
    # Hashed: ids of users and spaces have no business in another server's list of keys.
    return f"fitai:cache:{hashlib.sha256(key.encode('utf-8', 'replace')).hexdigest()[:40]}"
