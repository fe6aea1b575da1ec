"""Who a socket is and what it may see, asked of the database.

Owns: the questions of sync/rights.py (the port `Access`) as queries.
Refuses to know: tokens (an argument verifies them), and sockets.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from storage.database import Database
from storage.pool import begin_work
from storage.presence import greeted, heads_of, live_devices, live_sessions, roles_of
from storage.spaces import CATALOG_SPACE, SpaceRow, membership
from sync.caller import Caller
from sync.environment import Environment
from sync.errors import DeviceRevoked, NotFound, UnknownDevice
from sync.rights import Admitted, Present, Sight


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

    async def greet(self, user: str, device: str, spaces: Collection[str]) -> Mapping[str, Sight]:
        async with self.database.read() as tx:
            found = await greeted(tx, user=user, device=device, spaces=spaces)
        if found is None:
            raise UnknownDevice
        if found.revoked:
            raise DeviceRevoked
        return {each[0].id: sight for each in found.spaces if (sight := _sight(each)) is not None}

    async def see(self, user: str, space: str) -> Sight:
        async with self.database.read() as tx:
            found = await membership(tx, space, user)
        if found is None or (sight := _sight(found)) is None:
            raise NotFound
        return sight

    async def present(self, callers: Collection[tuple[str, str, str]], pairs: Collection[tuple[str, str]]) -> Present:
        now_ms = self.environment.now_ms()
        async with self.database.read() as tx:
            return Present(
                sessions=await live_sessions(tx, {session for _, session, _ in callers}, now_ms),
                devices=await live_devices(tx, {device for _, _, device in callers}),
                roles=await roles_of(tx, pairs),
                heads=await heads_of(tx, {space for space, _ in pairs}),
            )


def _sight(found: tuple[SpaceRow, str, str]) -> Sight | None:
    space, role, state = found
    if state != "member":
        return None
    # Everybody reads the catalog; what its sockets told each other would reach every user of the server.
    return Sight(space, role, signals=space.id != CATALOG_SPACE)
