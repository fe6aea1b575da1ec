"""What still holds of many sockets at once: their sessions, devices, places in spaces, and the heads of those.

Each query takes the ids of some hundred sockets and is a handful of index look-ups for each.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import BindParameter, bindparam, select

from storage.database import Transaction
from storage.spaces import CATALOG_SPACE
from storage.tables import devices, members, sessions, spaces, users

_ids: BindParameter[Any] = bindparam("ids", expanding=True)
_sessions = (
    select(sessions.c.id)
    .join_from(sessions, users, users.c.id == sessions.c.user_id)
    .where(
        sessions.c.id.in_(_ids),
        sessions.c.revoked_at.is_(None),
        sessions.c.expires_at > bindparam("now_ms"),
        users.c.disabled_at.is_(None),
    )
)
_devices = select(devices.c.id).where(devices.c.id.in_(_ids), devices.c.revoked_at.is_(None))
_roles = select(members.c.space_id, members.c.user_id, members.c.role).where(
    members.c.user_id.in_(_ids),
    members.c.space_id.in_(bindparam("spaces", expanding=True)),
    members.c.state == "member",
)
_heads = select(spaces.c.id, spaces.c.life, spaces.c.head).where(spaces.c.id.in_(_ids))


async def live_sessions(tx: Transaction, ids: Collection[str], now_ms: int) -> set[str]:
    """Those of these sessions that stand: not ended, not expired, their user not disabled."""
    return {row[0] for row in await tx.execute(_sessions, {"ids": list(ids), "now_ms": now_ms})}


async def live_devices(tx: Transaction, ids: Collection[str]) -> set[str]:
    """Those of these devices that are not revoked."""
    return {row[0] for row in await tx.execute(_devices, {"ids": list(ids)})}


async def roles_of(tx: Transaction, pairs: Collection[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """(space, user) → role, for those of these pairs that are members; everybody is a viewer of the catalog."""
    if not pairs:
        return {}
    users_, spaces_ = {user for _, user in pairs}, {space for space, _ in pairs}
    rows = await tx.execute(_roles, {"ids": list(users_), "spaces": list(spaces_)})
    # The query asks for every user in every space of them: what nobody asked for is left out.
    wanted = set(pairs)
    roles = {(row[0], row[1]): str(row[2]) for row in rows if (row[0], row[1]) in wanted}
    roles |= {pair: "viewer" for pair in pairs if pair[0] == CATALOG_SPACE}
    return roles


async def heads_of(tx: Transaction, ids: Collection[str]) -> dict[str, tuple[str, int]]:
    """space → (life, head)."""
    if not ids:
        return {}
    return {row[0]: (row[1], row[2]) for row in await tx.execute(_heads, {"ids": list(ids)})}
