"""Texts that cost the reader its time are kept from costing the others theirs.

A push reads the texts it moved while it holds its space's lock, and on SQLite the only writer. So what can be known of
an update before that is found out before, and an account whose texts hung the reader all the same waits.

Invariants
    G1  What cannot be read by itself is known before any lock is taken.
    G2  An account can hold others up by hanging texts once in PENALTY_MS, and loses nothing by waiting.
"""

from __future__ import annotations

import binascii
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Final

from conflict.errors import KernelError
from conflict.update import check_update
from storage.collections import COLLECTIONS
from sync.environment import Environment
from sync.errors import RateLimited
from sync.messages import SentChange
from sync.texts import BadText, TextReader, TextTimeout

# An honest text is read in milliseconds; what takes seconds was made for it, or the machine is lost anyway.
PENALTY_MS: Final = 600_000
ACCOUNTS_REMEMBERED: Final = 10_000
# Each costs the reader's whole time limit.
TIMEOUTS_MAX: Final = 2
TOO_LONG: Final = "texts of this batch took too long to read"

_TEXT_FIELDS: Final = {
    name: tuple(field for field, rule in spec.rules.fields.items() if rule.kind == "text")
    for name, spec in COLLECTIONS.items()
}


class TextGuard:
    """Of one process: what it remembers goes with it."""

    def __init__(self, texts: TextReader, environment: Environment) -> None:
        self._texts = texts
        self._environment = environment
        # user → until when, the oldest first.
        self._waiting: OrderedDict[str, int] = OrderedDict()

    async def unreadable(self, user: str, changes: Sequence[SentChange]) -> dict[int, str]:
        """The numbers of the changes with a text update that cannot be read by itself, and why.

        Raises:
            RateLimited: the account's texts hung the reader a while ago; nothing was read.
        """
        updates = [(change.n, update) for change in changes for update in _updates_of(change)]
        if not updates:
            return {}
        self._check(user)
        try:
            await self._texts.read([update for _, update in updates])
        except BadText:
            return await self._one_by_one(user, updates)
        return {}

    async def _one_by_one(self, user: str, updates: list[tuple[int, bytes]]) -> dict[int, str]:
        found: dict[int, str] = {}
        timeouts = 0
        for n, update in updates:
            if timeouts >= TIMEOUTS_MAX:
                found[n] = TOO_LONG
                continue
            try:
                await self._texts.read([update])
            except BadText as error:
                timeouts += isinstance(error, TextTimeout)
                found[n] = str(error)
        if timeouts:
            self.hung(user)
        return found

    def hung(self, user: str) -> None:
        """A text of this account took the reader's whole time."""
        self._waiting.pop(user, None)
        self._waiting[user] = self._environment.now_ms() + PENALTY_MS
        while len(self._waiting) > ACCOUNTS_REMEMBERED:
            self._waiting.popitem(last=False)

    def _check(self, user: str) -> None:
        left_ms = self._waiting.get(user, 0) - self._environment.now_ms()
        # More than there is to wait was written before the clock was set back.
        if 0 < left_ms <= PENALTY_MS:
            raise RateLimited(
                "A text of this account took too long to read; changes of texts wait before they are taken again.",
                retry_after_s=-(-left_ms // 1000),
            )


def _updates_of(change: SentChange) -> Iterator[bytes]:
    """The text updates of a put that have the right shape; any other is judged without reading it."""
    if change.op != "put" or not change.fields:
        return
    for name in _TEXT_FIELDS.get(change.collection or "", ()):
        value = change.fields.get(name)
        if isinstance(value, dict) and isinstance(value.get("yjs"), str):
            try:
                update = binascii.a2b_base64(value["yjs"], strict_mode=True)
                check_update(update)
            except (ValueError, KernelError):
                continue
            yield update
