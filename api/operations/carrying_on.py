"""What keeps a background task from its work, which it goes on with all the same.

Owns: what is caught, and how it is told. Refuses to know: what the work is, and when it is tried again.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from types import TracebackType

from storage.errors import StorageError


@dataclass(frozen=True)
class CarryingOn:
    """A block that ends at an error, which is logged: a database that is away in one line, all else with its traceback.

    waiting: who waits, as the log's sentence begins: "the jobs wait". A cancellation passes.
    """

    log: logging.Logger
    waiting: str

    def __enter__(self) -> None:
        return

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if isinstance(error, StorageError):
            self.log.warning("%s for the database: %s", self.waiting, error)
        elif isinstance(error, Exception):
            # Without this the task would be at its end, and nobody told until the process is.
            self.log.error("%s: an error of this server", self.waiting, exc_info=error)
        return isinstance(error, Exception)
