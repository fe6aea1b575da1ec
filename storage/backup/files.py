"""A file that appears under its name whole or not at all.

Invariants
    F1  Under the target's name there is nothing, or all of the file, on disk; however the process ends.
    F2  What has the name already is never replaced.
    F3  What a killed process left behind goes with the next draft in the same folder, and no draft that is still
        being written does.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_SUFFIX: Final = ".fitai-partial"
# What a file system answers that knows no hard links (a USB stick, a network share).
_NO_LINKS: Final = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES}


@contextmanager
def draft(target: Path) -> Iterator[Path]:
    """A new empty file beside `target`, for its user alone, which becomes `target` where the block ends well.

    Raises OSError where the folder takes no files, and FileExistsError where something has the name, now or by then.
    """
    if target.exists():
        raise FileExistsError(target)
    _sweep(target.parent)
    path, handle = _made(target)
    try:
        yield path
        os.fsync(handle)
        _publish(path, target)
    finally:
        _remove(path)
        os.close(handle)
    _sync_folder(target.parent)


def _made(target: Path) -> tuple[Path, int]:
    while True:
        handle, name = tempfile.mkstemp(_SUFFIX, f".{target.name}.", target.parent)
        path = Path(name)
        # A draft is the one that is locked: another process may have taken it for a leftover just before.
        if _lock(handle) and path.exists():
            return path, handle
        os.close(handle)


def _sweep(folder: Path) -> None:
    for leftover in folder.glob(f".*{_SUFFIX}"):
        with contextlib.suppress(OSError):
            handle = os.open(leftover, os.O_RDWR)
            try:
                if _lock(handle):
                    _remove(leftover)
            finally:
                os.close(handle)


def _remove(path: Path) -> None:
    # SQLite may keep a journal beside its file.
    for each in (path, *(path.with_name(path.name + end) for end in ("-journal", "-wal", "-shm"))):
        each.unlink(missing_ok=True)


def _lock(handle: int) -> bool:
    """True where nobody else holds the file; the lock ends with the handle, or with the process."""
    if sys.platform == "win32":
        return True  # An open file cannot be removed there anyway.
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _publish(path: Path, target: Path) -> None:
    try:
        # Unlike a rename, a link never replaces what is there.
        target.hardlink_to(path)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        path.replace(target)


def _sync_folder(folder: Path) -> None:
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
