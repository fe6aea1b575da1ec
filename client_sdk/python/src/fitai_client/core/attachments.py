"""Attachments on this device: a row for each in the database, its bytes in a folder beside it.

Owns: the rows, the files, and that the two agree. When they leave, and by whom, is ../attachments.py's.

Invariants
    A1  A row is only there with its file, whole and on the disk: bytes are written under a name of their own and
        synced, and get their place in the transaction that writes the row. A kill before its commit leaves a file that
        no row names: the same bytes take its place when they are added again, and `wipe` takes it along.
    A2  A file is named after its SHA-256, so records that have the same bytes share it. The transaction that removes
        its last row notes that it is to go, and it goes after the commit: at once, or when the device is next opened.
        No file goes for being unknown: it may be that of a database which was put aside.
    A3  Bytes are copied outside of any transaction: no other write waits for them.
"""

from __future__ import annotations

import errno
import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from ..errors import DatabaseError, InvalidWrite, NotFound
from .clock import rfc3339
from .database import Tx
from .reads import read_one

__all__ = [
    "ATTACHMENT_BYTES_MAX",
    "Attachment",
    "Copied",
    "clear_partial",
    "clear_removed",
    "copy_in",
    "delete_all",
    "folder_of",
    "holds",
    "note_failed",
    "note_uploaded",
    "place",
    "read_attachment",
    "read_attachments",
    "remove",
    "waiting",
]

# A minute of a phone's video; what is larger would hold up the queue for longer than a phone is awake.
ATTACHMENT_BYTES_MAX: Final = 100 * 1024 * 1024
_CHUNK_BYTES: Final = 1024 * 1024
_BINARY: Final = getattr(os, "O_BINARY", 0)
# What the lines of `meta` begin with that name a file to delete.
_TO_GO: Final = "attachment_to_go:"
# A copy that is older than this was begun by a process that is gone.
_PARTIAL_KEPT_MS: Final = 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that belongs to a record.

    id: a UUID, made here, that fields such as a measurement's `photos` may name. record: the id of its record.
    space: the server's id of the record's space, None while no server knows it. sha256: of its bytes, in hex.
    remote: what the uploader called it; None while it waits. error: why the last try to upload it failed.
    """

    id: str
    space: str | None
    collection: str
    record: str
    media_type: str
    sha256: str
    bytes: int
    added_at: str
    remote: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Copied:
    """Bytes that are on this disk, and have no place yet."""

    partial: Path
    sha256: str
    bytes: int


def folder_of(database: Path) -> Path:
    """Where the files of a database's attachments are."""
    return database.with_name(f"{database.name}-attachments")


# -- files -----------------------------------------------------------------------------------------------------------


def copy_in(folder: Path, source: bytes | Path, name: str) -> Copied:
    """Copy bytes, or those of a file, to the disk; `place` gives them their place. Not for the writing thread.

    Raises:
        InvalidWrite: too_large, unreadable (the source), or bad_value where it is empty.
        DatabaseError: full, unusable.
    """
    partial = folder / f"{name}.part"
    digest, size = hashlib.sha256(), 0
    with _disk(folder):
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)
            _sync_folder(folder.parent)
        try:
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o600), "wb") as file:
                for chunk in _chunks(source):
                    size += len(chunk)
                    if size > ATTACHMENT_BYTES_MAX:
                        limit = ATTACHMENT_BYTES_MAX // (1024 * 1024)
                        raise InvalidWrite(
                            f"An attachment has at most {limit} MiB: make it smaller.", code="too_large", field="data"
                        )
                    digest.update(chunk)
                    file.write(chunk)
                if size == 0:
                    raise InvalidWrite("An attachment has at least one byte: this one is empty.", field="data")
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    return Copied(partial, digest.hexdigest(), size)


def holds(file: Path, sha256: str) -> bool:
    """Whether a file is there with just the bytes that it had when it was added. Not for the writing thread."""
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest() == sha256
    except OSError:
        return False


def clear_partial(folder: Path, now_ms: int) -> None:
    """Delete the copies that processes which are gone have left half done."""
    for partial in folder.glob("*.part"):
        with suppress(OSError):
            if partial.stat().st_mtime * 1000 < now_ms - _PARTIAL_KEPT_MS:
                partial.unlink()


def delete_all(folder: Path) -> None:
    """Delete every file, and the folder.

    Raises:
        DatabaseError: a file is in use, or may not be deleted.
    """
    with _disk(folder), suppress(FileNotFoundError):
        for path in [*folder.iterdir()]:
            path.unlink(missing_ok=True)
        folder.rmdir()


def _chunks(source: bytes | Path) -> Iterator[bytes]:
    if isinstance(source, bytes):
        yield source
        return
    try:
        # A pipe or a device would be read for ever.
        if not source.is_file():
            raise FileNotFoundError(errno.ENOENT, "there is no such file")
        with source.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise InvalidWrite(f"{source} cannot be read: {why}.", code="unreadable", field="data") from error


def _sync_folder(folder: Path) -> None:
    """Put a folder's names on the disk. Windows does so itself."""
    if os.name == "posix":
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


@contextmanager
def _disk(folder: Path) -> Iterator[None]:
    """The system's errors become ours."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DatabaseError(f"The disk is full: nothing was added to {folder}.", code="full") from error
        why = error.strerror or type(error).__name__
        raise DatabaseError(f"{folder} cannot be written: {why}.", code="unusable") from error


# -- rows ------------------------------------------------------------------------------------------------------------


def place(tx: Tx, folder: Path, copied: Copied, *, id: str, of: tuple[int, str, str], media_type: str) -> Attachment:
    """Give copied bytes their place, and the record its attachment. The same bytes again are the same attachment.

    Raises:
        NotFound: the record does not show.
        DatabaseError: full, unusable.
    """
    if read_one(tx.conn, *of) is None:
        raise NotFound(f"{of[1]} {of[2]} is not there: attach to a record once it is written.")
    with _disk(folder):
        copied.partial.replace(folder / copied.sha256)
        _sync_folder(folder)
    tx.execute(
        "INSERT INTO attachments (id, space, collection, record, media_type, sha256, bytes, added_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        # One whose file was lost has it again.
        " ON CONFLICT (space, collection, record, sha256) DO UPDATE SET failures = 0, error = NULL",
        (id, *of, media_type, copied.sha256, copied.bytes, tx.environment.now_ms()),
    )
    (found,) = _read(
        tx.conn, "a.space = ? AND a.collection = ? AND a.record = ? AND a.sha256 = ?", (*of, copied.sha256)
    )
    return found


def remove(tx: Tx, id: str) -> None:
    """Delete an attachment; call `clear_removed` after the commit.

    Raises:
        NotFound: there is no such attachment.
    """
    tx.set_meta(_TO_GO + read_attachment(tx.conn, id).sha256, "")
    tx.execute("DELETE FROM attachments WHERE id = ?", (id,))


def clear_removed(tx: Tx, folder: Path) -> None:
    """Delete the files of what was removed, where no other attachment has the same bytes."""
    for (key,) in tx.all("SELECT key FROM meta WHERE key GLOB ?", (f"{_TO_GO}*",)):
        sha256 = key.removeprefix(_TO_GO)
        # Where it is in use just now, it goes when the device is next opened.
        with suppress(OSError):
            if tx.one("SELECT 1 FROM attachments WHERE sha256 = ?", (sha256,)) is None:
                (folder / sha256).unlink(missing_ok=True)
            tx.set_meta(key, None)


def note_uploaded(tx: Tx, id: str, remote: str) -> bool:
    """Keep what an attachment is called where it was uploaded to. False where it was removed meanwhile."""
    return tx.execute("UPDATE attachments SET remote = ?, error = NULL WHERE id = ?", (remote, id)) > 0


def note_failed(tx: Tx, id: str, reason: str, *, behind: bool) -> None:
    """Keep why an attachment did not go; with `behind`, those that failed less often go first from now on."""
    tx.execute("UPDATE attachments SET failures = failures + ?, error = ? WHERE id = ?", (behind, reason, id))


def read_attachments(conn: sqlite3.Connection, of: tuple[int, str, str] | None = None) -> list[Attachment]:
    """The attachments of one record, or all, by age."""
    if of is None:
        return _read(conn, "1")
    return _read(conn, "a.space = ? AND a.collection = ? AND a.record = ?", of)


def read_attachment(conn: sqlite3.Connection, id: str) -> Attachment:
    """One attachment.

    Raises:
        NotFound: there is no such attachment.
    """
    found = _read(conn, "a.id = ?", (id,))
    if not found:
        raise NotFound(f"There is no attachment {id} on this device.")
    return found[0]


def waiting(conn: sqlite3.Connection, *, limit: int = -1) -> list[Attachment]:
    """What was not uploaded yet, in the order in which it will be."""
    return _read(conn, "a.remote IS NULL", order=f"a.failures, a.id LIMIT {limit}")


def _read(
    conn: sqlite3.Connection, condition: str, parameters: tuple[Any, ...] = (), *, order: str = "a.id"
) -> list[Attachment]:
    rows = conn.execute(
        "SELECT a.id, s.id, a.collection, a.record, a.media_type, a.sha256, a.bytes, a.added_at, a.remote, a.error"
        f" FROM attachments a LEFT JOIN spaces s ON s.no = a.space WHERE {condition} ORDER BY {order}",
        parameters,
    )
    return [replace(Attachment(*row), added_at=rfc3339(row[7])) for row in rows]
