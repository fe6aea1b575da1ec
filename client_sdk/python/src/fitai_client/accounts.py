"""Several accounts on one phone: a folder with one database for each.

Owns: which file is whose. A file belongs to nobody until its first sign-in, and to that account from then on; what was
logged before belongs to whoever signs in with it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .client import Client
from .core.database import border, connect
from .core.environment import system
from .core.ids import uuid7
from .errors import NotFound

__all__ = ["Accounts", "KnownAccount"]


@dataclass(frozen=True, slots=True)
class KnownAccount:
    """One database of the folder. email: None before its first sign-in. pending: changes no server has."""

    path: Path
    email: str | None
    name: str
    signed_in: bool
    pending: int


class Accounts:
    """The accounts of one folder. `options` go to `Client.open` (name, background, durable, uploader)."""

    def __init__(self, folder: str | os.PathLike[str], *, server: str, **options: Any) -> None:
        self._folder = Path(folder)
        self._server = server
        self._options = options

    async def list(self) -> list[KnownAccount]:
        """Every account with a database here, in the order they came.

        Raises:
            DatabaseError: one of the files is damaged, or no device's.
        """
        return await asyncio.to_thread(lambda: [*self._known()])

    async def open(self, email: str | None = None) -> Client:
        """Open an account's database; without `email` one that is nobody's yet, made where there is none.

        Close the client that is open first: the two are separate devices.

        Raises:
            NotFound: no database here is of this account: `open()` one and sign in with it.
        """
        known = await self.list()
        found = next((one for one in known if _same(one.email, email)), None)
        if found is None and email is not None:
            raise NotFound(f"No database on this device is {email}'s: open() a new one, and sign in.")
        path = found.path if found is not None else await asyncio.to_thread(self._new)
        return await Client.open(path, server=self._server, **self._options)

    async def switch(self, client: Client, email: str | None = None) -> Client:
        """Close a client and open another account's; both stay signed in, and what is unsent waits in its database."""
        await client.close()
        return await self.open(email)

    async def forget(self, email: str, *, force: bool = False) -> None:
        """Delete an account's database from this device. Close its client first.

        Raises:
            NotFound: no database here is of this account.
            UnsentChanges: changes or attachments are on this device alone; `force` deletes them too.
        """
        found = next((one for one in await self.list() if _same(one.email, email)), None)
        if found is None:
            raise NotFound(f"No database on this device is {email}'s.")
        async with await Client.open(found.path, server=self._server, background=False) as client:
            await client.wipe(force=force)

    def _known(self) -> Iterator[KnownAccount]:
        for path in sorted(self._folder.glob("*.db")):
            with border(path), closing(connect(path, read_only=True)) as conn:
                yield _read(conn, path)

    def _new(self) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder / f"{uuid7(system())}.db"


def _same(one: str | None, other: str | None) -> bool:
    return one == other if one is None or other is None else one.casefold() == other.strip().casefold()


def _read(conn: sqlite3.Connection, path: Path) -> KnownAccount:
    meta = dict(conn.execute("SELECT key, value FROM meta WHERE key IN ('identity', 'tokens')").fetchall())
    identity = json.loads(meta.get("identity") or "{}")
    pending = conn.execute("SELECT COUNT(*) FROM log WHERE state < 2 AND op <> 'void'").fetchone()[0]
    return KnownAccount(path, identity.get("email"), identity.get("name", ""), "tokens" in meta, pending)
