"""Spaces and their members: plain queries, each confined to one space or one user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import bindparam, delete, func, insert, select, update

from storage.database import Transaction
from storage.prepared import Prepared
from storage.tables import members, spaces

# The exercise library: readable by every user, written by the server alone.
CATALOG_SPACE: Final = "00000000-0000-7000-8000-00000000ca7a"


@dataclass(frozen=True, slots=True)
class SpaceRow:
    """One space. `head` is the seq of its newest write, `version` what it has seen of each device, `lives` its lives
    with the heads at which they began, oldest first, `floor` the seq up to which tombstones may be gone."""

    id: str
    kind: str
    name: str
    owner: str | None
    head: int
    version: dict[str, int]
    life: str
    lives: list[tuple[str, int]]
    timeline: str
    floor: int
    records: int
    bytes: int
    server_device: str
    server_hlc: str


@dataclass(frozen=True, slots=True)
class Member:
    """A user's place in a space: role owner, editor or viewer; state invited or member."""

    user: str
    role: str
    state: str


SPACE_COLUMNS = (
    spaces.c.id,
    spaces.c.kind,
    spaces.c.name,
    spaces.c.owner_id,
    spaces.c.head,
    spaces.c.version,
    spaces.c.life,
    spaces.c.lives,
    spaces.c.timeline,
    spaces.c.floor,
    spaces.c.records,
    spaces.c.bytes,
    spaces.c.server_device,
    spaces.c.server_hlc,
)

_version_decoder = msgspec.json.Decoder(dict[str, int])
_lives_decoder = msgspec.json.Decoder(list[tuple[str, int]])


def space_row(row: Sequence[Any]) -> SpaceRow:
    """The first columns of a row, selected as SPACE_COLUMNS, as a space."""
    id, kind, name, owner, head, version, life, lives = row[:8]
    timeline, floor, records, size, server_device, server_hlc = row[8:14]
    return SpaceRow(
        id,
        kind,
        name,
        owner,
        head,
        _version_decoder.decode(version),
        life,
        _lives_decoder.decode(lives),
        timeline,
        floor,
        records,
        size,
        server_device,
        server_hlc,
    )


_space = select(*SPACE_COLUMNS).where(spaces.c.id == bindparam("space"))
_SPACE = Prepared(_space)
# On Postgres by a new version of its row, so that a push that has read the row before finds it moved (H3).
_LOCK_SPACE = Prepared(
    postgresql=update(spaces)
    .where(spaces.c.id == bindparam("space"))
    .values(head=spaces.c.head)
    .returning(*SPACE_COLUMNS),
    sqlite=_space,
)
_MEMBERSHIP = Prepared(
    select(*SPACE_COLUMNS, members.c.role, members.c.state)
    .select_from(spaces)
    .outerjoin(members, (members.c.space_id == spaces.c.id) & (members.c.user_id == bindparam("user")))
    .where(spaces.c.id == bindparam("space"))
)
_OF_USER = Prepared(
    select(*SPACE_COLUMNS, members.c.role, members.c.state)
    .select_from(spaces)
    .join(members, (members.c.space_id == spaces.c.id) & (members.c.user_id == bindparam("user")))
    .order_by(spaces.c.created_at, spaces.c.id)
)
_members = select(members.c.user_id, members.c.role, members.c.state).where(members.c.space_id == bindparam("space"))
_owners = (
    select(func.count())
    .select_from(members)
    .where(members.c.space_id == bindparam("space"), members.c.role == "owner", members.c.state == "member")
)


async def read_space(tx: Transaction, space: str) -> SpaceRow | None:
    """One space, or None."""
    rows = await tx.execute(_SPACE, {"space": space})
    return space_row(rows[0]) if rows else None


async def lock_space(tx: Transaction, space: str) -> SpaceRow | None:
    """One space, locked until the transaction ends; None where there is none."""
    rows = await tx.execute(_LOCK_SPACE, {"space": space})
    return space_row(rows[0]) if rows else None


async def membership(tx: Transaction, space: str, user: str) -> tuple[SpaceRow, str, str] | None:
    """(space, role, state) of a user; None where the space is not there or is none of theirs.

    Every user is a viewer of the catalog.
    """
    rows = await tx.execute(_MEMBERSHIP, {"space": space, "user": user})
    if not rows:
        return None
    row = rows[0]
    role, state = member_of(space, row[14], row[15])
    return None if role is None or state is None else (space_row(row), role, state)


def member_of(space: str, role: str | None, state: str | None) -> tuple[str | None, str | None]:
    """The place that a stored membership, or none, gives in a space."""
    if space == CATALOG_SPACE:
        return "viewer", "member"
    return role, state


async def list_spaces(tx: Transaction, user: str) -> list[tuple[SpaceRow, str, str]]:
    """(space, role, state) of every space that a user belongs to or is invited to, oldest first, the catalog last."""
    rows = await tx.execute(_OF_USER, {"user": user})
    found = [(space_row(row), str(row[14]), str(row[15])) for row in rows if row[0] != CATALOG_SPACE]
    catalog = await read_space(tx, CATALOG_SPACE)
    if catalog is not None:
        found.append((catalog, "viewer", "member"))
    return found


async def create_space(
    tx: Transaction,
    *,
    space: str,
    kind: str,
    name: str,
    owner: str | None,
    life: str,
    now_ms: int,
) -> None:
    """Store an empty space, with its owner as its first member. Raises Duplicate where the id is taken.

    It is of the database's timeline from the beginning: its very first writes may be what a failover loses.
    """
    await tx.execute(
        insert(spaces),
        {
            "id": space,
            "kind": kind,
            "name": name,
            "owner_id": owner,
            "head": 0,
            "version": b"{}",
            "life": life,
            "lives": msgspec.json.encode([(life, 0)]),
            "timeline": tx.timeline,
            "floor": 0,
            "records": 0,
            "bytes": 0,
            "server_device": f"server-{life}",
            "server_hlc": "0" * 16,
            "created_at": now_ms,
        },
    )
    if owner is not None:
        await add_member(tx, space=space, user=owner, role="owner", state="member", invited_by=None, now_ms=now_ms)


async def add_member(
    tx: Transaction, *, space: str, user: str, role: str, state: str, invited_by: str | None, now_ms: int
) -> None:
    """Store a membership. Raises Duplicate where the user has one in the space."""
    await tx.execute(
        insert(members),
        {
            "space_id": space,
            "user_id": user,
            "role": role,
            "state": state,
            "invited_by": invited_by,
            "created_at": now_ms,
        },
    )


async def list_members(tx: Transaction, space: str) -> list[Member]:
    """Everybody who belongs to a space or is invited to it, in the order in which they were."""
    return [
        Member(*row)
        for row in await tx.execute(_members.order_by(members.c.created_at, members.c.user_id), {"space": space})
    ]


async def read_member(tx: Transaction, space: str, user: str) -> Member | None:
    """One user's place in a space, as it is stored."""
    rows = await tx.execute(_members.where(members.c.user_id == bindparam("user")), {"space": space, "user": user})
    return Member(*rows[0]) if rows else None


async def count_owners(tx: Transaction, space: str) -> int:
    """How many owners a space has."""
    return int((await tx.execute(_owners, {"space": space}))[0][0])


async def set_member(
    tx: Transaction, space: str, user: str, *, role: str | None = None, state: str | None = None
) -> None:
    """Change a user's role, or state, or both."""
    values = {key: value for key, value in (("role", role), ("state", state)) if value is not None}
    await tx.execute(update(members).where(members.c.space_id == space, members.c.user_id == user).values(**values))


async def remove_member(tx: Transaction, space: str, user: str) -> None:
    """Take a user out of a space."""
    await tx.execute(delete(members).where(members.c.space_id == space, members.c.user_id == user))
