"""Taking one's data along: everything that the server has about a user, as a file that a job makes.

Owns: what is in it, who may fetch it, and for how long it is kept.
Refuses to know: the file's form (export_file.py), requests (privacy_routes.py), jobs (api/operations/jobs.py).

Invariants
    D1  It holds every record of every space that the user is a member of, every change in them, and every row about
        the user that storage/personal.py lists; of others only what they share, and nothing that was refused of theirs.
    D2  It needs a proof of who asks (confirming.py), and only the session that gave it fetches the file.
    D3  It is gone after KEPT_MS, and a file without its job goes with the next round of housekeeping.
    D4  It is read in pages, each of which asks anew whether the user is a member still.
    D5  Many are made at once, and take turns page by page, and as they end a list piece by piece: together they load
        the server and its memory as PAGES_AT_ONCE do, and one of a large account holds up another by a page.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from api.accounts.confirming import Confirmation
from api.accounts.export_file import ExportFile, Listing, plain
from api.accounts.model import Origin
from api.operations.jobs import Job, Jobs, Kind
from conflict.clock import rfc3339, wall_ms
from storage import jobs as store
from storage.accounts import lock_user
from storage.audit import START, AuditedRecord, read_records
from storage.collections import COLLECTIONS
from storage.database import Database
from storage.exporting import LedgerLine, read_ledger
from storage.jobs import JobRow
from storage.personal import BY_SPACE, PERSONAL, rows_shown
from storage.spaces import CATALOG_SPACE, SpaceRow, list_spaces, membership
from sync.bodies import HIDDEN, STUB
from sync.caller import Caller
from sync.environment import Environment, uuid7
from sync.errors import Conflict, NotFound, Unauthenticated

KIND: Final = "export_data"
KEPT_MS: Final = 86_400_000
# Of the usual size these are a fraction of a second; of the largest there is they are still read one by one.
PAGE: Final = 500
PAGES_AT_ONCE: Final = 2
# One that waits for its turn is two open files. Who comes when so many are made waits for the end of one of them.
AT_ONCE: Final = 16
_HISTORY: Final = ("at", "device", "n", "op", "collection", "id", "fields", "refused", "yours")
_BEFORE_FIELDS: Final = ("id", "deleted", "updated_at", "updated_by")

_decode: Final = msgspec.json.decode


class ExportInProgress(Conflict):
    """An export of this user is being made for another session."""

    code = "export_in_progress"
    default = "An export of your data is being made already; wait until it is done."


@dataclass(frozen=True)
class Exports:
    """The exports of one database; `folder` is where their files are, for all processes of this machine."""

    database: Database
    environment: Environment
    confirmation: Confirmation
    folder: Path
    # Whoever has one reads and writes a page (D5).
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(PAGES_AT_ONCE), repr=False)

    def kinds(self) -> dict[str, Kind]:
        """What the jobs of this process have to know to do the work."""
        return {KIND: Kind(self.make, kept_ms=KEPT_MS, at_once=AT_ONCE)}

    async def begin(self, caller: Caller, jobs: Jobs, password: str | None, origin: Origin) -> JobRow:
        """Begin an export, or return the one that this session began and that is not done.

        Raises ExportInProgress, and what `Confirmation.check` raises.
        """
        await self.confirmation.check(caller, password, origin, purpose="export of data")
        now_ms = self.environment.now_ms()
        async with self.database.write() as tx:
            if await lock_user(tx, caller.user) is None:
                raise Unauthenticated
            known = await store.open_job(tx, user=caller.user, kind=KIND)
            if known is not None:
                if not _is_of(known, caller):
                    raise ExportInProgress
                return known
            arguments = msgspec.json.encode({"session": caller.session})
            id = uuid7(self.environment)
            await store.add_job(tx, job=id, kind=KIND, user=caller.user, arguments=arguments, now_ms=now_ms)
            made = await store.find_job(tx, job=id, user=caller.user)
        assert made is not None
        jobs.wake()
        return made

    async def find(self, caller: Caller, id: str) -> JobRow:
        """One export of the caller. Raises NotFound, also where it is over (D3)."""
        async with self.database.read() as tx:
            found = await store.find_job(tx, job=id, user=caller.user) if len(id) <= 64 else None
        if found is None or found.kind != KIND or self.environment.now_ms() >= expires_ms(found):
            raise NotFound
        return found

    async def file(self, caller: Caller, id: str) -> Path:
        """The file of an export that is done. Raises NotFound (D2)."""
        found = await self.find(caller, id)
        path = self._path(found.id)
        if found.state != "done" or not _is_of(found, caller) or not path.is_file():
            raise NotFound
        return path

    async def remove(self, caller: Caller, id: str) -> None:
        """Let an export go, done or not. Raises NotFound."""
        found = await self.find(caller, id)
        async with self.database.write() as tx:
            await store.remove_job(tx, found.id)
        self._path(found.id).unlink(missing_ok=True)

    async def sweep(self) -> int:
        """Let go of files whose job is gone (D3); how many."""
        if not self.folder.is_dir():
            return 0
        files = {path: path.name.partition(".")[0] for path in self.folder.iterdir()}
        async with self.database.read() as tx:
            known = await store.known_jobs(tx, set(files.values()))
        gone = [path for path, job in files.items() if job not in known]
        for path in gone:
            path.unlink(missing_ok=True)
        return len(gone)

    def is_of(self, job: JobRow, caller: Caller) -> bool:
        """Whether the caller's session may fetch the file (D2)."""
        return _is_of(job, caller)

    # -- the job -----------------------------------------------------------------------------------------------------

    async def make(self, job: Job) -> dict[str, int]:
        """Make the file, from its beginning: what a killed process left is written over."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft, path = self.folder / f"{job.id}.zip.partial", self._path(job.id)
        try:
            with ExportFile(draft) as file:
                spaces = await self._spaces(job.user)
                job.done, job.total = 0, sum(_weight(space) for space in spaces)
                await self._account(job, file)
                for space in spaces:
                    await self._records(job, file, space.id)
                    await self._history(job, file, space.id)
            await asyncio.to_thread(_publish, draft, path)
            await job.beat()
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        return {"bytes": path.stat().st_size}

    async def _spaces(self, user: str) -> list[SpaceRow]:
        async with self.database.read() as tx:
            found = await list_spaces(tx, user)
        return [space for space, _, state in found if state == "member" and space.id != CATALOG_SPACE]

    async def _account(self, job: Job, file: ExportFile) -> None:
        async with self._turns:
            async with self.database.read(snapshot=True) as tx:
                tables = [(each, await rows_shown(tx, each, job.user)) for each in (*PERSONAL, *BY_SPACE)]
            for personal, rows in tables:
                columns = personal.columns
                shown = [dict(zip(columns, map(plain, row), strict=True)) for row in rows]
                await asyncio.to_thread(_write_all, file, f"account/{personal.table.name}", columns, shown)
            await job.beat()

    async def _records(self, job: Job, file: ExportFile, space: str) -> None:
        after, listing, collection = START, None, ""
        while True:
            async with self._turns:
                rows = await self._page_of_records(job.user, space, after)
                if listing is None and rows:
                    collection = rows[0].collection
                    listing = file.listing(f"spaces/{space}/{collection}", _columns(collection))
                # What follows it is read again rather than kept while others have their turn.
                of_it = [row for row in rows if row.collection == collection]
                if listing is not None and of_it:
                    after = of_it[-1].key
                    await asyncio.to_thread(listing.add, [_record(row) for row in of_it if row.status != STUB])
                    job.done += len(of_it)
                    await job.beat()
            if listing is not None and (not rows or len(of_it) < len(rows)):
                await self._close(job, listing)
                listing = None
            if not rows:
                return

    async def _history(self, job: Job, file: ExportFile, space: str) -> None:
        after, listing = ("", 0), file.listing(f"spaces/{space}/history", _HISTORY)
        while True:
            async with self._turns:
                if lines := await self._page_of_history(job.user, space, after):
                    after = lines[-1].device, lines[-1].n
                    shown = [_line(line, job.user) for line in lines if line.verdict is None or line.user == job.user]
                    await asyncio.to_thread(listing.add, shown)
                    job.done += len(lines)
                    await job.beat()
            if not lines:
                return await self._close(job, listing)

    async def _close(self, job: Job, listing: Listing) -> None:
        """End a listing, which may be large, piece by piece: each has its turn, as a page has (D5)."""
        ended = False
        while not ended:
            async with self._turns:
                ended = await asyncio.to_thread(listing.end)
                if not ended:
                    await job.beat()

    async def _page_of_records(self, user: str, space: str, after: tuple[str, str]) -> list[AuditedRecord]:
        async with self.database.read() as tx:
            if not _is_member(await membership(tx, space, user)):
                return []
            return await read_records(tx, space, after, None, PAGE)

    async def _page_of_history(self, user: str, space: str, after: tuple[str, int]) -> list[LedgerLine]:
        async with self.database.read() as tx:
            if not _is_member(await membership(tx, space, user)):
                return []
            return await read_ledger(tx, space, after, PAGE)

    def _path(self, job: str) -> Path:
        return self.folder / f"{job}.zip"


def expires_ms(job: JobRow) -> int:
    """When an export goes; of one that is not done, far away."""
    return 2**62 if job.finished_at is None else job.finished_at + KEPT_MS


def _is_of(job: JobRow, caller: Caller) -> bool:
    return bool(_decode(job.arguments).get("session") == caller.session)


def _is_member(place: tuple[SpaceRow, str, str] | None) -> bool:
    return place is not None and place[2] == "member"


def _weight(space: SpaceRow) -> int:
    return space.records + sum(space.version.values())


def _columns(collection: str) -> list[str]:
    spec = COLLECTIONS.get(collection)
    return [*_BEFORE_FIELDS, *(spec.fields if spec is not None else ()), "conflicts"]


def _record(row: AuditedRecord) -> dict[str, Any]:
    """A record with its values side by side, so that both forms have the same names."""
    body: Mapping[str, Any] = _decode(row.body)
    shown = {name: body.get(name) for name in _BEFORE_FIELDS}
    shown |= {"seq": row.seq, **(body.get("values") or {})}
    if row.status == HIDDEN:
        shown["hidden"] = True
    if body.get("conflicts"):
        shown["conflicts"] = body["conflicts"]
    return shown


def _line(line: LedgerLine, user: str) -> dict[str, Any]:
    return {
        "at": rfc3339(wall_ms(line.hlc)),
        "received_at": rfc3339(line.received_at),
        "device": line.device,
        "n": line.n,
        "op": line.op,
        "collection": line.collection,
        "id": line.id,
        "fields": None if line.fields is None else plain(line.fields),
        "refused": None if line.verdict is None else plain(line.verdict),
        "yours": line.user == user,
    }


def _write_all(file: ExportFile, name: str, columns: list[str], objects: list[dict[str, Any]]) -> None:
    listing = file.listing(name, columns)
    listing.add(objects)
    listing.close()


def _publish(draft: Path, path: Path) -> None:
    handle = os.open(draft, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    draft.replace(path)
