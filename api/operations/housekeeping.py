"""What a server does by itself now and then: it lets go what is old, and counts anew.

Owns: when. Refuses to know: what a chore does.

Every process does it, at its own moment; a second pass at the same time finds nothing left to do.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from storage.errors import StorageError
from sync.environment import Environment
from sync.tasks import end_tasks

log = logging.getLogger(__name__)

# Tombstones stay for a month: an hour more is nothing, and a pass over what is left is cheap.
INTERVAL_S: Final = 3_600.0


# One pass; how many things it was concerned with.
Chore = Callable[[], Awaitable[int]]


def start_housekeeping(
    chores: Mapping[str, Chore], environment: Environment, *, interval_s: float = INTERVAL_S
) -> Callable[[], Awaitable[None]]:
    """Begin; await what is returned to stop. The first round comes within one interval, at a random moment.

    chores: by the name of what they are concerned with, in the plural.
    """
    first_s = interval_s * int.from_bytes(environment.token_bytes(2), "big") / 65_536
    task = asyncio.create_task(_keep_house(chores, first_s, interval_s), name="housekeeping")

    async def stop() -> None:
        await end_tasks([task])

    return stop


async def _keep_house(chores: Mapping[str, Chore], first_s: float, interval_s: float) -> None:
    await asyncio.sleep(first_s)
    while True:
        for name, chore in chores.items():
            await _do(name, chore)
        await asyncio.sleep(interval_s)


async def _do(name: str, chore: Chore) -> None:
    try:
        done = await chore()
    except StorageError as error:
        log.warning("housekeeping of %s waits for the database: %s", name, error)
    except Exception:
        # The next pass may well succeed, and until then nothing but disk space is lost.
        log.exception("housekeeping of %s failed", name)
    else:
        if done:
            log.info("housekeeping of %s: %d", name, done)
