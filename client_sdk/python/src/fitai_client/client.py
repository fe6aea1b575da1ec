"""The client: one local database, one account, and everything that runs in the background for them.

Owns: the threads (one writes, one reads), the composition, and that closing leaves nothing behind. The rules are
core/'s; the loop is loop.py's; the socket is live.py's.

Invariants
    C1  No call of the database runs on the event loop, and no read waits for a write: readers have a connection
        and a thread of their own.
    C2  Everything that was written before `close` returns is on the disk.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Self, TypeVar

from . import export as exporting
from .account import Account, Identity
from .collection import SpaceHandle, open_transaction
from .core import inbox, undo
from .core.clock import rfc3339
from .core.database import Changed, LocalDatabase, connect
from .core.device import Device
from .core.environment import Environment, system
from .core.forms import Form
from .core.ids import IdMaker
from .core.inbox import Refused
from .core.reads import Record, read_conflicted
from .core.requests import Answer, Request, space_path
from .core.spaces import PERSONAL, all_spaces, save
from .core.status import Status, read_status
from .core.writing import PutLike, Write, write_groups
from .errors import AccountError, FitaiError, InvalidWrite, NotFound, ServerRefused, UnsentChanges, WaitExpired
from .live import Live
from .loop import Loop
from .stages import clock_offset, held_upto, last_written, numbers_by_space, withdraw
from .transport import HttpTransport, server_address
from .watching import Watch, Watchers

__all__ = ["Client"]

log = logging.getLogger("fitai_client")

T = TypeVar("T")

# How long written changes may wait for the disk while nothing is sent (core/database.py, D2).
DURABLE_AFTER_S = 0.25


class Client(SpaceHandle):
    """A training log on this machine that syncs. Its own collections are those of the personal space.

    >>> async def log_a_workout() -> None:
    ...     async with await Client.open("phone.db", server="http://127.0.0.1:8080") as phone:
    ...         workout = await phone.workouts.create(title="Push day")
    """

    def __init__(
        self, db: LocalDatabase, device: Device, server: str, writer: ThreadPoolExecutor, background: bool
    ) -> None:
        """Use `Client.open`."""
        super().__init__(self, PERSONAL)
        self._db = db
        self._device = device
        self._writer = writer
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="fitai-read")
        self._read_conn = connect(db.path, read_only=True)
        self._loop = asyncio.get_running_loop()
        self._durable: asyncio.Task[None] | None = None
        self._undone: list[int] = []
        self._closed = False
        self._forms = 0
        self._new_id = IdMaker(db.environment)
        self.watchers = Watchers()
        db.watched = self.watchers.watched
        db.on_change = self._on_change
        self.transport = HttpTransport(server)
        self._account = Account(db, self.transport, self._in_writer)
        device.signed_in = self._account.signed_in
        self._sync = Loop(self, device, self._account)
        self._live = Live(self, device, self._account, self._sync)
        if background:
            self._sync.start()
            self._live.start()

    @classmethod
    async def open(
        cls,
        path: str | os.PathLike[str],
        *,
        server: str,
        name: str = "",
        background: bool = True,
        durable: bool = False,
        environment: Environment | None = None,
    ) -> Self:
        """Open the database at `path`, or make it. No network is needed.

        name: what the user's list of devices shows. background: sync by itself; without it, only `sync()` does.
        durable: every single write survives a power cut, at some milliseconds each.

        Raises:
            DatabaseError: the file cannot be used.
            InvalidServer: `server` is no address; nothing was opened.
        """
        server = server_address(server)
        writer = ThreadPoolExecutor(1, thread_name_prefix="fitai-write")
        description = {"name": name or Path(path).stem or "device", "platform": "python", "app_version": _version()}

        def prepare() -> tuple[LocalDatabase, Device]:
            db = LocalDatabase(path, environment or system(), durable=durable)
            try:
                return db, Device(db, description)
            except BaseException:
                db.close()
                raise

        try:
            db, device = await asyncio.get_running_loop().run_in_executor(writer, prepare)
        except BaseException:
            writer.shutdown(wait=False)
            raise
        return cls(db, device, server, writer, background)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop syncing and close the database. Unsent changes wait in it for the next time; again does nothing."""
        if self._closed:
            return
        self._closed = True
        await self._live.stop()
        await self._sync.stop()
        if self._durable is not None:
            self._durable.cancel()
        self.watchers.close()
        await self.transport.close()
        await self._loop.run_in_executor(self._reader, self._read_conn.close)
        await self._in_writer(self._db.close)
        self._reader.shutdown()
        self._writer.shutdown()

    # -- account -------------------------------------------------------------------------------------------------

    @property
    def identity(self) -> Identity | None:
        """Whose database this is; None before the first sign-in."""
        return self._account.identity

    async def register(self, email: str, password: str, name: str) -> Status:
        """Make an account for this database and sync: everything that was logged before becomes the first push.

        Raises:
            AccountError, ServerRefused, Unreachable.
        """
        await self._account.register(email, password, name)
        return await self._signed_in()

    async def sign_in(self, email: str, password: str) -> Status:
        """Sign in and sync. Raises as `register`."""
        await self._account.sign_in(email, password)
        return await self._signed_in()

    async def sign_out(self, *, force: bool = False) -> None:
        """End the session. The data stays, and what is unsent goes with the next sign-in of the same account.

        Raises:
            UnsentChanges: some changes are on this device alone; `force` signs out all the same.
        """
        if not force:
            await self._check_sent()
        self._device.signed_in = False
        await self._live.drop()
        await self._account.sign_out()

    async def wipe(self, *, force: bool = False) -> None:
        """Close the client and delete its database.

        Raises:
            UnsentChanges: some changes are on this device alone; `force` deletes them too.
        """
        if not force:
            await self._check_sent()
        await self.close()
        await asyncio.to_thread(_delete, self._db.path)

    # -- sync ----------------------------------------------------------------------------------------------------

    async def sync(self) -> Status:
        """Send and fetch everything now, and return when nothing more is to be done.

        Raises:
            AccountError: nobody is signed in. Unreachable, ServerRefused: it could not be finished.
        """
        await self._sync.run_now()
        return await self.status()

    async def status(self) -> Status:
        """What is pending, since when, and why it has not gone."""
        identity = self._account.identity

        def read(db: LocalDatabase) -> Status:
            with db.write() as tx:
                return read_status(
                    tx,
                    account=identity.email if identity else None,
                    signed_in=self._device.signed_in,
                    live=bool(self._device.live),
                    problem=self._device.problem,
                    wait_ms=self._device.next_wake_ms() or 0,
                )

        return await self.run(read)

    async def wait_for(self, stage: str, *, timeout_s: float = 30.0) -> None:
        """Wait until everything written so far has reached a stage.

        stage: "local" (at once), "server" (acknowledged), "seen" (another device of this user has it).

        Raises:
            WaitExpired: not in time; `status()` says why.
        """
        if stage not in ("local", "server", "seen"):
            raise InvalidWrite(f"A stage is local, server or seen, not {stage!r}.")
        if stage == "local":
            return
        wanted = await self.run(last_written)
        if stage == "seen":
            await self._learn_seen()

        async def reached() -> bool:
            held = await self.run(held_upto)
            if any(held.get(space, pos) < pos for space, pos in wanted.items()):
                return False
            return stage == "server" or self._live.seen_by_another(await self.run(numbers_by_space, list(wanted)))

        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    moved = self._sync.progress()
                    if await reached():
                        return
                    await moved
        except TimeoutError as error:
            why = (await self.status()).why
            raise WaitExpired(f"Not {stage} within {timeout_s:g} s. {why}".strip()) from error

    async def wait_live(self) -> None:
        """Wait until the server has welcomed this device's socket: from then on, what others write arrives at once."""
        await self._live.wait_connected()

    async def confirm_deletes(self) -> None:
        """Answer yes to the server's question whether so many deletes are meant (status: mass_delete)."""
        await self._decide({"mass_delete"}, confirm_deletes=True)

    async def withdraw_deletes(self) -> None:
        """Answer no: the unsent deletes go to the inbox, and the records show again."""
        await self.run(withdraw, "delete")
        await self._decide({"mass_delete"})

    async def withdraw_puts(self) -> None:
        """Take back what the account has no room for (status: over_quota): the unsent puts go to the inbox."""
        await self.run(withdraw, "put")
        await self._decide({"over_quota"})

    async def resume(self) -> None:
        """Try again what was paused, after whatever held it is mended."""
        await self._decide(None)

    async def server_now(self) -> str:
        """Now by the server's clock, as far as it is known, as the wire has times."""
        offset = await self.run(clock_offset)
        return rfc3339(self._db.environment.now_ms() + offset)

    # -- spaces --------------------------------------------------------------------------------------------------

    async def spaces(self) -> tuple[Any, ...]:
        """Every space this device knows."""
        return (await self.status()).spaces

    async def space(self, id: str) -> SpaceHandle:
        """A shared space, or the catalog, by its id.

        Raises:
            NotFound: this device knows no such space; `sync()` fetches the list.
        """
        for found in await self.spaces():
            if id in (found.id, found.kind):
                return SpaceHandle(self, found.no)
        raise NotFound(f"There is no space {id} on this device.")

    # -- conflicts, inbox, history ---------------------------------------------------------------------------------

    async def conflicts(self, space: SpaceHandle | None = None) -> list[Record]:
        """Every record with a conflict; `record.conflicts` has the losing values by field."""
        number = (space or self).number
        return await self.read(lambda conn: list(read_conflicted(conn, number)))

    async def resolve(self, record: Record, field: str, value: Any, space: SpaceHandle | None = None) -> Record | None:
        """Decide a conflict: `value` replaces the winner and every loser of the field."""
        return await (space or self).collection(record.collection).update(record.id, **{field: value})

    async def inbox(self) -> list[Refused]:
        """The changes that were refused, with the reasons."""
        return await self.read(inbox.read_inbox)

    async def resend(self, entry: Refused | int, **fields: Any) -> None:
        """Write a refused change anew, mended where fields are given."""
        no = entry if isinstance(entry, int) else entry.no
        await self._write_with(lambda tx: inbox.resend(tx, no, fields or None))

    async def discard(self, entry: Refused | int) -> None:
        """Drop a refused change for good."""
        no = entry if isinstance(entry, int) else entry.no
        await self._write_with(lambda tx: inbox.discard(tx, no))

    async def history(self, collection: str, id: str, space: SpaceHandle | None = None) -> list[Mapping[str, Any]]:
        """The changes of one record, newest first, as the server keeps them.

        Raises:
            AccountError, ServerRefused, Unreachable.
        """
        query = {"collection": collection, "id": id}
        changes: list[Mapping[str, Any]] = []
        while True:
            body = await self._ask((space or self).number, "GET", "history", query=query)
            changes += body["changes"]
            if body.get("before") is None:
                return changes
            query["before"] = body["before"]

    async def restore(
        self, collection: str, id: str, dot: Mapping[str, Any] | None = None, space: SpaceHandle | None = None
    ) -> None:
        """Bring a record back: to its state just after the change `dot` (from `history`), or from deletion.

        Raises:
            NotFound: it is not deleted, or nothing is known of it any more.
        """
        number = (space or self).number
        if dot is not None:
            body = {"collection": collection, "id": id, "dot": {"device": dot["device"], "n": dot["n"]}}
            await self._ask(number, "POST", "restore", body=body)
            self._sync.wake(pull=True)
            return
        await self._write_with(lambda tx: undo.restore_deleted(tx, number, (collection, id)))

    async def undo(self) -> int:
        """Undo this device's last change of the personal space, or its last group; 0 where there is none.

        Called again, it undoes the one before.
        """

        def write(tx: Any) -> int:
            positions = undo.last_group(tx, PERSONAL, self._undone[-1] if self._undone else 1 << 62)
            if not positions:
                return 0
            self._undone.append(min(positions))
            return undo.undo_group(tx, PERSONAL, positions)

        undone = self._undone
        number = await self._write_with(write)
        self._undone = undone
        return number

    async def recovered(self) -> list[tuple[str, str, Mapping[str, Any]]]:
        """Records that the server lost and this device kept: (collection, id, values)."""

        def read(conn: sqlite3.Connection) -> list[tuple[str, str, Mapping[str, Any]]]:
            rows = conn.execute("SELECT collection, id, body FROM aside WHERE kind = 'recovered' ORDER BY id")
            return [(row[0], row[1], json.loads(row[2])["values"]) for row in rows]

        return await self.read(read)

    async def rewrite_recovered(self) -> int:
        """Write the recovered records again. How many there were."""

        def write(tx: Any) -> int:
            return sum(undo.rewrite_recovered(tx, found.no) for found in all_spaces(tx))

        return await self._write_with(write)

    async def export(self, path: str | os.PathLike[str]) -> int:
        """Write everything this device holds to a JSON file; works signed out and revoked. Number of records.

        Raises:
            ExportFailed: the place cannot be written.
        """
        return await self.read(lambda conn: exporting.write_export(conn, Path(path)))

    def watch(self) -> Watch:
        """Every change of every record of the personal space."""
        return self.watchers.add(PERSONAL, None, {})

    # -- signals -------------------------------------------------------------------------------------------------

    async def signal(self, topic: str, body: Any, *, ttl_s: int = 0, space: SpaceHandle | None = None) -> bool:
        """Tell the space's other devices something that is stored nowhere. False where there is no socket now."""
        return await self._live.signal(await self._remote((space or self).number), topic, body, ttl_s)

    def signals(self) -> AsyncIterator[Mapping[str, Any]]:
        """Signals and events of the socket, as they come."""
        return self._live.frames()

    # -- for the other files of this package -----------------------------------------------------------------------

    def new_id(self) -> str:
        return self._new_id()

    def random_bytes(self, number: int) -> bytes:
        return self._db.environment.random_bytes(number)

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call `function(db, …)` in the writing thread."""
        return await self._in_writer(lambda: function(self._db, *arguments))

    async def read(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Call `function(connection)` in the reading thread."""
        return await self._loop.run_in_executor(self._reader, function, self._read_conn)

    async def write(self, space: int, groups: Sequence[Sequence[PutLike]]) -> int:
        """Log groups of writes in one local transaction, and see that they are sent."""
        return await self._write_with(lambda tx: write_groups(tx, space, groups))

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

        result = await self.run(write)
        self._undone = []
        self._sync.wake()
        if self._durable is None or self._durable.done():
            self._durable = asyncio.create_task(self._make_durable())
        return result

    async def _make_durable(self) -> None:
        await asyncio.sleep(DURABLE_AFTER_S)
        await self._in_writer(self._db.make_durable)

    async def _in_writer(self, function: Callable[[], T]) -> T:
        return await self._loop.run_in_executor(self._writer, function)

    def _on_change(self, changes: list[Changed]) -> None:
        self._loop.call_soon_threadsafe(self.watchers.tell, changes)

    async def _learn_seen(self) -> None:
        """How far the other devices were before this one listened."""
        mine = (await self.status()).device
        with suppress(FitaiError):
            token = await self._account.token()
            answer = await self.transport.send(Request("spaces", "GET", "/api/sync/devices", device=mine), token)
            for line in _checked(answer)["devices"]:
                if line["device"] != mine:
                    self._live.learn_seen(line["device"], line.get("seen") or {})

    async def _signed_in(self) -> Status:
        self._device.signed_in = True
        self._live.resume()
        return await self.sync()

    async def _check_sent(self) -> None:
        pending = (await self.status()).pending
        if pending:
            raise UnsentChanges(pending)

    async def _decide(self, codes: set[str] | None, **changes: Any) -> None:
        def write(tx: Any) -> None:
            for found in all_spaces(tx):
                if found.paused is not None and (codes is None or found.paused["code"] in codes):
                    save(tx, found, paused=None, **changes)

        await self._write_with(write)

    async def _remote(self, number: int) -> str:
        found = next((line for line in await self.spaces() if line.no == number), None)
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
            raise AccountError("Nobody is signed in: sign in first.")
        answer = await self.transport.send(Request("pull", method, path, query or {}, text, device), token)
        return _checked(answer)


def _delete(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def _checked(answer: Answer) -> dict[str, Any]:
    body = answer.json()
    if answer.status in (200, 201):
        return body
    code = str(body.get("code") or "refused")
    message = str(body.get("error") or f"The server answered {answer.status}.")
    if answer.status == 401:
        raise AccountError(message, code="sign_in_needed")
    raise ServerRefused(message, code=code, status=answer.status, details=body.get("details"))


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("fitai-client")
    except PackageNotFoundError:
        return "0"
