"""What people like and have copied of templates: the statements over `template_marks`.

Refuses to know: who sees which template (storage/templates.py says who sees the public ones).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam, delete, func, or_, select, tuple_, update

from storage.database import Transaction
from storage.prepared import Prepared
from storage.tables import members, public_templates, template_marks
from storage.templates import Listing, listing_of, listings


class Favorite(NamedTuple):
    """A template that somebody likes. listing: as everybody sees it, where they do; created_at: since when."""

    id: str
    space: str
    template: str
    created_at: int
    listing: Listing | None


_ADD = Prepared(
    "INSERT INTO template_marks (user_id, kind, id, space_id, template_id, created_at) "
    "VALUES (:user, :kind, :id, :space, :template, :now_ms) ON CONFLICT (user_id, kind, id) DO NOTHING RETURNING id"
)
_ids: Any = bindparam("ids", expanding=True)
_REMOVE = delete(template_marks).where(
    template_marks.c.user_id == bindparam("user"), template_marks.c.kind == "favorite", template_marks.c.id.in_(_ids)
)
_COUNT = select(func.count()).where(template_marks.c.user_id == bindparam("user"), template_marks.c.kind == "favorite")
_OF_THESE = select(template_marks.c.id).where(
    template_marks.c.user_id == bindparam("user"), template_marks.c.kind == "favorite", template_marks.c.id.in_(_ids)
)
_COPIED = (
    update(public_templates)
    .where(public_templates.c.id == bindparam("id_"))
    .values(copies=public_templates.c.copies + 1)
)
_seen = listings.subquery()
_mine = (
    select(members.c.space_id)
    .where(members.c.user_id == bindparam("viewer"), members.c.state == "member")
    .scalar_subquery()
)
# Those that the user sees: in a space that they are a member of, or among the public ones.
_FAVORITES = (
    select(
        template_marks.c.id,
        template_marks.c.space_id,
        template_marks.c.template_id,
        template_marks.c.created_at,
        *_seen.c,
    )
    .outerjoin_from(template_marks, _seen, _seen.c[0] == template_marks.c.id)
    .where(
        template_marks.c.user_id == bindparam("viewer"),
        template_marks.c.kind == "favorite",
        or_(_seen.c[0].is_not(None), template_marks.c.space_id.in_(_mine)),
        tuple_(template_marks.c.created_at, template_marks.c.id) < tuple_(bindparam("before"), bindparam("upto")),
    )
    .order_by(template_marks.c.created_at.desc(), template_marks.c.id.desc())
    .limit(bindparam("most"))
)
# Later than anything.
LATEST: Final = (2**62, "")


async def add_favorite(tx: Transaction, *, user: str, id: str, space: str, template: str, now_ms: int) -> None:
    """Note that a user likes a template; nothing happens where they do already."""
    asked = {"user": user, "id": id, "space": space, "template": template, "now_ms": now_ms}
    await tx.execute(_ADD, {**asked, "kind": "favorite"})


async def remove_favorites(tx: Transaction, *, user: str, ids: Collection[str]) -> None:
    """A user likes none of these any more."""
    await tx.execute(_REMOVE, {"user": user, "ids": list(ids)})


async def count_favorites(tx: Transaction, user: str) -> int:
    """How many templates a user likes."""
    return int((await tx.execute(_COUNT, {"user": user}))[0][0])


async def favorites_of(tx: Transaction, user: str, ids: Collection[str]) -> set[str]:
    """Which of these a user likes."""
    if not ids:
        return set()
    return {str(row[0]) for row in await tx.execute(_OF_THESE, {"user": user, "ids": list(ids)})}


async def list_favorites(tx: Transaction, user: str, *, before: tuple[int, str] | None, most: int) -> list[Favorite]:
    """The templates that a user likes and sees, the last liked first; `before` is the (created_at, id) where the page
    before ended."""
    moment, upto = before or LATEST
    rows = await tx.execute(_FAVORITES, {"viewer": user, "before": moment, "upto": upto, "most": most})
    return [Favorite(row[0], row[1], row[2], row[3], None if row[4] is None else listing_of(row[4:])) for row in rows]


async def count_copy(tx: Transaction, *, user: str, id: str, space: str, template: str, now_ms: int) -> None:
    """Note that a user has copied a public template. Each person counts once."""
    asked = {"user": user, "id": id, "space": space, "template": template, "now_ms": now_ms}
    if await tx.execute(_ADD, {**asked, "kind": "copy"}):
        await tx.execute(_COPIED, {"id_": id})
