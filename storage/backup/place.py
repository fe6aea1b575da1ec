"""Where a backup is put back: an empty place, as the one who restores sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import sqlalchemy as sa

from storage.backup.archive import Table


class Place(Protocol):
    """One database that is being filled. Nobody else sees any of it before the block in which it is open ends well."""

    async def run(self, work: Callable[[sa.Connection], object]) -> None:
        """Run `work` on a connection, in the one transaction of the whole. Raises StorageError."""
        ...

    async def insert(self, table: Table, rows: Sequence[Sequence[Any]]) -> None:
        """Put rows into a table, whose names stand in statements as they are (R5). Raises StorageError."""
        ...
