"""Redis where it helps and nothing depends on it: an answer in time, or none.

Owns: Redis's exceptions and timeouts on the way of a request.
Refuses to know: what is kept there; and the bus, which has a connection of its own (sync/redis_bus.py).
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from sync.environment import Environment

if TYPE_CHECKING:
    from redis.asyncio import Redis

log = logging.getLogger(__name__)

TIMEOUT_S: Final = 0.5
# After a failure Redis is not asked for a while, so that requests do not wait for the timeout one by one.
PAUSE_MS: Final = 1_000


class OptionalRedis:
    """One connection pool. Close it with the process."""

    def __init__(self, url: str, environment: Environment, *, without: str) -> None:
        """`without`: what this process does while Redis is gone, for the log."""
        # Who has no Redis starts without its client, which is a large one.
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
        from redis.exceptions import RedisError

        self._gone: Final = (RedisError, OSError, asyncio.TimeoutError)
        self._environment = environment
        self._without = without
        self._paused_until_ms = 0
        self._redis: Redis = Redis.from_url(
            url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, retry=Retry(NoBackoff(), 0)
        )

    async def ask(self, *command: Any) -> Any | None:
        """Return Redis's answer, or None where it gave none in time."""
        now = self._environment.now_ms()
        if now < self._paused_until_ms:
            return None
        try:
            # A command that is cancelled half-way would leave its answer to whoever uses the connection next.
            asked = asyncio.ensure_future(self._redis.execute_command(*command))  # type: ignore[no-untyped-call]
            asked.add_done_callback(_retrieve)
            return await asyncio.shield(asked)
        except self._gone as error:
            self._paused_until_ms = now + PAUSE_MS
            log.warning("Redis does not answer (%s); %s meanwhile", error, self._without)
            return None

    async def close(self) -> None:
        """Let go of the connections."""
        await self._redis.aclose()


def _retrieve(task: asyncio.Future[Any]) -> None:
    """Look at the outcome of a command whose caller may be gone, so that nobody warns about it."""
    if not task.cancelled():
        task.exception()
