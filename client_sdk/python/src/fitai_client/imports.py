"""Bringing an export of another app into a client: looked at first, offline, idempotent, undone as a whole.

Owns: the calls. How a file is read is importing/'s, which of its writes are still to be made import_plan.py's, what
this device remembers of its imports import_memory.py's, and how a write is logged core/'s.

Invariants
    M1  A record that shows already is left alone: importing a file twice changes nothing, and an edit made since
        the first time stays.
    M2  A workout with its exercises and sets is one group: it arrives everywhere whole, or not at all.
    M3  All groups are one local transaction: an import that was cancelled has not happened. Where the cancellation
        comes too late to take it back, it is told as an import that is done.
    M4  A workout that begins within a minute of one that is there is its twin, whatever app it comes from: it is
        listed, and left out unless the caller says otherwise.
    M5  Undoing an import takes back what it brought, and nothing that was there before. What somebody wrote into since
        stays whole, and so does an exercise that anything uses; that is judged in the transaction that deletes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, NamedTuple, overload

from . import import_memory as memory
from .client import Client
from .core.database import Tx
from .core.writing import PutLike, Write
from .import_memory import Choices
from .import_names import names_on_device
from .import_plan import Plan, Twin, plan_writes
from .importing import Import, one_mapping, read

__all__ = [
    "Choices",
    "ImportPreview",
    "Imported",
    "PastImport",
    "Progress",
    "Twin",
    "forget_import_choices",
    "import_choices",
    "import_csv",
    "past_imports",
    "preview_csv",
    "undo_import",
]


class Progress(NamedTuple):
    """How far an import is: `done` of `total` rows of the file, or workouts on the way to the database."""

    stage: Literal["reading", "writing"]
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class ImportPreview:
    """What an import would do; nothing is written. `file` is what was read: its preview, the values in doubt, the rows
    that cannot be read.

    new: records that would be made. known: records of the file that are here already. twins: workouts that would be
    left out, because one that begins at the same time is here (their records count as neither).
    """

    file: Import
    new: int
    known: int
    twins: tuple[Twin, ...]


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did. `file` is what was read: its preview, the values in doubt, the rows that cannot be read.

    written: records made now. known: records of the file that were here already. twins: workouts that were left out,
    because one that begins at the same time was here (their records count as neither).
    """

    file: Import
    written: int
    known: int
    twins: tuple[Twin, ...] = ()


@dataclass(frozen=True, slots=True)
class PastImport:
    """One import, as far as its workouts still show: their number and their first and last day."""

    id: str
    app: str
    workouts: int
    first_date: str | None
    last_date: str | None


async def preview_csv(
    client: Client,
    data: bytes,
    *,
    timezone: str,
    unit: str | None = None,
    names: Mapping[str, str] | None = None,
    choices: Mapping[str, str | None] | None = None,
    now: datetime | None = None,
    keep_twins: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> ImportPreview:
    """What `import_csv` would do with the same arguments. Nothing is written, and nothing remembered.

    Raises:
        NotATrainingLog: the file is no export that can be read.
        ValueError: `timezone` or `unit` is none.
    """
    file, plan = await _look(client, data, timezone, unit, names, choices, now, keep_twins, progress)
    return ImportPreview(file, plan.writes, plan.known, plan.twins)


async def import_csv(
    client: Client,
    data: bytes,
    *,
    timezone: str,
    unit: str | None = None,
    names: Mapping[str, str] | None = None,
    choices: Mapping[str, str | None] | None = None,
    now: datetime | None = None,
    keep_twins: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> Imported:
    """Import an export of another training app into the personal space.

    Names of exercises resolve, in this order, by `choices`, by choices remembered from earlier imports, by `names`, by
    the user's own exercises, and by the catalog, as far as it is on this device. Others become custom exercises.

    Args:
        data: the file as it is; its dialect is found by its content.
        timezone: the IANA zone in which its times are meant.
        unit: "kg" or "lb", where the file leaves it open or the preview's guess was wrong. Remembered for the app.
        names: exercise name → id of the exercise, for names that are known already.
        choices: exercise name → id of the exercise that the user picked, or None for one of its own. Remembered.
        now: the moment against which a date is in the future; the machine's clock where none is given.
        keep_twins: import workouts as well that begin within a minute of one that is here.
        progress: called on the event loop, now and then and at the end of each stage.

    Raises:
        NotATrainingLog: nothing was imported, because the file is none.
        ValueError: `timezone` or `unit` is none; nothing was imported.
        InvalidWrite: a write of it cannot be logged; nothing was imported.
        CancelledError: it was cancelled, and nothing was imported. Where all was written already, it returns as if it
            had not been cancelled (M3); `asyncio.current_task().cancelling()` tells.
    """
    file, plan = await _look(client, data, timezone, unit, names, choices, now, keep_twins, progress)
    app = file.dialect.name
    units = {app: unit} if unit else {}
    # Before the writes: what then does not happen is not there to be undone.
    await client.run(
        lambda db: memory.remember(db, file.id, plan.roots, plan.exercises, plan.groups, dict(choices or {}), units)
    )
    written = await _write(client, _Told(plan.groups, _teller("writing", progress)))
    return Imported(file, written, plan.known, plan.twins)


async def undo_import(client: Client, imported: Imported | str) -> int:
    """Delete what one import brought: workouts with everything below them, exercises and sets that it added to older
    workouts, and exercises that nothing else uses. How many workouts went.

    What was changed or added to since stays, a workout with all of its sets; `past_imports` goes on listing it.
    `imported` is what `import_csv` returned, or its `file.id`, which each workout keeps in its `source`. On another
    device than the importing one, the workouts alone are known.
    """
    import_id = imported.file.id if isinstance(imported, Imported) else imported
    brought: list[memory.Key] = []

    def decide(tx: Tx) -> list[list[Write]]:
        brought[:] = memory.untouched(tx, client.number, import_id)
        return [[Write(collection, id, op="delete")] for collection, id in brought]

    await client.write_decided(client.number, decide)
    await client.run(lambda db: memory.forget_import(db, import_id))
    return sum(1 for collection, _ in brought if collection == "workouts")


async def past_imports(client: Client) -> list[PastImport]:
    """Every import that a workout on this device comes from, on whatever device it was made; by first day."""
    found: dict[tuple[str, str], list[str]] = {}
    for workout in await client.workouts.list():
        source = workout.get("source") or {}
        if source.get("import"):
            days = found.setdefault((source["import"], source.get("app") or ""), [])
            days.append(workout.get("local_date") or "")
    imports = [
        PastImport(id, app, len(days), min(days) or None, max(days) or None) for (id, app), days in found.items()
    ]
    return sorted(imports, key=lambda one: (one.first_date or "", one.id))


async def import_choices(client: Client) -> Choices:
    """What the user decided at earlier imports on this device: names of exercises, and the unit of each app."""
    return await client.read(memory.choices)


async def forget_import_choices(client: Client) -> None:
    """Forget every choice; the next import guesses and resolves anew."""
    await client.run(memory.forget_choices)


async def _look(
    client: Client,
    data: bytes,
    timezone: str,
    unit: str | None,
    names: Mapping[str, str] | None,
    choices: Mapping[str, str | None] | None,
    now: datetime | None,
    keep_twins: bool,
    progress: Callable[[Progress], None] | None,
) -> tuple[Import, Plan]:
    here = await client.read(lambda conn: names_on_device(conn, client.number))
    remembered = await import_choices(client)
    # An exercise that was deleted since it was chosen is chosen no more.
    still = {name: id for name, id in remembered.names.items() if id is None or id in here.ids}
    known = one_mapping(choices or {}, still, names or {}, here.own, here.catalog)
    tell = _teller("reading", progress)
    file = await asyncio.to_thread(
        lambda: read(
            data,
            timezone=timezone,
            now=now or datetime.now(UTC),
            unit=unit,
            usual_units=remembered.units,
            names=known,
            progress=tell,
        )
    )
    plan = await client.read(lambda conn: plan_writes(conn, client.number, file, keep_twins=keep_twins))
    return file, plan


async def _write(client: Client, groups: _Told) -> int:
    """Write them; a cancellation ends the transaction, whose thread does not notice it, or comes too late (M3)."""
    writing = asyncio.ensure_future(client.write_groups(groups))
    try:
        return await asyncio.shield(writing)
    except asyncio.CancelledError:
        groups.stop()
        while not writing.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({writing})
        if isinstance(writing.exception(), _Cancelled):
            raise
    return writing.result()


def _teller(
    stage: Literal["reading", "writing"], progress: Callable[[Progress], None] | None
) -> Callable[[int, int], None]:
    """Hands the progress of another thread to the event loop."""
    loop = asyncio.get_running_loop()

    def tell(done: int, total: int) -> None:
        if progress is not None:
            loop.call_soon_threadsafe(progress, Progress(stage, done, total))

    return tell


class _Cancelled(Exception):
    """Ends the transaction of an import that is not wanted any more."""


class _Told(Sequence[Sequence[PutLike]]):
    """Groups that tell how far they have been taken, until they are stopped."""

    _EACH = 25

    def __init__(self, groups: Sequence[Sequence[PutLike]], tell: Callable[[int, int], None]) -> None:
        self._groups = groups
        self._tell = tell
        self._stopped = False

    def stop(self) -> None:
        """Raise _Cancelled where the next group is taken, or the end is reached."""
        self._stopped = True

    def __len__(self) -> int:
        return len(self._groups)

    @overload
    def __getitem__(self, index: int) -> Sequence[PutLike]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Sequence[PutLike]]: ...
    def __getitem__(self, index: int | slice) -> Sequence[PutLike] | Sequence[Sequence[PutLike]]:
        return self._groups[index]

    def __iter__(self) -> Iterator[Sequence[PutLike]]:
        for number, group in enumerate(self._groups):
            if self._stopped:
                raise _Cancelled
            if number % self._EACH == 0:
                self._tell(number, len(self._groups))
            yield group
        if self._stopped:
            raise _Cancelled
        self._tell(len(self._groups), len(self._groups))
