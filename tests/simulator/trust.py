"""Which phones stand in the present history of a store that went back.

What a phone knew of the lost history makes no sense in the present one, so nothing is asked of it (I8, I10, I12) until
it stands in each of its spaces where the store could have brought it: live, at a cursor of the present life that is not
beyond the head, with nothing known that the store lacks, and with nothing to give back under any of its ids. From there
on everything is asked of it again, once nothing is under way any more that was told by the lost history: the new life
begins only with a write, so that a late answer takes a phone there once more.
"""

from __future__ import annotations

import base64
import json

from fitai_client.transport import REQUEST_TIMEOUT_S
from tests.simulator.loop import VirtualLoop
from tests.simulator.phone import Phone
from tests.simulator.store import SimStore

# How long what the lost history told may be under way: an answer until its request is given up, and a page behind it.
UNDER_WAY_S = 2 * REQUEST_TIMEOUT_S


class Trust:
    """Everybody is trusted until the store goes back."""

    def __init__(self, store: SimStore, loop: VirtualLoop) -> None:
        self._store = store
        self._loop = loop
        self._has_rewound = False
        self._trusts_from = 0.0
        self._present: set[str] = set()

    def rewound(self) -> None:
        """The store went back: nobody is known to be where it is."""
        self._has_rewound = True
        self._trusts_from = self._loop.now + UNDER_WAY_S
        self._present.clear()

    def replaced(self, phone: Phone) -> None:
        """The phone's file is an older one now, perhaps of the history that was lost."""
        self._present.discard(phone.name)

    def has(self, phone: Phone) -> bool:
        """Whether the phone's knowledge is of the present history."""
        if not self._has_rewound or phone.name in self._present:
            return True
        if self._loop.now < self._trusts_from or not phone.is_running or not self._stands_where_the_store_is(phone):
            return False
        self._present.add(phone.name)
        return True

    def _stands_where_the_store_is(self, phone: Phone) -> bool:
        rows = phone.db.conn.execute(
            "SELECT no, id, phase, resync, life, cursor, version FROM spaces WHERE id IS NOT NULL AND phase <> 'gone'"
        ).fetchall()
        for no, id, phase, resync, life, cursor, version in rows:
            there = self._store.query("SELECT life, head, version FROM spaces WHERE id = ?", id)
            if not there or phase != "live" or resync or cursor is None:
                return False
            at = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
            known, held = json.loads(version), json.loads(there[0][2])
            if not life == at[1] == there[0][0] or max(at[2:]) > there[0][1]:
                return False
            if any(n > held.get(device, 0) for device, n in (*known.items(), *_given(phone, no))):
                return False
        return bool(rows)


def _given(phone: Phone, space: int) -> list[tuple[str, int]]:
    """How far the server is known to have got of each id of the phone."""
    return phone.db.conn.execute("SELECT device, after_n FROM streams WHERE space = ?", (space,)).fetchall()
