"""What one account may write and read in a while, over HTTP and the socket together.

Owns: the rules, what a batch weighs, and the wrapper that counts every route of the sync side that is for an account.
Refuses to know: the arithmetic (api/rate_limits.py), and how many devices may be new (sync/devices.py counts those
where they stand, in the database).

The limits are there for the other users of the server: honest devices, a first sync of many years among them, stay
far below. A device that reaches one waits as told and loses nothing.

Invariants
    T1  A request is counted before its body is read, so a flood of large ones costs no reading.
    T2  Nothing of Redis is on the way of a push: each process counts for itself.
    T3  A batch that the protocol allows is never too heavy to be sent at all.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from aiohttp import web

from api.errors import Handler, RateLimited
from api.http import CALLER, LIMIT_HEADERS
from api.rate_limits import Decision, Limiter, Rule
from api.settings import Settings

log = logging.getLogger(__name__)

MINUTE_MS: Final = 60_000
DAY_MS: Final = 86_400_000
# A script that logs set after set, each a push of its own, runs for minutes before it is slowed down.
# And a device that reads a full space for the first time asks for two hundred pages.
BURST_MINUTES: Final = 3
# A space may hold a gigabyte, and a phone that comes online for the first time sends it in one go.
BURST_DAYS: Final = 2
KIB: Final = 1_024
KIB_PER_MIB: Final = 1_024


class AccountThrottle:
    """The `Throttle` of one process."""

    def __init__(self, limiter: Limiter, settings: Settings) -> None:
        """`limiter` counts in this process (T2)."""
        per_minute, reads = settings.writes_per_minute, settings.reads_per_minute
        kib_per_day = settings.upload_mib_per_day * KIB_PER_MIB
        self._limiter = limiter
        self._write = Rule("writes", burst=BURST_MINUTES * per_minute, interval_ms=MINUTE_MS / per_minute)
        self._read = Rule("reads", burst=BURST_MINUTES * reads, interval_ms=MINUTE_MS / reads)
        self._upload = Rule("upload-kib", burst=BURST_DAYS * kib_per_day, interval_ms=DAY_MS / kib_per_day)
        # Beside the writes: how often a device has something new to confirm is up to what others write.
        self._seen = Rule("seen", burst=self._write.burst, interval_ms=self._write.interval_ms)

    async def write(self, user: str) -> Decision:
        return await self._take(self._write, user, 1)

    async def read(self, user: str) -> Decision:
        return await self._take(self._read, user, 1)

    async def upload(self, user: str, changes: int, size: int) -> None:
        # The smallest change leaves a line in the ledger and a tombstone, which is about as much.
        await self._take(self._upload, user, max(changes, -(-size // KIB)))

    async def seen(self, user: str) -> None:
        await self._take(self._seen, user, 1)

    def guard(self, routes: Sequence[web.RouteDef]) -> list[web.RouteDef]:
        """These routes, each counted and told its limit: as a write, or where it is a GET as a read."""
        return [web.route(each.method, each.path, self._counted(each), **each.kwargs) for each in routes]

    def _counted(self, route: web.RouteDef) -> Handler:
        count = self.read if route.method == "GET" else self.write

        async def counted(request: web.Request) -> web.StreamResponse:
            # What is open to all is asked for by nobody: it says what this server speaks, and costs nothing.
            if (who := request.get(CALLER)) is not None:
                request[LIMIT_HEADERS] = (await count(who.user)).headers()
            return await route.handler(request)

        return counted

    async def _take(self, rule: Rule, user: str, cost: int) -> Decision:
        decision = await self._limiter.take(rule, user, cost)
        if not decision.allowed:
            log.info("user %s has reached the limit %s", user, rule.name)
            raise RateLimited(retry_after_s=decision.retry_after_s, headers=decision.headers())
        return decision
