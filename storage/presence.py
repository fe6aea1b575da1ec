"""What holds of a socket that says hello, and what still holds of many at once: their sessions, devices, places in
spaces, and the heads of those.

Each query of many takes the ids of some hundred sockets as one parameter, and is a handful of index look-ups for each.
Every process asks all of them each half minute, so they are prepared.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

from msgspec import json

from storage.database import Transaction
from storage.prepared import Prepared
from storage.spaces import CATALOG_SPACE, SPACE_COLUMNS, SpaceRow, member_of, space_row


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


# A row for each of the spaces that are there, or one without a space; none where the user has no such device.
_GREETED = _query(
    f"SELECT {', '.join(f's.{column.name}' for column in SPACE_COLUMNS)}, m.role, m.state, d.revoked_at "
    "FROM devices AS d LEFT JOIN spaces AS s ON s.id IN {spaces} "
    "LEFT JOIN members AS m ON m.space_id = s.id AND m.user_id = d.user_id "
    "WHERE d.id = :device AND d.user_id = :user"
)
_N_SPACE = len(SPACE_COLUMNS)


class Greeted(NamedTuple):
    """A user's device, and (space, role, state) of those of the spaces in which the user has a place."""

    revoked: bool
    spaces: list[tuple[SpaceRow, str, str]]


async def greeted(tx: Transaction, *, user: str, device: str, spaces: Collection[str]) -> Greeted | None:
    """What a hello asks, in one statement; None where the user has no such device."""
    rows = await tx.execute(_GREETED, {"user": user, "device": device, "spaces": _list(tx, spaces)})
    if not rows:
        return None
    found = []
    for row in rows:
        role, state = member_of(row[0], row[_N_SPACE], row[_N_SPACE + 1])
        if role is not None and state is not None and row[0] is not None:
            found.append((space_row(row), role, state))
    return Greeted(rows[0][_N_SPACE + 2] is not None, found)


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
