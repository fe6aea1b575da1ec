"""The client: one local database, one account, and everything that runs in the background for them.

Owns: the composition. The calls are in calls/, the rules in core/; the loop is loop.py's, the socket live.py's.
"""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

from .account import Account
from .attachments import Attachments, Uploader
from .calls.account import AccountCalls
from .calls.mending import MendingCalls
from .calls.spaces import SpaceCalls
from .core import reserve
from .core.attachments import clear_partial, clear_removed, folder_of
from .core.database import LocalDatabase, connect
from .core.device import Device
from .core.environment import Environment, system
from .core.ids import IdMaker
from .core.spaces import PERSONAL
from .errors import DatabaseError
from .live import Live
from .loop import Loop
from .rescue import Rescued, rescue
from .transport import HttpTransport, server_address
from .watching import Watchers

__all__ = ["Client"]


class Client(AccountCalls, MendingCalls, SpaceCalls):
    """A training log on this machine that syncs. Its own collections are those of the personal space.

    Beside what each call says, any of them raises DatabaseError where the local file cannot be read or written.

    >>> async def log_a_workout() -> None:
    ...     async with await Client.open("phone.db", server="http://127.0.0.1:8080") as phone:
    ...         workout = await phone.workouts.create(title="Push day")
    """

    def __init__(
        self,
        db: LocalDatabase,
        device: Device,
        server: str,
        writer: ThreadPoolExecutor,
        background: bool,
        uploader: Uploader | None,
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
        self._closed = self._ended = False
        self._forms = 0
        self._asked_about = set()
        self._new_id = IdMaker(db.environment)
        self.watchers = Watchers()
        db.watched = self.watchers.watched
        db.on_change = self._on_change
        self.transport = HttpTransport(server)
        self._account = Account(db, self.transport, self._in_writer)
        device.signed_in = self._account.signed_in
        self._sync = Loop(self, device, self._account)
        self._live = Live(self, device, self._account, self._sync)
        self.attachments = Attachments(self, db, device, uploader)
        if background:
            self._sync.start()
            self._live.start()
            self.attachments.start()

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
        uploader: Uploader | None = None,
    ) -> Self:
        """Open the database at `path`, or make it. No network is needed.

        name: what the user's list of devices shows. background: sync by itself; without it, only `sync()` does.
        durable: every single write survives a power cut, at some milliseconds each.
        uploader: where attachments go; without one they wait on this device.

        Raises:
            DatabaseError: the file cannot be used. `full`: the disk has no room, and the reserve beside it is used up.
            InvalidServer: `server` is no address; nothing was opened.
        """
        server = server_address(server)
        writer = ThreadPoolExecutor(1, thread_name_prefix="fitai-write")
        description = {"name": name or Path(path).stem or "device", "platform": "python", "app_version": _version()}

        def prepare() -> tuple[LocalDatabase, Device]:
            db = _opened(Path(path), environment or system(), durable)
            try:
                clear_partial(folder_of(db.path), db.environment.now_ms())
                with db.write() as tx:
                    clear_removed(tx, folder_of(db.path))
                device = Device(db, description)
                reserve.keep(db.path)
                return db, device
            except BaseException:
                db.close()
                raise

        try:
            db, device = await asyncio.get_running_loop().run_in_executor(writer, prepare)
        except BaseException:
            writer.shutdown(wait=False)
            raise
        try:
            return cls(db, device, server, writer, background, uploader)
        except BaseException:
            await asyncio.get_running_loop().run_in_executor(writer, db.close)
            writer.shutdown(wait=False)
            raise

    @staticmethod
    async def rescue(path: str | os.PathLike[str], to: str | os.PathLike[str]) -> Rescued:
        """Write what can still be read of a damaged database to an export at `to`; the database is left as it is.

        Then move it aside, open a new one, sign in, and `write_rescued(to)` writes what no server had.

        Raises:
            DatabaseError: nothing at all can be read of it.
        """
        return await asyncio.to_thread(rescue, Path(path), Path(to))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _opened(path: Path, environment: Environment, durable: bool) -> LocalDatabase:
    try:
        return LocalDatabase(path, environment, durable=durable)
    except DatabaseError as error:
        # A log that cannot be shown is as good as gone.
        if error.code != "full" or not reserve.give_up(path):
            raise
    return LocalDatabase(path, environment, durable=durable)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("fitai-client")
    except PackageNotFoundError:
        return "0"
