"""When the local database is damaged: what can still be read of it goes to a file, and from there to a new device.

A damaged file is never mended in place. `rescue` writes an export of what is left; the file is then put aside, a new
one is opened and filled by the server, and `unsent_of` gives the changes that no server had.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .core.attachments import holds
from .core.database import border
from .core.salvage import salvage
from .core.vectors import is_vector
from .core.writing import Write
from .errors import DatabaseError, InvalidWrite
from .export import write_export

__all__ = ["Rescued", "SavedFile", "files_of", "only_here", "rescue", "unsent_of"]


@dataclass(frozen=True, slots=True)
class Rescued:
    """What a rescue saved. unsent: changes that no server has. unreadable: rows that could not be read.

    attachments: those whose records and names could be read; their bytes are in the folder beside the file.
    on_server: a server knew of the log, so that what it has comes back with a sign-in.
    """

    records: int
    unsent: int
    refused: int
    unreadable: int
    attachments: int = 0
    on_server: bool = False


def rescue(path: Path, to: Path) -> Rescued:
    """Write an export of what can still be read of the device's file at `path`. The file itself is left as it is.

    Raises:
        DatabaseError: corrupt: nothing at all can be read of it, and nothing was written. unusable: it is not there.
    """
    if not path.is_file():
        raise DatabaseError(f"There is no file {path}: name the one of the damaged device.", code="unusable")
    try:
        with border(path):
            saved, unreadable = salvage(path)
    except DatabaseError as error:
        if error.code != "corrupt":
            raise
        raise DatabaseError(
            f"Nothing can be saved of {path}, which is no device's file or has nothing left in it that can be read: "
            "move it aside, and sign in on a new one, to which what the server has comes back.",
            code="corrupt",
        ) from error
    try:
        records = write_export(saved, to, database=path)
        unsent = saved.execute("SELECT COUNT(*) FROM log WHERE state < 2 AND op <> 'void'").fetchone()[0]
        attachments = saved.execute("SELECT COUNT(*) FROM attachments").fetchone()[0]
        refused = saved.execute("SELECT COUNT(*) FROM inbox").fetchone()[0]
        known = saved.execute("SELECT COUNT(*) FROM spaces WHERE kind = 'personal' AND id IS NOT NULL").fetchone()[0]
    finally:
        saved.close()
    return Rescued(records, unsent, refused, unreadable, attachments, known > 0)


def unsent_of(path: Path) -> dict[str | None, list[Write]]:
    """The changes in an export that no server had, in order, by their space's id at the server; None is one's own.

    Raises:
        InvalidWrite: the file is no export of a device.
    """
    found: dict[str | None, list[Write]] = {}
    for line in _lines(path, "unsent"):
        # With what it knew when it was made: what others wrote since it neither replaces nor deletes.
        known = line.get("context")
        change = Write(
            line["collection"], line["id"], line["fields"], line["op"], context=known if is_vector(known) else None
        )
        found.setdefault(_space_of(line), []).append(change)
    return found


def only_here(path: Path) -> list[tuple[str, str, dict[str, Any]]]:
    """The records of the personal space in an export, as (collection, id, values), where no server ever knew of it.

    Raises:
        InvalidWrite: the file is no export of a device.
    """
    try:
        spaces = json.loads(path.read_text(encoding="utf-8"))["spaces"]
        return [
            (str(one["collection"]), str(one["id"]), dict(one["values"]))
            for found in spaces
            if found["kind"] == "personal" and found["id"] is None
            for one in found["records"]
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidWrite(f"{path} is no export of a FitAI device.") from error


@dataclass(frozen=True, slots=True)
class SavedFile:
    """An attachment of an export whose bytes are there.

    space: the server's id of its space, None for one's own. remote: what it is called where it was uploaded to.
    """

    space: str | None
    collection: str
    record: str
    media_type: str
    path: Path
    remote: str | None


def files_of(path: Path, *beside: Path) -> list[SavedFile]:
    """The attachments in an export whose files are beside it, or in one of the folders `beside`.

    A file with other bytes than the export says is passed over. Raises as `unsent_of`.
    """
    found = []
    for one in _lines(path, "attachments"):
        folder = Path(str(one["file"])).parent.name
        for place in (path.parent, *beside):
            file = place / folder / str(one["sha256"])
            if holds(file, str(one["sha256"])):
                found.append(
                    SavedFile(_space_of(one), one["collection"], one["id"], one["media_type"], file, one.get("remote"))
                )
                break
    return found


def _lines(path: Path, what: str) -> list[dict[str, Any]]:
    needed = {"unsent": ("collection", "id", "fields", "op"), "attachments": ("collection", "id", "file", "sha256")}
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        # Exports of before there were attachments have none.
        lines = document[what] if what == "unsent" else document.get(what, [])
        # Older ones do not say which shared space a line is of, and damage may have taken it.
        placed = [line for line in lines if line["space"] == "personal" or isinstance(line.get("space_id"), str)]
        return [line for line in placed if [line[name] for name in needed[what]]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidWrite(f"{path} is no export of a FitAI device.") from error


def _space_of(line: dict[str, Any]) -> str | None:
    return None if line["space"] == "personal" else str(line["space_id"])
