"""Sessions and their refresh tokens: the queries of the accounts.

Owns: the statements over `sessions` and `refresh_tokens`.
Refuses to know: tokens (only their hashes come here), lifetimes, and when a session is to end.

A session is one family of refresh tokens: each token is spent for the next one, and ending the session ends
them all. Every statement names its session, its user, or the hash of a token. Times are Unix milliseconds.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import bindparam, delete, insert, select, update

from storage.database import Transaction
from storage.prepared import Prepared
from storage.tables import refresh_tokens, sessions, users


class Standing(NamedTuple):
    """Whether a session still counts."""

    role: str
    revoked_at: int | None
    expires_at: int
    disabled_at: int | None


class RefreshToken(NamedTuple):
    """A refresh token, its session and its user."""

    session: str
    user: str
    spent_at: int | None
    last_used_at: int
    expires_at: int
    revoked_at: int | None
    disabled_at: int | None
    role: str
    plan: str


class Session(NamedTuple):
    """A session as its user sees it."""

    id: str
    device: str | None
    created_at: int
    last_used_at: int
    expires_at: int
    user_agent: str


_STANDING = Prepared(
    select(users.c.role, sessions.c.revoked_at, sessions.c.expires_at, users.c.disabled_at)
    .join_from(sessions, users, users.c.id == sessions.c.user_id)
    .where(sessions.c.id == bindparam("session"), sessions.c.user_id == bindparam("user"))
)


async def read_standing(tx: Transaction, *, session: str, user: str) -> Standing | None:
    """Return the state of one session of `user`, or None. Two primary keys."""
    rows = await tx.execute(_STANDING, {"session": session, "user": user})
    return Standing(*rows[0]) if rows else None


_OPENED_AT = select(sessions.c.created_at).where(
    sessions.c.id == bindparam("session"), sessions.c.user_id == bindparam("user")
)


async def opened_at(tx: Transaction, *, session: str, user: str) -> int | None:
    """When `user` signed in to this session, or None."""
    rows = await tx.execute(_OPENED_AT, {"session": session, "user": user})
    return int(rows[0][0]) if rows else None


_INSERT_SESSION = insert(sessions)


async def add_session(
    tx: Transaction, *, session: str, user: str, now_ms: int, expires_at: int, user_agent: str
) -> None:
    """Store a new session, not yet bound to a device."""
    await tx.execute(
        _INSERT_SESSION,
        {
            "id": session,
            "user_id": user,
            "device_id": None,
            "created_at": now_ms,
            "last_used_at": now_ms,
            "expires_at": expires_at,
            "revoked_at": None,
            "revoked_reason": None,
            "user_agent": user_agent,
        },
    )


_INSERT_TOKEN = insert(refresh_tokens)


async def add_refresh_token(tx: Transaction, *, token_hash: str, session: str, now_ms: int) -> None:
    """Store a new refresh token by its hash."""
    await tx.execute(_INSERT_TOKEN, {"hash": token_hash, "session_id": session, "issued_at": now_ms, "spent_at": None})


# The session's row is locked too, so that two refreshes of one family wait for each other, and so does a
# logout: after it, no token is added. (SQLite's write transaction holds everything already.)
_REFRESH_TOKEN = (
    select(
        sessions.c.id,
        sessions.c.user_id,
        refresh_tokens.c.spent_at,
        sessions.c.last_used_at,
        sessions.c.expires_at,
        sessions.c.revoked_at,
        users.c.disabled_at,
        users.c.role,
        users.c.plan,
    )
    .join_from(refresh_tokens, sessions, sessions.c.id == refresh_tokens.c.session_id)
    .join(users, users.c.id == sessions.c.user_id)
    .where(refresh_tokens.c.hash == bindparam("token_hash"))
    .with_for_update(of=[refresh_tokens, sessions])
)


async def lock_refresh_token(tx: Transaction, token_hash: str) -> RefreshToken | None:
    """Return the token of this hash, locked together with its session until the transaction ends, or None."""
    rows = await tx.execute(_REFRESH_TOKEN, {"token_hash": token_hash})
    return RefreshToken(*rows[0]) if rows else None


_HOLDS_TOKEN = select(refresh_tokens.c.hash).where(
    refresh_tokens.c.hash == bindparam("token_hash"), refresh_tokens.c.session_id == bindparam("session")
)


async def holds_refresh_token(tx: Transaction, *, session: str, token_hash: str) -> bool:
    """Return whether `session` ever had the token of this hash."""
    return bool(await tx.execute(_HOLDS_TOKEN, {"token_hash": token_hash, "session": session}))


_SPEND = (
    update(refresh_tokens).where(refresh_tokens.c.hash == bindparam("token_hash")).values(spent_at=bindparam("now_ms"))
)
_TOUCH = update(sessions).where(sessions.c.id == bindparam("session")).values(last_used_at=bindparam("now_ms"))
_FORGET_SPENT = delete(refresh_tokens).where(
    refresh_tokens.c.session_id == bindparam("session"), refresh_tokens.c.spent_at < bindparam("before")
)


async def spend_refresh_token(
    tx: Transaction, *, token_hash: str, session: str, successor_hash: str, now_ms: int, forget_before: int
) -> None:
    """Replace a token of a session by its successor, and forget those spent before `forget_before`."""
    await tx.execute(_SPEND, {"token_hash": token_hash, "now_ms": now_ms})
    await tx.execute(_FORGET_SPENT, {"session": session, "before": forget_before})
    await add_refresh_token(tx, token_hash=successor_hash, session=session, now_ms=now_ms)
    await tx.execute(_TOUCH, {"session": session, "now_ms": now_ms})


_LIVE = (
    select(
        sessions.c.id,
        sessions.c.device_id,
        sessions.c.created_at,
        sessions.c.last_used_at,
        sessions.c.expires_at,
        sessions.c.user_agent,
    )
    .where(
        sessions.c.user_id == bindparam("user"),
        sessions.c.revoked_at.is_(None),
        sessions.c.expires_at > bindparam("now_ms"),
    )
    .order_by(sessions.c.last_used_at.desc(), sessions.c.id)
)


async def list_sessions(tx: Transaction, *, user: str, now_ms: int) -> list[Session]:
    """Return the live sessions of `user`, the one used last first."""
    return [Session(*row) for row in await tx.execute(_LIVE, {"user": user, "now_ms": now_ms})]


_REVOKE = (
    update(sessions)
    .where(
        sessions.c.id == bindparam("session"),
        sessions.c.user_id == bindparam("user"),
        sessions.c.revoked_at.is_(None),
    )
    .values(revoked_at=bindparam("now_ms"), revoked_reason=bindparam("reason"))
    .returning(sessions.c.id)
)


async def revoke_session(tx: Transaction, *, session: str, user: str, now_ms: int, reason: str) -> bool:
    """End one session of `user`; False where there is no such live one, or it is somebody else's."""
    rows = await tx.execute(_REVOKE, {"session": session, "user": user, "now_ms": now_ms, "reason": reason})
    return bool(rows)


_REVOKE_ALL = (
    update(sessions)
    .where(sessions.c.user_id == bindparam("user"), sessions.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("now_ms"), revoked_reason=bindparam("reason"))
    .returning(sessions.c.id)
)


async def revoke_all_sessions(tx: Transaction, *, user: str, now_ms: int, reason: str) -> list[str]:
    """End every session of `user` and return their ids."""
    return [row[0] for row in await tx.execute(_REVOKE_ALL, {"user": user, "now_ms": now_ms, "reason": reason})]


_REVOKE_OTHERS = (
    update(sessions)
    .where(
        sessions.c.user_id == bindparam("user"),
        sessions.c.id != bindparam("keep"),
        sessions.c.revoked_at.is_(None),
    )
    .values(revoked_at=bindparam("now_ms"), revoked_reason=bindparam("reason"))
    .returning(sessions.c.id)
)


async def revoke_other_sessions(tx: Transaction, *, user: str, keep: str, now_ms: int, reason: str) -> list[str]:
    """End every session of `user` but one, and return their ids."""
    values = {"user": user, "keep": keep, "now_ms": now_ms, "reason": reason}
    return [row[0] for row in await tx.execute(_REVOKE_OTHERS, values)]


_NEWEST = (
    select(sessions.c.id)
    .where(sessions.c.user_id == bindparam("user"), sessions.c.revoked_at.is_(None))
    .order_by(sessions.c.last_used_at.desc(), sessions.c.created_at.desc(), sessions.c.id.desc())
    .limit(bindparam("keep"))
)
_REVOKE_OLDEST = (
    update(sessions)
    .where(
        sessions.c.user_id == bindparam("user"),
        sessions.c.revoked_at.is_(None),
        sessions.c.id.not_in(_NEWEST),
    )
    .values(revoked_at=bindparam("now_ms"), revoked_reason="too_many")
    .returning(sessions.c.id)
)


async def revoke_oldest_sessions(tx: Transaction, *, user: str, keep: int, now_ms: int) -> list[str]:
    """End all but the `keep` sessions that were used last, and return the ids of those that ended."""
    return [row[0] for row in await tx.execute(_REVOKE_OLDEST, {"user": user, "keep": keep, "now_ms": now_ms})]


_BIND = Prepared(update(sessions).where(sessions.c.id == bindparam("session")).values(device_id=bindparam("device")))
_BIND_ALSO = Prepared(
    "INSERT INTO session_devices (session_id, device_id) VALUES (:session, :device) "
    "ON CONFLICT (session_id, device_id) DO NOTHING"
)


async def bind_session(tx: Transaction, *, session: str, device: str) -> None:
    """Note that `device` is used with `session`; the caller has checked that one user has both.

    A session may be used with several devices (a watch's log is pushed by the phone); `Session.device` is the last one.
    """
    await tx.execute(_BIND, {"session": session, "device": device})
    await tx.execute(_BIND_ALSO, {"session": session, "device": device})
