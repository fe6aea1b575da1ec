"""How a socket is let in: its hello, judged and answered.

Owns: the order of a greeting, how many are looked at at once, and the welcome.
Refuses to know: what happens on a socket once it is open (sync/live.py).

Invariants
    L1  The spaces of a hello are joined before the right to any is asked for, and the user's topic before their spaces
        are: a right that is lost meanwhile is found either by the look or by the event.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from conflict.clock import rfc3339
from sync.caller import Caller
from sync.channels import Subscription
from sync.environment import Environment
from sync.errors import DeviceRevoked, NotFound, SyncError, Unauthenticated, UnknownDevice
from sync.hub import SpaceState
from sync.limits import Limits
from sync.protocol import (
    CLOSE_REVOKED,
    CLOSE_TRY_LATER,
    CLOSE_UNAUTHENTICATED,
    HEARTBEAT_S,
    SPACES_MAX,
    Hello,
    Moment,
    Session,
)
from sync.rights import Access, Sight
from sync.roster import Roster
from sync.subscribing import Subscribing, TooManySpaces
from sync.unexpected import is_defect, level

log = logging.getLogger(__name__)

# Greetings together: five thousand devices that come back after a restart wait in line, not in the database.
OPENINGS_AT_ONCE: Final = 16


class Noting(Protocol):
    """Notes when a device was there; `sync.engine.Engine` does."""

    def note_later(self, caller: Caller) -> None: ...


@dataclass(frozen=True)
class Greeting:
    """The greetings of one process's sockets."""

    access: Access
    subscribing: Subscribing
    roster: Roster
    noting: Noting
    environment: Environment
    limits: Limits
    _openings: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(OPENINGS_AT_ONCE), repr=False)

    async def greet(self, session: Session, hello: Hello, now: Moment) -> None:
        """Let a socket in and bring it up to date, or close it with the code that says why not."""
        async with self._openings:
            try:
                admitted = await self.access.admit(hello.token)
                if admitted.expires_ms <= now.wall_ms:
                    raise Unauthenticated()
                session.admit(replace(admitted.caller, device=hello.device), admitted.expires_ms)
                if not self.roster.join(session):
                    session.close(CLOSE_TRY_LATER, "too_many_sockets")
                    return
                # Before the right to any of them is asked for (L1).
                joined = self._join(session, hello)
                sights = await self.access.greet(admitted.caller.user, hello.device, joined)
                self.noting.note_later(replace(admitted.caller, device=hello.device))
            except Unauthenticated as error:
                session.close(CLOSE_UNAUTHENTICATED, error.code)
            except (DeviceRevoked, UnknownDevice) as error:
                session.close(CLOSE_REVOKED, error.code)
            except Exception as error:  # Whatever a database does, the device is told to come again
                log.log(level(error), "a hello could not be judged: %s", error, exc_info=is_defect(error))
                session.close(CLOSE_TRY_LATER, "unavailable")
            if session.closing is None:
                await self.roster.announce(session)
                await self._open(session, hello, joined, sights)

    def _join(self, session: Session, hello: Hello) -> dict[str, Subscription]:
        """Join the spaces of a hello, also of those that may not be seen: only a look tells."""
        return {space: self.subscribing.hub.join(session, space) for space in hello.spaces}

    async def _open(
        self, session: Session, hello: Hello, joined: Mapping[str, Subscription], sights: Mapping[str, Sight]
    ) -> None:
        """Go on with every space of the hello that may be seen, say welcome, then bring each up to date."""
        behind: list[tuple[Subscription, SpaceState, str]] = []
        refused: list[tuple[str, SyncError]] = []
        let_in = 0
        for space, cursor in hello.spaces.items():
            subscription = joined[space]
            sight = sights.get(space) if subscription.attached else None
            if sight is None or let_in == SPACES_MAX:
                refused.append((space, NotFound() if sight is None else TooManySpaces()))
                if subscription.attached:
                    self.subscribing.leave(session, space)
                continue
            let_in += 1
            self.subscribing.let_in(subscription, sight)
            if cursor is None:
                self.subscribing.hub.go_live(subscription, sight.state)
            else:
                behind.append((subscription, sight.state, cursor))
        session.welcome(
            {
                "server_time": rfc3339(self.environment.now_ms()),
                "heartbeat_s": HEARTBEAT_S,
                "limits": self.limits.announced(),
            }
        )
        for space, refusal in refused:
            session.refuse(None, refusal.code, refusal.message, {**(refusal.details or {}), "space": space})
        for subscription, state, cursor in behind:
            await self.subscribing.resume(subscription, state, cursor)
        for space in list(session.subscriptions):
            self.subscribing.signals.join(session, space)
