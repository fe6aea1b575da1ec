"""Which shipped catalog the catalog space was last found to show, and at which state of the space.

Owns: the row of `meta` that says so. Refuses to know: how the two are compared (`sync/catalog.py`).
"""

from __future__ import annotations

from typing import Final

from storage.database import Transaction
from storage.prepared import Prepared
from storage.spaces import CATALOG_SPACE, SpaceRow

_STANDS: Final = Prepared(
    """
SELECT m.value, s.life, s.head, s.timeline FROM spaces AS s JOIN meta AS m ON m.key = 'catalog' WHERE s.id = :catalog
"""
)
_NOTE: Final = Prepared(
    "INSERT INTO meta (key, value) VALUES ('catalog', :value) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)


async def stands(tx: Transaction, fingerprint: str) -> bool:
    """Whether the space showed the catalog of this fingerprint, and nothing was written there since. One statement."""
    rows = await tx.execute(_STANDS, {"catalog": CATALOG_SPACE})
    return any(
        value == _value(fingerprint, life, head) and timeline == tx.timeline for value, life, head, timeline in rows
    )


async def note(tx: Transaction, fingerprint: str, space: SpaceRow) -> None:
    """Note that `space`, which is locked, shows the catalog of this fingerprint."""
    await tx.execute(_NOTE, {"value": _value(fingerprint, space.life, space.head)})


def _value(fingerprint: str, life: str, head: int) -> str:
    return f"{fingerprint} {life} {head}"
