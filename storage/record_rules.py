"""By which rules processes keep personal records lately: while a new version takes over from an old one, by two.

Owns: the rows of `meta` that say so. Refuses to know: what a rule is (figures/), and who keeps to it
(api/training/record_rules.py).
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from storage.database import Transaction
from storage.prepared import Prepared

# A process says it anew twice in this time; where nobody has for so long, nobody does.
HEARD_MS: Final = 300_000

_READ: Final = Prepared("SELECT key, value FROM meta WHERE key LIKE 'record_rules.%'")
_NOTE: Final = Prepared(
    "INSERT INTO meta (key, value) VALUES (:key, :value) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)


async def read_rules(tx: Transaction, now_ms: int) -> dict[int, int]:
    """The rules by which records are kept by any process now → when one last said so (Unix milliseconds)."""
    said = {}
    for key, value in await tx.execute(_READ):
        # What another version says in other words is none of these rules, and stops nobody.
        with suppress(ValueError):
            said[int(key.partition(".")[2])] = int(value)
    # Also where the clocks of two machines differ.
    return {rules: at for rules, at in said.items() if abs(now_ms - at) < HEARD_MS}


async def note_rules(tx: Transaction, rules: int, now_ms: int) -> None:
    """Say that a process keeps records by these rules."""
    await tx.execute(_NOTE, {"key": f"record_rules.{rules}", "value": str(now_ms)})
