"""What was disputed, refused, undone or lost: conflicts, the inbox, history, undo, recovery, export."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from .. import export as exporting
from ..collection import record_of
from ..collections import COLLECTIONS, parent_of
from ..core import inbox, undo
from ..core.attachments import note_uploaded
from ..core.database import LocalDatabase, Tx
from ..core.inbox import Refused
from ..core.reads import Record, read_conflicted
from ..core.records import read_row
from ..core.spaces import PERSONAL, all_spaces
from ..core.whole import whole_writes
from ..core.writing import Write, write_groups
from ..devices import KnownDevice, known
from ..errors import InvalidWrite, NotFound, Unreachable
from ..rescue import SavedFile, beside_own, files_of, last_pos, name_of, only_here, unsent_of
from ..space import SpaceHandle
from .base import Calls

__all__ = ["MendingCalls"]

log = logging.getLogger("fitai_client")


class MendingCalls(Calls):
    """Nothing of the user's is dropped silently: here it is, and what can be done."""

    async def conflicts(self, space: SpaceHandle | None = None) -> list[Record]:
        """Every record with a conflict; `record.conflicts` has the losing values by field, with device, name and time.

        The names are those of `devices()`, so a device of somebody else in a shared space has none.
        """
        number = (space or self).number

        def read(conn: sqlite3.Connection) -> list[Record]:
            names = {one.id: one.name or None for one in known(conn)}
            return [_named(record, names) for record in read_conflicted(conn, number)]

        return await self.read(read)

    async def devices(self) -> list[KnownDevice]:
        """The user's devices as the server listed them last; a sync asks again where a conflict names another one."""
        return await self.read(known)

    async def resolve(self, record: Record, field: str, value: Any, space: SpaceHandle | None = None) -> Record | None:
        """Decide a conflict: `value` replaces the winner and every loser of the field.

        Raises:
            InvalidWrite, NotFound: as `update`.
        """
        record = record_of(record, "resolve")
        return await (space or self).collection(record.collection).update(record.id, **{field: value})

    async def inbox(self) -> list[Refused]:
        """The changes that were refused, with the reasons."""
        return await self.read(inbox.read_inbox)

    async def resend(self, entry: Refused | int, **fields: Any) -> None:
        """Write a refused change anew, mended where fields are given.

        What only the server's schema stood against is sent again by itself once the schema has grown.

        Raises:
            NotFound: there is no such entry any more.
            InvalidWrite: the mended change would be refused too; the entry stays.
        """
        no = entry if isinstance(entry, int) else entry.no
        await self._write_with(lambda tx: inbox.resend(tx, no, fields or None))

    async def discard(self, entry: Refused | int) -> None:
        """Drop a refused change for good.

        Raises:
            NotFound: there is no such entry any more.
        """
        no = entry if isinstance(entry, int) else entry.no
        await self._write_with(lambda tx: inbox.discard(tx, no))

    async def history(self, collection: str, id: str, space: SpaceHandle | None = None) -> list[Mapping[str, Any]]:
        """The changes of one record, newest first, as the server keeps them.

        Raises:
            AccountError, ServerRefused, Unreachable: as the server has it, or its pages do not go on.
        """
        query = {"collection": collection, "id": id}
        changes: list[Mapping[str, Any]] = []
        while True:
            body = await self._ask((space or self).number, "GET", "history", query=query)
            changes += body["changes"]
            if body.get("before") is None:
                return changes
            if body["before"] == query.get("before") or not body["changes"]:
                raise Unreachable("The pages of a history have no end; whatever wrote them is no server of it.")
            query["before"] = body["before"]

    async def restore(
        self, collection: str, id: str, dot: Mapping[str, Any] | None = None, space: SpaceHandle | None = None
    ) -> None:
        """Bring a record back: to its state just after the change `dot` (from `history`), or from deletion.

        Raises:
            NotFound: it is not deleted, or nothing is known of it any more.
        """
        number = (space or self).number
        if dot is not None:
            body = {"collection": collection, "id": id, "dot": {"device": dot["device"], "n": dot["n"]}}
            await self._ask(number, "POST", "restore", body=body)
            self._sync.wake(pull=True)
            return
        await self._write_with(lambda tx: undo.restore_deleted(tx, number, (collection, id)))

    async def undo(self, space: SpaceHandle | None = None) -> int:
        """Undo this device's last change that is not undone yet, with its group. How many changes that took back.

        A field that shows another value meanwhile stays as it is. 0 where there is nothing to undo; the log reaches
        back 30 days.
        """
        number = (space or self).number
        return await self._write_with(lambda tx: undo.undo(tx, number))

    async def redo(self, space: SpaceHandle | None = None) -> int:
        """Bring back what was undone last; 0 where there is nothing, or something was written since."""
        number = (space or self).number
        return await self._write_with(lambda tx: undo.redo(tx, number))

    async def recovered(self) -> list[tuple[str, str, Mapping[str, Any]]]:
        """Records that the server lost and this device kept: (collection, id, values)."""

        def read(conn: sqlite3.Connection) -> list[tuple[str, str, Mapping[str, Any]]]:
            rows = conn.execute("SELECT collection, id, body FROM aside WHERE kind = 'recovered' ORDER BY id")
            return [(row[0], row[1], json.loads(row[2])["values"]) for row in rows]

        return await self.read(read)

    async def rewrite_recovered(self) -> int:
        """Write the recovered records again, each with what it is in where that is gone too. How many are there again.

        One stays among the recovered where nothing is known any more of what it is in, and where it cannot be written:
        in a space that is gone, or with what only a newer version of this package knows.
        """

        def write(tx: Any) -> int:
            return sum(undo.rewrite_recovered(tx, found.no) for found in all_spaces(tx))

        return await self._write_with(write)

    async def export(self, path: str | os.PathLike[str]) -> int:
        """Write everything this device holds to a JSON file; works signed out and revoked. Number of records.

        Of attachments it says which file beside the database has their bytes.

        Raises:
            ExportFailed: the place cannot be written.
            DatabaseError: the database cannot be read; `Client.rescue` saves what is left of it.
        """
        return await self.read(lambda conn: exporting.write_export(conn, Path(path), database=self._db.path))

    async def write_rescued(self, path: str | os.PathLike[str]) -> int:
        """Write the unsent changes of an export that `Client.rescue` made, as new changes. How many were written.

        One that the damage left without sense is passed over, and stays in the export; so are those of a shared space
        that this device does not know, or is out of. Where neither the damaged device nor this one has an account,
        nobody else has the records: what lost its changes is written as it stood.

        What this device has written itself since stands: what would take its place goes to the inbox (`rescued`).
        Called again, it writes the changes that it could not write before, and nothing twice.

        Sync first: then what the server has meanwhile is below them, and the shared spaces are known. Attachments come
        along whose files are beside the export, or where they were, and whose records show; what was uploaded already
        is not uploaded again.

        Raises:
            InvalidWrite: the file is no export.
        """
        written = 0
        name = await asyncio.to_thread(name_of, Path(path))
        upto = await self.read(last_pos)
        for space, writes in (await asyncio.to_thread(unsent_of, Path(path))).items():
            number = await self._number_of(space)
            if number is None:
                log.warning("%d saved changes are of a space that is not here: they stay in the export", len(writes))
            else:
                saved_as = f"rescued:{name}:{number}"
                write = partial(_write_saved, space=number, writes=writes, upto=upto, saved_as=saved_as)
                written += await self._write_with(write)
        if self._account.identity is None:
            saved = await asyncio.to_thread(only_here, Path(path))
            written += await self._write_with(lambda tx: _write_lacking(tx, saved, upto, f"rescued:{name}"))
        for file in await asyncio.to_thread(files_of, Path(path), self._db.path.parent):
            await self._attach(file)
        return written

    async def _number_of(self, space: str | None) -> int | None:
        """The space here that has this id of the server's, or one's own; None where there is none to write to."""
        if space is None:
            return PERSONAL
        return next((one.no for one in (await self.status()).spaces if one.id == space and one.phase != "gone"), None)

    async def _attach(self, file: SavedFile) -> None:
        number = await self._number_of(file.space)
        space = None if number is None else SpaceHandle(self, number)
        record = await space.collection(file.collection).find(file.record) if space is not None else None
        if record is None:
            return
        added = await self.attachments.add(record, file.path, media_type=file.media_type, space=space)
        if (remote := file.remote) is not None and added.remote is None:

            def note(db: LocalDatabase) -> None:
                with db.write() as tx:
                    note_uploaded(tx, added.id, remote)

            await self.run(note)


# What a flipped bit in a saved change comes to.
_NO_WRITE = (InvalidWrite, NotFound, LookupError, TypeError, ValueError, AttributeError)


def _write_saved(tx: Tx, space: int, writes: Sequence[Write], upto: int, saved_as: str) -> int:
    """Write the changes of an export that were not written from it before; how many that are.

    saved_as: what remembers the places of those that could not be written. The others are written once: once more, they
    would replace what was written here since.
    """
    left = tx.meta(saved_as)
    places: Sequence[int] = range(len(writes)) if left is None else json.loads(left)
    written, left_out = _write_each(tx, space, [writes[place] for place in places], upto)
    tx.set_meta(saved_as, json.dumps([places[place] for place in left_out]))
    return written


def _write_each(tx: Tx, space: int, writes: Sequence[Write], upto: int) -> tuple[int, list[int]]:
    """Write those that can be written: how many changes that took, and the places of the others.

    Each on its own: what the server refuses of them holds back none of the others.
    """
    tx.execute("SAVEPOINT each")
    try:
        return write_groups(tx, space, [[one] for one in beside_own(tx, space, writes, upto)]), []
    except _NO_WRITE as error:
        tx.roll_back_to("each")
        if len(writes) == 1:
            # Without its text, which may be what somebody wrote.
            log.warning("a saved change of %s cannot be written: %s", writes[0].collection, type(error).__name__)
            return 0, [0]
    finally:
        tx.execute("RELEASE each")
    written, left_out = 0, []
    for place, one in enumerate(writes):
        more, failed = _write_each(tx, space, [one], upto)
        written += more
        left_out += [place] * len(failed)
    return written, left_out


def _write_lacking(tx: Tx, saved: Sequence[tuple[str, str, Mapping[str, Any]]], upto: int, saved_as: str) -> int:
    """Write what of these is not here, or not as it stood, parents first, and once; how many changes that took."""
    if tx.meta(saved_as) is not None:
        return 0
    tx.set_meta(saved_as, "[]")
    written = 0
    for collection, id, values in sorted(saved, key=lambda one: _depth(one[0])):
        if collection not in COLLECTIONS:
            continue
        row = read_row(tx, PERSONAL, (collection, id))
        here = json.loads(row.shown or row.body or "{}").get("values", {}) if row is not None and row.alive else {}
        lacking = {name: value for name, value in values.items() if _lacks(collection, here, name, value)}
        if lacking:
            writes = whole_writes(tx, PERSONAL, (collection, id), {"values": lacking})
            written += _write_each(tx, PERSONAL, writes, upto)[0]
    return written


def _lacks(collection: str, here: Mapping[str, Any], name: str, value: Any) -> bool:
    """Whether a field is to be written as it stood. What adds up is written only where nothing of it is here."""
    if name not in here:
        return value is not None
    declared = COLLECTIONS[collection].fields
    return name in declared and declared[name].kind not in ("set", "counter", "text") and here[name] != value


def _depth(collection: str) -> int:
    parent = parent_of(collection) if collection in COLLECTIONS else None
    return 1 + _depth(parent[1]) if parent else 0


def _named(record: Record, names: Mapping[str, str | None]) -> Record:
    conflicts = {
        field: tuple(replace(one, device_name=names.get(one.device or "")) for one in losers)
        for field, losers in record.conflicts.items()
    }
    return replace(record, conflicts=conflicts)
