"""Looking into a phone while it works.

I8   a phone's version of a space never goes back, and is that of the state at its cursor
I10  a cursor never goes back within a life; what a phone shows below it is what the server serves there, and
     nothing was passed over
I12  an own change is shown until what was pulled has it
"""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import msgspec

from tests.simulator.phone import Phone
from tests.simulator.store import SimStore
from tests.simulator.violation import Violation

SHOWN = 1
decode: Final = msgspec.json.decode


class Inspection:
    """What one phone was seen to know."""

    def __init__(
        self, store: SimStore, version_at: Callable[[str, int], dict[str, int] | None] = lambda space, head: None
    ) -> None:
        self.store = store
        self._version_at = version_at
        # Space → (life, version as text, version).
        self._known: dict[str, tuple[str, str, dict[str, int]]] = {}
        # The connection that was looked into last, and how many rows it had written.
        self._looked_into: sqlite3.Connection | None = None
        self._written = 0
        # Where it then stood in its spaces: of most writes this is as it was, and so is all that follows from it.
        self._stood: list[tuple[Any, ...]] = []
        # (space, record) → the seq and the body that were found to be the server's.
        self._right: dict[tuple[str, tuple[str, str]], tuple[int, int]] = {}
        # Space → (life, cursor, its seq).
        self._cursors: dict[str, tuple[str, str | None, int]] = {}

    def forget(self) -> None:
        """The phone's file is another one now, or the server went back."""
        self._known.clear()
        self._stood = []
        self._right.clear()
        self._cursors.clear()
        self._looked_into = None

    def is_as_seen(self, phone: Phone) -> bool:
        """Whether nothing was written to the phone's file since `versions` looked into it."""
        conn = phone.db.conn
        return conn is self._looked_into and conn.total_changes == self._written

    def versions(self, phone: Phone) -> None:
        """I8, after every step: of a file to which nothing was written since, everything holds that held."""
        if self.is_as_seen(phone):
            return
        conn = self._looked_into = phone.db.conn
        self._written = conn.total_changes
        stands = conn.execute("SELECT id, life, version, cursor FROM spaces WHERE phase = 'live'").fetchall()
        if stands == self._stood:
            return
        self._stood = stands
        for id, life, version, cursor in stands:
            if id is None or not life:
                continue
            self._cursor(phone, id, life, cursor)
            before = self._known.get(id)
            if before is not None and before[1] == version and before[0] == life:
                continue
            now: dict[str, int] = decode(version)
            if before is not None and before[0] == life:
                back = {device: n for device, n in before[2].items() if now.get(device, 0) < n}
                if back:
                    raise Violation("I8", f"{phone.name} knew {back} of {id}, and now only {now}")
            self._known[id] = (life, version, now)
            self._not_beyond_its_cursor(phone, id, now, cursor)

    def _cursor(self, phone: Phone, id: str, life: str, cursor: str | None) -> None:
        before = self._cursors.get(id)
        if before is not None and before[:2] == (life, cursor):
            return
        seq = 0 if cursor is None else _opened(cursor)[2]
        if before is not None and before[0] == life and seq < before[2]:
            raise Violation("I10", f"the cursor of {phone.name} in {id} went back from {before[2]} to {seq}")
        self._cursors[id] = (life, cursor, seq)

    def _not_beyond_its_cursor(self, phone: Phone, id: str, version: dict[str, int], cursor: str | None) -> None:
        if cursor is None:
            return
        seq = _opened(cursor)[2]
        there = self._version_at(id, seq)
        if there is not None and any(n > there.get(device, 0) for device, n in version.items()):
            raise Violation("I8", f"{phone.name} says that it has seen {version} of {id} at {seq}, which is {there}")

    def own_changes(self, phone: Phone) -> None:
        """I12: what was answered and not refused is laid over, or in what was pulled."""
        for no, id, version in phone.db.conn.execute(
            "SELECT no, id, version FROM spaces WHERE phase = 'live' AND resync = ''"
        ).fetchall():
            known = decode(version)
            for device, n in phone.db.conn.execute(
                "SELECT device, MAX(n) FROM log WHERE space = ? AND laid = 0 AND state = 2 AND verdict IS NULL"
                " AND op <> 'void' GROUP BY device",
                (no,),
            ):
                if n > known.get(device, 0):
                    raise Violation("I12", f"{phone.name} shows {device}/{n} of {id} no more, and knows {known}")

    def records(self, phone: Phone) -> None:
        """I10: compare what is below each cursor with the server, if that still is in the same life."""
        for no, id, cursor, phase, resync, pull, snap in phone.db.conn.execute(
            "SELECT no, id, cursor, phase, resync, pull, snap FROM spaces"
        ).fetchall():
            if id is None or cursor is None or phase != "live" or resync:
                continue
            rows = self.store.query("SELECT life, head, floor FROM spaces WHERE id = ?", id)
            _, life, seq, _ = _opened(cursor)
            if rows and rows[0][0] == life and rows[0][2] <= seq <= rows[0][1]:
                self._space(phone, no, id, seq, snap if pull else None)

    def _space(self, phone: Phone, no: int, id: str, seq: int, snap: int | None) -> None:
        """snap: the number of the last snapshot, where a pull is due.

        What an own change kept on the screen, though that snapshot lacked it, goes on showing as it was in the lost
        history where the server has it again, and the pull that is due brings it (rule 14): its seq says nothing here.
        """
        there = {
            (collection, record): (at, status, body)
            for collection, record, at, status, body in self.store.query(
                "SELECT collection, id, seq, status, body FROM records WHERE space_id = ?", id
            )
        }
        here: dict[tuple[str, str], tuple[int, int, str]] = {}
        waiting: set[tuple[str, str]] = set()
        for collection, record, at, status, body, brought_by in phone.db.conn.execute(
            "SELECT collection, id, seq, status, body, snap FROM records WHERE space = ?", (no,)
        ):
            here[collection, record] = (at, status, body)
            if snap is not None and brought_by < snap:
                waiting.add((collection, record))
        for key, (at, status, body) in here.items():
            if status != SHOWN or at is None or key in waiting:
                continue
            served = there.get(key)
            if at > seq:
                raise Violation("I10", f"{phone.name} shows {key} of {at}, beyond its cursor {seq}")
            if served is None:
                raise Violation("I10", f"{phone.name} shows {key} of {at}, which is not stored (cursor {seq})")
            if served[0] <= seq and served[1] == 0 and not self._is_right(id, key, at, body, served):
                raise Violation("I10", f"{phone.name} shows {key} of {at} as {body}, and it is {served} (cursor {seq})")
            if served[0] <= seq and served[1] == 1:
                raise Violation(
                    "I10", f"{phone.name} shows {key} of {at}, whose tombstone is {served[0]} (cursor {seq})"
                )
        for key, (at, status, _) in there.items():
            if status == 0 and at <= seq and key not in here:
                raise Violation("I10", f"{phone.name} passed over {key} of {at} (cursor {seq})")

    def _is_right(self, id: str, key: tuple[str, str], at: int, body: str, served: tuple[int, int, bytes]) -> bool:
        found = (at, hash(body))
        if self._right.get((id, key)) == found:
            return served[0] == at
        if served[0] != at or not _same(body, served[2]):
            return False
        self._right[id, key] = found
        return True


@lru_cache(maxsize=1_024)
def _opened(cursor: str) -> list[Any]:
    found: list[Any] = decode(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    return found


def _same(body: str, served: bytes) -> bool:
    here, there = decode(body), decode(served)
    return bool(here["values"] == there["values"] and here.get("conflicts", {}) == there.get("conflicts", {}))
