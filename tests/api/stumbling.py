"""A database at which the server's own code fails now and then, as at a mistake that nobody has found yet."""

from __future__ import annotations

from collections.abc import AsyncIterator, Container
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from storage.database import Database, Transaction


@dataclass
class Stumbling:
    """fails: at which transactions, counted from 1."""

    database: Database
    fails: Container[int]
    asked: int = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.database, name)

    @asynccontextmanager
    async def read(self, *, snapshot: bool = False) -> AsyncIterator[Transaction]:
        self._stumble()
        async with self.database.read(snapshot=snapshot) as tx:
            yield tx

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Transaction]:
        self._stumble()
        async with self.database.write() as tx:
            yield tx

    def _stumble(self) -> None:
        self.asked += 1
        if self.asked in self.fails:
            raise ValueError("a mistake")
