"""Answers that are kept for a while."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from api.cache import ENTRY_BYTES, PART_MAX, Cache, MemoryCache, RedisCache
from tests.api.harness import Clock, environment
from tests.services.redis import Redis


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture(params=["memory", "redis"])
async def cache(request: pytest.FixtureRequest, clock: Clock) -> AsyncIterator[Cache]:
    made: Cache
    if request.param == "memory":
        made = MemoryCache(environment(clock))
    else:
        made = RedisCache(request.getfixturevalue("redis_url"), environment(clock))
    yield made
    await made.close()


async def test_what_was_kept_is_found_under_its_key_alone(cache: Cache) -> None:
    await cache.put("a", b"one", for_ms=60_000)
    assert (await cache.get("a"), await cache.get("b")) == (b"one", None)


async def test_what_is_put_again_counts(cache: Cache) -> None:
    await cache.put("a", b"one", for_ms=60_000)
    await cache.put("a", b"two", for_ms=60_000)
    assert await cache.get("a") == b"two"


async def test_an_empty_value_is_a_value(cache: Cache) -> None:
    await cache.put("a", b"", for_ms=60_000)
    assert await cache.get("a") == b""


async def test_what_is_too_large_is_not_kept(cache: Cache) -> None:
    await cache.put("a", bytes(64 * 1_048_576 // PART_MAX + 1), for_ms=60_000)
    assert await cache.get("a") is None


@pytest.mark.parametrize("seconds", [60, -1])
async def test_nothing_is_found_after_its_time_nor_before_it_was_kept(clock: Clock, seconds: int) -> None:
    cache = MemoryCache(environment(clock))
    await cache.put("a", b"one", for_ms=60_000)
    clock.advance(seconds=seconds)
    assert await cache.get("a") is None


async def test_the_memory_is_bounded_and_what_was_asked_for_longest_ago_goes_first(clock: Clock) -> None:
    size = 1_000
    cache = MemoryCache(environment(clock), bytes_max=PART_MAX * (size + ENTRY_BYTES + 2))
    for number in range(PART_MAX):
        await cache.put(f"{number:02}", bytes(size), for_ms=60_000)
    await cache.get("00")
    await cache.put("xx", bytes(size), for_ms=60_000)
    found = [number for number in range(PART_MAX) if await cache.get(f"{number:02}") is not None]
    assert found == [0, *range(2, PART_MAX)]


async def test_what_is_put_again_takes_its_room_once(clock: Clock) -> None:
    cache = MemoryCache(environment(clock), bytes_max=PART_MAX * 2_000)
    await cache.put("a", b"one", for_ms=60_000)
    for _ in range(1_000):
        await cache.put("b", bytes(1_000), for_ms=60_000)
    assert await cache.get("a") == b"one"


async def test_without_redis_a_process_keeps_for_itself(redis_of_its_own: Redis, clock: Clock) -> None:
    cache = RedisCache(redis_of_its_own.url(), environment(clock))
    redis_of_its_own.kill()
    await cache.put("a", b"one", for_ms=60_000)
    assert await cache.get("a") == b"one"
    await cache.close()
