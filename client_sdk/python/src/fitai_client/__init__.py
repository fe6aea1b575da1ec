"""The FitAI device: a local training log that syncs.

Everything is written to a local database first and is visible at once; a server is told when there is one. See
`Client`.
"""

from __future__ import annotations

from .accounts import Accounts, KnownAccount
from .attachments import Attachments, Uploader
from .client import Client
from .collection import CollectionHandle, Edit, Transaction
from .core.attachments import Attachment
from .core.environment import Environment, system
from .core.inbox import Refused
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
    "system",
]
