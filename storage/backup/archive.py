"""The file of a backup: a plain tar, which says what it is with its first member and is closed by its checksum.

    backup.json                what it is: see Header
    <table>/000001.jsonl.zst   rows of one table, in the order of their key; see rows.py
    …
    sha256                     of every byte before this member, in hexadecimal

So `tar` and `zstd` are enough to read it by hand, in whatever year.

Invariants
    B1  Nothing of a file is believed before its checksum was compared; one changed bit, anywhere, is found.
    B2  It holds just the rows that it says it holds.
    B3  Whatever it was made to inflate to, no more of it is in memory than a page, or the longest row.
"""

from __future__ import annotations

import hashlib
import importlib
import tarfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from storage.backup.rows import Column, decode_rows, encode_rows
from storage.errors import BackupDamaged, BackupTooNew, NoBackup

FORMAT: Final = "fitai-backup"
FORMAT_VERSION: Final = 1

_HEADER: Final = "backup.json"
_CHECKSUM: Final = "sha256"
_BLOCK: Final = 512
_READ_BYTES: Final = 1024 * 1024
# The levels above cost time and gain little.
_LEVEL: Final = 3
# What is inflated at once: about a page, see saving.PAGE_BYTES.
_INFLATED_BYTES: Final = 4 * 1024 * 1024
# The longest row is that of an import, whose file has up to 16 MiB, and six bytes for each where all is escaped.
_ROW_BYTES_MAX: Final = 256 * 1024 * 1024
# The longest that is ours has some thirty.
_NAME_SHOWN: Final = 60


class Table(msgspec.Struct, frozen=True):
    """One table: its columns in the order of the rows' values, and how many rows there are."""

    name: str
    columns: tuple[Column, ...]
    rows: int


class Header(msgspec.Struct, frozen=True):
    """What a backup says of itself.

    fitai: the version that wrote it. schema: the revision of the tables. database: where the rows came from, sqlite
    or postgresql. taken_at: the moment of which they are, in RFC 3339. tables: parents before what names them.
    """

    format: str
    version: int
    fitai: str
    schema: str
    database: str
    taken_at: str
    tables: tuple[Table, ...]

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables)


def _find_zstd() -> Any:
    """The Zstandard module of this Python (3.14 has one) or its backport."""
    try:
        return importlib.import_module("compression.zstd")
    except ImportError:
        return importlib.import_module("backports.zstd")


_zstd: Final = _find_zstd()


class ArchiveWriter:
    """Writes one archive to an empty file, from the beginning to the end. After the last row, `close` it."""

    def __init__(self, file: BinaryIO, header: Header) -> None:
        """Raises OSError, as all of its methods do."""
        self._file = file
        self._header = header
        self._hash = hashlib.sha256()
        self._rows: Counter[str] = Counter()
        self._parts: Counter[str] = Counter()
        self._member(_HEADER, msgspec.json.format(msgspec.json.encode(header), indent=1) + b"\n")

    def add(self, table: Table, rows: Sequence[Sequence[Any]]) -> int:
        """Write rows of a table; returns the bytes that they took before they were compressed."""
        lines = encode_rows(table.columns, rows)
        self._parts[table.name] += 1
        self._rows[table.name] += len(rows)
        self._member(f"{table.name}/{self._parts[table.name]:06}.jsonl.zst", _zstd.compress(lines, level=_LEVEL))
        return len(lines)

    def close(self) -> str:
        """Write the checksum; returns that of the whole file, which `sha256sum` shows too."""
        assert all(self._rows[table.name] == table.rows for table in self._header.tables), "B2: rows are missing"
        end = _end(self._hash.hexdigest())
        self._hash.update(end)
        self._file.write(end)
        self._file.flush()
        return self._hash.hexdigest()

    def _member(self, name: str, data: bytes) -> None:
        member = _member(name, data)
        self._hash.update(member)
        self._file.write(member)


class Archive:
    """A backup whose checksum is right. Open it by `Archive.verified`."""

    def __init__(self, path: Path, header: Header, checksum: str) -> None:
        self.path = path
        self.header = header
        self.checksum = checksum

    @classmethod
    def verified(cls, path: Path, walked: Callable[[int, int], None] = lambda step, total: None) -> Archive:
        """Read a file once from its beginning to its end, and compare its checksum (B1).

        `walked` is told of bytes gone over, and of how many in all. Raises NoBackup, BackupDamaged, BackupTooNew.
        """
        try:
            with path.open("rb") as file:
                checksum = _verify(path, file, walked)
                file.seek(0)
                name, data = next(_members(path, file))
                if name != _HEADER:
                    raise damaged(path, "it does not say what it is")
                return cls(path, _header(path, data), checksum)
        except OSError as error:
            raise NoBackup(f"The file {path} cannot be read: {error.strerror}; name a backup that is there.") from error

    def parts(self) -> Iterator[tuple[Table, list[list[Any]]]]:
        """The rows, some at a time, table by table.

        Raises BackupDamaged where the file is no longer what was verified; what was taken from it is of no use then.
        """
        tables = {table.name: table for table in self.header.tables}
        rows: Counter[str] = Counter()
        seen = hashlib.sha256()
        with self.path.open("rb") as file:
            for name, data in _members(self.path, file):
                if name == _CHECKSUM:
                    break
                seen.update(_member(name, data))
                table = tables.get(name.partition("/")[0])
                if table is None:
                    continue
                for lines in _inflated(self.path, data):
                    count = lines.count(b"\n")
                    rows[table.name] += count
                    # Counted before they are made: short ones take many times the room of their lines.
                    if rows[table.name] > table.rows or len(part := decode_rows(table.columns, lines)) != count:
                        raise damaged(self.path, f"it holds other rows of {table.name} than it says")
                    yield table, part
        if seen.hexdigest() != self.checksum or any(rows[table.name] != table.rows for table in tables.values()):
            raise damaged(self.path, "it changed while it was read, or holds other rows than it says")


def _inflated(path: Path, data: bytes) -> Iterator[bytes]:
    """The lines of a member, some whole ones at a time (B3)."""
    inflating, rest = _zstd.ZstdDecompressor(), b""
    while not inflating.eof:
        try:
            piece = inflating.decompress(data, _INFLATED_BYTES)
        except _zstd.ZstdError as error:
            raise damaged(path, str(error)) from error
        data = b""
        if not piece and inflating.needs_input:
            raise damaged(path, "a member of it has no end")
        lines, end, rest = (rest + piece).rpartition(b"\n")
        if len(rest) > _ROW_BYTES_MAX:
            raise damaged(path, f"a row of it has more than {_ROW_BYTES_MAX:,} bytes")
        if end:
            yield lines + end
    if rest or inflating.unused_data:
        raise damaged(path, "a member of it ends within a row, or goes on behind its end")


def _verify(path: Path, file: BinaryIO, walked: Callable[[int, int], None]) -> str:
    size = file.seek(0, 2)
    file.seek(0)
    begins = file.read(_BLOCK)
    if begins.startswith(b"SQLite format 3\0"):
        raise NoBackup(
            f"The file {path} is no backup of FitAI but a database: `fitai check` and `fitai backup` are told of it by "
            f"--database-url sqlite+aiosqlite:///{path}."
        )
    if not begins.startswith(_HEADER.encode() + b"\0"):
        raise NoBackup(f"The file {path} is no backup of FitAI; name one that `fitai backup` wrote.")
    end_bytes = len(_end(""))
    left = size - end_bytes
    if left < _BLOCK:
        raise damaged(path, "its end is missing")
    file.seek(0)
    hash_ = hashlib.sha256()
    while left > 0:
        data = file.read(min(left, _READ_BYTES))
        if not data:
            raise damaged(path, "its end is missing")
        hash_.update(data)
        left -= len(data)
        walked(len(data), size)
    if file.read() != _end(hash_.hexdigest()):
        raise damaged(path, "its bytes do not have its checksum: it is torn, or was changed")
    return hash_.hexdigest()


def _header(path: Path, data: bytes) -> Header:
    class Only(msgspec.Struct):
        format: str
        version: int
        fitai: str

    try:
        said = msgspec.json.decode(data, type=Only)
        if said.format == FORMAT and said.version > FORMAT_VERSION:
            raise BackupTooNew(
                f"The backup {path} was written by FitAI {said.fitai} in a later form; use that version or a later one."
            )
        header = msgspec.json.decode(data, type=Header)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise damaged(path, f"what it says of itself cannot be read ({error})") from error
    if (name := _repeated(table.name for table in header.tables)) is not None:
        raise damaged(path, f"it names the table {shown(name)} twice")
    for table in header.tables:
        if (name := _repeated(column.name for column in table.columns)) is not None:
            raise damaged(path, f"it names the column {shown(name)} of {shown(table.name)} twice")
    return header


def _repeated(names: Iterable[str]) -> str | None:
    return next((name for name, count in Counter(names).items() if count > 1), None)


def shown(name: str) -> str:
    """A name out of a file as a sentence can have it."""
    return repr(name if len(name) <= _NAME_SHOWN else f"{name[:_NAME_SHOWN]}…")


def damaged(path: Path, what: str) -> BackupDamaged:
    """What to raise where a backup is not what it says that it is."""
    return BackupDamaged(f"The backup {path} is damaged: {what}; take another one, or another copy of it.")


def _members(path: Path, file: BinaryIO) -> Iterator[tuple[str, bytes]]:
    """(name, content) of each member of a tar that was verified."""
    left = file.seek(0, 2)
    file.seek(0)
    while (block := file.read(_BLOCK)).strip(b"\0"):
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
        except (tarfile.HeaderError, UnicodeDecodeError) as error:
            raise damaged(path, f"a member of it cannot be read ({error})") from error
        left -= _BLOCK
        if not 0 <= info.size <= left:
            raise damaged(path, "a member of it is longer than the file")
        left -= info.size + -info.size % _BLOCK
        data = file.read(info.size)
        file.read(-info.size % _BLOCK)
        yield info.name, data


def _member(name: str, data: bytes) -> bytes:
    """A member of a tar, the same bytes for the same name and content."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    info.mode = 0o600
    return info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % _BLOCK)


def _end(checksum: str) -> bytes:
    """The last bytes of an archive: the checksum's member, and what ends a tar."""
    return _member(_CHECKSUM, f"{checksum:64}\n".encode()) + bytes(2 * _BLOCK)
