"""The agreement between processes on who writes personal records, while two versions of the server run at once.

Owns: what this process says of its rules, and whether others have newer ones. Refuses to know: what the rules are, and
what is done by them (record_keeping.py).

Invariants
    A1  Nothing is allowed before it is known what others say: a process says by which rules it keeps records, and looks
        whether anybody has newer ones, before it writes its first.
    A2  Whoever has the newest rules finds everybody whose records the others left behind. Once nobody has said so for
        HEARD_MS, those with older ones go on.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from api.operations.carrying_on import CarryingOn
from storage.database import Database
from storage.record_rules import HEARD_MS, note_rules, read_rules
from sync.environment import Environment

log = logging.getLogger(__name__)


@dataclass
class Agreement:
    """What one process knows of it. rules: names those it works records out by; the larger number is the newer."""

    database: Database
    environment: Environment
    rules: int
    # Whether others keep the records meanwhile; None until that is known.
    _stands_back: bool | None = None

    @property
    def allows(self) -> bool:
        """Whether this process may write records, by what was known last."""
        return self._stands_back is False

    async def is_known_to_allow(self) -> bool:
        """As `allows`, and asks where nothing is known yet (A1)."""
        if self._stands_back is None:
            await self.renew()
        return self.allows

    async def renew(self) -> None:
        """Say by which rules this process keeps records, and see whether another one has newer ones.

        Where the database cannot be asked, what was known stands.
        """
        now_ms = self.environment.now_ms()
        with CarryingOn(log, "the rules of personal records wait"):
            async with self.database.read() as tx:
                said = await read_rules(tx, now_ms)
            if now_ms - said.get(self.rules, 0) >= HEARD_MS // 2:
                async with self.database.write() as tx:
                    await note_rules(tx, self.rules, now_ms)
                    said = await read_rules(tx, now_ms)
            stood_back, self._stands_back = self._stands_back, max(said, default=self.rules) > self.rules
            if self._stands_back and not stood_back:
                log.info("a newer version keeps the personal records; this one leaves them alone")
