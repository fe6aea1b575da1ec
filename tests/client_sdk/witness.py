"""What users wrote and what they replaced knowingly, so that at the end it can be said of every value where it is."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fitai_client.core.inbox import Refused
from fitai_client.core.reads import Record
from fitai_client.core.writing import Write

Key = tuple[str, str]
Value = tuple[Key, str, Any]
Shown = Mapping[Key, Record]

# Fields whose every written value is unlike every other, so that it can be followed.
TOKENS = frozenset({"title", "reps", "tempo", "superset"})


def token(value: Any) -> str:
    """A value as it is remembered."""
    return json.dumps(value, sort_keys=True)


class Witness:
    """Who saw what they wrote over. A value is lost where it is nowhere, and nobody replaced it who had seen it.

    followed: the fields whose values are remembered. replaced: by a write, or with its record by a delete. deleted:
    those of them that a delete took; overwritten: those that went otherwise.
    """

    def __init__(self, followed: frozenset[str] = TOKENS) -> None:
        self.followed = followed
        self.written: set[Value] = set()
        self.replaced: set[Value] = set()
        self.deleted: set[Value] = set()
        self.overwritten: set[Value] = set()

    def note(self, one: Write, get: Callable[[str, str], Record | None], shown: Callable[[], Shown]) -> None:
        """A user is about to write; `get` and `shown` say what their device shows."""
        key = (one.collection, one.id)
        if one.op == "delete":
            for record in shown().values():
                if (record.collection, record.id) == key or one.id in record.above.values():
                    self.deleted |= self._shown(record, list(record.values))
            self.replaced |= self.deleted
            return
        record_ = get(*key)
        if record_ is not None:
            self.saw(record_, list(one.fields))
        for name, value in one.fields.items():
            if name in self.followed:
                self.written.add((key, name, token(value)))

    def saw(self, record: Record, names: list[str]) -> None:
        """Somebody replaces these fields of a record as it shows to them, conflicts included."""
        self._gone(self._shown(record, names))

    def _shown(self, record: Record, names: list[str]) -> set[Value]:
        key = (record.collection, record.id)
        found = {(key, name, token(record.values.get(name))) for name in names if name in self.followed}
        return found | self._losers(record, names)

    def _losers(self, record: Record, names: list[str]) -> set[Value]:
        key = (record.collection, record.id)
        return {
            (key, name, token(loser.value))
            for name in names
            if name in self.followed
            for loser in record.conflicts.get(name, ())
        }

    def _gone(self, values: set[Value]) -> None:
        self.replaced |= values
        self.overwritten |= values

    def undone(self, before: Shown, after: Shown) -> None:
        """A user took something back: the values that show otherwise afterwards were replaced knowingly.

        Nobody chose between them and what stood in conflict with them: that stays, and comes back with a record whose
        delete is taken back.
        """
        for key, record in before.items():
            now = after.get(key)
            if now is None:
                self.saw(record, list(record.values))
                continue
            names = [name for name, value in record.values.items() if now.values.get(name) != value]
            self._gone({(key, name, token(record.values[name])) for name in names if name in self.followed})

    def given_up(self, key: Key, fields: Mapping[str, Any]) -> None:
        """The only place where these values were is gone, as its user knows."""
        self._gone({(key, name, token(value)) for name, value in fields.items()})

    def lost(
        self,
        served: Mapping[Key, Mapping[str, Any]],
        waiting: Mapping[Key, Mapping[str, Any]],
        inboxes: Iterable[Refused],
        *,
        whole: bool = False,
    ) -> set[Value]:
        """What is nowhere: not served, no listed conflict, not kept until a parent comes (`waiting`), in no inbox.

        whole: a record that was deleted, and is back, has what it had. So it is while no tombstone is collected.
        """
        alive: set[Value] = set()
        for key, record in served.items():
            alive |= {(key, name, token(value)) for name, value in record["values"].items()}
            for name, losers in record.get("conflicts", {}).items():
                alive |= {(key, name, token(loser["value"])) for loser in losers}
        for key, record in waiting.items():
            alive |= {(key, name, token(value)) for name, value in record["values"].items()}
            alive |= {(key, name, token(value)) for name, values in record["conflicts"].items() for value in values}
        for entry in inboxes:
            alive |= {((entry.collection or "", entry.id or ""), n, token(v)) for n, v in entry.fields.items()}
        gone = self.replaced
        if whole:
            there = served.keys() | waiting.keys()
            gone = gone - {one for one in self.deleted - self.overwritten if one[0] in there}
        return self.written - alive - gone


def only_here(conn: sqlite3.Connection) -> list[tuple[Key, dict[str, Any]]]:
    """The values that a device alone may have: those without an answer, and those of its inbox."""
    rows = conn.execute("SELECT fields, collection, id FROM log WHERE state < 2 AND fields IS NOT NULL").fetchall()
    rows += conn.execute("SELECT fields, collection, id FROM inbox WHERE fields IS NOT NULL").fetchall()
    return [((collection, id), json.loads(fields)) for fields, collection, id in rows]
