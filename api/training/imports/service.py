"""Importing a file: taken in, looked at, written as a job, and undone as a whole.

Owns: the states of an import, and what a person may ask for in each.
Refuses to know: HTTP (routes.py), dialects (worker.py), and how the jobs do it (writing.py).

Invariants
    M5  A file is kept for as long as somebody may still say a word about it, at most FILE_KEPT_MS, and as one of the
        latest FILES_MAX of its user.
    M7  Of a user IMPORTS_MAX are kept. When another one comes, the oldest of those goes that brought nothing which
        could be taken back and wait for no word, and where there is none the oldest; never one under way. What was
        decided about names in one that goes is handed on to the oldest that stays.
    M9  Large files are waited for by large files alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from api.errors import InvalidFields
from api.operations.jobs import Jobs, Kind
from api.rest.binding import FAULTS_MAX
from api.rest.formats import zone_objections
from api.training.imports.comparing import Comparing, handed_on
from api.training.imports.forms import Choices
from api.training.imports.taking_back import read_brought
from api.training.imports.writing import Writing
from api.training.known_exercises import looked_for, shown_in
from storage import imports as store
from storage.accounts import lock_user
from storage.database import Database, Transaction
from storage.imports import ImportRow
from storage.jobs import JobRow, add_job, find_job, open_job
from sync.caller import Caller
from sync.environment import Environment, uuid7
from sync.errors import Conflict, NotFound, Unauthenticated
from sync.records import Records

DAY_MS: Final = 86_400_000
# Ten years of daily training are about 10 MB.
FILE_BYTES_MAX: Final = 16 * 1_048_576
FILE_KEPT_MS: Final = 7 * DAY_MS
# Somebody looks at a file, changes its export, and looks again.
FILES_MAX: Final = 5
IMPORTS_MAX: Final = 200
NAME_CHARS_MAX: Final = 200
READ: Final = "import"
READ_LARGE: Final = "import-large"
UNDO: Final = "import-undo"
# A year or two of training. What is larger takes seconds to be read, and a hundred MB while it is written.
LARGE_BYTES: Final = 524_288
AT_ONCE: Final = 4
LARGE_AT_ONCE: Final = 2
_NAME_SHOWN_MAX: Final = 64

_encode = msgspec.json.encode


class ImportInProgress(Conflict):
    """Another import of the same user is under way."""

    code = "import_in_progress"
    default = "Another import of yours is under way; wait for its end."


class ImportState(Conflict):
    """What is asked for does not fit the state of the import."""

    code = "import_state"
    default = "The import is not in a state for that; read it again."


@dataclass(frozen=True)
class Imports:
    """The imports of one database."""

    database: Database
    environment: Environment
    records: Records

    def kinds(self) -> dict[str, Kind]:
        """What the jobs of this process have to know to do the work."""
        writing = Writing(Comparing(self.database, self.environment, self.records))
        # A file that cannot be read today cannot be read tomorrow; what fails is the database, which comes back.
        return {
            READ: Kind(writing.run, at_once=AT_ONCE),
            READ_LARGE: Kind(writing.run, at_once=LARGE_AT_ONCE),
            UNDO: Kind(writing.undo, at_once=AT_ONCE),
        }

    async def take(
        self, caller: Caller, jobs: Jobs, *, id: str, file: bytes, name: str, choices: Choices, preview: bool
    ) -> ImportRow:
        """Take in a file; a job reads it, and imports it unless it is to be looked at first.

        Raises: InvalidFields for a time zone or a unit that is none; ImportInProgress.
        """
        _check(choices)
        now = self.environment.now_ms()
        space = await self.records.space_of(caller)
        job = uuid7(self.environment)
        row = ImportRow(
            id=id,
            user=caller.user,
            space=space,
            state="reading" if preview else "importing",
            name=name[:NAME_CHARS_MAX],
            choices=_encode(choices),
            brought=store.NOTHING,
            summary=None,
            job=job,
            created_at=now,
        )
        async with self.database.write() as tx:
            if (known := await self._begin(tx, caller, id)) is not None:
                return known  # The same request, sent again.
            await store.trim_files(tx, user=caller.user, keep=FILES_MAX - 1)
            await self._trim(tx, caller)
            await store.add_import(tx, row, file)
            kind = _kind_of(file)
            await add_job(tx, job=job, kind=kind, user=caller.user, arguments=_encode({"import": id}), now_ms=now)
        jobs.wake()
        return row

    async def confirm(
        self, caller: Caller, jobs: Jobs, id: str, choices: Choices, names: Mapping[str, str | None]
    ) -> ImportRow:
        """Import a file that was looked at.

        choices: all that holds for it, among it decisions about other files' names that were handed on to it (M7).
        names: those that are decided now.

        Raises: NotFound, ImportState, ImportInProgress; InvalidFields for a name that is none of the file's, or an
        exercise that nobody knows.
        """
        _check(choices)
        row, _ = await self.get(caller, id)
        if row.state in ("ready", "failed") and names:
            await self._check_names(row, names)
        choices = msgspec.structs.replace(choices, names={**choices.names, **names})
        return await self._next(caller, jobs, id, ("ready", "failed"), "importing", READ, choices)

    async def _check_names(self, row: ImportRow, names: Mapping[str, str | None]) -> None:
        """Raises InvalidFields, naming each name that the file has not, and each exercise that nobody knows."""
        wrong = []
        summary = msgspec.json.decode(row.summary) if row.summary else {}
        # A file that could not be read tells of no names, and of a very long list not all are kept.
        if "app" in summary and not {"matched", "unmatched"} & summary.get("left_out", {}).keys():
            listed = {*summary.get("matched", ()), *summary.get("unmatched", ())}
            for name in names.keys() - listed:
                message = "this is none of the names that the preview lists under matched and unmatched"
                wrong.append(_wrong_name(name, message))
        asked = looked_for(id for id in names.values() if id is not None)
        async with self.database.read() as tx:
            here = await shown_in(tx, row.space, asked)
        unknown = {id for _, id in asked} - here
        for name, exercise in names.items():
            if exercise in unknown:
                message = "it has to be the id of an exercise of the catalog or of yours, or null for one of its own"
                wrong.append(_wrong_name(name, message))
        if wrong:
            raise InvalidFields(fields=sorted(wrong, key=lambda each: each["field"])[:FAULTS_MAX])

    async def undo(self, caller: Caller, jobs: Jobs, id: str) -> ImportRow:
        """Take back what an import brought, or a file that was only looked at.

        Raises NotFound, ImportState, ImportInProgress.
        """
        return await self._next(caller, jobs, id, ("ready", "done", "failed"), "undoing", UNDO, None)

    async def get(self, caller: Caller, id: str) -> tuple[ImportRow, JobRow | None]:
        """One import, with the job that works on it or did last. Raises NotFound."""
        async with self.database.read(snapshot=True) as tx:
            row = await store.find_import(tx, id=id, user=caller.user)
            if row is None:
                raise NotFound
            job = None if row.job is None else await find_job(tx, job=row.job, user=caller.user)
        return row, job

    async def of(self, caller: Caller, before: tuple[int, str] | None, limit: int) -> list[ImportRow]:
        """At most `limit` imports of the caller, newest first."""
        async with self.database.read() as tx:
            return await store.list_imports(tx, user=caller.user, before=before, limit=limit)

    async def forget(self) -> int:
        """Let go of files that nobody said a word about (M5); how many."""
        async with self.database.write() as tx:
            return await store.forget_files(tx, self.environment.now_ms() - FILE_KEPT_MS)

    async def _trim(self, tx: Transaction, caller: Caller) -> None:
        """Make room for one more import (M7)."""
        gone = await store.trim_imports(tx, user=caller.user, keep=IMPORTS_MAX - 1)
        if gone and (kept := await store.oldest_choices(tx, caller.user)) is not None:
            await store.set_choices(tx, id=kept.id, user=caller.user, choices=handed_on(kept, gone))

    async def _begin(self, tx: Transaction, caller: Caller, id: str) -> ImportRow | None:
        """Lock the user, so that one import is under way; an import that is there under this id already."""
        if await lock_user(tx, caller.user) is None:
            raise Unauthenticated
        if (known := await store.find_import(tx, id=id, user=caller.user)) is not None:
            return known
        await self._check_idle(tx, caller)
        return None

    async def _check_idle(self, tx: Transaction, caller: Caller) -> None:
        for kind in self.kinds():
            if await open_job(tx, user=caller.user, kind=kind) is not None:
                raise ImportInProgress

    async def _next(
        self,
        caller: Caller,
        jobs: Jobs,
        id: str,
        from_: Sequence[str],
        state: str,
        kind: str,
        choices: Choices | None,
    ) -> ImportRow:
        now = self.environment.now_ms()
        job = uuid7(self.environment)
        async with self.database.write() as tx:
            if await lock_user(tx, caller.user) is None:
                raise Unauthenticated
            row = await store.find_import(tx, id=id, user=caller.user)
            if row is None:
                raise NotFound
            await self._check_idle(tx, caller)
            if kind == UNDO and read_brought(row.brought).is_of_before_seqs:
                raise ImportState(
                    "An earlier version wrote this import and did not note how, so nothing of it is known to be as it "
                    "was; delete by hand what is not wanted."
                )
            if row.state not in from_:
                raise ImportState(f"The import is {row.state}; that can be asked of one that is {' or '.join(from_)}.")
            if kind == READ:
                file = await store.read_file(tx, id=id, user=caller.user)
                if file is None:
                    raise ImportState("The file of this import is no longer kept; hand it in again.")
                kind = _kind_of(file)
            row = row._replace(state=state, job=job, choices=row.choices if choices is None else _encode(choices))
            await store.begin_import(tx, id=id, user=caller.user, state=state, choices=row.choices, job=job)
            await add_job(tx, job=job, kind=kind, user=caller.user, arguments=_encode({"import": id}), now_ms=now)
        jobs.wake()
        return row


def _kind_of(file: bytes) -> str:
    """Which job reads a file (M9)."""
    return READ if len(file) <= LARGE_BYTES else READ_LARGE


def _wrong_name(name: str, message: str) -> dict[str, str]:
    field = f"names.{name[:_NAME_SHOWN_MAX]}"
    return {"field": field, "code": "unknown_value", "message": f"{field}: {message}"}


def _check(choices: Choices) -> None:
    wrong = zone_objections("timezone", choices.timezone)
    if choices.unit not in (None, "kg", "lb"):
        wrong.append({"field": "unit", "code": "unknown_value", "message": "unit must be one of kg, lb"})
    if wrong:
        raise InvalidFields(fields=wrong)
