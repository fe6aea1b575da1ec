"""Up to where people's stored records follow from what they train: marks, and who is behind them.

Owns: the statements over `record_marks`. Refuses to know: what a record is, and who brings it up
(api/training/record_keeping.py).

Invariants
    M1  A mark is written after what it tells of, so one that is missing or old costs work, and never a record.
    M2  Who is behind is found from what is stored alone: a space that they are in and that stands elsewhere than their
        mark of it, another basis, or a mark of a space that they are in no longer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import bindparam, delete, exists, func, or_, select

from storage.database import Transaction
from storage.prepared import Prepared
from storage.tables import members, record_marks, spaces, users

# Everything at once would be one statement over all members.
USERS_PER_PAGE: Final = 200


@dataclass(frozen=True, slots=True)
class Mark:
    """What a user's stored records were worked out from. places: {space: (life, head)}."""

    user: str
    basis: str
    places: Mapping[str, tuple[str, int]]


# Nobody writes for an account that has ended, or is closed for now.
_OPEN = Prepared(select(users.c.id).where(users.c.id == bindparam("user"), users.c.disabled_at.is_(None)))
_outdated = or_(
    func.coalesce(record_marks.c.head, 0) != spaces.c.head,
    record_marks.c.life != spaces.c.life,
    record_marks.c.basis != bindparam("basis"),
)
_behind = (
    select(members.c.user_id)
    .distinct()
    .join_from(members, spaces, spaces.c.id == members.c.space_id)
    .join(users, users.c.id == members.c.user_id)
    .outerjoin(
        record_marks,
        (record_marks.c.user_id == members.c.user_id) & (record_marks.c.space_id == members.c.space_id),
    )
    .where(
        members.c.state == "member",
        spaces.c.kind.in_(("personal", "shared")),
        users.c.disabled_at.is_(None),
        _outdated,
    )
)
_behind_anywhere = (
    _behind.where(members.c.user_id > bindparam("after")).order_by(members.c.user_id).limit(bindparam("most"))
)
_behind_in = _behind.where(members.c.space_id.in_(bindparam("spaces", expanding=True))).order_by(members.c.user_id)
_is_member = exists().where(
    members.c.user_id == record_marks.c.user_id,
    members.c.space_id == record_marks.c.space_id,
    members.c.state == "member",
)
_left = (
    select(record_marks.c.user_id)
    .distinct()
    .join_from(record_marks, users, users.c.id == record_marks.c.user_id)
    .where(record_marks.c.user_id > bindparam("after"), users.c.disabled_at.is_(None), ~_is_member)
    .order_by(record_marks.c.user_id)
    .limit(bindparam("most"))
)
# Of spaces that the user is in: an erasure, which ends that first, finds no new rows behind it.
_SET_ROW = """
INSERT INTO record_marks (user_id, space_id, life, head, basis)
SELECT m.user_id, m.space_id, CAST(:life AS text), CAST(:head AS bigint), CAST(:basis AS text) FROM members AS m
WHERE m.user_id = :user AND m.space_id = :space AND m.state = 'member'
ON CONFLICT (user_id, space_id) DO UPDATE SET life = excluded.life, head = excluded.head, basis = excluded.basis"""
_SET = Prepared(_SET_ROW)
_drop_others = delete(record_marks).where(
    record_marks.c.user_id == bindparam("of_user"),
    record_marks.c.space_id.not_in(bindparam("kept", expanding=True)),
)


async def is_open(tx: Transaction, user: str) -> bool:
    """Whether an account stands: it is there, and neither closed nor being erased."""
    return bool(await tx.execute(_OPEN, {"user": user}))


async def read_behind(tx: Transaction, basis: str, after: str = "") -> list[str]:
    """The users after the id `after`, in its order, whose records may be behind (M2): a page, empty at the end."""
    asked: dict[str, Any] = {"after": after, "most": USERS_PER_PAGE}
    behind = await tx.execute(_behind_anywhere, {**asked, "basis": basis})
    found = {str(row[0]) for row in (*behind, *await tx.execute(_left, asked))}
    return sorted(found)[:USERS_PER_PAGE]


async def read_behind_in(tx: Transaction, basis: str, in_spaces: Collection[str]) -> list[str]:
    """The members of these spaces whose records may be behind."""
    if not in_spaces:
        return []
    rows: Sequence[Any] = await tx.execute(_behind_in, {"spaces": list(in_spaces), "basis": basis})
    return [str(row[0]) for row in rows]


async def write_marks(tx: Transaction, marks: Collection[Mark]) -> None:
    """Note up to where the records of these users follow (M1). A space that is none of a mark's loses its row."""
    rows = [
        {"user": mark.user, "space": space, "life": life, "head": head, "basis": mark.basis}
        for mark in marks
        for space, (life, head) in sorted(mark.places.items())
    ]
    if rows:
        await tx.execute(_SET, rows)
    for mark in marks:
        await tx.execute(_drop_others, {"of_user": mark.user, "kept": list(mark.places)})
