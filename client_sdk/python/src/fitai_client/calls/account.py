"""Signing up, in and out, and leaving nothing behind."""

from __future__ import annotations

import asyncio
from pathlib import Path

from ..account import Identity
from ..core.attachments import delete_all, folder_of
from ..core.reserve import reserve_of
from ..core.status import Status
from ..errors import UnsentChanges
from .sync import SyncCalls

__all__ = ["AccountCalls"]


class AccountCalls(SyncCalls):
    """Whose database this is."""

    @property
    def identity(self) -> Identity | None:
        """Whose database this is; None before the first sign-in."""
        return self._account.identity

    async def register(self, email: str, password: str, name: str) -> Status:
        """Make an account for this database and sync: everything that was logged before becomes the first push.

        Raises:
            AccountError, ServerRefused, Unreachable.
        """
        self._check_open()
        await self._account.register(email, password, name)
        return await self._signed_in()

    async def sign_in(self, email: str, password: str) -> Status:
        """Sign in and sync. Raises as `register`."""
        self._check_open()
        await self._account.sign_in(email, password)
        return await self._signed_in()

    async def sign_in_by_code(self, provider: str, code: str, verifier: str) -> Status:
        """Sign in with an account elsewhere, and sync.

        The app makes a random `verifier` and sends a browser to `/api/auth/oauth/<provider>` of the server, with the
        app's own address as `return_to` and the S256 of the verifier as `code_challenge` (RFC 7636); the browser comes
        back with the `code`.

        Raises:
            AccountError: `other_account`: this database belongs to somebody else.
            ServerRefused: `sign_in_expired`: the code is unknown, used or older than two minutes; begin again.
            Unreachable.
        """
        self._check_open()
        await self._account.sign_in_by_code(provider, code, verifier)
        return await self._signed_in()

    async def sign_out(self, *, force: bool = False) -> None:
        """End the session. The data stays, and what is unsent goes with the next sign-in of the same account.

        Raises:
            UnsentChanges: changes or attachments are on this device alone; `force` signs out all the same.
        """
        if not force:
            await self._check_sent()
        self._device.signed_in = False
        self._sync.moved()
        await self._live.drop()
        await self._account.sign_out()

    async def wipe(self, *, force: bool = False) -> None:
        """Close the client and delete its database with its attachments.

        Raises:
            UnsentChanges: changes or attachments are on this device alone; `force` deletes them too.
        """
        if not force:
            await self._check_sent()
        await self.close()
        await asyncio.to_thread(_delete, self._db.path)

    async def _signed_in(self) -> Status:
        self._device.signed_in = True
        self._live.resume()
        self.attachments.wake()
        return await self.sync()

    async def _check_sent(self) -> None:
        status = await self.status()
        if status.pending or status.attachments:
            raise UnsentChanges(status.pending, attachments=status.attachments)


def _delete(path: Path) -> None:
    # A kill in between must not leave files of which no database knows.
    delete_all(folder_of(path))
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    reserve_of(path).unlink(missing_ok=True)
