"""People as others meet them: profiles, being found, blocks and reports.

Owns: the statements over `profiles`, `blocks` and `reports`. Refuses to know: who may see what
(api/accounts/people.py). Nobody who is blocked, in either direction, is found; nor is a disabled account.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from sqlalchemy import and_, bindparam, delete, exists, func, insert, literal, or_, select, tuple_, update

from storage.database import Transaction
from storage.prepared import Prepared
from storage.tables import blocks as blocks_table
from storage.tables import members, profiles, reports, users

DEFAULT_VISIBILITY: Final = "private"


class ProfileRow(NamedTuple):
    """What a person says of themselves. visibility: public, friends or private. created_at: of the account."""

    user: str
    name: str
    bio: str
    visibility: str
    by_name: bool
    by_email: bool
    created_at: int


class Found(NamedTuple):
    """Somebody who was found, and the key by which the list goes on."""

    user: str
    name: str
    key: bytes


class BlockRow(NamedTuple):
    """Somebody whom a user blocked. name: None where it is not open to everybody."""

    user: str
    name: str | None
    created_at: int


_profile = (
    select(
        users.c.id,
        users.c.name,
        func.coalesce(profiles.c.bio, ""),
        func.coalesce(profiles.c.visibility, DEFAULT_VISIBILITY),
        profiles.c.name_key.is_not(None),
        func.coalesce(profiles.c.by_email, literal(False)),
        users.c.created_at,
    )
    .outerjoin_from(users, profiles, profiles.c.user_id == users.c.id)
    .where(users.c.id == bindparam("user"), users.c.disabled_at.is_(None))
)
_set_name = update(users).where(users.c.id == bindparam("user")).values(name=bindparam("new_name"))
_write = Prepared(
    """
INSERT INTO profiles (user_id, bio, visibility, name_key, by_email, updated_at)
VALUES (:user, :bio, :visibility, :name_key, :by_email, :now_ms)
ON CONFLICT (user_id) DO UPDATE SET bio = excluded.bio, visibility = excluded.visibility,
    name_key = excluded.name_key, by_email = excluded.by_email, updated_at = excluded.updated_at"""
)
_apart = ~exists().where(
    or_(
        and_(blocks_table.c.user_id == bindparam("viewer"), blocks_table.c.blocked_id == users.c.id),
        and_(blocks_table.c.user_id == users.c.id, blocks_table.c.blocked_id == bindparam("viewer")),
    )
)
_findable = (
    select(users.c.id, users.c.name, profiles.c.name_key)
    .join_from(profiles, users, users.c.id == profiles.c.user_id)
    .where(users.c.disabled_at.is_(None), users.c.id != bindparam("viewer"), _apart)
)
_by_name = (
    _findable.where(
        profiles.c.name_key < bindparam("high"),
        tuple_(profiles.c.name_key, profiles.c.user_id) > tuple_(bindparam("low"), bindparam("after")),
    )
    .order_by(profiles.c.name_key, profiles.c.user_id)
    .limit(bindparam("most"))
)
_by_email = _findable.where(users.c.email_key == bindparam("email_key"), profiles.c.by_email)
_blocks = select(blocks_table.c.user_id).where(
    blocks_table.c.user_id == bindparam("user"), blocks_table.c.blocked_id == bindparam("other")
)
_mine, _theirs = members.alias(), members.alias()
_together = (
    select(literal(1))
    .select_from(_mine)
    .join(_theirs, _theirs.c.space_id == _mine.c.space_id)
    .where(
        _mine.c.user_id == bindparam("user"),
        _theirs.c.user_id == bindparam("other"),
        _mine.c.state == "member",
        _theirs.c.state == "member",
    )
    .limit(1)
)
_count_blocks = select(func.count()).where(blocks_table.c.user_id == bindparam("user"))
_back = blocks_table.alias()
# The name of one who shows it to everybody, and who has not blocked the user in turn.
_list_blocks = (
    select(blocks_table.c.blocked_id, users.c.name, blocks_table.c.created_at)
    .outerjoin_from(
        blocks_table,
        users,
        and_(
            users.c.id == blocks_table.c.blocked_id,
            users.c.disabled_at.is_(None),
            exists().where(
                profiles.c.user_id == users.c.id,
                or_(
                    profiles.c.visibility != "private", profiles.c.name_key.is_not(None), profiles.c.by_email.is_(True)
                ),
            ),
            ~exists().where(_back.c.user_id == users.c.id, _back.c.blocked_id == blocks_table.c.user_id),
        ),
    )
    .where(
        blocks_table.c.user_id == bindparam("user"),
        tuple_(blocks_table.c.created_at, blocks_table.c.blocked_id) < tuple_(bindparam("before"), bindparam("upto")),
    )
    .order_by(blocks_table.c.created_at.desc(), blocks_table.c.blocked_id.desc())
    .limit(bindparam("most"))
)
_drop_invitations = (
    delete(members)
    .where(
        members.c.user_id == bindparam("user"),
        members.c.invited_by == bindparam("by"),
        members.c.state == "invited",
    )
    .returning(members.c.space_id)
)
_add_block = Prepared(
    "INSERT INTO blocks (user_id, blocked_id, created_at) VALUES (:user, :other, :now_ms) "
    "ON CONFLICT (user_id, blocked_id) DO NOTHING"
)
_remove_block = delete(blocks_table).where(
    blocks_table.c.user_id == bindparam("user"), blocks_table.c.blocked_id == bindparam("other")
)


async def read_profile(tx: Transaction, user: str) -> ProfileRow | None:
    """One person; None where there is none, or their account is disabled."""
    rows = await tx.execute(_profile, {"user": user})
    if not rows:
        return None
    id, name, bio, visibility, by_name, by_email, created_at = rows[0]
    return ProfileRow(id, name, bio, visibility, bool(by_name), bool(by_email), created_at)


async def write_profile(tx: Transaction, profile: ProfileRow, *, name_key: bytes | None, now_ms: int) -> None:
    """Replace what a person says of themselves; `name_key` is None where they are not to be found by name."""
    await tx.execute(_set_name, {"user": profile.user, "new_name": profile.name})
    await tx.execute(
        _write,
        {
            "user": profile.user,
            "bio": profile.bio,
            "visibility": profile.visibility,
            "name_key": name_key,
            "by_email": profile.by_email,
            "now_ms": now_ms,
        },
    )


async def find_by_name(
    tx: Transaction, *, viewer: str, prefix: bytes, after: tuple[bytes, str] | None, most: int
) -> list[Found]:
    """People whose name begins so, in the order of their names; `after` is the (key, user) where the last page ended.

    A range of an index: it costs what it returns, and those that are passed over.
    """
    low, last = after or (prefix, "")
    # No UTF-8 has this byte: it is above everything that begins with the prefix.
    asked = {"viewer": viewer, "high": prefix + b"\xff", "low": low, "after": last, "most": most}
    return [Found(row[0], row[1], bytes(row[2])) for row in await tx.execute(_by_name, asked)]


async def find_by_email(tx: Transaction, *, viewer: str, email_key: str) -> list[Found]:
    """The one who has this very address and lets it be asked for; or nobody."""
    rows = await tx.execute(_by_email, {"viewer": viewer, "email_key": email_key})
    return [Found(row[0], row[1], b"") for row in rows]


async def blocks(tx: Transaction, user: str, other: str) -> bool:
    """Whether `user` has blocked `other`."""
    return bool(await tx.execute(_blocks, {"user": user, "other": other}))


async def share_space(tx: Transaction, user: str, other: str) -> bool:
    """Whether two users are members of one space."""
    return bool(await tx.execute(_together, {"user": user, "other": other}))


async def count_blocks(tx: Transaction, user: str) -> int:
    """How many a user has blocked."""
    return int((await tx.execute(_count_blocks, {"user": user}))[0][0])


async def list_blocks(tx: Transaction, user: str, *, before: tuple[int, str] | None, most: int) -> list[BlockRow]:
    """Whom a user has blocked, the last one first; `before` is the (created_at, user) where the last page ended."""
    moment, last = before or (2**62, "")
    rows = await tx.execute(_list_blocks, {"user": user, "before": moment, "upto": last, "most": most})
    return [BlockRow(*row) for row in rows]


async def drop_invitations(tx: Transaction, *, user: str, by: str) -> list[str]:
    """Take away a user's open invitations by somebody; the spaces that they were into."""
    return [str(row[0]) for row in await tx.execute(_drop_invitations, {"user": user, "by": by})]


async def add_block(tx: Transaction, *, user: str, other: str, now_ms: int) -> None:
    """Block somebody; who is blocked stays so."""
    await tx.execute(_add_block, {"user": user, "other": other, "now_ms": now_ms})


async def remove_block(tx: Transaction, *, user: str, other: str) -> None:
    """Block somebody no longer."""
    await tx.execute(_remove_block, {"user": user, "other": other})


async def add_report(
    tx: Transaction, *, report: str, reporter: str, user: str, reason: str, text: str, now_ms: int
) -> None:
    """Store what a user tells of another."""
    await tx.execute(
        insert(reports),
        {
            "id": report,
            "reporter_id": reporter,
            "user_id": user,
            "reason": reason,
            "text": text,
            "created_at": now_ms,
        },
    )
