"""What this installation is: its key, its device ids, and the spaces it is let into."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from . import leaving, vectors
from .database import Tx
from .ids import uuid7
from .requests import Request
from .spaces import PERSONAL, all_spaces, current_device, save, space

__all__ = [
    "key_refused",
    "prepare",
    "register_request",
    "registered",
    "spaces_answered",
    "spaces_request",
    "take_device",
]


def prepare(tx: Tx) -> None:
    """The lines every database has from the start: an installation key, an id to be asked for, a personal space."""
    if tx.one("SELECT 1 FROM devices LIMIT 1") is None:
        tx.execute("INSERT INTO devices (id, key, state) VALUES ('', ?, 'current')", (uuid7(tx.environment),))
        tx.execute("INSERT INTO spaces (no, kind) VALUES (?, 'personal')", (PERSONAL,))


def register_request(tx: Tx, description: Mapping[str, str]) -> Request | None:
    """Ask for a device id where one is needed: at the first contact, or after an id was left (rule 17)."""
    successor = leaving.ready(tx)
    if successor is not None:
        old, key = successor
    else:
        rows = tx.recall("SELECT key FROM devices WHERE id = ''")
        if not rows:
            return None
        old, key = "", rows[0][0]
    return Request(
        kind="register",
        method="POST",
        path="/api/sync/devices",
        body=json.dumps({"key": key, **description}, separators=(",", ":")),
        asked={"old": old, "key": key},
    )


def registered(tx: Tx, request: Request, body: dict[str, Any]) -> None:
    """Take the id the server gave. An answer to a request of before changes nothing."""
    old, key, new = request.asked["old"], request.asked["key"], str(body["device"])
    if old:
        if leaving.ready(tx) == (old, key) and tx.one("SELECT 1 FROM devices WHERE id = ?", (new,)) is None:
            leaving.switched(tx, old, new)
        return
    if tx.one("SELECT 1 FROM devices WHERE id = '' AND key = ?", (key,)) is not None:
        take_device(tx, new)


def key_refused(tx: Tx, request: Request) -> None:
    """The id that this key stands for was revoked: make a new key, and come again."""
    key = uuid7(tx.environment)
    if request.asked["old"]:
        tx.execute(
            "UPDATE devices SET successor_key = ? WHERE id = ? AND successor_key = ?",
            (key, request.asked["old"], request.asked["key"]),
        )
    else:
        tx.execute("UPDATE devices SET key = ? WHERE id = '' AND key = ?", (key, request.asked["key"]))


def take_device(tx: Tx, new: str) -> None:
    """Number everything that was written before the first contact under the id that it brought."""
    tx.execute("UPDATE devices SET id = ? WHERE id = ''", (new,))
    tx.execute("UPDATE streams SET device = ? WHERE device = ''", (new,))
    tx.execute("UPDATE log SET device = ? WHERE device = ''", (new,))


def spaces_request(tx: Tx) -> Request:
    return Request(kind="spaces", method="GET", path="/api/sync/spaces", device=current_device(tx) or None)


def spaces_answered(tx: Tx, body: dict[str, Any]) -> None:
    """Take the list of spaces. One that is no longer in it is found out about by its next pull."""
    known = {found.id: found for found in all_spaces(tx)}
    for line in body["spaces"]:
        found = known.get(line["id"])
        if found is None and line["kind"] == "personal":
            found = space(tx, PERSONAL)
            if found.id is not None:
                continue
        if found is None:
            tx.execute("INSERT INTO spaces (id, kind) VALUES (?, ?)", (line["id"], line["kind"]))
            no = tx.one("SELECT no FROM spaces WHERE id = ?", (line["id"],))[0]
            found = space(tx, no)
        role, state = line.get("role") or "viewer", line.get("state") or "member"
        changes: dict[str, Any] = {"id": line["id"], "name": line.get("name") or "", "role": role, "state": state}
        if found.phase == "gone" and state == "member":
            # Let in again: what was known of it may have been taken back meanwhile.
            changes |= {"phase": "new", "cursor": None, "version": vectors.Vector()}
        if found.paused is not None and found.paused["code"] == "read_only" and role in ("owner", "editor"):
            changes |= {"paused": None}
        if any(getattr(found, name) != value for name, value in changes.items()):
            save(tx, found, **changes)
