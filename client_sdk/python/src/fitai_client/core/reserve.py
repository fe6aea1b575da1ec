"""Room that is kept beside a device's file for the day when the disk is full.

Before SQLite reads a file in WAL mode it makes the index of its log, of 32 KiB (https://sqlite.org/walformat.html, 2):
on a full disk it cannot, and an app could not even show what is there. The reserve is given up for that, and for what
somebody logs.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

__all__ = ["RESERVE_BYTES", "give_up", "has_no_room", "keep", "reserve_of"]

# The index, and as much again as a training takes.
RESERVE_BYTES = 256 * 1024
# It is made where it is no more than this part of what is left.
_PART = 16


def reserve_of(path: Path) -> Path:
    """Where the reserve of a database is."""
    return Path(f"{path}-reserve")


def has_no_room(path: Path) -> bool:
    """Whether the disk of a database is as good as full."""
    with suppress(OSError):
        return shutil.disk_usage(path.absolute().parent).free < RESERVE_BYTES
    return False


def keep(path: Path) -> None:
    """Make the reserve of a database, unless it is there or there is little room; it can be done without."""
    reserve = reserve_of(path)
    with suppress(OSError):
        if reserve.exists() or shutil.disk_usage(path.absolute().parent).free < _PART * RESERVE_BYTES:
            return
        # With the database's mode, as SQLite makes its own files beside it.
        with open(reserve, "xb", opener=lambda name, flags: os.open(name, flags, path.stat().st_mode)) as file:
            try:
                # Written, so that the room is taken: a file that was only made longer may be a hole.
                file.write(bytes(RESERVE_BYTES))
                file.flush()
            except OSError:
                reserve.unlink()
                raise


def give_up(path: Path) -> bool:
    """Free the reserve of a database; False where there is none."""
    with suppress(OSError):
        reserve_of(path).unlink()
        return True
    return False
