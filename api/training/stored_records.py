"""Personal records as they stand in their person's space, and what makes them those of the history.

Owns: how they are read, and which writes set them right. Refuses to know: when that is done (record_keeping.py), and
what a record is (figures/).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from figures import PersonalRecord, Steps
from storage.database import Transaction
from storage.records import list_shown, read_rows
from sync.bodies import SHOWN
from sync.server_writes import ServerWrite

COLLECTION: Final = "personal_records"
_PAGE: Final = 1_000

Values = Mapping[str, Any]


class _Body(msgspec.Struct):
    values: dict[str, Any] = {}


_values_of: Final = msgspec.json.Decoder(_Body).decode


async def read_some(tx: Transaction, space: str, ids: Iterable[str]) -> dict[str, Values]:
    """The values of those of these records that are shown, by id."""
    rows = await read_rows(tx, space, [(COLLECTION, id) for id in ids])
    return {row.id: _values_of(row.body).values for row in rows if row.status == SHOWN}


async def read_all(tx: Transaction, space: str) -> dict[str, Values]:
    """The values of every record that is shown, by id."""
    found: dict[str, Values] = {}
    after = ""
    while rows := await list_shown(tx, space, COLLECTION, after=after, limit=_PAGE):
        found |= {row.id: _values_of(row.body).values for row in rows}
        after = rows[-1].id
    return found


def differing_in_steps(
    user: str, records: Iterable[PersonalRecord], stored: Mapping[str, Values]
) -> Steps[dict[str, PersonalRecord | None]]:
    """Those of a user's records that are not stored as they are, by id; None where one is stored that is no more."""
    differing: dict[str, PersonalRecord | None] = {}
    wanted = set()
    for one in records:
        wanted.add(id := one.key.id(user))
        if write_of(id, one, stored.get(id)) is not None:
            differing[id] = one
        yield
    return differing | {id: None for id in stored if id not in wanted}


def write_of(id: str, record: PersonalRecord | None, there: Values | None) -> ServerWrite | None:
    """What makes a stored record, or none, what it should be; None where it is."""
    if record is None:
        return None if there is None else ServerWrite(COLLECTION, id, "delete")
    values = record.values()
    # What comes, also what comes back, comes with every field.
    fields = values if there is None else {name: each for name, each in values.items() if there.get(name) != each}
    return ServerWrite(COLLECTION, id, "put", fields) if fields else None
