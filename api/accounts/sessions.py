"""Sessions: opened, refreshed, listed and ended.

Owns: the rotation of refresh tokens, and how the end of a session is made known.
Refuses to know: why one may be opened (sign_in.py, registration.py, oidc/), requests, SQL (storage/sessions.py).

Invariants
    S3  A refresh token is spent once. Within GRACE_MS a repetition (the answer was lost) gets the same
        successor and rotates nothing; later it ends the whole session: somebody else has the token.
    S4  A session that ended gets no new token, whatever was under way: its row is locked by either.
    S5  The end of a session is announced after its commit, on the topic of its user.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from api.accounts.limits import DAY_MS, REFRESH_BY_ADDRESS, Limits
from api.accounts.model import Issued, Origin, plain
from api.accounts.shapes import Session, User
from api.accounts.tokens import AccessTokens, hash_of, is_refresh_token, new_refresh_token, successor
from api.errors import InvalidGrant
from api.rate_limits import Decision
from api.secret_key import Keys
from conflict.clock import rfc3339
from storage import sessions
from storage.audit_log import Event
from storage.database import Database, Transaction
from storage.erasure import is_erased
from sync.audit_trail import note
from sync.bus import Bus, user_topic
from sync.caller import Caller
from sync.environment import Environment, uuid7
from sync.errors import AccountErased, NotFound

log = logging.getLogger(__name__)

# A lost answer is repeated within seconds; RFC 9700 wants the window as short as that allows.
GRACE_MS: Final = 10_000
# A training log is opened after a holiday or an injury; half a year of silence is a lost phone.
SESSION_IDLE_MS: Final = 180 * DAY_MS
SESSION_LIFETIME_MS: Final = 365 * DAY_MS
# Reuse of a token is recognised for so long; what is older is refused as unknown.
SPENT_KEPT_MS: Final = 30 * DAY_MS
# More than any person has devices; the least recently used one ends.
SESSIONS_MAX: Final = 100
USER_AGENT_CHARS_MAX: Final = 256

_SESSION: Final = re.compile(r"[0-9a-f-]{36}")


class Opened(NamedTuple):
    """A new session, its refresh token, and the sessions that had to make room for it."""

    session: str
    refresh: str
    ended: list[str]


class Sessions:
    """One a process."""

    def __init__(
        self,
        *,
        database: Database,
        bus: Bus,
        environment: Environment,
        access_tokens: AccessTokens,
        keys: Sequence[Keys],
        limits: Limits,
    ) -> None:
        self._database = database
        self._bus = bus
        self._environment = environment
        self._access_tokens = access_tokens
        self._keys = keys
        self._limits = limits

    async def open(self, tx: Transaction, user: str, origin: Origin) -> Opened:
        """Add a session, in the caller's transaction; `announce` what it ended after the commit."""
        now = self._environment.now_ms()
        session = uuid7(self._environment)
        refresh = new_refresh_token(self._environment.token_bytes)
        await sessions.add_session(
            tx,
            session=session,
            user=user,
            now_ms=now,
            expires_at=now + SESSION_LIFETIME_MS,
            user_agent=plain(origin.user_agent)[:USER_AGENT_CHARS_MAX],
        )
        await sessions.add_refresh_token(tx, token_hash=hash_of(refresh), session=session, now_ms=now)
        ended = await sessions.revoke_oldest_sessions(tx, user=user, keep=SESSIONS_MAX, now_ms=now)
        return Opened(session, refresh, ended)

    def tokens(self, user: User, opened: Opened, decision: Decision) -> Issued:
        """The pair of tokens of a session that was opened."""
        access = self._access_tokens.issue(user=user.id, session=opened.session, role=user.role, plan=user.plan)
        return Issued(access, opened.refresh, decision, user)

    async def refresh(self, token: str, origin: Origin, access: str | None = None) -> Issued:
        """Spend a refresh token for the next pair (S3).

        access: the access token that it renews, of whatever age; it lets a device of an erased account be told so.

        Raises:
            InvalidGrant: sign in again. Where the token had been spent long ago, its session has ended now.
            AccountErased: there is no account to sign in to any more.
            RateLimited: later, please.
        """
        decision = await self._limits.take(REFRESH_BY_ADDRESS, origin.address)
        if not is_refresh_token(token):
            raise InvalidGrant(headers=decision.headers())
        now = self._environment.now_ms()
        stolen = False
        async with self._database.write() as tx:
            held = await sessions.lock_refresh_token(tx, hash_of(token))
            if held is None or not _may_refresh(held, now):
                bearer = self._access_tokens.bearer(access or "")
                user = held.user if held is not None else bearer[0] if bearer is not None else None
                if user is not None and await is_erased(tx, user):
                    raise AccountErased
                raise InvalidGrant(headers=decision.headers())
            if held.spent_at is None:
                following = successor(token, self._keys[0])
                await sessions.spend_refresh_token(
                    tx,
                    token_hash=hash_of(token),
                    session=held.session,
                    successor_hash=hash_of(following),
                    now_ms=now,
                    forget_before=now - SPENT_KEPT_MS,
                )
            elif now - held.spent_at <= GRACE_MS:
                following = await self._given_successor(tx, token, held.session)
            else:
                stolen = True
                following = ""
                await sessions.revoke_session(
                    tx, session=held.session, user=held.user, now_ms=now, reason="refresh_token_reuse"
                )
                await note(
                    tx,
                    self._environment,
                    Event.TOKEN_REUSED,
                    user=held.user,
                    session=held.session,
                    address=origin.address,
                )
        if stolen:  # Raised only here: the transaction that ends the session has to commit.
            log.warning("user %s: a spent refresh token was used again; session %s ends", held.user, held.session)
            await self.announce(held.user, [held.session])
            raise InvalidGrant(headers=decision.headers())
        access = self._access_tokens.issue(user=held.user, session=held.session, role=held.role, plan=held.plan)
        return Issued(access, following, decision)

    async def logout(self, caller: Caller, origin: Origin) -> None:
        """End the caller's session."""
        await self._end(caller, caller.session, "logout", Event.SIGNED_OUT, origin)

    async def logout_all(self, caller: Caller, origin: Origin) -> int:
        """End every session of the caller, this one too, and return how many there were."""
        async with self._database.write() as tx:
            ended = await self.end_all(tx, caller.user, reason="logout_all")
            await note(
                tx,
                self._environment,
                Event.SIGNED_OUT_EVERYWHERE,
                user=caller.user,
                actor=caller.user,
                session=caller.session,
                address=origin.address,
                sessions=len(ended),
            )
        await self.announce(caller.user, ended)
        return len(ended)

    async def end_all(self, tx: Transaction, user: str, *, reason: str, but: str | None = None) -> list[str]:
        """End every session of a user, perhaps but one, in the caller's transaction; `announce` them after it."""
        now = self._environment.now_ms()
        if but is None:
            ended = await sessions.revoke_all_sessions(tx, user=user, now_ms=now, reason=reason)
        else:
            ended = await sessions.revoke_other_sessions(tx, user=user, keep=but, now_ms=now, reason=reason)
        log.info("user %s: %d sessions end (%s)", user, len(ended), reason)
        return ended

    async def revoke(self, caller: Caller, session: str, origin: Origin) -> None:
        """End one of the caller's sessions; raises NotFound for any other."""
        # What is no id of ours is not asked for: a database may refuse the characters.
        if _SESSION.fullmatch(session) is None or not await self._end(
            caller, session, "revoked", Event.SESSION_REVOKED, origin
        ):
            raise NotFound

    async def live(self, caller: Caller) -> list[Session]:
        """Return the caller's live sessions, the one used last first."""
        async with self._database.read() as tx:
            live = await sessions.list_sessions(tx, user=caller.user, now_ms=self._environment.now_ms())
        return [
            Session(
                id=session.id,
                device=session.device,
                user_agent=session.user_agent,
                created_at=rfc3339(session.created_at),
                last_used_at=rfc3339(session.last_used_at),
                expires_at=rfc3339(session.expires_at),
                current=session.id == caller.session,
            )
            for session in live
        ]

    async def announce(self, user: str, ended: Sequence[str]) -> None:
        """Tell every process that these sessions have ended (S5)."""
        for session in ended:
            event = {"kind": "session_ended", "session": session}
            await self._bus.publish(user_topic(user), msgspec.json.encode(event))

    async def _given_successor(self, tx: Transaction, token: str, session: str) -> str:
        """The successor that was given for a spent token, under whichever key signed then."""
        for key in self._keys:
            following = successor(token, key)
            if await sessions.holds_refresh_token(tx, session=session, token_hash=hash_of(following)):
                return following
        raise InvalidGrant  # Its key was taken away since.

    async def _end(self, caller: Caller, session: str, reason: str, event: Event, origin: Origin) -> bool:
        user = caller.user
        async with self._database.write() as tx:
            ended = await sessions.revoke_session(
                tx, session=session, user=user, now_ms=self._environment.now_ms(), reason=reason
            )
            if ended:
                await note(
                    tx,
                    self._environment,
                    event,
                    user=user,
                    actor=user,
                    session=caller.session,
                    address=origin.address,
                    ended=session,
                )
        if ended:
            log.info("user %s: session %s ends (%s)", user, session, reason)
            await self.announce(user, [session])
        return ended


def _may_refresh(held: sessions.RefreshToken, now: int) -> bool:
    return (
        held.revoked_at is None
        and held.disabled_at is None
        and now < held.expires_at
        and now < held.last_used_at + SESSION_IDLE_MS
    )
