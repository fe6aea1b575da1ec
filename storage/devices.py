"""Devices and their places in spaces: plain queries, each confined to one user, one device or one space."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from sqlalchemy import and_, bindparam, func, insert, select, update

from storage.database import Transaction
from storage.prepared import Prepared
from storage.tables import devices, space_devices


class DeviceRow(NamedTuple):
    """One installation of an app. Times are Unix milliseconds."""

    id: str
    user: str
    key: str
    name: str
    platform: str
    app_version: str
    created_at: int
    last_seen_at: int
    revoked_at: int | None


class Place(NamedTuple):
    """Where a live device stands in a space. owes: it has to take a snapshot; None where it has no place yet."""

    user: str
    owes: bool | None


class Counted(NamedTuple):
    """A user's live devices; and those that are new since some time, revoked ones too, with when the first came."""

    live: int
    new: int
    first_new_at: int | None


_device = select(
    devices.c.id,
    devices.c.user_id,
    devices.c.key,
    devices.c.name,
    devices.c.platform,
    devices.c.app_version,
    devices.c.created_at,
    devices.c.last_seen_at,
    devices.c.revoked_at,
)
_BY_ID = Prepared(_device.where(devices.c.id == bindparam("device")))
_BY_KEY = Prepared(_device.where(devices.c.user_id == bindparam("user"), devices.c.key == bindparam("installation")))
_of_user = _device.where(devices.c.user_id == bindparam("user")).order_by(devices.c.created_at, devices.c.id)
_ROOM = Prepared(
    select(
        func.count().filter(devices.c.revoked_at.is_(None)),
        func.count().filter(devices.c.created_at > bindparam("since")),
        func.min(devices.c.created_at).filter(devices.c.created_at > bindparam("since")),
    ).where(devices.c.user_id == bindparam("user"))
)
_seen = select(space_devices.c.device_id, space_devices.c.space_id, space_devices.c.seen).where(
    space_devices.c.user_id == bindparam("user")
)
_PLACE = Prepared(
    select(devices.c.user_id, space_devices.c.resync)
    .select_from(devices)
    .outerjoin(
        space_devices,
        and_(space_devices.c.device_id == devices.c.id, space_devices.c.space_id == bindparam("space")),
    )
    .where(devices.c.id == bindparam("device"), devices.c.revoked_at.is_(None))
)
_NOTE_VOTER = Prepared(
    """
INSERT INTO space_devices (space_id, device_id, user_id, seen, seen_at, first_at, resync)
SELECT CAST(:space AS text), d.id, d.user_id, :seen, :now_ms, :now_ms, :owes FROM devices AS d
WHERE d.id = :device AND d.user_id = :user AND d.revoked_at IS NULL
ON CONFLICT (space_id, device_id) DO UPDATE
    SET resync = CASE WHEN :snapshot THEN :owes ELSE space_devices.resync END"""
)

_TOUCH_LIVE = (
    "UPDATE devices SET last_seen_at = :now_ms WHERE id = :device AND user_id = :user AND revoked_at IS NULL "
    "RETURNING id"
)
_BIND = "UPDATE sessions SET device_id = :device WHERE id = :session AND user_id = :user"
# On Postgres all of it is one statement, whose lock on the device's row makes a revocation wait for the binding.
_NOTE = Prepared(
    postgresql=f"""
WITH touched AS ({_TOUCH_LIVE}), bound AS ({_BIND} AND EXISTS (SELECT 1 FROM touched) RETURNING id), kept AS (
    INSERT INTO session_devices (session_id, device_id) SELECT id, :device FROM bound
    ON CONFLICT (session_id, device_id) DO NOTHING
) SELECT id FROM touched""",
    sqlite=_TOUCH_LIVE,
)
_NOTE_SESSION = (
    Prepared(sqlite=_BIND),
    Prepared(
        sqlite="INSERT INTO session_devices (session_id, device_id) "
        "SELECT id, :device FROM sessions WHERE id = :session AND user_id = :user "
        "ON CONFLICT (session_id, device_id) DO NOTHING"
    ),
)

_TOUCH = Prepared(
    update(devices)
    .where(devices.c.id == bindparam("device"))
    .values(last_seen_at=bindparam("now_ms"), app_version=bindparam("version"))
)
_END_SESSIONS = Prepared(
    """
UPDATE sessions SET revoked_at = :now_ms, revoked_reason = 'device_revoked'
WHERE user_id = :user AND revoked_at IS NULL
AND id IN (SELECT session_id FROM session_devices WHERE device_id = :device)
AND id NOT IN (
    SELECT b.session_id FROM session_devices AS b JOIN devices AS d ON d.id = b.device_id
    WHERE d.user_id = :user AND d.id <> :device AND d.revoked_at IS NULL
) RETURNING id"""
)


async def find_device(tx: Transaction, device: str) -> DeviceRow | None:
    """One device, whosever it is; the caller compares the owner."""
    rows = await tx.execute(_BY_ID, {"device": device})
    return DeviceRow(*rows[0]) if rows else None


async def find_device_by_key(tx: Transaction, user: str, key: str) -> DeviceRow | None:
    """A user's device by the UUID of its installation."""
    rows = await tx.execute(_BY_KEY, {"user": user, "installation": key})
    return DeviceRow(*rows[0]) if rows else None


async def list_devices(tx: Transaction, user: str) -> list[DeviceRow]:
    """A user's devices, revoked ones included, oldest first."""
    return [DeviceRow(*row) for row in await tx.execute(_of_user, {"user": user})]


async def count_devices(tx: Transaction, user: str, since_ms: int) -> Counted:
    """How many devices a user has, and how many were new after `since_ms`: one statement, revoked ones unread."""
    return Counted(*(await tx.execute(_ROOM, {"user": user, "since": since_ms}))[0])


async def add_device(tx: Transaction, device: DeviceRow) -> None:
    """Store a new device. Raises Duplicate where its id, or the user's key, is taken."""
    await tx.execute(
        insert(devices),
        {
            "id": device.id,
            "user_id": device.user,
            "key": device.key,
            "name": device.name,
            "platform": device.platform,
            "app_version": device.app_version,
            "created_at": device.created_at,
            "last_seen_at": device.last_seen_at,
            "revoked_at": device.revoked_at,
        },
    )


async def touch_device(tx: Transaction, device: str, now_ms: int, *, app_version: str) -> None:
    """Note that a device was here, and with which version of its app."""
    await tx.execute(_TOUCH, {"device": device, "now_ms": now_ms, "version": app_version})


async def note_device(tx: Transaction, *, session: str, user: str, device: str, now_ms: int) -> bool:
    """Note that a user's device was here, and that this session of the user speaks for it; twice is as good as once.

    False, and nothing written, where the device is unknown, revoked or somebody else's. One statement on Postgres.
    """
    values = {"session": session, "user": user, "device": device, "now_ms": now_ms}
    if not await tx.execute(_NOTE, values):
        return False
    if tx.dialect == "sqlite":
        for statement in _NOTE_SESSION:
            await tx.execute(statement, values)
    return True


async def revoke_device(tx: Transaction, user: str, device: str, now_ms: int) -> None:
    """Revoke a device of a user; a revoked one stays as it was."""
    await tx.execute(
        update(devices)
        .where(devices.c.id == device, devices.c.user_id == user, devices.c.revoked_at.is_(None))
        .values(revoked_at=now_ms)
    )


async def end_sessions_of_device(tx: Transaction, user: str, device: str, now_ms: int) -> list[str]:
    """End the live sessions that were used with a device and with no other one that is live; their ids."""
    rows = await tx.execute(_END_SESSIONS, {"user": user, "device": device, "now_ms": now_ms})
    return [str(row[0]) for row in rows]


async def seen_by_device(tx: Transaction, user: str) -> dict[str, dict[str, dict[str, int]]]:
    """device → space → the version that the device has promised to know, for all devices of a user."""
    seen: dict[str, dict[str, dict[str, int]]] = {}
    for device, space, vector in await tx.execute(_seen, {"user": user}):
        seen.setdefault(device, {})[space] = msgspec.json.decode(vector)
    return seen


async def find_place(tx: Transaction, space: str, device: str) -> Place | None:
    """A device's place in a space; None for a device that is unknown or was revoked."""
    rows = await tx.execute(_PLACE, {"space": space, "device": device})
    return Place(rows[0][0], None if rows[0][1] is None else bool(rows[0][1])) if rows else None


async def note_voter(tx: Transaction, *, space: str, device: str, user: str, now_ms: int, snapshot: bool) -> None:
    """Give a live device of a user its place in a space where it has none; `snapshot` ends its duty to take one."""
    await tx.execute(
        _NOTE_VOTER,
        {
            "space": space,
            "device": device,
            "user": user,
            "seen": b"{}",
            "now_ms": now_ms,
            "snapshot": snapshot,
            "owes": False,
        },
    )
