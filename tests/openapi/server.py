"""The real application on a real socket in a thread of its own, for clients that wait."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from api.settings import Settings
from tests.api.harness import Server, running


@contextmanager
def served(settings: Settings) -> Iterator[Server]:
    """Run a server until the block ends."""
    loop = asyncio.new_event_loop()
    started = threading.Event()
    stop = asyncio.Event()
    made: list[Server | BaseException] = []

    async def serve() -> None:
        try:
            async with running(settings) as server:
                made.append(server)
                started.set()
                await stop.wait()
        except BaseException as error:
            made.append(error)
            raise
        finally:
            started.set()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), name="server", daemon=True)
    thread.start()
    started.wait()
    if isinstance(made[0], BaseException):
        raise made[0]
    try:
        yield made[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
