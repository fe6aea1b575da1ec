"""What was in the log of a phone whose file an older one has taken the place of.

While the server holds such a change, nothing is lost. Once it loses it too (a backup of before, a standby that lags),
nobody is left who could send it again. Where another phone shows its value, and the server has the record, that phone
adopts it; else this much is not promised (device.md: what only a lost device held, and the server lost). The order of
the accidents makes no difference.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from functools import lru_cache
from pathlib import Path

from tests.client_sdk.witness import Value, token
from tests.simulator.phone import Phone
from tests.simulator.user import FOLLOWED
from tests.simulator.world import World

_LOG = "SELECT fields, collection, id FROM log WHERE fields IS NOT NULL"


class Discarded:
    """`keep` what is about to be overwritten; `look` after every accident that takes changes from a phone or server."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._values: set[Value] = set()

    def keep(self, path: Path) -> None:
        """This file's log is about to be replaced by an older one."""
        self._values |= _logged(path)

    def look(self) -> None:
        """Give up what neither the server nor the log of any phone holds any more, nor any phone can adopt."""
        logged = set().union(*(_logged_now(phone) for phone in self._world.phones))
        for one in sorted(self._values - logged):
            if not self._is_held(one) and not self._is_shown(one):
                key, name, value = one
                self._world.witness.given_up(key, {name: json.loads(value)})
                self._values.discard(one)

    def _is_held(self, one: Value) -> bool:
        """The server has it, as a change or, where retention dropped that, in what is kept of the record."""
        (collection, id), name, value = one
        changes = self._world.store.query(
            "SELECT fields, collection, record_id FROM changes"
            " WHERE collection = ? AND record_id = ? AND fields IS NOT NULL AND verdict IS NULL",
            collection,
            id,
        )
        states = self._world.store.query("SELECT state FROM records WHERE collection = ? AND id = ?", collection, id)
        text = f'"{name}":{value}'.encode()
        return one in _values(changes) or any(text + end in row[0] for row in states for end in (b",", b"}"))

    def _is_shown(self, one: Value) -> bool:
        """A phone shows it, of a record that the server has."""
        (collection, id), name, value = one
        there = "SELECT 1 FROM records WHERE collection = ? AND id = ? AND status = 0"
        if not self._world.store.query(there, collection, id):
            return False
        bodies = [body for phone in self._world.phones for body in _shown(phone.path, collection, id)]
        return any(value == token(json.loads(body)["values"].get(name)) for body in bodies)


def _shown(path: Path, collection: str, id: str) -> list[str]:
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as conn:
        if conn.execute("SELECT 1 FROM sqlite_master WHERE name = 'log'").fetchone() is None:
            return []
        rows = conn.execute(
            "SELECT body FROM records WHERE collection = ? AND id = ? AND status = 1 AND alive", (collection, id)
        )
        return [row[0] for row in rows]


def _logged(path: Path) -> set[Value]:
    if not path.exists():
        return set()
    # A phone that is off has no connection open.
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as conn:
        if conn.execute("SELECT 1 FROM sqlite_master WHERE name = 'log'").fetchone() is None:
            return set()
        return _values(conn.execute(_LOG).fetchall())


def _logged_now(phone: Phone) -> set[Value]:
    """As `_logged`, by the connection of a phone that is on: opening a file costs more than reading its log."""
    return _values(phone.db.conn.execute(_LOG).fetchall()) if phone.process.alive else _logged(phone.path)


def _values(rows: list[tuple[str | bytes, str, str]]) -> set[Value]:
    return {((collection, id), name, value) for fields, collection, id in rows for name, value in _tokens(fields)}


@lru_cache(maxsize=65_536)
def _tokens(fields: str | bytes) -> tuple[tuple[str, str], ...]:
    """A log is read at each accident, and is mostly what it was at the last one."""
    return tuple((name, token(value)) for name, value in json.loads(fields).items() if name in FOLLOWED)
