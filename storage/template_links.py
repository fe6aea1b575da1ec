"""Links to templates: the statements over `template_links`.

Refuses to know: the links themselves; only their hashes come here, and what they are made from under the server's key.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import bindparam, delete, select

from storage.database import Transaction
from storage.prepared import Prepared
from storage.tables import members, spaces, template_links, users


class LinkRow(NamedTuple):
    """One link: made by `user`, to a template of a space."""

    hash: str
    user: str
    space: str
    template: str
    nonce: bytes
    created_at: int


_columns = (
    template_links.c.hash,
    template_links.c.user_id,
    template_links.c.space_id,
    template_links.c.template_id,
    template_links.c.nonce,
    template_links.c.created_at,
)
_of = (
    template_links.c.user_id == bindparam("user"),
    template_links.c.space_id == bindparam("space"),
    template_links.c.template_id == bindparam("template"),
)
_FIND = select(*_columns).where(*_of)
# Whoever made it may still show what is in the space: they are a member, and their account stands.
_OPEN = (
    select(*_columns)
    .join_from(template_links, users, users.c.id == template_links.c.user_id)
    .join(
        members,
        (members.c.space_id == template_links.c.space_id)
        & (members.c.user_id == template_links.c.user_id)
        & (members.c.state == "member"),
    )
    .join(spaces, spaces.c.id == template_links.c.space_id)
    .where(
        template_links.c.hash == bindparam("hash_"),
        users.c.disabled_at.is_(None),
        members.c.role != "viewer",
        spaces.c.kind.in_(("personal", "shared")),
    )
)
_LINKED = select(template_links.c.template_id).where(
    template_links.c.user_id == bindparam("user"),
    template_links.c.space_id == bindparam("space"),
    template_links.c.template_id.in_(bindparam("templates", expanding=True)),
)
_ADD = Prepared(
    "INSERT INTO template_links (hash, user_id, space_id, template_id, nonce, created_at) "
    "VALUES (:hash, :user, :space, :template, :nonce, :created_at) "
    "ON CONFLICT (user_id, space_id, template_id) DO NOTHING"
)
_REVOKE = delete(template_links).where(*_of)


async def find_link(tx: Transaction, *, user: str, space: str, template: str) -> LinkRow | None:
    """The link that a user made to a template."""
    rows = await tx.execute(_FIND, {"user": user, "space": space, "template": template})
    return LinkRow(*rows[0]) if rows else None


async def open_link(tx: Transaction, hash: str) -> LinkRow | None:
    """A link that opens something, by its hash; None for every other."""
    rows = await tx.execute(_OPEN, {"hash_": hash})
    return LinkRow(*rows[0]) if rows else None


async def add_link(tx: Transaction, link: LinkRow) -> None:
    """Store a link; nothing happens where its user has one to this template."""
    await tx.execute(_ADD, link._asdict())


async def linked(tx: Transaction, *, user: str, space: str, templates: Collection[str]) -> set[str]:
    """Those of a space's templates that a user made a link to."""
    if not templates:
        return set()
    rows = await tx.execute(_LINKED, {"user": user, "space": space, "templates": list(templates)})
    return {str(row[0]) for row in rows}


async def revoke_link(tx: Transaction, *, user: str, space: str, template: str) -> None:
    """A user's link to a template opens nothing any more."""
    await tx.execute(_REVOKE, {"user": user, "space": space, "template": template})
