"""A small disk that can be filled and freed: a tmpfs of its own, where this machine lets us mount one.

Elsewhere SQLite meets its limit by RLIMIT_FSIZE of the server, which no file may outgrow; Postgres is then left out.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class NotMounted(RuntimeError):
    """This machine lets us mount nothing."""


class SmallDisk:
    """A file system of a few megabytes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self, leave_bytes: int = 0) -> None:
        """Take all room but so much."""
        free = shutil.disk_usage(self.folder).free - leave_bytes
        with self._ballast.open("ab") as file, contextlib.suppress(OSError):
            os.posix_fallocate(file.fileno(), file.tell(), max(free, 1))

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)


@contextmanager
def small_disk(mebibytes: int) -> Iterator[SmallDisk]:
    """A tmpfs of that size for as long as the block lasts. Raises NotMounted."""
    folder = Path(tempfile.mkdtemp(prefix="fitai-small-disk-"))
    folder.chmod(0o755)
    try:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=0777", "tmpfs", str(folder)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
    except OSError:
        mounted = None
    if mounted is None or mounted.returncode != 0:
        folder.rmdir()
        raise NotMounted("this machine lets us mount no small disk (it needs root)")
    try:
        yield SmallDisk(folder)
    finally:
        # What still runs on it keeps it busy; lazily it goes with the last of them.
        subprocess.run(["umount", "-l", str(folder)], check=False)
        with contextlib.suppress(OSError):
            folder.rmdir()
