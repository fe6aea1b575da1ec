"""What may not be left half done where its caller is cancelled: the ends of transactions (D2)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

from storage.errors import StorageError


async def to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Carry `work` to its end even where the caller is cancelled meanwhile, and pass the cancellation on then."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
        except StorageError:
            break
    if cancelled is not None:
        with contextlib.suppress(StorageError):
            task.result()
        raise cancelled
    task.result()
