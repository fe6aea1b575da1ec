"""Running a command's coroutine so that it can be stopped, and ending with the process that started this one.

Invariants
    R1  The first Ctrl+C or SIGTERM cancels the coroutine, which clears away what it holds; the command ends with 130.
    R2  The second one ends the process at once, also where the clearing hangs.
    R3  Neither raises KeyboardInterrupt, nor prints a traceback.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from api.command_line.failures import Stopped
from api.command_line.main import leave

T = TypeVar("T")


def run(
    work: Coroutine[Any, Any, T],
    *,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
    stopped: str = "Stopped.",
) -> T:
    """Return what `work` returns. Raises Stopped with the sentence `stopped` where it was cancelled (R1)."""
    stopping = False

    async def stoppable() -> T:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None

        def stop(*_: object) -> None:
            nonlocal stopping
            if stopping:
                leave()
            stopping = True
            loop.call_soon_threadsafe(task.cancel)

        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            return await work
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        try:
            return runner.run(stoppable())
        except asyncio.CancelledError:
            raise Stopped(stopped) from None
        except Exception:
            if stopping:
                # Whatever failed on the way out, failed because it was stopped.
                raise Stopped(stopped) from None
            raise


def fast_loop() -> asyncio.AbstractEventLoop:
    """A `loop_factory` of the fastest event loop there is."""
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop

    return uvloop.new_event_loop()


def end_with_input() -> None:
    """Ask this process to end, as SIGTERM does, once its standard input has ended.

    A parent that holds the other end of that pipe takes this process with it however it dies, kill -9 included.
    """

    def wait() -> None:
        with suppress(OSError):
            while os.read(0, 4_096):
                pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="end-with-input", daemon=True).start()
