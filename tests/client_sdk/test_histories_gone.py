"""Random histories in which phones are gone for good and the server goes back: what anybody showed is not lost.

A value is given up where an accident takes the last place that had it: the server, a log, an inbox, or the screen of a
device. Everything else must show in the end, be a conflict, or wait in an inbox or among the recovered of some device.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import given

from fitai_client.core.inbox import Refused, read_inbox
from tests.client_sdk.histories import CRASH, NETWORK, RESTORE, USE, WARM, Player, Step, folder_for, steps
from tests.client_sdk.witness import TOKENS, Value, token
from tests.client_sdk.world import Phone

GONE = ("gone",)
# The third phone's edits are younger than the backup, and the others have them on their screens.
LATE: list[Step] = [
    *WARM,
    (2, "title", 1),
    (2, "tempo", 0),
    (2, "sync", 0),
    (0, "sync", 0),
    (1, "sync", 0),
    (2, "gone", 0),
]


class GonePlayer(Player):
    def _accident(self, phone: Phone, what: str, choice: int) -> None:
        before = set(self._held())
        if what == "gone":
            self.world.devices.remove(phone)
            phone.db.close()
            self.phones[self.phones.index(phone)] = self.world.phone(skew_ms=phone.skew_ms)
        else:
            super()._accident(phone, what, choice)
        self.world.witness.replaced |= before - set(self._held())

    def _held(self) -> Iterator[Value]:
        """Every value that somebody has."""
        for entry in self.world.server.state.ledger.values():
            if entry.change is not None:
                yield from _values((entry.change.collection, entry.change.id), entry.change.fields)
        for phone in self.world.devices:
            conn = phone.db.conn
            for table in ("log", "inbox"):
                rows = conn.execute(f"SELECT collection, id, fields FROM {table} WHERE fields IS NOT NULL").fetchall()
                for collection, id, fields in rows:
                    yield from _values((collection, id), json.loads(fields))
            rows = conn.execute("SELECT collection, id, body FROM records WHERE body IS NOT NULL AND alive").fetchall()
            rows += conn.execute("SELECT collection, id, body FROM aside WHERE kind = 'recovered'").fetchall()
            for collection, id, body in rows:
                record = json.loads(body)
                yield from _values((collection, id), record["values"])
                for name, losers in record.get("conflicts", {}).items():
                    for loser in losers:
                        yield from _values((collection, id), {name: loser["value"]})

    def end(self) -> None:
        self.world.settle()
        self.world.assert_settled()
        kept: list[Refused] = []
        for phone in self.world.devices:
            kept += read_inbox(phone.db.conn)
            rows = phone.db.conn.execute("SELECT collection, id, body FROM aside WHERE kind = 'recovered'")
            for collection, id, body in rows:
                values = json.loads(body)["values"]
                kept.append(Refused(0, 1, "put", collection, id, values, "recovered", None, "", 0))
        server = self.world.server
        lost = self.world.witness.lost(server.visible(), server.orphans(), kept)
        assert not lost, f"lost: {sorted(map(str, lost))}"


def _values(key: tuple[str, str], fields: Any) -> Iterator[Value]:
    return ((key, name, token(value)) for name, value in fields.items() if name in TOKENS)


def play(folder: Path, history: list[Step]) -> None:
    player = GonePlayer(folder_for(folder))
    try:
        player.play(history)
        player.end()
    finally:
        player.world.close()


@given(history=steps(USE, NETWORK, CRASH, RESTORE, ("server_restore", *GONE)))
def test_what_a_device_still_shows_of_a_gone_one_is_not_lost_with_the_server(
    tmp_path: Path, history: list[Step]
) -> None:
    play(tmp_path, LATE + history)
