"""Importing a file: taken in, looked at, written as a job, and undone as a whole.

Owns: the states of an import, what a person may ask for in each, and the jobs that do it.
Refuses to know: HTTP (routes.py), dialects (worker.py), which records are missing (planning.py) and which may go
(taking_back.py).

Invariants
    M2  A step is one transaction, which also notes how far the import is: a server that dies goes on behind its last
        step, and an import that is taken up again writes nothing twice.
    M3  What was brought is noted with it in the same transaction, with the seq that each record got. Undoing takes back
        what still has that seq: nobody has written it since, and nothing else goes.
    M5  A file is kept for as long as somebody may still say a word about it, at most FILE_KEPT_MS, and as one of the
        latest FILES_MAX of its user.
    M7  Of a user IMPORTS_MAX are kept. When another one comes, the oldest of those goes that brought nothing which
        could be taken back and wait for no word, and where there is none the oldest; never one under way.
    M8  Several people's imports are worked on at once, and their steps take turns: together they load the server as one
        does, and one that has much to write holds up another by a step, not by all of its own. Large files are waited
        for by large files alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from api.errors import InvalidFields
from api.operations.jobs import Job, Jobs, Kind
from api.rest.binding import FAULTS_MAX
from api.rest.formats import zone_objections
from api.training.imports.forms import Arguments, Reading
from api.training.imports.planning import Plan, Planned, plan, roots
from api.training.imports.reading import Unreadable, read_file
from api.training.imports.summaries import bounded
from api.training.imports.taking_back import Brought, Kept, read_brought, untouched, unused
from api.training.known_exercises import looked_for, shown_in
from conflict.clock import rfc3339
from storage import imports as store
from storage.accounts import lock_user
from storage.collections import COLLECTIONS
from storage.database import Database, Transaction
from storage.imports import ImportRow
from storage.jobs import JobRow, add_job, find_job, open_job
from storage.rows import Key, StoredRecord
from sync.caller import Caller
from sync.environment import Environment, uuid7
from sync.errors import Conflict, NotFound, Unauthenticated
from sync.records import Edit, Record, Records, View

DAY_MS: Final = 86_400_000
# Ten years of daily training are about 10 MB.
FILE_BYTES_MAX: Final = 16 * 1_048_576
FILE_KEPT_MS: Final = 7 * DAY_MS
# Somebody looks at a file, changes its export, and looks again.
FILES_MAX: Final = 5
IMPORTS_MAX: Final = 200
# A name with each of its choices; what is decided later counts more.
CHOICES_BYTES_MAX: Final = 2 * 1_048_576
NAME_CHARS_MAX: Final = 200
READ: Final = "import"
READ_LARGE: Final = "import-large"
UNDO: Final = "import-undo"
# A year or two of training. What is larger takes seconds to be read, and a hundred MB while it is written.
LARGE_BYTES: Final = 524_288
AT_ONCE: Final = 4
LARGE_AT_ONCE: Final = 2
# Workouts that one transaction takes back: some thousand records.
_TREES: Final = 200
_LOOK_UP: Final = 5_000
_NAME_SHOWN_MAX: Final = 64
_ABOVE: Final = {name: spec.rules.parent[0] for name, spec in COLLECTIONS.items() if spec.rules.parent is not None}

_encode = msgspec.json.encode


class ImportInProgress(Conflict):
    """Another import of the same user is under way."""

    code = "import_in_progress"
    default = "Another import of yours is under way; wait for its end, or cancel it."


class ImportState(Conflict):
    """What is asked for does not fit the state of the import."""

    code = "import_state"
    default = "The import is not in a state for that; read it again."


class Choices(msgspec.Struct):
    """How a file is read. unit: "kg" or "lb", where the file leaves it open. names: name in the file → id of an
    exercise, or None for one of its own. keep_twins: also workouts that begin when one that is there does."""

    timezone: str
    unit: str | None = None
    keep_twins: bool = False
    names: dict[str, str | None] = {}


@dataclass(frozen=True)
class Imports:
    """The imports of one database."""

    database: Database
    environment: Environment
    records: Records
    # Whoever has it writes one step (M8).
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    def kinds(self) -> dict[str, Kind]:
        """What the jobs of this process have to know to do the work."""
        # A file that cannot be read today cannot be read tomorrow; what fails is the database, which comes back.
        return {
            READ: Kind(self._run, at_once=AT_ONCE),
            READ_LARGE: Kind(self._run, at_once=LARGE_AT_ONCE),
            UNDO: Kind(self._run_undo, at_once=AT_ONCE),
        }

    # -- what a person asks for ------------------------------------------------------------------------------

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
            await store.trim_imports(tx, user=caller.user, keep=IMPORTS_MAX - 1)
            await store.add_import(tx, row, file)
            kind = _kind_of(file)
            await add_job(tx, job=job, kind=kind, user=caller.user, arguments=_encode({"import": id}), now_ms=now)
        jobs.wake()
        return row

    async def confirm(self, caller: Caller, jobs: Jobs, id: str, choices: Choices) -> ImportRow:
        """Import a file that was looked at.

        Raises: NotFound, ImportState, ImportInProgress; InvalidFields for a name that is none of the file's, or an
        exercise that nobody knows.
        """
        _check(choices)
        row, _ = await self.get(caller, id)
        if row.state in ("ready", "failed") and choices.names:
            await self._check_names(row, choices.names)
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

    # -- the jobs --------------------------------------------------------------------------------------------

    async def _run(self, job: Job) -> None:
        caller = Caller(user=job.user, session="")
        row, _ = await self.get(caller, job.arguments["import"])
        async with self.database.read() as tx:
            file = await store.read_file(tx, id=row.id, user=row.user)
        if file is None:
            return await self._end(job, row, "failed", {"refused": "The file is no longer kept; hand it in again."})
        try:
            reading = await read_file(file, await self._arguments(caller, row))
        except Unreadable as error:
            return await self._end(job, row, "failed", {"refused": str(error)})
        planned = await self._plan(caller, row, reading)
        seen = reading.seen | {"new": planned.new, "known": planned.known, "twins": planned.twins}
        if row.state == "reading":
            return await self._end(job, row, "ready", seen, keep_file=True)
        job.total = planned.new + job.done
        try:
            brought = await asyncio.to_thread(read_brought, row.brought)
            for step in planned.steps:
                brought = await self._write(job, caller, row, step, brought)
        except InvalidFields as error:
            seen |= {"refused": "The server refuses some of its records; what came before them is there."}
            return await self._end(job, row, "failed", seen | {"faults": error.fields[:100]}, keep_file=True)
        return await self._end(job, row, "done", seen | {"written": job.done})

    async def _write(
        self, job: Job, caller: Caller, row: ImportRow, step: Sequence[Planned], brought: Brought
    ) -> Brought:
        """Make the records of one step that do not show, and note with them that they were brought (M2, M3).

        brought: what is noted so far; nobody but who has the job notes more. Returns what is noted then.
        """
        noted = brought

        async def decide(view: View) -> Sequence[Edit]:
            missing[:] = [each for each in step if await view.find(each[0], each[1]) is None]
            job.done = before + len(missing)
            await job.keep(view.tx)
            return [Edit("put", *each) for each in missing]

        async def note(tx: Transaction, left: Sequence[StoredRecord]) -> None:
            nonlocal noted
            noted = Brought([*brought.roots], [*brought.seqs])
            # What came back with a record that the import made again is not of the import.
            made = {(collection, id) for collection, id, _ in missing}
            seqs = [each.seq for each in left if (each.collection, each.id) in made]
            noted.add(roots(missing, _ABOVE), seqs)
            await store.note_brought(tx, id=row.id, user=row.user, brought=_encode(noted))

        missing: list[Planned] = []
        before = job.done
        keys = [(each[0], each[1]) for each in step]
        async with self._turn:
            await self.records.decide(caller, row.space, keys, decide, writes_more=True, after=note)
        return noted

    async def _run_undo(self, job: Job) -> None:
        caller = Caller(user=job.user, session="")
        row, _ = await self.get(caller, job.arguments["import"])
        brought = read_brought(row.brought)
        kept: list[Kept] = []
        job.total = len(brought.roots)
        # From the top down, and exercises last: whether one is used is known once the workouts are gone.
        others = [key for key in brought.roots if key[0] != "exercises"]
        exercises = [key for key in brought.roots if key[0] == "exercises"]
        stays: set[Key] = set()
        for keys in (others, exercises):
            for at in range(0, len(keys), _TREES):
                kept += await self._take_back(job, caller, row.space, brought, keys[at : at + _TREES], stays)
        summary = msgspec.json.decode(row.summary) if row.summary else {}
        # A job that was cut off goes through all of it again, and finds what stays again.
        await self._end(job, row, "undone", summary | {"kept": msgspec.to_builtins(kept)})

    async def _take_back(
        self, job: Job, caller: Caller, space: str, brought: Brought, keys: Sequence[Key], stays: set[Key]
    ) -> list[Kept]:
        """Delete what may go of some roots; what stays of them. What lies in their trees joins `stays`."""

        async def decide(view: View) -> Sequence[Edit]:
            inside.clear()
            goes, changed = await untouched(view, brought, keys, stays, inside)
            named = [key for key in goes if key[0] == "exercises"]
            free, used = await unused(view, caller.user, named)
            kept[:] = changed + used
            job.done = min(before + len(keys), job.total or 0)
            await job.keep(view.tx)
            return [Edit("delete", *key) for key in goes if key not in named or key in free]

        kept: list[Kept] = []
        inside: set[Key] = set()
        before = job.done
        async with self._turn:
            await self.records.decide(caller, space, keys, decide, writes_more=True)
        stays |= inside
        return kept

    async def _end(
        self, job: Job, row: ImportRow, state: str, summary: Mapping[str, Any] | None, *, keep_file: bool = False
    ) -> None:
        async with self.database.write() as tx:
            await store.end_import(
                tx,
                id=row.id,
                user=row.user,
                state=state,
                summary=None if summary is None else _encode(bounded(summary)),
                keep_file=keep_file,
            )
            await job.finish(tx)

    # -- what a file is compared with ------------------------------------------------------------------------

    async def _arguments(self, caller: Caller, row: ImportRow) -> Arguments:
        choices = msgspec.json.decode(row.choices, type=Choices)
        own = await self._all(caller, row.space, "exercises")
        async with self.database.read() as tx:
            catalog = await self.records.catalog(tx)
            earlier = [
                msgspec.json.decode(each, type=Choices)
                for each in await store.earlier_choices(tx, row.user, CHOICES_BYTES_MAX)
            ]
        ids = {record.id for record in [*own, *catalog]}
        remembered = {name: id for each in earlier for name, id in each.names.items() if id is None or id in ids}
        return Arguments(
            timezone=choices.timezone,
            now=rfc3339(self.environment.now_ms()),
            unit=choices.unit,
            choices=remembered | {name: id for name, id in choices.names.items() if id is None or id in ids},
            own=_names(own),
            catalog=_names(catalog),
        )

    async def _plan(self, caller: Caller, row: ImportRow, reading: Reading) -> Plan:
        keys = [(each[0], each[1]) for group in [*reading.exercises, *reading.groups] for each in group]
        here: set[Key] = set()
        for at in range(0, len(keys), _LOOK_UP):
            async with self.database.read() as tx:
                view = await self.records.view(tx, caller, row.space)
                await view.look_up(keys[at : at + _LOOK_UP])
            here |= {key for key, record in view.known.items() if record is not None}
        workouts = await self._all(caller, row.space, "workouts")
        return await asyncio.to_thread(
            plan,
            reading.exercises,
            reading.groups,
            here=here,
            started={each.id: each.values["started_at"] for each in workouts if each.values.get("started_at")},
            # Our own export names each record by its id: two workouts at one time are two.
            keep_twins=reading.app == "fitai" or msgspec.json.decode(row.choices, type=Choices).keep_twins,
        )

    async def _all(self, caller: Caller, space: str, collection: str) -> list[Record]:
        async with self.database.read(snapshot=True) as tx:
            return await self.records.all_shown(await self.records.view(tx, caller, space), collection)


def _kind_of(file: bytes) -> str:
    """Which job reads a file (M8)."""
    return READ if len(file) <= LARGE_BYTES else READ_LARGE


def _names(exercises: Sequence[Record]) -> dict[str, str]:
    """Every name of exercises: a name before an alias, and what is in use before what was archived."""
    ordered = sorted(exercises, key=lambda each: bool(each.values.get("archived")))
    names: dict[str, str] = {}
    for each in ordered:
        if each.values.get("name"):
            names.setdefault(each.values["name"], each.id)
    for each in ordered:
        for alias in each.values.get("aliases") or ():
            names.setdefault(alias, each.id)
    return names


def _wrong_name(name: str, message: str) -> dict[str, str]:
    field = f"names.{name[:_NAME_SHOWN_MAX]}"
    return {"field": field, "code": "unknown_value", "message": f"{field}: {message}"}


def _check(choices: Choices) -> None:
    wrong = zone_objections("timezone", choices.timezone)
    if choices.unit not in (None, "kg", "lb"):
        wrong.append({"field": "unit", "code": "unknown_value", "message": "unit must be one of kg, lb"})
    if wrong:
        raise InvalidFields(fields=wrong)
