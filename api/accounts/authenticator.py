"""From an access token to a caller, every time a request or a socket asks.

Owns: the cache of which sessions stand.
Refuses to know: HTTP, and how sessions end (api/accounts/service.py).

Invariants
    A1  A token counts only while its session stands: not revoked, not expired, its user not disabled.
    A2  What the cache says is never older than CACHE_MS. That is the bound within which a revoked session
        ends in every process when the bus is lost; while the bus works it ends at once.
    A3  The bus is subscribed before the database is read, so an end between the two is not missed.
    A4  When the database cannot be read, nobody is let in on the strength of the signature alone.
    A5  Who shows a token of an account that was erased, of whatever age, is told that it was: their device is to keep
        nothing for a sign-in that can never be. Nobody else is told.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from api.accounts.tokens import AccessTokens
from storage import sessions
from storage.database import Database
from storage.erasure import is_erased
from sync.bus import Bus, user_topic
from sync.caller import Caller
from sync.environment import Environment
from sync.errors import AccountErased, Unauthenticated

# The bound that is promised for a logout to be felt everywhere, with a margin for the request under way.
CACHE_MS: Final = 4_000
# One process serves the sockets and requests of so many users without asking again; the oldest go first.
CACHE_USERS_MAX: Final = 20_000


@dataclass(frozen=True)
class Authenticated:
    """A caller, and until when (milliseconds since the epoch) the token that proved it is good."""

    caller: Caller
    expires_ms: int


@dataclass(frozen=True)
class _Standing:
    stands: bool
    role: str
    read_at_ms: int
    # There is no account any more whose session it could be.
    erased: bool


@dataclass
class _User:
    unsubscribe: Callable[[], None]
    sessions: dict[str, _Standing] = field(default_factory=dict)
    # Counts what the bus said, so that a reading which was under way meanwhile is not kept (A3).
    ended: int = 0


class Authenticator:
    """One a process."""

    def __init__(self, tokens: AccessTokens, database: Database, bus: Bus, environment: Environment) -> None:
        self._tokens = tokens
        self._database = database
        self._bus = bus
        self._environment = environment
        self._users: OrderedDict[str, _User] = OrderedDict()

    async def authenticate(self, token: str, *, device: str | None = None) -> Caller:
        """Return who bears this access token; see `open`."""
        return (await self.open(token, device=device)).caller

    async def open(self, token: str, *, device: str | None = None) -> Authenticated:
        """Return who bears this access token, and until when: what a socket needs to know.

        device: what the client sent as Sync-Device; passed through, not checked.

        Raises:
            Unauthenticated: not a token of ours, expired, or its session has ended; the client signs in again.
            AccountErased: the same, of an account that is no more (A5).
            StorageError: the database could not be asked; the client tries again (A4).
        """
        try:
            claims = self._tokens.verify(token)
        except Unauthenticated:
            bearer = self._tokens.bearer(token)
            if bearer is not None and (await self._standing(*bearer)).erased:
                raise AccountErased from None
            raise
        standing = await self._standing(claims.user, claims.session)
        if not standing.stands:
            raise AccountErased if standing.erased else Unauthenticated
        caller = Caller(user=claims.user, session=claims.session, role=standing.role, device=device)
        return Authenticated(caller, claims.expires_ms)

    def forget(self, user: str, session: str | None = None) -> None:
        """Ask the database about this session, or about all of this user's, the next time."""
        known = self._users.get(user)
        if known is None:
            return
        known.ended += 1
        if session is None:
            known.sessions.clear()
        else:
            known.sessions.pop(session, None)

    def close(self) -> None:
        """Let go of the bus."""
        for known in self._users.values():
            known.unsubscribe()
        self._users.clear()

    async def _standing(self, user: str, session: str) -> _Standing:
        now = self._environment.now_ms()
        known = self._user(user)
        cached = known.sessions.get(session)
        # A clock that was set back must not prolong anything.
        if cached is not None and 0 <= now - cached.read_at_ms < CACHE_MS:
            return cached
        ended = known.ended
        async with self._database.read() as tx:
            row = await sessions.read_standing(tx, session=session, user=user)
            erased = (row is None or row.disabled_at is not None) and await is_erased(tx, user)
        if row is None:
            standing = _Standing(stands=False, role="user", read_at_ms=now, erased=erased)
        else:
            stands = row.revoked_at is None and row.disabled_at is None and row.expires_at > now
            standing = _Standing(stands=stands, role=row.role, read_at_ms=now, erased=erased)
        if known.ended == ended:
            known.sessions[session] = standing
        return standing

    def _user(self, user: str) -> _User:
        known = self._users.get(user)
        if known is not None:
            self._users.move_to_end(user)
            return known
        known = _User(self._bus.subscribe(user_topic(user), lambda message: self._hear(user, message)))
        self._users[user] = known
        if len(self._users) > CACHE_USERS_MAX:
            _, oldest = self._users.popitem(last=False)
            oldest.unsubscribe()
        return known

    def _hear(self, user: str, message: bytes) -> None:
        """A message about this user; an empty one says that some may have been lost."""
        if not message:
            self.forget(user)
            return
        event = json.loads(message)
        if event.get("kind") == "session_ended":
            self.forget(user, event.get("session"))
        elif event.get("kind") in ("device_revoked", "role_changed"):
            self.forget(user)
