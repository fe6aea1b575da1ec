"""Watching: what a query shows, before and after each change, whoever made it.

A watch that is read slowly costs memory for the records it has not been told about, not for every change: changes
of one record that wait are joined into one, with the first `before` and the last `after`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from .core.database import Changed
from .core.query import Query, matches
from .core.reads import Record
from .errors import DatabaseError

__all__ = ["Change", "Watch", "Watchers"]


@dataclass(frozen=True, slots=True)
class Change:
    """What one record showed and shows now, within the watched query; None where it was or is not in it."""

    collection: str
    id: str
    before: Record | None
    after: Record | None


class Watch:
    """An asynchronous iterator of `Change`. Close it, or leave it as a context manager, when you are done."""

    def __init__(self, space: int, collection: str | None, query: Query, forget: Callable[[Watch], None]) -> None:
        self.space = space
        self.collection = collection
        self._query = query
        self._forget = forget
        self._waiting: dict[tuple[str, str], tuple[Record | None, Record | None]] = {}
        self._ready = asyncio.Event()
        self._closed = False

    @property
    def waiting(self) -> int:
        """How many records have changes that were not read yet."""
        return len(self._waiting)

    def tell(self, change: Changed) -> None:
        """Take one change of the database; for the client."""
        space, collection, id, before, after = change
        if space != self.space or self.collection not in (None, collection):
            return
        before = before if before is not None and matches(before, self._query) else None
        after = after if after is not None and matches(after, self._query) else None
        waiting = self._waiting.pop((collection, id), None)
        if waiting is not None:
            before = waiting[0]
        if before != after:
            self._waiting[(collection, id)] = (before, after)
            self._ready.set()

    def __aiter__(self) -> Watch:
        return self

    async def __anext__(self) -> Change:
        while not self._waiting:
            if self._closed:
                raise StopAsyncIteration
            self._ready.clear()
            await self._ready.wait()
        (collection, id), (before, after) = next(iter(self._waiting.items()))
        del self._waiting[(collection, id)]
        return Change(collection, id, before, after)

    async def __aenter__(self) -> Watch:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop watching; what waits can still be read."""
        self._closed = True
        self._forget(self)
        self._ready.set()


class Watchers:
    """Every open watch of one client. `watched` is read by the database's thread, the rest by the loop's."""

    def __init__(self) -> None:
        self._open: list[Watch] = []
        self._watched: frozenset[tuple[int, str | None]] = frozenset()
        self._closed = False

    def add(self, space: int, collection: str | None, query: Query) -> Watch:
        if self._closed:
            # Nothing would ever end it.
            raise DatabaseError("This client was closed: open it again.", code="closed")
        watch = Watch(space, collection, query, self._remove)
        self._open.append(watch)
        self._count()
        return watch

    def watched(self, space: int, collection: str) -> bool:
        """True where somebody watches this collection of this space."""
        return (space, collection) in self._watched or (space, None) in self._watched

    def tell(self, changes: list[Changed]) -> None:
        for watch in list(self._open):
            for change in changes:
                watch.tell(change)

    def close(self) -> None:
        self._closed = True
        for watch in list(self._open):
            watch.close()

    def _remove(self, watch: Watch) -> None:
        if watch in self._open:
            self._open.remove(watch)
        self._count()

    def _count(self) -> None:
        # Replaced whole, so that the database's thread never sees it half changed.
        self._watched = frozenset((watch.space, watch.collection) for watch in self._open)
