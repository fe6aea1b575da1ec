"""How often somebody may try: GCRA, in this process or in Redis.

Owns: the rules' arithmetic and both stores.
Refuses to know: what is being tried, and by whom; a key is a text.

GCRA (the generic cell rate algorithm) keeps one number a key: the time at which the bucket will be empty
again. A request is allowed while that lies less than `burst` intervals ahead, and moves it one interval on.
Source: ITU-T I.371, annex A; the same arithmetic as redis-cell.

Invariants
    G1  Checking and counting are one step, so parallel requests cannot pass together.
    G2  While Redis is gone each process limits by itself: never without limits.
    G3  What is stored is bounded: a key that is full again is forgotten.
"""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Final, Protocol

from api.optional_redis import OptionalRedis
from sync.environment import Environment

# About 200 bytes each. The oldest go first: by then they are full again, unless that many are attacking.
KEYS_MAX: Final = 100_000


@dataclass(frozen=True)
class Rule:
    """`burst` at once, and one more every `interval_ms`. The name appears in the RateLimit headers."""

    name: str
    burst: int
    interval_ms: float


@dataclass(frozen=True)
class Decision:
    """What became of one attempt. Seconds are rounded up, so that waiting them is enough."""

    rule: Rule
    allowed: bool
    remaining: int
    reset_s: int
    retry_after_s: int

    def given_back(self) -> Decision:
        """What is left once this attempt is taken back."""
        remaining = min(self.rule.burst, self.remaining + 1)
        reset_s = max(0, self.reset_s - math.ceil(self.rule.interval_ms / 1_000))
        return replace(self, remaining=remaining, reset_s=reset_s)

    def headers(self) -> dict[str, str]:
        """The RateLimit headers of draft-ietf-httpapi-ratelimit-headers-10."""
        window_s = math.ceil(self.rule.burst * self.rule.interval_ms / 1_000)
        return {
            "RateLimit-Policy": f'"{self.rule.name}";q={self.rule.burst};w={window_s}',
            "RateLimit": f'"{self.rule.name}";r={self.remaining};t={self.reset_s}',
        }


class Limiter(Protocol):
    """Counts attempts, and remembers facts for a while. One a process."""

    async def take(self, rule: Rule, key: str, cost: int = 1) -> Decision:
        """Count one attempt, if there is room for it; it weighs `cost`, at most the rule's burst."""
        ...

    async def give_back(self, rule: Rule, key: str) -> None:
        """Take back one attempt that was counted and turned out harmless."""
        ...

    async def remember(self, key: str, *, for_ms: int) -> None:
        """Note `key` for that long."""
        ...

    async def remembers(self, key: str) -> bool:
        """Return whether `key` was noted and is not yet over."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


def _decide(rule: Rule, cost: int, empty_at: float, now: float) -> tuple[Decision, float]:
    """The decision, and when the bucket will be empty after it."""
    window = rule.burst * rule.interval_ms
    # No bucket is fuller than full: what says so was written before the clock was set back.
    empty_at = min(max(empty_at, now), now + window)
    after = empty_at + cost * rule.interval_ms
    ahead = after - now
    allowed = ahead <= window
    if not allowed:
        after = empty_at
    remaining = max(0, int((window - (after - now)) // rule.interval_ms))
    reset_s = math.ceil((after - now) / 1_000)
    retry_after_s = 0 if allowed else max(1, math.ceil((ahead - window) / 1_000))
    return Decision(rule, allowed, remaining, reset_s, retry_after_s), after


class MemoryLimiter:
    """Limits of one process."""

    def __init__(self, environment: Environment, *, keys_max: int = KEYS_MAX) -> None:
        self._environment = environment
        self._keys_max = keys_max
        self._until: OrderedDict[str, float] = OrderedDict()
        self._known: OrderedDict[str, float] = OrderedDict()

    async def take(self, rule: Rule, key: str, cost: int = 1) -> Decision:
        now = self._environment.now_ms()
        decision, after = _decide(rule, cost, self._until.get(f"{rule.name}:{key}", 0), now)
        self._put(self._until, f"{rule.name}:{key}", after)
        return decision

    async def give_back(self, rule: Rule, key: str) -> None:
        stored = self._until.get(f"{rule.name}:{key}")
        if stored is not None:
            self._put(self._until, f"{rule.name}:{key}", stored - rule.interval_ms)

    async def remember(self, key: str, *, for_ms: int) -> None:
        self._put(self._known, key, self._environment.now_ms() + for_ms)

    async def remembers(self, key: str) -> bool:
        return self._known.get(key, 0) > self._environment.now_ms()

    async def close(self) -> None:
        self._until.clear()
        self._known.clear()

    def _put(self, store: OrderedDict[str, float], key: str, until: float) -> None:
        store[key] = until
        store.move_to_end(key)
        now = self._environment.now_ms()
        # Two are looked at for each one put, so what is over goes away faster than keys come (G3).
        for _ in range(min(2, len(store) - 1)):
            oldest, over = next(iter(store.items()))
            if over <= now or len(store) > self._keys_max:
                del store[oldest]


# KEYS[1]; ARGV: what the attempt adds and the window, in ms. Redis's own clock, so that all processes have one.
_TAKE: Final = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local interval, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local empty = math.min(math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now), now + window)
if empty + interval - now <= window then
  redis.call('SET', KEYS[1], string.format('%.0f', empty + interval), 'PX', window + interval)
end
return {empty - now}
"""
_GIVE_BACK: Final = """
local empty = redis.call('GET', KEYS[1])
if empty then
  redis.call('SET', KEYS[1], string.format('%.0f', tonumber(empty) - tonumber(ARGV[1])), 'KEEPTTL')
end
return {}
"""


class RedisLimiter:
    """Limits that all processes share. Without Redis each has its own meanwhile (G2)."""

    def __init__(self, url: str, environment: Environment) -> None:
        self._alone = MemoryLimiter(environment)
        self._redis = OptionalRedis(url, environment, without="this process limits by itself")

    async def take(self, rule: Rule, key: str, cost: int = 1) -> Decision:
        window = rule.burst * rule.interval_ms
        answer = await self._redis.ask(
            "EVAL", _TAKE, 1, _key(rule.name, key), int(cost * rule.interval_ms), int(window)
        )
        if answer is None:
            return await self._alone.take(rule, key, cost)
        # The script said how far ahead the bucket was; the decision follows as in memory.
        return _decide(rule, cost, float(answer[0]), 0)[0]

    async def give_back(self, rule: Rule, key: str) -> None:
        await self._alone.give_back(rule, key)
        await self._redis.ask("EVAL", _GIVE_BACK, 1, _key(rule.name, key), rule.interval_ms)

    async def remember(self, key: str, *, for_ms: int) -> None:
        await self._alone.remember(key, for_ms=for_ms)
        await self._redis.ask("SET", _key("known", key), "1", "PX", for_ms)

    async def remembers(self, key: str) -> bool:
        return await self._alone.remembers(key) or bool(await self._redis.ask("EXISTS", _key("known", key)))

    async def close(self) -> None:
        await self._redis.close()
        await self._alone.close()


def _key(kind: str, key: str) -> str:
    # Hashed: an address or a mail address has no business in another server's memory, nor has any length.
    return f"fitai:limit:{kind}:{hashlib.sha256(key.encode('utf-8', 'replace')).hexdigest()[:32]}"


class NoLimiter:
    """Limits nothing: for load tests on a loopback address (the settings see to that)."""

    async def take(self, rule: Rule, key: str, cost: int = 1) -> Decision:
        return Decision(rule, allowed=True, remaining=rule.burst, reset_s=0, retry_after_s=0)

    async def give_back(self, rule: Rule, key: str) -> None:
        return

    async def remember(self, key: str, *, for_ms: int) -> None:
        return

    async def remembers(self, key: str) -> bool:
        return False

    async def close(self) -> None:
        return
