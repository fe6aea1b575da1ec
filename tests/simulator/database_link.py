"""The connection between a worker and the store, which can be cut: the `Database` that the engine is given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from storage.database import WAIT_S, Dialect, Transaction
from storage.errors import Busy
from tests.simulator.store import SimDatabase, SimStore

# A server that is silent is given up after so long.
SILENCE_S: Final = WAIT_S


class DatabaseLink:
    """The `Database` of one worker process: what was open when the link is cut is lost, as are later calls."""

    dialect: Dialect = "sqlite"
    reads_unlocked = False

    def __init__(self, store: SimStore, worker: str) -> None:
        self._store = store
        self._worker = worker
        self._inner: SimDatabase = store.database(worker)
        self._silent = False

    @property
    def statements(self) -> int:
        return self._inner.statements

    @statements.setter
    def statements(self, count: int) -> None:
        self._inner.statements = count

    @property
    def timeline(self) -> str:
        return self._inner.timeline

    def read(self, *, snapshot: bool = False) -> AbstractAsyncContextManager[Transaction]:
        return _no_answer() if self._silent else self._inner.read(snapshot=snapshot)

    def write(self, *, single: bool = False) -> AbstractAsyncContextManager[Transaction]:
        return _no_answer() if self._silent else self._inner.write(single=single)

    async def close(self) -> None:
        self.kill()

    def kill(self) -> None:
        """The process is gone."""
        self._inner.kill()

    def cut(self, *, silent: bool) -> None:
        """Nothing gets through. `silent`: nor does anybody say so."""
        self._inner.kill()
        self._silent = silent

    def heal(self) -> None:
        """It can be reached again, by new connections."""
        self._silent = False
        if self._inner.is_dead:
            self._inner = self._store.database(self._worker)


@asynccontextmanager
async def _no_answer() -> AsyncIterator[Transaction]:
    await asyncio.sleep(SILENCE_S)
    raise Busy("The database does not answer; try again in a moment.")
    yield
