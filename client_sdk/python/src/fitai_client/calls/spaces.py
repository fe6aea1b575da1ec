"""Spaces, watching all of one, and the signals between their devices."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from ..collection import SpaceHandle
from ..errors import NotFound
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
        """Tell the space's other devices something that is stored nowhere. False where there is no socket now."""
        return await self._live.signal(await self._remote((space or self).number), topic, body, ttl_s)

    def signals(self) -> AsyncIterator[Mapping[str, Any]]:
        """Signals and events of the socket, as they come."""
        return self._live.frames()
