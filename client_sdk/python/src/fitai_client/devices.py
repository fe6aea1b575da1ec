"""What the user's devices are called: the server's list, as this device saw it last.

Owns: the list in the local database, and when it is worth asking for again. It is asked for where a conflict names a
device that it lacks, and kept, so that it is there offline.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from .core.database import LocalDatabase

__all__ = ["KnownDevice", "keep", "known", "unnamed"]

_META: Final = "device_list"


@dataclass(frozen=True, slots=True)
class KnownDevice:
    """One of the user's devices. own: an id of this very installation. name: as in the user's list of devices."""

    id: str
    name: str
    own: bool
    revoked: bool
    last_seen_at: str | None


def known(conn: sqlite3.Connection) -> list[KnownDevice]:
    """The devices of the list as it was seen last; of this installation's ids, also those that it lacks."""
    row = conn.execute("SELECT value FROM meta WHERE key = ?", (_META,)).fetchone()
    listed: list[Mapping[str, Any]] = json.loads(row[0]) if row else []
    own = {row[0] for row in conn.execute("SELECT id FROM devices WHERE id <> ''")}
    found = [
        KnownDevice(one["device"], one["name"], one["device"] in own, one["revoked"], one["last_seen_at"])
        for one in listed
    ]
    missing = own - {one.id for one in found}
    return [*found, *(KnownDevice(id, "", True, False, None) for id in sorted(missing))]


def unnamed(conn: sqlite3.Connection) -> set[str]:
    """The ids of devices that wrote what is contested here, and are not in the list."""
    rows = conn.execute("SELECT COALESCE(shown, body) FROM records WHERE conflicted = 1")
    writers: set[str] = set()
    for (text,) in rows:
        shown = json.loads(text)
        losers = [one for field in (shown.get("conflicts") or {}).values() for one in field]
        writers |= {str(id) for id in (shown.get("updated_by"), *(one.get("device") for one in losers)) if id}
    return writers - {one.id for one in known(conn)}


def keep(db: LocalDatabase, lines: Iterable[Mapping[str, Any]]) -> None:
    """Keep the server's list."""
    kept = [
        {
            "device": str(line["device"]),
            "name": str(line.get("name") or ""),
            "revoked": bool(line.get("revoked")),
            "last_seen_at": line.get("last_seen_at"),
        }
        for line in lines
    ]
    with db.write() as tx:
        tx.set_meta(_META, json.dumps(kept))
