"""Spaces, watching all of one, and the signals between their devices."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from ..errors import FitaiError, NotFound
from ..presence import RENEW_S, TOPIC, TTL_S, Present
from ..space import SpaceHandle
from .base import Calls

__all__ = ["SpaceCalls"]


class SpaceCalls(Calls):
    """Where records are, and who else is there."""

    async def spaces(self) -> tuple[Any, ...]:
        """Every space this device knows."""
        return (await self.status()).spaces

    async def space(self, id: str) -> SpaceHandle:
        """A shared space, or the catalog, by its id.

        Raises:
            NotFound: this device knows no such space; `sync()` fetches the list.
        """
        for found in await self.spaces():
            if id in (found.id, found.kind):
                return SpaceHandle(self, found.no)
        raise NotFound(f"There is no space {id} on this device.")

    async def signal(self, topic: str, body: Any, *, ttl_s: int = 0, space: SpaceHandle | None = None) -> bool:
        """Tell the space's other devices something that is stored nowhere. False where there is no socket now.

        Raises:
            NotFound: the space is not known to the server yet.
        """
        return await self._live.signal(await self._remote((space or self).number), topic, body, ttl_s)

    def signals(self) -> AsyncIterator[Mapping[str, Any]]:
        """Signals and events of the socket, as they come; it ends when the client is closed."""
        return self._live.frames()

    @asynccontextmanager
    async def present(self, body: Any, *, space: SpaceHandle | None = None) -> AsyncIterator[None]:
        """Tell the space's other devices for the time of the block that this one is there, and what it does.

        body: at most 4 KiB of JSON, such as {"workout": workout.id}. Nothing is told while there is no socket.

        Raises:
            NotFound: the space is not known to the server yet.
        """

        async def renew() -> None:
            while True:
                # A file that is held for a moment: it is told again.
                with suppress(FitaiError):
                    await self.signal(TOPIC, body, ttl_s=TTL_S, space=space)
                await asyncio.sleep(RENEW_S)

        await self._remote((space or self).number)
        renewing = asyncio.create_task(renew())
        try:
            yield
        finally:
            renewing.cancel()
            with suppress(asyncio.CancelledError):
                await renewing
            # Where the client was closed meanwhile, the others see its socket end.
            with suppress(FitaiError):
                await self.signal(TOPIC, None, space=space)

    async def others(self, *, space: SpaceHandle | None = None) -> list[Present]:
        """The other devices that are present in a space now, as far as the socket told. Raises as `present`."""
        return self._live.presence.of(await self._remote((space or self).number))
