"""What a server does by itself now and then: it lets old tombstones go.

Owns: when. Refuses to know: what may go (sync/retention.py).

Every process does it, at its own moment; a pass takes each space's lock in turn, and a second one at the same time
finds nothing left to do.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from storage.errors import StorageError
from sync.environment import Environment
from sync.retention import Retention
from sync.tasks import end_tasks

log = logging.getLogger(__name__)

# Tombstones stay for a month: an hour more is nothing, and a pass over what is left is cheap.
INTERVAL_S: Final = 3_600.0


def start_housekeeping(
    retention: Retention, environment: Environment, *, interval_s: float = INTERVAL_S
) -> Callable[[], Awaitable[None]]:
    """Begin; await what is returned to stop. The first pass comes within one interval, at a random moment."""
    first_s = interval_s * int.from_bytes(environment.token_bytes(2), "big") / 65_536
    task = asyncio.create_task(_keep_house(retention, first_s, interval_s), name="housekeeping")

    async def stop() -> None:
        await end_tasks([task])

    return stop


async def _keep_house(retention: Retention, first_s: float, interval_s: float) -> None:
    await asyncio.sleep(first_s)
    while True:
        try:
            removed = await retention.run()
        except StorageError as error:
            log.warning("housekeeping waits for the database: %s", error)
        except Exception:
            # The next pass may well succeed, and until then nothing but disk space is lost.
            log.exception("housekeeping failed")
        else:
            if removed:
                log.info("housekeeping let %d records go", removed)
        await asyncio.sleep(interval_s)
