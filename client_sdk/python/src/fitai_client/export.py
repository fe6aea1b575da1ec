"""Export: everything this device holds, as one JSON file that a person can read and a program can import."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any

from .collections import parent_of
from .core.attachments import folder_of
from .core.inbox import read_inbox
from .core.vectors import Vector, is_vector, merged
from .errors import ExportFailed

__all__ = ["write_export"]


def write_export(conn: sqlite3.Connection, path: Path, *, database: Path) -> int:
    """Write every record with its conflicts, the changes no server has yet, the inbox, what the server lost and is
    kept here, and where each attachment is.

    database: the device's file, beside which the attachments are. Number of records.

    The file is written beside its place and moved there whole, and is the same for the same data, byte for byte.

    Raises:
        ExportFailed: the place cannot be written; what was there before is untouched.
    """
    conn.execute("BEGIN")
    try:
        spaces = conn.execute("SELECT no, id, kind, name FROM spaces ORDER BY no").fetchall()
        document: dict[str, Any] = {"format": "fitai-export", "version": 1, "spaces": []}
        number = 0
        for no, id, kind, name in spaces:
            records = [_record(*row) for row in _rows(conn, no)]
            number += len(records)
            document["spaces"].append({"id": id, "kind": kind, "name": name, "records": records})
        document["unsent"] = [
            {
                "space": row[0],
                "space_id": row[1],
                "op": row[2],
                "collection": row[3],
                "id": row[4],
                "fields": json.loads(row[5] or "{}"),
                "context": _known(*row[6:]),
            }
            for row in conn.execute(
                "SELECT s.kind, s.id, l.op, l.collection, l.id, l.fields, l.context, l.device, l.n, m.n"
                " FROM log l JOIN spaces s ON s.no = l.space LEFT JOIN"
                " (SELECT space, device, MAX(n) AS n FROM log WHERE state = 2 GROUP BY space, device) m"
                " ON m.space = l.space AND m.device = l.device"
                " WHERE l.state < 2 AND l.op <> 'void' ORDER BY l.pos"
            )
        ]
        document["refused"] = [
            {
                "collection": r.collection,
                "id": r.id,
                "op": r.op,
                "fields": r.fields,
                "code": r.code,
                "message": r.message,
            }
            for r in read_inbox(conn)
        ]
        document["recovered"] = [
            {"space": kind, "space_id": id, **_record(*row)}
            for no, id, kind, _ in spaces
            for row in conn.execute(
                "SELECT collection, id, body FROM aside WHERE space = ? AND kind = 'recovered' ORDER BY collection, id",
                (no,),
            )
        ]
        document["attachments"] = [_attachment(row, folder_of(database)) for row in conn.execute(_ATTACHMENTS)]
    finally:
        conn.execute("COMMIT")
    _write_whole(path, json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True) + "\n")
    return number


def _known(context: str, device: str, n: Any, answered: Any) -> Vector:
    """What a change knew, told to whoever writes it under another id: its device's own changes before it as well.

    Of these those that were answered: under the other numbers a copy of it may have sent something else. Numbers may be
    damaged.
    """
    try:
        known = json.loads(context)
    except ValueError:
        known = None
    upto = min(n - 1, answered) if type(n) is int and type(answered) is int else 0
    own = {device: upto} if device and upto > 0 else {}
    # Of what is damaged nothing is claimed: what others wrote then stays beside it.
    return merged(known, own) if is_vector(known) else own


_ATTACHMENTS = (
    "SELECT s.kind, s.id, a.collection, a.record, a.id, a.media_type, a.sha256, a.bytes, a.remote"
    " FROM attachments a JOIN spaces s ON s.no = a.space ORDER BY a.id"
)


def _attachment(row: tuple[Any, ...], folder: Path) -> dict[str, Any]:
    """file: where its bytes are, beside the device's database."""
    names = ("space", "space_id", "collection", "id", "attachment", "media_type", "sha256", "bytes", "remote")
    named = dict(zip(names, row, strict=True))
    return {**named, "file": f"{folder.name}/{named['sha256']}"}


def _write_whole(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".part")
    try:
        # It is somebody's training log: nobody else's to read, unless they make it so.
        with os.fdopen(os.open(partial, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        why = error.strerror or type(error).__name__
        raise ExportFailed(f"The export cannot be written to {path}: {why}; choose another place.") from error


def _rows(conn: sqlite3.Connection, no: int) -> list[Any]:
    """What shows. What is below a record that was deleted here has its row until the server has the delete."""
    rows = conn.execute(
        "SELECT collection, id, COALESCE(shown, body), alive, parent FROM records WHERE space = ?"
        " ORDER BY collection, id",
        (no,),
    ).fetchall()
    known = {(collection, id): (alive, parent) for collection, id, _, alive, parent in rows}

    def shows(collection: str, id: str) -> bool:
        # What damage took says nothing of what was below it.
        alive, parent = known.get((collection, id), (1, None))
        above = parent_of(collection)
        return bool(alive) and (above is None or parent is None or shows(above[1], parent))

    return [row[:3] for row in rows if row[3] == 1 and shows(*row[:2])]


def _record(collection: str, id: str, text: str) -> dict[str, Any]:
    shown = json.loads(text)
    record = {"collection": collection, "id": id, "values": shown.get("values") or {}}
    if shown.get("conflicts"):
        record["conflicts"] = shown["conflicts"]
    return record
