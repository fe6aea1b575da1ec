"""Reading what the device shows: one record, or a query over a collection.

Plain functions over a connection, so that they run beside the writer on a connection of their own (WAL) and are
never blocked by it. A record is shown where it is there and everything above it is (rule 6); that is looked up
with each read, so nothing has to be kept in step.

Costs: one record is one lookup by key for it and for each level above; a query by parent, or by a field that has an
index (`schema.py`), is an index range.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ..collections import COLLECTIONS, chain
from .clock import parse_time
from .query import Query, column, condition

__all__ = ["Conflict", "Query", "Record", "count", "read_conflicted", "read_list", "read_one"]


@dataclass(frozen=True, slots=True)
class Conflict:
    """A value that lost to a concurrent one and waits for a decision. `device` and `at` say who wrote it, when.

    device_name: what the user calls that device, as far as it is known; `conflicts()` fills it in.
    """

    value: Any
    device: str | None
    at: str | None
    device_name: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it shows on this device.

    values: what it shows; a text field is {"text", "yjs"}, see `text`. conflicts: for each field, the values that
    lost. pending: the fields that show a change of this device which the merged record does not have yet; then
    `updated_by` is None.
    above: the ids of the records above it, by collection.
    """

    collection: str
    id: str
    values: Mapping[str, Any]
    conflicts: Mapping[str, tuple[Conflict, ...]] = field(default_factory=dict)
    pending: tuple[str, ...] = ()
    updated_at: str | None = None
    updated_by: str | None = None
    seq: int | None = None
    above: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a field, or `default` where it was never written."""
        return self.values.get(name, default)

    def text(self, name: str) -> str:
        """The string of a text field; empty where it was never written."""
        value = self.values.get(name)
        return value.get("text", "") if isinstance(value, dict) else ""

    def time(self, name: str) -> datetime | None:
        """The moment of a time field, in UTC; None where there is none."""
        ms = parse_time(self.values.get(name) or "")
        return datetime.fromtimestamp(ms / 1000, UTC) if ms is not None else None


def read_one(conn: sqlite3.Connection, space: int, collection: str, id: str) -> Record | None:
    """The record as it shows, or None where it does not."""
    row = conn.execute(
        "SELECT id, seq, COALESCE(shown, body), parent, alive FROM records"
        " WHERE space = ? AND collection = ? AND id = ?",
        (space, collection, id),
    ).fetchone()
    if row is None or not row[4]:
        return None
    above: dict[str, str] = {}
    parent = row[3]
    for _, name in chain(collection):
        line = conn.execute(
            "SELECT parent FROM records WHERE space = ? AND collection = ? AND id = ? AND alive", (space, name, parent)
        ).fetchone()
        if line is None:
            return None
        above[name] = parent
        parent = line[0]
    return _record(collection, row[0], row[1], row[2], above)


def read_list(conn: sqlite3.Connection, space: int, collection: str, query: Query) -> list[Record]:
    """The records that show and match, in order (by id where no order is given, which is by age).

    Raises:
        InvalidWrite: the query names an operator or a field that there is not.
    """
    columns, sources, conditions, parameters = _select(space, collection, query)
    ascending = [
        f"{column(collection, name.removeprefix('-'))}{' DESC' if name.startswith('-') else ''}" for name in query.order
    ]
    sql = f"SELECT {columns} FROM {sources} WHERE {conditions} ORDER BY {', '.join([*ascending, 'r.id'])}"
    if query.limit is not None or query.offset:
        sql += " LIMIT ? OFFSET ?"
        parameters += [-1 if query.limit is None else query.limit, query.offset]
    names = [name for _, name in chain(collection)]
    return [
        _record(collection, row[0], row[1], row[2], dict(zip(names, row[3:], strict=True)))
        for row in conn.execute(sql, parameters)
    ]


def count(conn: sqlite3.Connection, space: int, collection: str, query: Query) -> int:
    """How many records show and match."""
    _, sources, conditions, parameters = _select(space, collection, query)
    number: int = conn.execute(f"SELECT COUNT(*) FROM {sources} WHERE {conditions}", parameters).fetchone()[0]
    return number


def read_conflicted(conn: sqlite3.Connection, space: int) -> Iterator[Record]:
    """Every record that shows and has a conflict."""
    rows = conn.execute("SELECT collection, id FROM records WHERE space = ? AND conflicted = 1", (space,)).fetchall()
    for collection, id in rows:
        record = read_one(conn, space, collection, id)
        if record is not None and record.conflicts:
            yield record


def _select(space: int, collection: str, query: Query) -> tuple[str, str, str, list[Any]]:
    """The columns, sources, conditions and parameters of a query: `r` is the record, `p1` what is above it, and so on.

    Where a condition is on something above, the records are looked up from there: few exercises are of one workout, and
    their sets are found by them.
    """
    above = [name for _, name in chain(collection)]
    names = {f"p{level}": name for level, name in enumerate(above, 1)}
    # An index of one collection's field is used only where the collection is named, not asked for.
    known = collection in COLLECTIONS
    conditions = [f"r.collection = '{collection}'" if known else "r.collection = ?"]
    parameters: list[Any] = [] if known else [collection]
    conditions += [f"{alias}.collection = '{name}'" for alias, name in names.items()]
    conditions += [f"{alias}.space = {space:d} AND {alias}.alive" for alias in ("r", *names)]
    conditions += [f"{alias}.id = {below}.parent" for below, alias in zip(("r", *names), names, strict=False)]
    lead = 0
    for name, operator, value in query.conditions():
        sql, more = condition(collection, name, operator, value)
        lead = max([lead, *(level for level in range(1, len(above) + 1) if f"p{level}." in sql)])
        conditions.append(sql)
        parameters += more
    aliases = ["r", *names]
    order = [*reversed(aliases[: lead + 1]), *aliases[lead + 1 :]]
    sources = " CROSS JOIN ".join(f"records {alias}" for alias in order)
    columns = ["r.id", "r.seq", "COALESCE(r.shown, r.body)", *(f"{alias}.id" for alias in names)]
    return ", ".join(columns), sources, " AND ".join(conditions), parameters


def _record(collection: str, id: str, seq: int | None, text: str, above: dict[str, str]) -> Record:
    shown = json.loads(text)
    return Record(
        collection=collection,
        id=id,
        values=shown.get("values") or {},
        conflicts={
            name: tuple(Conflict(loser.get("value"), loser.get("device"), loser.get("at")) for loser in losers)
            for name, losers in (shown.get("conflicts") or {}).items()
        },
        pending=tuple(shown.get("pending") or ()),
        updated_at=shown.get("updated_at"),
        updated_by=shown.get("updated_by"),
        seq=seq,
        above=above,
    )
