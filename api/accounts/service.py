"""Accounts and sessions: what may happen to them, without HTTP.

Owns: registration, sign-in, the rotation of refresh tokens, the end of sessions, and the limits on trying.
Refuses to know: requests and answers (routes.py), SQL (storage/accounts.py, storage/sessions.py).

Invariants
    S1  An account comes into being together with its personal space, in one transaction.
    S2  Sign-in gives one answer, in one time, for an unknown address, a wrong password, a password that no
        account can have, and a disabled account.
    S3  A refresh token is spent once. Within GRACE_MS a repetition (the answer was lost) gets the same
        successor and rotates nothing; later it ends the whole session: somebody else has the token.
    S4  A session that ended gets no new token, whatever was under way: its row is locked by either.
    S5  The end of a session is announced after its commit, on the topic of its user.
    S6  Who guesses is slowed down by account and by address; the owner, on an address where they signed in
        before, has a bucket of their own, so nobody can lock them out from elsewhere.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from msgspec.structs import asdict

from api.accounts.passwords import PasswordHasher, objection
from api.accounts.shapes import Session, SignedIn, Tokens, User
from api.accounts.tokens import (
    ACCESS_LIFETIME_S,
    AccessTokens,
    hash_of,
    is_refresh_token,
    new_refresh_token,
    successor,
)
from api.errors import EmailUnavailable, InvalidCredentials, InvalidFields, InvalidGrant, RateLimited
from api.rate_limits import Decision, Limiter, Rule
from api.secret_key import Keys
from conflict.clock import rfc3339
from storage import accounts, sessions, spaces
from storage.accounts import UserRow
from storage.database import Database
from storage.errors import Duplicate
from sync.bus import Bus, user_topic
from sync.caller import Caller
from sync.environment import Environment, uuid7
from sync.errors import NotFound, Unauthenticated

log = logging.getLogger(__name__)

DAY_MS: Final = 86_400_000
# A lost answer is repeated within seconds; RFC 9700 wants the window as short as that allows.
GRACE_MS: Final = 10_000
# A training log is opened after a holiday or an injury; half a year of silence is a lost phone.
SESSION_IDLE_MS: Final = 180 * DAY_MS
SESSION_LIFETIME_MS: Final = 365 * DAY_MS
# Reuse of a token is recognised for so long; what is older is refused as unknown.
SPENT_KEPT_MS: Final = 30 * DAY_MS
# More than any person has devices; the least recently used one ends.
SESSIONS_MAX: Final = 100
KNOWN_ADDRESS_MS: Final = 30 * DAY_MS

EMAIL_CHARS_MAX: Final = 254
NAME_CHARS_MAX: Final = 100
USER_AGENT_CHARS_MAX: Final = 256

# A family or a gym behind one address signs in without waiting; a list of a thousand accounts takes an hour.
LOGIN_BY_ADDRESS: Final = Rule("login-address", burst=30, interval_ms=4_000)
# Ten slips at once, then one guess a minute: 1,440 a day against one account.
LOGIN_BY_ACCOUNT: Final = Rule("login-account", burst=10, interval_ms=60_000)
LOGIN_BY_OWNER: Final = Rule("login-known", burst=10, interval_ms=30_000)
REGISTER_BY_ADDRESS: Final = Rule("register-address", burst=20, interval_ms=15_000)
REFRESH_BY_ADDRESS: Final = Rule("refresh-address", burst=240, interval_ms=500)

_SESSION: Final = re.compile(r"[0-9a-f-]{36}")
_EMAIL: Final = re.compile(r"[^\s@\x00-\x1f\x7f<>()\[\],;:\\\"]{1,64}@[^\s@\x00-\x1f\x7f<>()\[\],;:\\\"]+\.[^\s@.]+")


@dataclass(frozen=True)
class Issued:
    """A pair of tokens, and what the limits said, for the headers. `user` where a session was opened."""

    access: str
    refresh: str
    decision: Decision
    user: User | None = None

    def shown(self) -> Tokens:
        pair = Tokens(
            access_token=self.access,
            refresh_token=self.refresh,
            token_type="Bearer",
            expires_in=ACCESS_LIFETIME_S,
        )
        return pair if self.user is None else SignedIn(**asdict(pair), user=self.user)


def user_of(row: UserRow) -> User:
    """An account as its owner sees it."""
    return User(
        id=row.id,
        email=row.email,
        name=row.name,
        role=row.role,
        plan=row.plan,
        created_at=rfc3339(row.created_at),
    )


def email_key(email: str) -> str:
    """The form under which an address is unique: no two that look alike or differ in case."""
    return unicodedata.normalize("NFKC", email.strip()).casefold()


class Accounts:
    """One a process."""

    def __init__(
        self,
        *,
        database: Database,
        bus: Bus,
        environment: Environment,
        hasher: PasswordHasher,
        access_tokens: AccessTokens,
        keys: Sequence[Keys],
        limiter: Limiter,
    ) -> None:
        self._database = database
        self._bus = bus
        self._environment = environment
        self._hasher = hasher
        self._access_tokens = access_tokens
        self._keys = keys
        self._limiter = limiter

    async def register(self, email: str, password: str, name: str, *, address: str, user_agent: str) -> Issued:
        """Make an account, its personal space (S1) and its first session.

        Raises:
            InvalidFields: naming each field that will not do.
            EmailUnavailable: after the same work as a success.
            RateLimited, Busy: later, please.
        """
        email, name = unicodedata.normalize("NFC", email.strip()), unicodedata.normalize("NFC", name.strip())
        if wrong := _wrong_fields(email, password, name):
            raise InvalidFields(fields=wrong)
        decision = await self._limit(REGISTER_BY_ADDRESS, address)
        password_hash = await self._hasher.hash(password)
        now = self._environment.now_ms()
        user = User(
            id=uuid7(self._environment),
            email=email,
            name=name,
            role="user",
            plan="free",
            created_at=rfc3339(now),
        )
        try:
            async with self._database.write() as tx:
                await accounts.add_user(
                    tx,
                    user=user.id,
                    email=user.email,
                    email_key=email_key(email),
                    name=user.name,
                    password_hash=password_hash,
                    now_ms=now,
                )
                await spaces.create_space(
                    tx,
                    space=uuid7(self._environment),
                    kind="personal",
                    name="Personal",
                    owner=user.id,
                    life=self._environment.token_bytes(4).hex(),
                    now_ms=now,
                )
                session, refresh, _ = await self._open_session(tx, user.id, user_agent)
        except Duplicate:
            raise EmailUnavailable from None
        await self._limiter.remember(_known(email_key(email), address), for_ms=KNOWN_ADDRESS_MS)
        log.info("user %s registered, session %s", user.id, session)
        return self._tokens(user, session, refresh, decision)

    async def login(self, email: str, password: str, *, address: str, user_agent: str) -> Issued:
        """Open a session.

        Raises:
            InvalidCredentials: see S2.
            RateLimited, Busy: later, please.
        """
        key = email_key(email)[:EMAIL_CHARS_MAX]
        by_address = await self._limit(LOGIN_BY_ADDRESS, address)
        rule, bucket = LOGIN_BY_ACCOUNT, key
        if await self._limiter.remembers(_known(key, address)):  # S6
            rule, bucket = LOGIN_BY_OWNER, _known(key, address)
        by_account = await self._limit(rule, bucket)
        async with self._database.read() as tx:
            found = await accounts.find_login(tx, key)
        # The limits were counted before the slow part, so that parallel guesses cannot pass together.
        matches = await self._hasher.verify(password, found.password_hash if found is not None else None)
        if not matches or found is None or found.disabled_at is not None:
            log.info("sign-in refused for %s", found.id if found is not None else "an unknown address")
            raise InvalidCredentials(headers=_tighter(by_address, by_account).headers())
        async with self._database.write() as tx:
            session, refresh, ended = await self._open_session(tx, found.id, user_agent)
        await self._announce_end(found.id, ended)
        await self._limiter.give_back(LOGIN_BY_ADDRESS, address)
        await self._limiter.give_back(rule, bucket)
        await self._limiter.remember(_known(key, address), for_ms=KNOWN_ADDRESS_MS)
        log.info("user %s signed in, session %s", found.id, session)
        return self._tokens(user_of(found), session, refresh, _tighter(by_address, by_account))

    async def refresh(self, token: str, *, address: str) -> Issued:
        """Spend a refresh token for the next pair (S3).

        Raises:
            InvalidGrant: sign in again. Where the token had been spent long ago, its session has ended now.
            RateLimited: later, please.
        """
        decision = await self._limit(REFRESH_BY_ADDRESS, address)
        if not is_refresh_token(token):
            raise InvalidGrant
        now = self._environment.now_ms()
        stolen = False
        async with self._database.write() as tx:
            held = await sessions.lock_refresh_token(tx, hash_of(token))
            if held is None or not _may_refresh(held, now):
                raise InvalidGrant
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
        if stolen:  # Raised only here: the transaction that ends the session has to commit.
            log.warning("user %s: a spent refresh token was used again; session %s ends", held.user, held.session)
            await self._announce_end(held.user, [held.session])
            raise InvalidGrant
        access = self._access_tokens.issue(user=held.user, session=held.session, role=held.role, plan=held.plan)
        return Issued(access, following, decision)

    async def logout(self, caller: Caller) -> None:
        """End the caller's session."""
        await self._end(caller.user, caller.session, "logout")

    async def logout_all(self, caller: Caller) -> int:
        """End every session of the caller, this one too, and return how many there were."""
        return await self.end_sessions(caller.user, reason="logout_all")

    async def end_sessions(self, user: str, *, reason: str) -> int:
        """End every session of a user and return how many there were."""
        async with self._database.write() as tx:
            ended = await sessions.revoke_all_sessions(tx, user=user, now_ms=self._environment.now_ms(), reason=reason)
        log.info("user %s: %d sessions end (%s)", user, len(ended), reason)
        await self._announce_end(user, ended)
        return len(ended)

    async def revoke(self, caller: Caller, session: str) -> None:
        """End one of the caller's sessions; raises NotFound for any other."""
        # What is no id of ours is not asked for: a database may refuse the characters.
        if _SESSION.fullmatch(session) is None or not await self._end(caller.user, session, "revoked"):
            raise NotFound

    async def list_sessions(self, caller: Caller) -> list[Session]:
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

    async def me(self, caller: Caller) -> User:
        """Return the caller's account."""
        async with self._database.read() as tx:
            found = await accounts.find_user(tx, caller.user)
        if found is None:
            raise Unauthenticated
        return user_of(found)

    async def _limit(self, rule: Rule, key: str) -> Decision:
        decision = await self._limiter.take(rule, key)
        if not decision.allowed:
            log.info("the limit %s is reached", rule.name)
            raise RateLimited(retry_after_s=decision.retry_after_s, headers=decision.headers())
        return decision

    async def _open_session(self, tx: Any, user: str, user_agent: str) -> tuple[str, str, list[str]]:
        """Add a session; returns its id, its refresh token, and the sessions that had to make room."""
        now = self._environment.now_ms()
        session = uuid7(self._environment)
        refresh = new_refresh_token(self._environment.token_bytes)
        await sessions.add_session(
            tx,
            session=session,
            user=user,
            now_ms=now,
            expires_at=now + SESSION_LIFETIME_MS,
            user_agent=_plain(user_agent)[:USER_AGENT_CHARS_MAX],
        )
        await sessions.add_refresh_token(tx, token_hash=hash_of(refresh), session=session, now_ms=now)
        ended = await sessions.revoke_oldest_sessions(tx, user=user, keep=SESSIONS_MAX, now_ms=now)
        return session, refresh, ended

    async def _given_successor(self, tx: Any, token: str, session: str) -> str:
        """The successor that was given for a spent token, under whichever key signed then."""
        for key in self._keys:
            following = successor(token, key)
            if await sessions.holds_refresh_token(tx, session=session, token_hash=hash_of(following)):
                return following
        raise InvalidGrant  # Its key was taken away since.

    async def _end(self, user: str, session: str, reason: str) -> bool:
        async with self._database.write() as tx:
            ended = await sessions.revoke_session(
                tx, session=session, user=user, now_ms=self._environment.now_ms(), reason=reason
            )
        if ended:
            log.info("user %s: session %s ends (%s)", user, session, reason)
            await self._announce_end(user, [session])
        return ended

    async def _announce_end(self, user: str, ended: Sequence[str]) -> None:
        for session in ended:  # S5
            event = {"kind": "session_ended", "session": session}
            await self._bus.publish(user_topic(user), msgspec.json.encode(event))

    def _tokens(self, user: User, session: str, refresh: str, decision: Decision) -> Issued:
        access = self._access_tokens.issue(user=user.id, session=session, role=user.role, plan=user.plan)
        return Issued(access, refresh, decision, user)


def _may_refresh(held: sessions.RefreshToken, now: int) -> bool:
    return (
        held.revoked_at is None
        and held.disabled_at is None
        and now < held.expires_at
        and now < held.last_used_at + SESSION_IDLE_MS
    )


def _wrong_fields(email: str, password: str, name: str) -> list[dict[str, str]]:
    wrong = []
    if len(email) > EMAIL_CHARS_MAX or _EMAIL.fullmatch(email) is None:
        wrong.append({"field": "email", "code": "bad_email", "message": "email must be a mail address"})
    if (found := objection(password, email=email, name=name)) is not None:
        wrong.append({"field": "password", "code": found[0], "message": found[1]})
    if not name or len(name) > NAME_CHARS_MAX or _plain(name) != name:
        message = f"name must have 1 to {NAME_CHARS_MAX} characters, no control characters among them"
        wrong.append({"field": "name", "code": "out_of_range", "message": message})
    return wrong


def _plain(text: str) -> str:
    """The text without control characters: it is shown to the user, and in terminals."""
    return "".join(char for char in text if unicodedata.category(char) not in ("Cc", "Cs"))


def _known(key: str, address: str) -> str:
    return f"{key}\n{address}"


def _tighter(one: Decision, other: Decision) -> Decision:
    return min(one, other, key=lambda decision: decision.remaining)
