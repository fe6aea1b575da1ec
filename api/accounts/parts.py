"""What everything that happens to accounts stands on.

Owns: which parts these are. Refuses to know: what is done with them, and how they are made (api/app.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from api.accounts.limits import Limits
from api.accounts.passwords import PasswordHasher
from api.accounts.sessions import Sessions
from api.mail.outbox import Outbox
from storage.database import Database
from sync.environment import Environment


@dataclass(frozen=True)
class Parts:
    """One of each, for one process."""

    database: Database
    environment: Environment
    hasher: PasswordHasher
    sessions: Sessions
    limits: Limits
    outbox: Outbox
