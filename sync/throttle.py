"""How much one account may write and read in a while: a port, since what counts it differs with the process.

Owns: what is counted. Refuses to know: how much that may be (api/sync/throttle.py).
"""

from __future__ import annotations

from typing import Protocol


class Throttle(Protocol):
    """Counts what an account asks for; each method raises RateLimited where it is too much by now."""

    async def write(self, user: str) -> object:
        """Count one request that writes."""
        ...

    async def read(self, user: str) -> object:
        """Count one request that reads, or one space that a socket brings up to date."""
        ...

    async def upload(self, user: str, changes: int, size: int) -> None:
        """Count a batch of so many changes in so many bytes."""
        ...

    async def seen(self, user: str) -> None:
        """Count one `seen` of the socket."""
        ...


class Unthrottled:
    """Counts nothing: for tests and simulations."""

    async def write(self, user: str) -> None:
        return

    async def read(self, user: str) -> None:
        return

    async def upload(self, user: str, changes: int, size: int) -> None:
        return

    async def seen(self, user: str) -> None:
        return
