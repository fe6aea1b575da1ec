"""A user's places in spaces, counted where they are limited; and the votes that go with a place that is lost."""

from __future__ import annotations

from typing import Literal

from sqlalchemy import bindparam, func, select, update

from storage.database import Transaction
from storage.tables import members, space_devices

_in_state = (
    select(func.count())
    .select_from(members)
    .where(members.c.user_id == bindparam("user"), members.c.state == bindparam("in_state"))
)
_retire = (
    update(space_devices)
    .where(space_devices.c.space_id == bindparam("space"), space_devices.c.user_id == bindparam("user"))
    .values(resync=True)
)


async def count_places(tx: Transaction, user: str, state: Literal["invited", "member"]) -> int:
    """In how many spaces a user is invited, or is a member. Lock the user first, and it stays as it was counted."""
    return int((await tx.execute(_in_state, {"user": user, "in_state": state}))[0][0])


async def retire_votes(tx: Transaction, space: str, user: str) -> None:
    """Let a user's devices hold the space's tombstones no longer; should they come back, they take a snapshot first."""
    await tx.execute(_retire, {"space": space, "user": user})
