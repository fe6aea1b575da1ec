"""Who a socket is and what it may see, asked of the database.

Owns: the questions of sync/live.py (its port `Access`) as queries.
Refuses to know: tokens (an argument verifies them), and sockets.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from storage.database import Database
from storage.devices import find_device
from storage.pool import begin_work
from storage.presence import heads_of, live_devices, live_sessions, roles_of
from storage.spaces import CATALOG_SPACE, membership
from sync.caller import Caller
from sync.environment import Environment
from sync.errors import DeviceRevoked, NotFound, UnknownDevice
from sync.live import Admitted, Present, Sight


class Opened(Protocol):
    """What a verified token says."""

    @property
    def caller(self) -> Caller: ...
    @property
    def expires_ms(self) -> int: ...


@dataclass(frozen=True)
class DatabaseAccess:
    """The `Access` of one database. `open_token` raises Unauthenticated for a bad token."""

    database: Database
    environment: Environment
    open_token: Callable[[str], Awaitable[Opened]]

    async def admit(self, token: str) -> Admitted:
        # Greetings have a line of their own: behind every request at the database too, none would ever be answered.
        begin_work(waited=True)
        opened = await self.open_token(token)
        return Admitted(opened.caller, opened.expires_ms)

    async def check_device(self, user: str, device: str) -> None:
        async with self.database.read() as tx:
            found = await find_device(tx, device)
        if found is None or found.user != user:
            raise UnknownDevice
        if found.revoked_at is not None:
            raise DeviceRevoked

    async def see(self, user: str, space: str) -> Sight:
        async with self.database.read() as tx:
            found = await membership(tx, space, user)
        if found is None or found[2] != "member":
            raise NotFound
        # Everybody reads the catalog; what its sockets told each other would reach every user of the server.
        return Sight(found[0], found[1], signals=space != CATALOG_SPACE)

    async def present(self, callers: Collection[tuple[str, str, str]], pairs: Collection[tuple[str, str]]) -> Present:
        now_ms = self.environment.now_ms()
        async with self.database.read() as tx:
            return Present(
                sessions=await live_sessions(tx, {session for _, session, _ in callers}, now_ms),
                devices=await live_devices(tx, {device for _, _, device in callers}),
                roles=await roles_of(tx, pairs),
                heads=await heads_of(tx, {space for space, _ in pairs}),
            )
