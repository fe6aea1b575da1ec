"""The inbox: changes that were refused, kept with the reason until somebody mends or discards them (rule 10)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import NotFound
from .database import Tx
from .writing import Write, write_groups

__all__ = ["Refused", "discard", "read_inbox", "resend"]


@dataclass(frozen=True, slots=True)
class Refused:
    """One refused change. `code` is the server's word, `message` its sentence; `no` names the entry."""

    no: int
    space: int
    op: str
    collection: str | None
    id: str | None
    fields: Mapping[str, Any]
    code: str
    field: str | None
    message: str
    at_ms: int


def read_inbox(conn: Any, space: int | None = None) -> list[Refused]:
    """Every entry, oldest first; of one space where it is named."""
    rows = conn.execute(
        "SELECT no, space, op, collection, id, fields, code, field, message, at FROM inbox"
        " WHERE ? IS NULL OR space = ? ORDER BY no",
        (space, space),
    )
    return [
        Refused(no, place, op, collection, id, json.loads(fields) if fields else {}, code, name, message, at)
        for no, place, op, collection, id, fields, code, name, message, at in rows
    ]


def resend(tx: Tx, no: int, fields: Mapping[str, Any] | None = None) -> None:
    """Write a refused change anew, with other `fields` where they are given, and drop it from the inbox.

    Raises:
        NotFound: there is no such entry.
        InvalidWrite: the mended change is refused here already; the entry stays.
    """
    row = tx.one("SELECT space, op, collection, id, fields FROM inbox WHERE no = ?", (no,))
    if row is None:
        raise NotFound(f"The inbox has no entry {no}.")
    wanted = dict(fields) if fields is not None else json.loads(row[4]) if row[4] else {}
    write_groups(tx, row[0], [[Write(row[2], row[3], wanted, row[1])]], judged=fields is not None)
    discard(tx, no)


def discard(tx: Tx, no: int) -> None:
    """Drop an entry for good.

    Raises:
        NotFound: there is no such entry.
    """
    if not tx.execute("DELETE FROM inbox WHERE no = ?", (no,)):
        raise NotFound(f"The inbox has no entry {no}.")
