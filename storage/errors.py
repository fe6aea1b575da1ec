"""What the database can answer besides rows.

    StorageError             storage_error         final      a statement that cannot be carried out
    ├── DatabaseUnavailable  database_unavailable  retryable  it cannot be reached, or went away
    ├── Busy                 database_busy         retryable  a lock or a connection was not to be had in time
    │   └── Moved            database_moved        retryable  what a write rests on was written by somebody else
    ├── DatabaseReadOnly     database_read_only    retryable  it takes no writes now: full disk, standby, permissions
    └── Duplicate            duplicate             final      a unique key is taken already

Exceptions of drivers are turned into these in the adapters (`storage.postgres`, `storage.sqlite`) and reach nobody
else. The message is one sentence: what is wrong, where, what next.
"""

from __future__ import annotations

from typing import ClassVar


class StorageError(Exception):
    """A statement that failed; nothing of its transaction is stored. As such a defect: trying again changes nothing."""

    code: ClassVar[str] = "storage_error"
    retryable: ClassVar[bool] = False


class DatabaseUnavailable(StorageError):
    """Wait and try again; where it is at the start of a server, correct the URL or start the database.

    Where it comes from the end of a write, the write may have been stored all the same: repeat it, and let the
    unique keys tell.
    """

    code = "database_unavailable"
    retryable = True


class Busy(StorageError):
    """Try the whole transaction again, with jitter, a bounded number of times."""

    code = "database_busy"
    retryable = True


class Moved(Busy):
    """Nothing was written. Read again, with a lock this time, and write on top of that."""

    code = "database_moved"


class DatabaseReadOnly(StorageError):
    """Nothing can be written now; reads may still work. An operator has to make room or permissions."""

    code = "database_read_only"
    retryable = True


class Duplicate(StorageError):
    """The row is there already; read it, or tell the user that the name is taken."""

    code = "duplicate"
