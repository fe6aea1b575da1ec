"""When the local database is damaged: what can still be read of it goes to a file, and from there to a new device.

A damaged file is never mended in place. `rescue` writes an export of what is left; the file is then put aside, a new
one is opened and filled by the server, and `unsent_of` gives the changes that no server had.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .collections import field_of
from .core.attachments import holds
from .core.database import Tx, border
from .core.overlay import same_value
from .core.records import Key, descendants
from .core.rejecting import Verdict, enqueue_inbox
from .core.salvage import salvage
from .core.spaces import current_device
from .core.vectors import encode, is_vector
from .core.writing import CHANGE_BYTES_MAX, Write
from .errors import DatabaseError, InvalidWrite
from .export import write_export

__all__ = [
    "RESCUED_CODE",
    "Rescued",
    "SavedFile",
    "beside_own",
    "files_of",
    "last_pos",
    "name_of",
    "only_here",
    "rescue",
    "unsent_of",
]

# A text that is larger is written edit by edit: a change has room for other fields too.
_TEXT_MAX = CHANGE_BYTES_MAX // 2
# The code of the inbox's entries that come from here.
RESCUED_CODE = "rescued"
_MESSAGE = "This device has written something else since: send what was rescued again, or discard it."


@dataclass(frozen=True, slots=True)
class Rescued:
    """What a rescue saved. unsent: changes that no server has. unreadable: rows that could not be read.

    attachments: those whose records and names could be read; their bytes are in the folder beside the file.
    recovered: records that the server had lost and the device kept aside; they stay in the export.
    on_server: a server knew of the log, so that what it has comes back with a sign-in.
    """

    records: int
    unsent: int
    refused: int
    unreadable: int
    attachments: int = 0
    recovered: int = 0
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
        recovered = saved.execute("SELECT COUNT(*) FROM aside WHERE kind = 'recovered'").fetchone()[0]
        known = saved.execute("SELECT COUNT(*) FROM spaces WHERE kind = 'personal' AND id IS NOT NULL").fetchone()[0]
    finally:
        saved.close()
    return Rescued(records, unsent, refused, unreadable, attachments, recovered, known > 0)


def unsent_of(path: Path) -> dict[str | None, list[Write]]:
    """The changes in an export that no server had, in order, by their space's id at the server; None is one's own.

    Raises:
        InvalidWrite: the file is no export of a device.
    """
    found: dict[str | None, list[Write]] = {}
    texts = _texts(path)
    said: set[tuple[str | None, str, str, str]] = set()
    for line in _lines(path, "unsent"):
        fields = line["fields"]
        if line["op"] == "delete":
            # What is written behind it builds on nothing that was there before.
            said.clear()
        elif isinstance(fields, dict):
            # Whole: damage may have taken what an edit builds on, and a server may have lost it. Once: it has the later
            # edits, of which there may be many.
            key = (_space_of(line), str(line["collection"]), str(line["id"]))
            whole = {name: text for name, text in texts.get(key, {}).items() if (*key, name) not in said}
            said.update((*key, name) for name in whole.keys() & fields.keys())
            fields = {name: whole.get(name, edit) for name, edit in fields.items()}
        # With what it knew when it was made: what others wrote since it neither replaces nor deletes.
        known = line.get("context")
        change = Write(line["collection"], line["id"], fields, line["op"], context=known if is_vector(known) else None)
        found.setdefault(_space_of(line), []).append(change)
    return found


def name_of(path: Path) -> str:
    """What an export is known by: the same for the same bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:32]


def last_pos(conn: sqlite3.Connection) -> int:
    """The last place in the log."""
    pos: int = conn.execute("SELECT COALESCE(MAX(pos), 0) FROM log").fetchone()[0]
    return pos


def beside_own(tx: Tx, space: int, writes: Sequence[Write], upto: int) -> list[Write]:
    """What of these saved changes may be written: what this device wrote itself, up to `upto` in its log, stands.

    The next number of an id counts as having seen all its earlier ones, whatever a change knows. So what would take the
    place of an own value goes to the inbox, and a delete of a record that was written into.
    """
    found = []
    for one in writes:
        if not (isinstance(one.collection, str) and isinstance(one.id, str)):
            # Damaged: whoever writes it says so.
            found.append(one)
            continue
        if one.op == "delete":
            below = descendants(tx, space, (one.collection, one.id))
            if any(_own_puts(tx, space, key, upto) for key in ((one.collection, one.id), *below)):
                _keep(tx, space, one, None)
            else:
                found.append(one)
            continue
        own = _own_puts(tx, space, (one.collection, one.id), upto)
        ended = {name for name, edit in one.fields.items() if _ends(one.collection, name, edit, own)}
        for name in sorted(ended):
            _keep(tx, space, one, name)
        if len(ended) < len(one.fields) or not one.fields:
            rest = {name: edit for name, edit in one.fields.items() if name not in ended}
            found.append(replace(one, fields=rest))
    return found


def _own_puts(tx: Tx, space: int, key: Key, upto: int) -> list[dict[str, Any]]:
    rows = tx.all(
        # Not by an index: what was written before is little on a new device, and what is rescued may be much.
        "SELECT fields FROM log NOT INDEXED WHERE space = ? AND collection = ? AND id = ? AND pos <= ? AND op = 'put'"
        " AND verdict IS NULL",
        (space, *key, upto),
    )
    return [json.loads(row[0]) for row in rows]


def _ends(collection: str, name: str, edit: Any, own: Iterable[Mapping[str, Any]]) -> bool:
    """Whether an edit takes the place of something that is in one of these puts."""
    kind = field_of(collection, name).kind
    if kind == "set":
        added = {element for put in own for element in put.get(name, {}).get("add", ())}
        return not added.isdisjoint(edit.get("remove", ()))
    return kind == "register" and any(name in put and not same_value(put[name], edit) for put in own)


def _keep(tx: Tx, space: int, one: Write, name: str | None) -> None:
    fields = None if name is None else json.dumps({name: one.fields[name]}, ensure_ascii=False)
    change = (one.op, one.collection, one.id, fields)
    verdict = Verdict(RESCUED_CODE, _MESSAGE, name)
    enqueue_inbox(tx, space, current_device(tx), 0, change, verdict, context=encode(one.context or {}))


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


def _texts(path: Path) -> dict[tuple[str | None, str, str], dict[str, Any]]:
    """The texts of the records in an export, each as one edit that says all of it, where a change holds that."""
    found: dict[tuple[str | None, str, str], dict[str, Any]] = {}
    with suppress(ValueError, KeyError, TypeError, AttributeError):
        for space in json.loads(path.read_text(encoding="utf-8"))["spaces"]:
            place = None if space["kind"] == "personal" else str(space["id"])
            for record in space["records"]:
                # What damage left of one says nothing of the others.
                with suppress(LookupError, TypeError, AttributeError):
                    texts = {
                        name: {"yjs": value["yjs"]}
                        for name, value in record["values"].items()
                        if field_of(record["collection"], name).kind == "text" and 0 < len(value["yjs"]) < _TEXT_MAX
                    }
                    found[place, str(record["collection"]), str(record["id"])] = texts
    return found


def _space_of(line: dict[str, Any]) -> str | None:
    return None if line["space"] == "personal" else str(line["space_id"])
