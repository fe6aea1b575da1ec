"""Seeding: the catalog space shows what the package ships.

Owns: the comparison of the shipped exercises with the stored ones, and the writes that follow from it.

Refuses to know: how an exercise is kept in files (`storage/catalog`), and how a write merges, is numbered and is
announced: these writes take the one write path, as the server's own device.

Invariants
    G1  A second seeding writes nothing: only fields that differ are put, so a device pulls only what changed.
    G2  Two servers that start at once do not write twice: what is stored is read with the space locked.
    G3  An exercise that is shipped no longer is archived and never deleted, since workouts name it.
    G4  Nothing is compared where the space stands as a comparison with the same catalog left it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from storage import catalog_mark
from storage.catalog import Exercise, fingerprint, load
from storage.database import Transaction
from storage.errors import Duplicate
from storage.feed import read_after
from storage.spaces import CATALOG_SPACE, SpaceRow, create_space, read_space
from sync.engine import Engine
from sync.environment import Environment
from sync.server_writes import ServerWrite

COLLECTION: Final = "exercises"
# More than the catalog will ever hold; one page, since it is compared as one state.
STORED_MAX: Final = 20_000


class _Stored(msgspec.Struct):
    """As much of a served record as the comparison needs."""

    id: str
    deleted: bool = False
    values: dict[str, Any] = {}


async def is_seeded(tx: Transaction) -> bool:
    """Whether a seeding has nothing to do, by one look (G4). A no may be none. Raises StorageError."""
    return await catalog_mark.stands(tx, fingerprint())


async def seed_catalog(engine: Engine, exercises: Sequence[Exercise] | None = None) -> int:
    """Make the catalog space where it is missing, and bring it to what is shipped, whether or not `is_seeded`.

    Returns the number of records written, 0 where there was nothing to do. Restartable: an interrupted seeding has
    written all or nothing.

    Args:
        engine: the engine over a migrated database.
        exercises: what the catalog shall hold; the shipped one where it is left out.

    Raises:
        Invalid: an exercise is not what the collection declares, a defect of the data; nothing was written.
        StorageError: the database is busy or gone; seed again.
    """
    wanted = load() if exercises is None else exercises
    await _make_space(engine)

    async def differences(tx: Transaction, space: SpaceRow) -> list[ServerWrite]:
        page = await read_after(tx, space.id, 0, STORED_MAX)
        stored = [msgspec.json.decode(body, type=_Stored) for _, body in page.rows] if page else []
        writes = writes_for(wanted, {each.id: each.values for each in stored if not each.deleted})
        if not writes and exercises is None:
            await catalog_mark.note(tx, fingerprint(), space)
        return writes

    plan = await engine.server_writer.write_as_server(CATALOG_SPACE, (), guard=differences)
    return len(plan.records)


def writes_for(wanted: Sequence[Exercise], stored: Mapping[str, Mapping[str, Any]]) -> list[ServerWrite]:
    """The writes that turn `stored` ({id: shown values}) into `wanted`. An empty list means there is no difference."""
    writes = []
    for exercise in wanted:
        fields = _differing(exercise.values(), stored.get(exercise.id, {}))
        if fields:
            writes.append(ServerWrite(COLLECTION, exercise.id, "put", fields))
    shipped = {exercise.id for exercise in wanted}
    writes += [
        ServerWrite(COLLECTION, id, "put", {"archived": True})
        for id, values in stored.items()
        if id not in shipped and not values.get("archived")
    ]
    return writes


# A set is written by what joins and what leaves it; everything else by its new value.
_SETS: Final = frozenset({"aliases", "equipment", "primary_muscles", "secondary_muscles"})


def _differing(wanted: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in wanted.items():
        if name in _SETS:
            new, old = set(value), set(stored.get(name, ()))
            if new != old or name not in stored:
                fields[name] = {"add": sorted(new - old), "remove": sorted(old - new)}
        elif name not in stored or stored[name] != value:
            fields[name] = value
    return fields


async def _make_space(engine: Engine) -> None:
    async with engine.database.read() as tx:
        if await read_space(tx, CATALOG_SPACE) is not None:
            return
    environment: Environment = engine.environment
    try:
        async with engine.database.write() as tx:
            await create_space(
                tx,
                space=CATALOG_SPACE,
                kind="catalog",
                name="Exercises",
                owner=None,
                life=environment.token_bytes(4).hex(),
                now_ms=environment.now_ms(),
            )
    except Duplicate:
        # Another server made it between the look and the write: it is there, which is all that was wanted.
        return
