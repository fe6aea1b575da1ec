"""What is logged and told of a failure in the middle of a socket's request.

Owns: which failures are defects. Refuses to know: what was asked for.
"""

from __future__ import annotations

import logging

from sync.errors import SyncError


def is_defect(error: Exception) -> bool:
    """Whether it is ours: five thousand devices that come back to a database that is gone are no five thousand."""
    return not isinstance(error, SyncError) and not getattr(error, "retryable", False)


def level(error: Exception) -> int:
    """How loudly the log tells of it."""
    return logging.ERROR if is_defect(error) else logging.WARNING


def of_unexpected(error: Exception) -> tuple[str, str]:
    """The code and sentence for what is not a SyncError."""
    if getattr(error, "retryable", False):
        return "unavailable", "The server is busy; wait a moment and send the same again."
    return "internal", "The server failed; the fault is logged."
