"""What a file is compared with: the names that are known, and the records that are there.

Owns: the questions to the database. Writes nothing. Refuses to know: what is done with the answers (writing.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from api.training.imports.forms import Arguments, Choices, Reading
from api.training.imports.planning import Plan, plan
from conflict.clock import rfc3339
from storage import imports as store
from storage.database import Database
from storage.imports import Chosen, ImportRow
from storage.rows import Key
from sync.caller import Caller
from sync.environment import Environment
from sync.records import Record, Records

# A name with each of its choices; what is decided later counts more.
CHOICES_BYTES_MAX: Final = 2 * 1_048_576
# Of those that are handed on, so that what was decided later has room beside them.
HANDED_ON_BYTES_MAX: Final = 1_048_576
_LOOK_UP: Final = 5_000


@dataclass(frozen=True)
class Comparing:
    """Compares files with one database."""

    database: Database
    environment: Environment
    records: Records

    async def arguments(self, caller: Caller, row: ImportRow, brought: Collection[Key]) -> Arguments:
        """How a file is to be read: as its owner says, and as they said of earlier ones.

        brought: what was written of it. An exercise among it is none that is known already: a file that is read again
        is read as it was.
        """
        choices = msgspec.json.decode(row.choices, type=Choices)
        own = await self._all(caller, row.space, "exercises")
        async with self.database.read() as tx:
            catalog = await self.records.catalog(tx)
            earlier = [
                msgspec.json.decode(each, type=Choices)
                for each in await store.earlier_choices(tx, row.user, CHOICES_BYTES_MAX)
            ]
        ids = {record.id for record in [*own, *catalog]}
        made = set(brought)
        remembered = {name: id for each in earlier for name, id in each.names.items() if id is None or id in ids}
        return Arguments(
            timezone=choices.timezone,
            now=rfc3339(self.environment.now_ms()),
            unit=choices.unit,
            choices=remembered | {name: id for name, id in choices.names.items() if id is None or id in ids},
            own=_names([each for each in own if ("exercises", each.id) not in made]),
            catalog=_names(catalog),
        )

    async def plan(
        self, caller: Caller, row: ImportRow, reading: Reading, *, done: int = 0, brought: Collection[Key] = ()
    ) -> Plan:
        """What is to be written of what was read; `done` and `brought` as of `planning.plan`."""
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
            done=done,
            brought=brought,
            started={each.id: each.values["started_at"] for each in workouts if each.values.get("started_at")},
            # Our own export names each record by its id: two workouts at one time are two.
            keep_twins=reading.app == "fitai" or msgspec.json.decode(row.choices, type=Choices).keep_twins,
        )

    async def _all(self, caller: Caller, space: str, collection: str) -> list[Record]:
        async with self.database.read(snapshot=True) as tx:
            return await self.records.all_shown(await self.records.view(tx, caller, space), collection)


def handed_on(kept: Chosen, gone: Sequence[Chosen]) -> bytes:
    """What is remembered with an import that stays, once those that are gone have handed on what was decided about
    names: the latest decision for each, and the latest names within HANDED_ON_BYTES_MAX."""
    names: dict[str, str | None] = {}
    for each in sorted([kept, *gone]):
        for name, exercise in msgspec.json.decode(each.choices, type=Choices).names.items():
            names.pop(name, None)
            names[name] = exercise
    room, latest = HANDED_ON_BYTES_MAX, []
    for pair in reversed(names.items()):
        room -= len(msgspec.json.encode(pair))
        if room < 0:
            break
        latest.append(pair)
    choices = msgspec.json.decode(kept.choices, type=Choices)
    return msgspec.json.encode(msgspec.structs.replace(choices, names=dict(reversed(latest))))


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
