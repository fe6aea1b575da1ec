"""Who a socket is and what it may see: the questions that the live side asks.

Owns: the port, and the shapes of its answers. Refuses to know: who answers (sync/access.py asks the database).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from sync.caller import Caller
from sync.hub import SpaceState


@dataclass(frozen=True, slots=True)
class Admitted:
    """A good token: whose it is and until when, in Unix ms."""

    caller: Caller
    expires_ms: int


@dataclass(frozen=True, slots=True)
class Sight:
    """A space that the caller may see."""

    state: SpaceState
    role: str
    signals: bool = True


@dataclass(frozen=True, slots=True)
class Present:
    """What still holds of what was asked: the rest ended."""

    sessions: Collection[str]
    devices: Collection[str]
    # (space, user) → role, for members.
    roles: Mapping[tuple[str, str], str]
    # space → (life, head)
    heads: Mapping[str, tuple[str, int]]


class Access(Protocol):
    """Who somebody is and what they may see; `sync.access.DatabaseAccess` is one."""

    async def admit(self, token: str) -> Admitted:
        """Raises Unauthenticated."""
        ...

    async def greet(self, user: str, device: str, spaces: Collection[str]) -> Mapping[str, Sight]:
        """Those of `spaces` that the user may see, where the device is theirs.

        Raises UnknownDevice for an unknown device or another user's, DeviceRevoked.
        """
        ...

    async def see(self, user: str, space: str) -> Sight:
        """Raises NotFound for a space that is not there, or that the user may not see."""
        ...

    async def present(self, callers: Collection[tuple[str, str, str]], pairs: Collection[tuple[str, str]]) -> Present:
        """What still holds of these (user, session, device) and (space, user)."""
        ...
