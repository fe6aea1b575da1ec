"""Who is connected to this process: the sockets of each user, and the one socket of each device.

Owns: the sessions by user, the `user:<id>` subscription of each user who is here, and the rule that a device has
one socket in the whole fleet.
Refuses to know: spaces, deltas, and what other events mean (sync/live.py does).

Invariants
    U1  Of two sockets of one device at most one stays, and at least one: the older closes with 4409. Across
        processes the newer announces itself over the bus; where two connect within REPLACE_RACE_MS of each other,
        both sides compare (opened, id) and come to the same answer. While Redis is gone both may stay: they are
        one device reading twice, which harms nothing.
    U2  A user has at most SOCKETS_PER_USER_MAX sockets in a process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import msgspec

from sync.bus import Bus, user_topic
from sync.protocol import CLOSE_REPLACED, Session

# As many as a user has live devices.
SOCKETS_PER_USER_MAX: Final = 64
# Longer than two servers' clocks are apart and a message is on its way.
REPLACE_RACE_MS: Final = 10_000

_encode: Final = msgspec.json.Encoder().encode


@dataclass(slots=True)
class _User:
    sessions: list[Session]
    leave: Callable[[], None]


class Roster:
    """The sockets of one process."""

    def __init__(
        self, bus: Bus, *, now_ms: Callable[[], int], heard: Callable[[str, bytes], None], later: Callable[[Any], None]
    ) -> None:
        """`heard(user, message)` gets what comes on a user's topic. `later` runs a coroutine soon."""
        self._bus = bus
        self._now_ms = now_ms
        self._heard = heard
        self._later = later
        self._users: dict[str, _User] = {}

    def __iter__(self) -> Iterator[Session]:
        """Every socket that said a good hello."""
        for user in list(self._users.values()):
            yield from list(user.sessions)

    def of(self, user: str) -> list[Session]:
        """The sockets of one user."""
        entry = self._users.get(user)
        return list(entry.sessions) if entry else []

    def join(self, session: Session) -> bool:
        """Take in a socket whose token is good; False where the user has too many."""
        assert session.caller is not None
        user = session.caller.user
        entry = self._users.get(user)
        if entry is None:
            leave = self._bus.subscribe(user_topic(user), partial(self._heard, user))
            entry = self._users[user] = _User([], leave)
        if len(entry.sessions) >= SOCKETS_PER_USER_MAX:
            return False
        entry.sessions.append(session)
        return True

    def leave(self, session: Session) -> None:
        """Let go of a socket; one that never joined is no error."""
        if session.caller is None:
            return
        user = session.caller.user
        entry = self._users.get(user)
        if entry is None or session not in entry.sessions:
            return
        entry.sessions.remove(session)
        if not entry.sessions:
            entry.leave()
            del self._users[user]

    async def announce(self, session: Session) -> None:
        """`session` is the one socket of its device from now on (U1)."""
        assert session.caller is not None
        for other in self.of(session.caller.user):
            if other is not session and other.device == session.device:
                other.close(CLOSE_REPLACED, "replaced")
        await self._publish(session)

    def connected(self, user: str, event: dict[str, Any]) -> None:
        """Another process (or this one) told of a new socket of `user`."""
        device, socket, opened_ms = event.get("device"), event.get("socket"), event.get("opened_ms")
        if not isinstance(device, str) or not isinstance(socket, str) or not isinstance(opened_ms, int):
            return
        for session in self.of(user):
            if session.device != device or session.id == socket or session.closing is not None:
                continue
            fresh = self._now_ms() - session.opened_ms < REPLACE_RACE_MS
            if fresh and (session.opened_ms, session.id) > (opened_ms, socket):
                # This one came last; the other side has perhaps not heard of it.
                self._later(self._publish(session))
            else:
                session.close(CLOSE_REPLACED, "replaced")

    async def _publish(self, session: Session) -> None:
        assert session.caller is not None
        event = {
            "kind": "connected",
            "device": session.device,
            "socket": session.id,
            "opened_ms": session.opened_ms,
        }
        await self._bus.publish(user_topic(session.caller.user), _encode(event))
