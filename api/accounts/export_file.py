"""The file that an export is: a zip of JSON and CSV, written as it comes.

Owns: its folders, names and forms.
Refuses to know: where rows come from (export.py). It is synchronous, for a thread.

    README.txt
    account/<table>.json, .csv              what the server knows of the account, table by table
    spaces/<id>/<collection>.json, .csv     records with their values, and the values that lost to others
    spaces/<id>/history.json, .csv          every change, as it was sent

Invariants
    Z1  No cell begins with what a spreadsheet takes for a formula.
    Z2  Memory does not grow with the file: what is written beside an open entry waits on disk.
    Z3  What ends badly is let go of at once: nothing more is written for a file that nobody gets.
"""

from __future__ import annotations

import base64
import contextlib
import csv
import io
import tempfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

import msgspec

# Compressed about as fast as a page of records is read and written.
PIECE_BYTES: Final = 1_048_576
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
README: Final = """\
Everything that this server has about you.

account/   what belongs to your account, one file a table. Hashes of passwords and tokens are left out.
spaces/    one folder for each of your spaces: your own, and those that you share. Each collection has its records, with
           the values that lost to a concurrent write ("conflicts"); history has every change as it was sent, also what
           was refused of yours ("refused").

Each file is there as JSON, which is exact, and as CSV, for a spreadsheet. Texts that begin with = + - @ have an
apostrophe in front there, so that no spreadsheet runs them. Times are in UTC; those that are numbers are milliseconds
since the beginning of 1970.
"""

_encode: Final = msgspec.json.encode


class ExportFile:
    """A zip that is being written. As a context manager it closes the file, and abandons it after an error."""

    def __init__(self, path: Path) -> None:
        """Begin the file anew. Raises OSError, as all methods do."""
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        self._zip = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=3)
        self._zip.writestr("README.txt", README)
        self._listing: Listing | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is not None:
            self.abandon()
            return
        if self._listing is not None:
            self._listing.close()
        self._zip.close()

    def abandon(self) -> None:
        """Close what is open, as it is (Z3). Raises nothing: whoever lets go of a file has an error to tell already."""
        # A thread may still be at an entry; then the file is closed with the last that is known of it.
        with contextlib.suppress(OSError, ValueError):
            if self._listing is not None:
                self._listing.abandon()
            self._zip.close()

    def listing(self, name: str, columns: Sequence[str]) -> Listing:
        """Begin `<name>.json` and `<name>.csv`; close it before the next one."""
        self._listing = Listing(self._zip, name, columns)
        return self._listing


class Listing:
    """One list of objects in both forms. `columns` are those of the CSV; the JSON has all."""

    def __init__(self, archive: zipfile.ZipFile, name: str, columns: Sequence[str]) -> None:
        self._zip = archive
        self._name = name
        self._json: IO[bytes] = archive.open(f"{name}.json", "w", force_zip64=True)
        self._json.write(b"[")
        self._rows = 0
        self._columns = columns
        self._csv = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the listing
        self._entry: IO[bytes] | None = None
        self._text = io.TextIOWrapper(self._csv, encoding="utf-8", newline="")
        self._writer = csv.writer(self._text)
        self._writer.writerow(columns)

    def add(self, objects: Iterable[Mapping[str, Any]]) -> None:
        """Write some objects."""
        for each in objects:
            self._json.write(b"\n" if self._rows == 0 else b",\n")
            self._json.write(_encode(each))
            self._writer.writerow([cell(each.get(column)) for column in self._columns])
            self._rows += 1

    def close(self) -> None:
        """End both files; a second time it does nothing."""
        while not self.end():
            pass

    def end(self) -> bool:
        """Do a piece of ending both files, and return whether that was the last. Afterwards nothing is added."""
        if self._text.closed:
            return True
        if self._entry is None:
            self._json.write(b"\n]\n" if self._rows else b"]\n")
            self._json.close()
            self._text.flush()
            self._csv.seek(0)
            self._entry = self._zip.open(f"{self._name}.csv", "w", force_zip64=True)
        piece = self._csv.read(PIECE_BYTES)
        self._entry.write(piece)
        if len(piece) == PIECE_BYTES:
            return False
        self._entry.close()
        self._text.close()
        return True

    def abandon(self) -> None:
        """Let go of both files, unended. Raises OSError and ValueError where a thread is still at them."""
        with contextlib.closing(self._text), contextlib.closing(self._json):
            if self._entry is not None:
                self._entry.close()


def cell(value: Any) -> str:
    """A value as the cell of a CSV (Z1)."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, Mapping):
        if value.keys() == {"value", "unit"}:
            return safe(f"{value['value']} {value['unit']}")
        if value.keys() == {"text", "yjs"}:
            return safe(str(value["text"]))
    return safe(value if isinstance(value, str) else _encode(value).decode())


def safe(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def plain(value: Any) -> Any:
    """What a column holds, as JSON: bytes are JSON themselves, or a file."""
    if not isinstance(value, bytes):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    try:
        return value.decode()
    except UnicodeDecodeError:
        return base64.b64encode(value).decode()
