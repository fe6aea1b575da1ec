"""What still holds of many sockets at once: their sessions, devices, places in spaces, and the heads of those.

Each query takes the ids of some hundred sockets as one parameter, and is a handful of index look-ups for each. Every
process asks all of them each half minute, so they are prepared.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from msgspec import json

from storage.database import Transaction
from storage.prepared import Prepared
from storage.spaces import CATALOG_SPACE


def _query(template: str) -> Prepared:
    """`{name}` stands for the ids in the parameter `name`."""
    names = ("ids", "spaces")
    return Prepared(
        postgresql=template.format_map({name: f"ANY(CAST(:{name} AS text[]))" for name in names}).replace(
            " IN ", " = "
        ),
        sqlite=template.format_map({name: f"(SELECT value FROM json_each(:{name}))" for name in names}),
    )


_SESSIONS = _query(
    "SELECT s.id FROM sessions AS s JOIN users AS u ON u.id = s.user_id "
    "WHERE s.id IN {ids} AND s.revoked_at IS NULL AND s.expires_at > :now_ms AND u.disabled_at IS NULL"
)
_DEVICES = _query("SELECT id FROM devices WHERE id IN {ids} AND revoked_at IS NULL")
_ROLES = _query(
    "SELECT space_id, user_id, role FROM members WHERE user_id IN {ids} AND space_id IN {spaces} AND state = 'member'"
)
_HEADS = _query("SELECT id, life, head FROM spaces WHERE id IN {ids}")


async def live_sessions(tx: Transaction, ids: Collection[str], now_ms: int) -> set[str]:
    """Those of these sessions that stand: not ended, not expired, their user not disabled."""
    return {row[0] for row in await tx.execute(_SESSIONS, {"ids": _list(tx, ids), "now_ms": now_ms})}


async def live_devices(tx: Transaction, ids: Collection[str]) -> set[str]:
    """Those of these devices that are not revoked."""
    return {row[0] for row in await tx.execute(_DEVICES, {"ids": _list(tx, ids)})}


async def roles_of(tx: Transaction, pairs: Collection[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """(space, user) → role, for those of these pairs that are members; everybody is a viewer of the catalog."""
    if not pairs:
        return {}
    users, spaces = {user for _, user in pairs}, {space for space, _ in pairs}
    rows = await tx.execute(_ROLES, {"ids": _list(tx, users), "spaces": _list(tx, spaces)})
    # The query asks for every user in every space of them: what nobody asked for is left out.
    wanted = set(pairs)
    roles = {(row[0], row[1]): str(row[2]) for row in rows if (row[0], row[1]) in wanted}
    roles |= {pair: "viewer" for pair in pairs if pair[0] == CATALOG_SPACE}
    return roles


async def heads_of(tx: Transaction, ids: Collection[str]) -> dict[str, tuple[str, int]]:
    """space → (life, head)."""
    if not ids:
        return {}
    return {row[0]: (row[1], row[2]) for row in await tx.execute(_HEADS, {"ids": _list(tx, ids)})}


def _list(tx: Transaction, ids: Collection[str]) -> Any:
    """Ids as one parameter."""
    return json.encode(list(ids)).decode() if tx.dialect == "sqlite" else list(ids)
