"""When the local database is damaged: what can still be read of it goes to a file, and from there to a new device.

A damaged file is never mended in place. `rescue` writes an export of what is left; the file is then put aside, a new
one is opened and filled by the server, and `unsent_of` gives the changes that no server had.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .core.database import border
from .core.salvage import salvage
from .core.writing import Write
from .errors import InvalidWrite
from .export import write_export

__all__ = ["Rescued", "rescue", "unsent_of"]


@dataclass(frozen=True, slots=True)
class Rescued:
    """What a rescue saved. unsent: changes that no server has. unreadable: rows that could not be read."""

    records: int
    unsent: int
    refused: int
    unreadable: int


def rescue(path: Path, to: Path) -> Rescued:
    """Write an export of what can still be read of the device's file at `path`. The file itself is left as it is.

    Raises:
        DatabaseError: nothing at all can be read of it.
    """
    with border(path):
        saved, unreadable = salvage(path)
    try:
        records = write_export(saved, to, database=path)
        unsent = saved.execute("SELECT COUNT(*) FROM log WHERE state < 2 AND op <> 'void'").fetchone()[0]
        refused = saved.execute("SELECT COUNT(*) FROM inbox").fetchone()[0]
    finally:
        saved.close()
    return Rescued(records, unsent, refused, unreadable)


def unsent_of(path: Path) -> list[Write]:
    """The changes of the personal space in an export that no server had, in their order.

    Raises:
        InvalidWrite: the file is no export of a device.
    """
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        changes = [change for change in document["unsent"] if change["space"] == "personal"]
        return [Write(c["collection"], c["id"], c["fields"], c["op"]) for c in changes]
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidWrite(f"{path} is no export of a FitAI device.") from error
