"""The FitAI device: a local training log that syncs.

Everything is written to a local database first and is visible at once; a server is told when there is one. See
`Client`.

A name is imported when somebody asks for it: whoever only reads a file of another app (`importing`), or counts what
stands in a log, does not wait for the HTTP client.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .accounts import Accounts, KnownAccount
    from .attachments import Attachments, Uploader
    from .client import Client
    from .collection import CollectionHandle, Edit, Transaction
    from .core.attachments import Attachment
    from .core.environment import Environment, system
    from .core.inbox import Refused
    from .core.positions import position_between
    from .core.reads import Conflict, Record
    from .core.status import SpaceStatus, Status
    from .core.values import Add, Increment, Remove
    from .core.writing import Write
    from .devices import KnownDevice
    from .errors import (
        AccountError,
        DatabaseError,
        ExportFailed,
        FitaiError,
        InvalidServer,
        InvalidWrite,
        NotFound,
        ServerRefused,
        Unreachable,
        UnsentChanges,
        WaitExpired,
    )
    from .presence import Present
    from .rescue import Rescued
    from .space import SpaceHandle
    from .watching import Change, Watch

__all__ = [
    "AccountError",
    "Accounts",
    "Add",
    "Attachment",
    "Attachments",
    "Change",
    "Client",
    "CollectionHandle",
    "Conflict",
    "DatabaseError",
    "Edit",
    "Environment",
    "ExportFailed",
    "FitaiError",
    "Increment",
    "InvalidServer",
    "InvalidWrite",
    "KnownAccount",
    "KnownDevice",
    "NotFound",
    "Present",
    "Record",
    "Refused",
    "Remove",
    "Rescued",
    "ServerRefused",
    "SpaceHandle",
    "SpaceStatus",
    "Status",
    "Transaction",
    "Unreachable",
    "UnsentChanges",
    "Uploader",
    "WaitExpired",
    "Watch",
    "Write",
    "position_between",
    "system",
]

# Where each of them is.
_HOMES: Final = {
    "Accounts": "accounts",
    "KnownAccount": "accounts",
    "Attachments": "attachments",
    "Uploader": "attachments",
    "Client": "client",
    "CollectionHandle": "collection",
    "Edit": "collection",
    "Transaction": "collection",
    "Attachment": "core.attachments",
    "Environment": "core.environment",
    "system": "core.environment",
    "Refused": "core.inbox",
    "position_between": "core.positions",
    "Conflict": "core.reads",
    "Record": "core.reads",
    "SpaceStatus": "core.status",
    "Status": "core.status",
    "Add": "core.values",
    "Increment": "core.values",
    "Remove": "core.values",
    "Write": "core.writing",
    "KnownDevice": "devices",
    "AccountError": "errors",
    "DatabaseError": "errors",
    "ExportFailed": "errors",
    "FitaiError": "errors",
    "InvalidServer": "errors",
    "InvalidWrite": "errors",
    "NotFound": "errors",
    "ServerRefused": "errors",
    "Unreachable": "errors",
    "UnsentChanges": "errors",
    "WaitExpired": "errors",
    "Present": "presence",
    "Rescued": "rescue",
    "SpaceHandle": "space",
    "Change": "watching",
    "Watch": "watching",
}


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = getattr(import_module(f".{_HOMES[name]}", __name__), name)
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
