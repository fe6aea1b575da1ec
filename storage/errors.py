"""What the database can answer besides rows.

    StorageError             storage_error         final      a statement that cannot be carried out
    ├── DatabaseUnavailable  database_unavailable  retryable  it cannot be reached, or went away
    ├── Busy                 database_busy         retryable  another transaction was in the way
    │   ├── Moved            database_moved        retryable  what a write rests on was written by somebody else
    │   └── Overloaded       database_overloaded   retryable  a lock or a connection was not to be had in time
    ├── DatabaseReadOnly     database_read_only    retryable  it takes no writes now: full disk, standby, permissions
    ├── Duplicate            duplicate             final      a unique key is taken already
    └── BackupError          backup_error          final      a backup that cannot be made, read or put back
        ├── NoBackup         no_backup             final      the file is no backup of FitAI
        ├── BackupDamaged    backup_damaged        final      it is torn, or not what was written
        ├── BackupTooNew     backup_too_new        final      a later version of FitAI wrote it, or its database
        ├── BackupUnwritable backup_unwritable     retryable  no room, no permission, no such folder
        └── PlaceTaken       place_taken           final      something is there already, and is never replaced

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


class Overloaded(Busy):
    """The wait is over already: refuse the request now, since trying again here would only lengthen the line."""

    code = "database_overloaded"


class DatabaseReadOnly(StorageError):
    """Nothing can be written now; reads may still work. An operator has to make room or permissions."""

    code = "database_read_only"
    retryable = True


class Duplicate(StorageError):
    """The row is there already; read it, or tell the user that the name is taken."""

    code = "duplicate"


class BackupError(StorageError):
    """A backup that cannot be made, read or put back; nothing was replaced, and nothing is there by halves."""

    code = "backup_error"


class NoBackup(BackupError):
    """Name the file that `fitai backup` wrote."""

    code = "no_backup"


class BackupDamaged(BackupError):
    """Not one byte of it was used. Take another backup, or another copy of this one."""

    code = "backup_damaged"


class BackupTooNew(BackupError):
    """Do it with the version of FitAI that the sentence names, or a later one."""

    code = "backup_too_new"


class BackupUnwritable(BackupError):
    """Make room, or name another place, and do it again."""

    code = "backup_unwritable"
    retryable = True


class PlaceTaken(BackupError):
    """Name an empty place, or move away by hand what is there."""

    code = "place_taken"
