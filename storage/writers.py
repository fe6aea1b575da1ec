"""Who wrote records of a space: whose a shared workout is follows from that."""

from __future__ import annotations

from collections.abc import Collection

from storage.database import Transaction
from storage.prepared import Prepared
from storage.push_reads import WANTED, named
from storage.rows import Key

_WRITERS = "SELECT c.collection, c.record_id, c.user_id FROM ({wanted}) AS w {join} {of} ORDER BY c.arrival, c.n"
_OF = (
    "c.space_id = :space AND c.collection = w.collection AND c.record_id = w.id AND c.verdict IS NULL "
    "AND c.op = 'put' AND c.user_id IS NOT NULL"
)
_WRITERS_OF = Prepared(
    postgresql=_WRITERS.format(wanted=WANTED["postgresql"], join="JOIN changes AS c ON", of=_OF),
    sqlite=_WRITERS.format(wanted=WANTED["sqlite"], join="CROSS JOIN changes AS c WHERE", of=_OF),
)


async def writers_of(tx: Transaction, space: str, keys: Collection[Key]) -> dict[Key, tuple[str, ...]]:
    """Key → the users whose puts counted, the one who began it first. One look-up in the ledger for each key."""
    found: dict[Key, dict[str, None]] = {}
    if keys:
        for collection, id, user in await tx.execute(_WRITERS_OF, {"space": space, **named(tx, keys)}):
            found.setdefault((collection, id), {})[user] = None
    return {key: tuple(users) for key, users in found.items()}
