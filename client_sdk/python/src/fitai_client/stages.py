"""How far what was written has come, and what was withdrawn on the way: questions to the log, for the client."""

from __future__ import annotations

from collections.abc import Collection

from .core.database import LocalDatabase
from .core.rejecting import Verdict, void, with_groups
from .core.spaces import all_spaces, streams

__all__ = ["clock_offset", "held_upto", "last_written", "numbers_by_space", "withdraw"]


def last_written(db: LocalDatabase) -> dict[int, int]:
    """For each space, the place in the log of the newest change that was not refused."""
    with db.write() as tx:
        rows = tx.all("SELECT space, MAX(pos) FROM log WHERE op <> 'void' AND verdict IS NULL GROUP BY space")
        return dict(rows)


def held_upto(db: LocalDatabase) -> dict[int, int]:
    """For each space with unanswered changes, the place in the log up to which all are answered."""
    with db.write() as tx:
        rows = tx.all("SELECT space, MIN(pos) FROM log WHERE state < 2 AND op <> 'void' GROUP BY space")
        return {space: pos - 1 for space, pos in rows}


def numbers_by_space(db: LocalDatabase, wanted: Collection[int]) -> dict[str, dict[str, int]]:
    """For the id of each of these spaces, the last number that the server holds of each id of this device."""
    with db.write() as tx:
        return {
            found.id: {one.device: one.after_n for one in streams(tx, found.no) if one.device and one.after_n}
            for found in all_spaces(tx)
            if found.no in wanted and found.id is not None
        }


def clock_offset(db: LocalDatabase) -> int:
    """The server's clock minus this device's, in milliseconds, as far as it is known."""
    with db.write() as tx:
        return int(tx.meta("clock_offset_ms") or 0)


def withdraw(db: LocalDatabase, op: str) -> None:
    """Move the unsent changes of one kind, with their groups, into the inbox, where the server asked or had no room."""
    with db.write() as tx:
        for found in all_spaces(tx):
            if found.paused is None or found.paused["code"] not in ("mass_delete", "over_quota"):
                continue
            rows = tx.all("SELECT pos FROM log WHERE space = ? AND state < 2 AND op = ? ORDER BY pos", (found.no, op))
            positions = with_groups(tx, found.no, [row[0] for row in rows])
            void(tx, found, positions, Verdict("withdrawn", "It was withdrawn before the server took it."))
