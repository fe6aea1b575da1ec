"""Ending tasks for certain.

Owns: the one way in which the live side ends what it started.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any, Final

AGAIN_S: Final = 0.5


async def end_tasks(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel these tasks until each has ended, whatever it ended with.

    More than once where need be: before Python 3.12, `asyncio.wait_for`, which drivers use, loses a cancellation
    that comes in the same turn of the loop as its result.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)
