"""How many connections one process takes, and what the one too many is told.

Owns: the bound, and the count. Refuses to know: what a connection asks for; it is refused before it is read.

Invariants
    O1  The bound leaves RESERVED_FILES of what the system allows this process: a database that reconnects, a log, a
        child process still get their files while every place of a client is taken.
    O2  One too many gets 503 `busy` with Retry-After and a closed connection, and costs nothing afterwards.
"""

from __future__ import annotations

import resource
from contextlib import suppress
from typing import Final

RESERVED_FILES: Final = 128
# What is asked for where the system names no bound of its own.
FILES: Final = 65_536


def allow_files() -> None:
    """Let this process open as many files as the system allows it at most: the usual 1,024 are as many phones."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft == hard:
        return
    wanted = FILES if hard == resource.RLIM_INFINITY else hard
    if soft < wanted:
        # macOS names no bound and has one; what is allowed now is enough to serve (`places`).
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def places(wanted: int) -> int:
    """`wanted` connections, or as many as the open files allow (O1), but one at least."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    return max(1, min(wanted, soft - RESERVED_FILES))


class Door:
    """The door of one process."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.inside = 0

    def enter(self) -> bool:
        """Take a place, and `leave` later; False where there is none."""
        if self.inside >= self._limit:
            return False
        self.inside += 1
        return True

    def leave(self) -> None:
        """Give the place back."""
        self.inside -= 1
