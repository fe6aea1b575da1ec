"""The face of one collection: what an app calls to log and to read.

Owns: the shape of the calls. How a write is logged and what a record shows is core/'s.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .collections import NIL_UUID, parent_of
from .core.forms import Form, open_form
from .core.query import Query, check_watchable
from .core.reads import Record, count, read_list, read_one
from .core.values import plain
from .core.writing import Write
from .errors import InvalidWrite, NotFound
from .watching import Watch

if TYPE_CHECKING:
    from .calls.base import Calls

__all__ = ["CollectionHandle", "Edit", "Transaction", "id_of", "joining", "open_transaction", "record_of"]


class Transaction:
    """The writes of one `async with phone.transaction()`: they are shown and sent together, or not at all."""

    def __init__(self, space: int) -> None:
        self.space = space
        self.writes: list[Write] = []


# The transaction that writes of this task join.
_open_transaction: ContextVar[Transaction | None] = ContextVar("fitai_transaction", default=None)


class Edit:
    """An open form: assign fields, and they are saved when the block ends.

    What other devices write while it is open becomes a conflict of the fields that are saved, never lost.
    """

    def __init__(self, form: Form) -> None:
        self.record = form.record
        self.fields: dict[str, Any] = {}

    def __setitem__(self, name: str, value: Any) -> None:
        self.fields[name] = value

    def __getitem__(self, name: str) -> Any:
        return self.fields[name] if name in self.fields else self.record.values[name]


class CollectionHandle:
    """One collection of one space. Every write is on this device, and visible, when the call returns.

    Writes raise InvalidWrite where no server would take them, and NotFound where the record does not show.
    """

    def __init__(self, client: Calls, space: int, name: str) -> None:
        self._client = client
        self._space = space
        self.name = name

    async def create(self, id: str | None = None, **fields: Any) -> Record:
        """Make a record and return it. Its id is a new UUID unless one is given.

        A record stands for its id: `create(workout=workout)`.

        Raises:
            InvalidWrite: it cannot be written like this, or what it belongs to is not on this device.
        """
        if isinstance(id, Mapping):
            raise InvalidWrite("Fields are given by their names: create(title=…), or create(**fields).")
        fields = _with_ids(fields)
        await self._check_parent(fields)
        key = str(id) if id is not None else NIL_UUID if self.name == "preferences" else self._client.new_id()
        await self._write(Write(self.name, key, fields))
        transaction = _open_transaction.get()
        if transaction is not None:
            return Record(self.name, key, {name: _preview(self.name, name, value) for name, value in fields.items()})
        return await self.get(key)

    async def update(self, id: str | Record, **fields: Any) -> Record | None:
        """Write some fields of a record; returns what it shows then (None within a transaction).

        A set takes its elements, or Add(…) or Remove(…); a text takes its new string; times are datetimes with a zone.

        Raises:
            InvalidWrite: the server would not take it; `field` says where.
            NotFound: the record does not show.
        """
        await self._write(Write(self.name, id_of(id), _with_ids(fields), must_exist=True))
        return None if _open_transaction.get() is not None else await self.get(id)

    async def delete(self, id: str | Record) -> None:
        """Delete a record and what is below it. An edit that another device makes unseen brings it back.

        Raises:
            NotFound: the record does not show.
            InvalidWrite: this space may only be read.
        """
        await self._write(Write(self.name, id_of(id), op="delete", must_exist=True))

    async def find(self, id: str | Record) -> Record | None:
        """The record as it shows, or None."""
        return await self._client.read(lambda conn: read_one(conn, self._space, self.name, id_of(id)))

    async def get(self, id: str | Record) -> Record:
        """The record as it shows.

        Raises:
            NotFound: it is not there.
        """
        record = await self.find(id)
        if record is None:
            raise NotFound(f"{self.name} {id_of(id)} is not there.")
        return record

    async def list(
        self,
        *,
        where: Sequence[tuple[str, str, Any]] = (),
        order: str | Sequence[str] = (),
        limit: int | None = None,
        offset: int = 0,
        **equals: Any,
    ) -> list[Record]:
        """The records that match. A field of what is above works too: `phone.sets.list(workout=workout.id)`.

        where: further conditions, such as ("started_at", ">=", monday), ("status", "in", ["active", "paused"]),
        ("tags", "has", "legs") or ("weight.value", ">", 100). order: fields, "-started_at" for descending; by age where
        none is given.

        Raises:
            InvalidWrite: a field or an operator that there is not.
            DatabaseError: the file cannot be read.
        """
        query = replace(_query(where, equals), order=[order] if isinstance(order, str) else list(order))
        query = replace(query, limit=limit, offset=offset)
        return await self._client.read(lambda conn: read_list(conn, self._space, self.name, query))

    async def count(self, *, where: Sequence[tuple[str, str, Any]] = (), **equals: Any) -> int:
        """How many records match. Raises as `list`."""
        query = _query(where, equals)
        return await self._client.read(lambda conn: count(conn, self._space, self.name, query))

    def watch(self, *, where: Sequence[tuple[str, str, Any]] = (), **equals: Any) -> Watch:
        """Every change of what the query shows, by this device or another, from this call on.

        A record that begins to match comes with `before` None, one that ceases to with `after` None. `watch(id=…)` is
        of one record.

        Raises:
            InvalidWrite: a condition that cannot be told from the record alone.
            DatabaseError: the client was closed.
        """
        query = _query(where, equals)
        check_watchable(self.name, query)
        return self._client.watchers.add(self._space, self.name, query)

    @asynccontextmanager
    async def edit(self, id: str | Record) -> AsyncIterator[Edit]:
        """Hold what is shown now as what the user saw, until the block ends; then save the fields that were assigned.

        Raises:
            NotFound: the record does not show.
            InvalidWrite: when the block ends: a field that was assigned cannot be saved.
        """
        form = await self._client.run(lambda db: _opened(db, self._space, self.name, id_of(id)))
        edit = Edit(form)
        async with self._client.holding(form):
            yield edit
            if edit.fields:
                await self._write(form.write(_with_ids(edit.fields)))

    async def _check_parent(self, fields: Mapping[str, Any]) -> None:
        """A record below nothing would show nowhere. In a transaction its parent may be part of it."""
        parent = parent_of(self.name)
        if parent is None:
            return
        field, collection = parent
        id = fields.get(field)
        if id is None:
            raise InvalidWrite(f"{self.name} belong to {collection}: name one in {field}.")
        if _open_transaction.get() is None and not await self._client.read(
            lambda conn: read_one(conn, self._space, collection, str(id))
        ):
            raise InvalidWrite(f"{field} {id} is not on this device: create it first, or sync.")

    async def _write(self, write: Write) -> None:
        await self._client.join_or_write(self._space, write)


def id_of(who: Any) -> str:
    """An id as text; a record stands for its own."""
    return who.id if isinstance(who, Record) else str(who)


def record_of(who: Any, call: str) -> Record:
    """`who`, where a call takes a record and an id would not do.

    Raises:
        InvalidWrite: it is none.
    """
    if not isinstance(who, Record):
        raise InvalidWrite(f"{call} takes a record, as get() and list() give it, not {repr(who)[:50]}.")
    return who


@contextmanager
def joining(transaction: Transaction) -> Iterator[None]:
    """Let the writes of the running task join a transaction."""
    token = _open_transaction.set(transaction)
    try:
        yield
    finally:
        _open_transaction.reset(token)


def open_transaction() -> Transaction | None:
    """The transaction that the running task is in."""
    return _open_transaction.get()


def _opened(db: Any, space: int, collection: str, id: str) -> Form:
    with db.write() as tx:
        return open_form(tx, space, collection, id)


def _with_ids(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: id_of(value) if isinstance(value, Record) else value for name, value in fields.items()}


def _preview(collection: str, name: str, value: Any) -> Any:
    from .collections import field_of

    if field_of(collection, name).kind == "text" and isinstance(value, str):
        return {"text": value, "yjs": ""}
    if isinstance(value, set | frozenset):
        return sorted(value)
    return plain(value, f"{collection}.{name}")


def _query(where: Sequence[tuple[str, str, Any]], equals: Mapping[str, Any]) -> Query:
    """The conditions with values as the database has them, to compare with."""
    if not isinstance(where, list | tuple) or not all(isinstance(one, list | tuple) and len(one) == 3 for one in where):
        raise InvalidWrite(f'where takes a list of conditions like ("reps", ">=", 5), not {repr(where)[:50]}.')
    return Query(
        equals={name: _comparable(name, value) for name, value in equals.items()},
        where=[(name, operator, _comparable(name, value)) for name, operator, value in where],
    )


def _comparable(name: str, value: Any) -> Any:
    if isinstance(value, Record):
        return value.id
    if isinstance(value, set | frozenset):
        value = sorted(value)
    return plain(value, name)
