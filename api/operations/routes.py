"""Health: what a load balancer and an operator ask, without a token.

    /health/live    the process answers; a load balancer restarts it otherwise
    /health/ready   it can serve: not stopping, and its database answers; no traffic otherwise
    /health         each dependency by name

Owns: the checks. Refuses to know: versions, addresses and errors of anything; these answers are public.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from aiohttp import web
from sqlalchemy import text

from api.http import success
from api.middleware import TRAFFIC
from storage.database import Database
from storage.errors import StorageError
from sync.bus import Bus, Linked

log = logging.getLogger(__name__)

# Longer than any healthy database needs, shorter than a load balancer waits.
CHECK_S: Final = 2.0
_PING: Final = text("SELECT 1")


def routes(database: Database, bus: Bus) -> list[web.RouteDef]:
    """Return the routes, over the parts that are checked."""

    async def database_answers() -> bool:
        try:
            async with asyncio.timeout(CHECK_S), database.read() as tx:
                await tx.execute(_PING)
        except (StorageError, TimeoutError) as error:
            log.warning("the database does not answer: %s", error)
            return False
        return True

    async def live(request: web.Request) -> web.Response:
        return success(request, {"status": "ok"})

    async def ready(request: web.Request) -> web.Response:
        if request.app[TRAFFIC].draining:
            return success(request, {"status": "stopping"}, status=503)
        if not await database_answers():
            return success(request, {"status": "failed"}, status=503)
        return success(request, {"status": "ok"})

    async def health(request: web.Request) -> web.Response:
        checks: dict[str, Any] = {"database": "ok" if await database_answers() else "failed"}
        if isinstance(bus, Linked):
            # Without Redis changes reach other processes late and nothing is lost: degraded, not failed.
            checks["redis"] = "ok" if bus.connected else "degraded"
        works = "failed" not in checks.values()
        return success(
            request,
            {"status": "ok" if works else "failed", "checks": checks},
            status=200 if works else 503,
        )

    return [
        web.get("/health/live", live),
        web.get("/health/ready", ready),
        web.get("/health", health),
    ]
