"""Sends each push a second time, to another server, while the first is still at it: what a load balancer's retry does.

The copy's answer is read and thrown away; whatever comes of it, the device has its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable
from typing import Final

_PUSH: Final = re.compile(rb"POST /api/sync/spaces/[^ ]+/push ")
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
ANSWER_S: Final = 20.0


class Duplicator:
    """Give `tap` to a proxy as its `new_tap`; `port` says where copies go. Call `settle` at the end."""

    def __init__(self, port: Callable[[], int]) -> None:
        self._port = port
        self._tasks: set[asyncio.Task[None]] = set()
        self.copied = 0

    def tap(self) -> Callable[[bytes], None]:
        """Who reads one connection. Requests come one after the other, so a push begins a piece."""
        request = bytearray()

        def read(piece: bytes) -> None:
            if request or _PUSH.match(piece):
                request.extend(piece)
            if request and len(request) >= _size(request):
                task = asyncio.ensure_future(self._send(bytes(request)))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                request.clear()

        return read

    async def settle(self) -> None:
        """Return when every copy was answered or given up."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def _send(self, request: bytes) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(ANSWER_S):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port())
                try:
                    writer.write(request)
                    await writer.drain()
                    await reader.readuntil(b"\r\n\r\n")
                    self.copied += 1
                except asyncio.IncompleteReadError:
                    pass
                finally:
                    writer.close()


def _size(request: bytearray) -> int:
    """The bytes of a request, head and body; more than there are while its head is on the way."""
    end = request.find(b"\r\n\r\n")
    if end < 0:
        return len(request) + 1
    length = _LENGTH.search(bytes(request[:end]))
    return end + 4 + (int(length[1]) if length else 0)
