"""Attachments: files of records, on this device at once, and handed to the app's uploader when it can be.

Owns: the calls, and the queue. Rows and files are core/attachments.py's. Where the files go is the uploader's, which
the app gives to `Client.open`: this package sends them nowhere by itself.

Level-triggered like the sync loop: whenever it wakes it asks the database what waits. What it forgets by a crash costs
an upload that is repeated, and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, Protocol

from .collection import record_of
from .core import attachments as stored
from .core.attachments import Attachment
from .core.clock import rfc3339
from .core.database import LocalDatabase
from .core.device import Device
from .core.reads import Record
from .core.running import backoff_ms
from .core.status import held_up
from .errors import AccountError, DatabaseError, FitaiError, InvalidWrite, Unreachable
from .loop import IDLE_S

if TYPE_CHECKING:
    from .calls.base import Calls
    from .space import SpaceHandle

__all__ = ["Attachments", "Uploader"]

log = logging.getLogger("fitai_client.attachments")

_MEDIA_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9.+-]{0,62}/[a-z0-9][a-z0-9.+-]{0,62}")


class Uploader(Protocol):
    """Where attachments go: the app's own, given to `Client.open`."""

    async def upload(self, attachment: Attachment, path: Path) -> str:
        """Upload the file at `path`, and return what it is called there: an id, a key or an address.

        Must be idempotent by `attachment.sha256`: what was uploaded and not noted, for a crash came between, is handed
        over again, and the answer has to be as good as the first. Must end by itself: the queue waits for it. The
        attachment's record may not have reached the server yet, and the call is cancelled when the client is closed.

        Raises:
            Unreachable: nobody is there; everything waits. Any other error: this one goes behind the others, and is
                tried again. `status()` shows the sentence of a FitaiError; of any other error, only its name.
        """
        ...


class Attachments:
    """The files of this device's records; `client.attachments`. Its methods raise DatabaseError as all others do."""

    def __init__(self, client: Calls, db: LocalDatabase, device: Device, uploader: Uploader | None) -> None:
        self._client = client
        self._device = device
        self._environment = db.environment
        self._folder = stored.folder_of(db.path)
        self._uploader = uploader
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failures = 0
        self._not_before_ms = 0
        self._problem: dict[str, str] | None = None
        self._uploading_since_ms: int | None = None

    async def add(
        self,
        record: Record,
        data: bytes | bytearray | memoryview | str | os.PathLike[str],
        *,
        media_type: str,
        space: SpaceHandle | None = None,
    ) -> Attachment:
        """Copy bytes, or those of the file at a path, to this device as an attachment of a record.

        When it returns they are safe from a power cut, and what they came from may go. The same bytes added to the same
        record again are the attachment that is there.

        Raises:
            InvalidWrite: bad_value (no media type, or nothing in it), too_large (100 MiB), unreadable (the file).
            NotFound: the record does not show, such as one of a transaction that is still open.
            DatabaseError: full, unusable: nothing was added.
        """
        record = record_of(record, "add")
        if not _MEDIA_TYPE.fullmatch(media_type):
            raise InvalidWrite("A media type is written like image/jpeg, in lower case.", field="media_type")
        source = bytes(data) if isinstance(data, bytes | bytearray | memoryview) else Path(data)
        id, of = self._client.new_id(), ((space or self._client).number, record.collection, record.id)
        copied = await asyncio.to_thread(stored.copy_in, self._folder, source, id)

        def write(db: LocalDatabase) -> Attachment:
            try:
                with db.write(durable=True) as tx:
                    return stored.place(tx, self._folder, copied, id=id, of=of, media_type=media_type)
            finally:
                copied.partial.unlink(missing_ok=True)

        try:
            return await self._client.run(write)
        finally:
            # Who stops waiting for it does not stop the writing.
            self.wake()

    async def list(self, record: Record | None = None, *, space: SpaceHandle | None = None) -> Sequence[Attachment]:
        """The attachments of a record by age; without one, all of this device, also of records that are deleted."""
        of = None
        if record is not None:
            of = ((space or self._client).number, record_of(record, "list").collection, record.id)
        return await self._client.read(lambda conn: stored.read_attachments(conn, of))

    async def pending(self) -> Sequence[Attachment]:
        """What was not uploaded yet, in the order in which it will be; `error` says why the last try failed."""
        return await self._client.read(stored.waiting)

    async def open(self, attachment: Attachment | str) -> BinaryIO:
        """The bytes of an attachment, to be read and closed.

        Raises:
            NotFound: there is no such attachment.
            DatabaseError: lost: its file is gone; adding the same bytes again brings it back.
        """
        found = await self._client.read(lambda conn: stored.read_attachment(conn, _id(attachment)))
        return await asyncio.to_thread(_opened, self._folder / found.sha256)

    async def remove(self, attachment: Attachment | str) -> None:
        """Delete an attachment from this device, uploaded or not. What the uploader has of it stays there.

        Raises:
            NotFound: there is no such attachment.
        """

        def write(db: LocalDatabase) -> None:
            with db.write() as tx:
                stored.remove(tx, _id(attachment))
            with db.write(durable=True) as tx:
                stored.clear_removed(tx, self._folder)

        await self._client.run(write)

    async def upload(self) -> int:
        """Hand over now what waits, each once, for as long as somebody is there; how many went.

        `pending()` has the rest.

        Raises:
            InvalidWrite: no_uploader: none was given to `Client.open`.
            AccountError: nobody is signed in.
        """
        if self._uploader is None:
            raise InvalidWrite("There is no uploader: give one to Client.open.", code="no_uploader")
        if not self._device.signed_in:
            raise AccountError("Nobody is signed in: sign in first.")
        went = 0
        async with self._lock:
            for attachment in await self.pending():
                went += await self._hand_over(self._uploader, attachment)
                if self._problem is not None and self._problem["code"] == "unreachable":
                    break
        return went

    # -- for the other files of this package --------------------------------------------------------------------------

    def start(self) -> None:
        if self._uploader is not None:
            self._task = asyncio.create_task(self._run(self._uploader), name="fitai-attachments")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def wake(self) -> None:
        """Look for what waits, now."""
        self._wake.set()

    def held_up(self) -> str:
        """Why what waits has not gone, without its full stop."""
        if self._uploader is None:
            return "this app has no uploader for them"
        if not self._device.signed_in:
            return "sign in, and they go"
        if self._uploading_since_ms is not None:
            return f"being uploaded since {rfc3339(self._uploading_since_ms)}"
        return held_up(self._problem, self._wait_ms()) or "about to be uploaded"

    def _wait_ms(self) -> int:
        return max(self._not_before_ms - self._environment.elapsed_ms(), 0)

    def _idle_s(self) -> float:
        """How long to sleep. A wait that is over was not when it was last looked at: then there is something to do."""
        # Without a session nothing is done about it, however long it is over: signing in wakes.
        waits = self._not_before_ms and self._device.signed_in
        return min(self._wait_ms() / 1000, IDLE_S) if waits else IDLE_S

    async def _run(self, uploader: Uploader) -> None:
        while True:
            self._wake.clear()
            try:
                while await self._step(uploader):
                    pass
            except FitaiError as error:
                log.warning("uploading stopped for now: %s", error)
                self._stumble("stumbled", str(error))
            except Exception as error:
                # A mistake in this package must not end uploading for good.
                log.exception("uploading stopped for now")
                self._stumble("stumbled", f"An error in this app: {type(error).__name__}.")
            with suppress(TimeoutError):
                async with asyncio.timeout(max(self._idle_s(), 0.01)):
                    await self._wake.wait()

    async def _step(self, uploader: Uploader) -> bool:
        """One attachment, if one is due."""
        async with self._lock:
            if not self._device.signed_in or self._wait_ms():
                return False
            # Waited for. As long as it stands `_idle_s` tells of it, though it may have passed meanwhile.
            self._not_before_ms = 0
            due = await self._client.read(lambda conn: stored.waiting(conn, limit=1))
            return bool(due) and await self._hand_over(uploader, due[0])

    async def _hand_over(self, uploader: Uploader, attachment: Attachment) -> bool:
        """Upload one attachment, and note it. False where it failed."""
        path = self._folder / attachment.sha256
        self._uploading_since_ms = self._environment.now_ms()
        code = "upload_failed"
        try:
            await asyncio.to_thread(_require, path, attachment.sha256)
            remote = await uploader.upload(attachment, path)
            reason = "" if remote and isinstance(remote, str) else "The uploader returned no reference."
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            reason = "The uploader cancelled itself."
        except FitaiError as error:
            code, reason = error.code if isinstance(error, Unreachable) else code, str(error)
        except Exception as error:  # noqa: BLE001 - the app's own code: what its errors say may be secret
            reason = f"The uploader failed: {type(error).__name__}."
        finally:
            self._uploading_since_ms = None
        if reason:
            log.info("an attachment was not uploaded: %s", reason)
            self._stumble(code, reason)
            await self._client.run(_note_failed, attachment.id, reason, code != "unreachable")
            return False
        if not await self._client.run(_note_uploaded, attachment.id, remote):
            log.info("an attachment was removed while it was uploaded: what the uploader has of it stays there")
        self._failures, self._not_before_ms, self._problem = 0, 0, None
        return True

    def _stumble(self, code: str, reason: str) -> None:
        """Say what is wrong, and wait, longer each time."""
        self._failures = min(self._failures + 1, 16)
        drawn = int.from_bytes(self._environment.random_bytes(4), "big")
        self._not_before_ms = self._environment.elapsed_ms() + backoff_ms(self._failures, drawn)
        self._problem = {"code": code, "message": reason}


def _id(attachment: Attachment | str) -> str:
    return attachment if isinstance(attachment, str) else attachment.id


def _lost(path: Path, what: str = "is gone") -> DatabaseError:
    return DatabaseError(f"{path} {what}: add the same bytes again, or remove the attachment.", code="lost")


def _require(path: Path, sha256: str) -> None:
    """Raises DatabaseError where a file is not there, or no longer what was added."""
    if not path.exists():
        raise _lost(path)
    if not stored.holds(path, sha256):
        raise _lost(path, "no longer gives the bytes that were added")


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise _lost(path) from error


def _note_uploaded(db: LocalDatabase, id: str, remote: str) -> bool:
    with db.write() as tx:
        return stored.note_uploaded(tx, id, remote)


def _note_failed(db: LocalDatabase, id: str, reason: str, behind: bool) -> None:
    with db.write() as tx:
        stored.note_failed(tx, id, reason, behind=behind)
