"""What every call of the client stands on: its parts, its two threads, and one way to write.

Invariants
    C1  No call of the database runs on the event loop, and no read waits for a write: readers have a connection
        and a thread of their own.
    C2  Everything that was written before `close` returns is on the disk.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from ..account import Account
from ..attachments import Attachments
from ..collection import open_transaction
from ..core import reserve
from ..core.clock import rfc3339
from ..core.database import Changed, LocalDatabase, Tx, border, looking
from ..core.device import Device
from ..core.forms import Form
from ..core.ids import IdMaker
from ..core.requests import Answer, Request, space_path
from ..core.status import Status, read_status
from ..core.writing import PutLike, Write, write_groups
from ..errors import AccountError, DatabaseError, InvalidWrite, NotFound, ServerRefused
from ..live import Live
from ..loop import Loop
from ..space import SpaceHandle
from ..stages import clock_offset
from ..transport import HttpTransport
from ..watching import Watchers

__all__ = ["Calls", "checked"]

log = logging.getLogger("fitai_client")

T = TypeVar("T")

# How long written changes may wait for the disk while nothing is sent (core/database.py, D2).
DURABLE_AFTER_S = 0.25


class Calls(SpaceHandle):
    """The parts of a client, and what its calls have in common. `client.py` puts it together."""

    transport: HttpTransport
    watchers: Watchers
    attachments: Attachments
    _db: LocalDatabase
    _device: Device
    _account: Account
    _sync: Loop
    _live: Live
    _loop: asyncio.AbstractEventLoop
    _writer: ThreadPoolExecutor
    _reader: ThreadPoolExecutor
    _read_conn: sqlite3.Connection
    _new_id: IdMaker
    _durable: asyncio.Task[None] | None
    _forms: int
    _asked_about: set[str]
    _closed: bool
    _ended: bool

    async def close(self) -> None:
        """Stop syncing and close the database. Unsent changes wait in it for the next time; again does nothing."""
        if self._closed:
            return
        self._closed = True
        await self._live.stop()
        await self._sync.stop()
        await self._account.stop()
        await self.attachments.stop()
        if self._durable is not None:
            self._durable.cancel()
        self.watchers.close()
        await self.transport.close()
        # From here on whatever else is under way is told that the client is closed.
        self._ended = True
        try:
            await self._loop.run_in_executor(self._reader, self._read_conn.close)
            await self._loop.run_in_executor(self._writer, self._db.close)
        finally:
            self._reader.shutdown()
            self._writer.shutdown()

    async def status(self) -> Status:
        """What is pending, since when, and why it has not gone."""
        identity = self._account.identity

        def read(conn: sqlite3.Connection) -> Status:
            with looking(conn, self._db.environment) as tx:
                return read_status(
                    tx,
                    account=identity.email if identity else None,
                    signed_in=self._device.signed_in,
                    live=bool(self._device.live),
                    problem=self._device.problem,
                    wait_ms=self._device.next_wake_ms() or 0,
                    attachments_held_up=self.attachments.held_up(),
                )

        return await self.read(read)

    async def server_now(self) -> str:
        """Now by the server's clock, as far as it is known, as the wire has times."""
        offset = await self.run(clock_offset)
        return rfc3339(self._db.environment.now_ms() + offset)

    # -- for the other files of this package --------------------------------------------------------------------------

    def new_id(self) -> str:
        """A new id for a record; ids sort in the order they were made."""
        return self._new_id()

    def random_bytes(self, number: int) -> bytes:
        """That many unpredictable bytes."""
        return self._db.environment.random_bytes(number)

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call `function(db, …)` in the writing thread."""
        return await self._in_writer(lambda: function(self._db, *arguments))

    async def read(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Call `function(connection)` in the reading thread.

        Raises:
            DatabaseError: the file cannot be read.
        """

        def read() -> T:
            with border(self._db.path):
                return function(self._read_conn)

        self._check_open()
        return await self._loop.run_in_executor(self._reader, read)

    async def write(self, space: int, groups: Sequence[Sequence[PutLike]]) -> int:
        """Log groups of writes in one local transaction, and see that they are sent."""
        return await self._write_with(lambda tx: write_groups(tx, space, groups, judged=True))

    async def write_decided(self, space: int, decide: Callable[[Tx], Sequence[Sequence[PutLike]]]) -> int:
        """The same for groups that follow from what stands when they are written."""
        return await self._write_with(lambda tx: write_groups(tx, space, decide(tx), judged=True))

    async def join_or_write(self, space: int, write: Write) -> None:
        """Add a write to the task's transaction, or make it now."""
        transaction = open_transaction()
        if transaction is None:
            await self.write(space, [[write]])
        elif transaction.space != space:
            raise InvalidWrite("A transaction is of one space: this write is of another.")
        else:
            transaction.writes.append(write)

    @asynccontextmanager
    async def holding(self, form: Form) -> AsyncIterator[None]:
        """Keep `seen` from passing what an open form has seen (rule 20)."""
        self._forms += 1
        number = self._forms
        self._device.forms[number] = (form.space, form.context)
        try:
            yield
        finally:
            del self._device.forms[number]

    async def _write_with(self, function: Callable[[Any], T]) -> T:
        def write(db: LocalDatabase) -> T:
            with db.write() as tx:
                return function(tx)

        def write_though_the_disk_is_full(db: LocalDatabase) -> T:
            try:
                return write(db)
            except DatabaseError as error:
                if error.code != "full" or not reserve.give_up(db.path):
                    raise
            return write(db)

        try:
            return await self.run(write_though_the_disk_is_full)
        finally:
            # Who stops waiting for it does not stop the writing.
            self._sync.wake()
            if not self._closed and (self._durable is None or self._durable.done()):
                self._durable = asyncio.create_task(self._make_durable())

    async def _make_durable(self) -> None:
        await asyncio.sleep(DURABLE_AFTER_S)
        try:
            await self._in_writer(self._db.make_durable)
        except DatabaseError as error:
            # The next write tries again, and so does closing.
            log.warning("what was written is not safe from a power cut yet: %s", error)

    async def _in_writer(self, function: Callable[[], T]) -> T:
        self._check_open()
        return await self._loop.run_in_executor(self._writer, function)

    def _check_open(self) -> None:
        if self._ended:
            raise DatabaseError("This client was closed: open it again.", code="closed")

    def _on_change(self, changes: list[Changed]) -> None:
        self._loop.call_soon_threadsafe(self.watchers.tell, changes)

    async def _remote(self, number: int) -> str:
        found = next((line for line in (await self.status()).spaces if line.no == number), None)
        if found is None or found.id is None:
            raise NotFound("This space is not known to the server yet: sync first.")
        return str(found.id)

    async def _ask(
        self, number: int, method: str, call: str, *, query: Mapping[str, str] | None = None, body: Any = None
    ) -> dict[str, Any]:
        """One request outside the sync loop."""
        path = space_path(await self._remote(number), call)
        text = json.dumps(body) if body is not None else None
        device = (await self.status()).device
        token = await self._account.token()
        if token is None:
            raise self._account.not_signed_in()
        answer = await self.transport.send(Request("pull", method, path, query or {}, text, device), token)
        return checked(answer)


def checked(answer: Answer) -> dict[str, Any]:
    """The body of an answer outside the sync loop, or its error raised."""
    body = answer.json()
    if answer.status in (200, 201):
        return body
    code = str(body.get("code") or "refused")
    message = str(body.get("error") or f"The server answered {answer.status}.")
    if answer.status == 401 or answer.is_of_erased:
        raise AccountError(message, code="account_erased" if answer.is_of_erased else "sign_in_needed")
    raise ServerRefused(message, code=code, status=answer.status, details=body.get("details"))
