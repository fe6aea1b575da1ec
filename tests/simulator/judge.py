"""I6: what is stored is what the accepted changes mean, by the executable model and by the product's own audit.

Where tombstones were collected, the model is asked about the records alone that nothing was collected of. Their parents
hang on what went all the same, so it gets the whole ledger. What somebody writes below a record of which they know the
delete brings it back until its tombstone goes, and from then on nothing: it waits for a parent, hidden.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence, Set
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import Executable

from conflict.values import json_equal
from storage.collections import RULES
from storage.database import Dialect, Parameters, PreparedParameters, Transaction
from storage.prepared import Prepared
from sync.audit import Audit
from sync.audit_rules import Violation as Broken
from tests.conflict.histories import model_schema
from tests.shared import load_model
from tests.simulator.store import SimStore
from tests.simulator.store_file import run
from tests.simulator.violation import Violation
from tests.sync.inline_texts import InlineTexts

T = TypeVar("T")
Key = tuple[str, str]
decode: Final = msgspec.json.decode
_LINES = (
    "SELECT device_id, n, COALESCE(clamped_hlc, hlc), context, collection, record_id, op, fields, collected"
    " FROM changes WHERE space_id = ? AND verdict IS NULL AND op <> 'void'"
)


@cache
def schema() -> dict[str, Any]:
    """The declared collections in the model's words."""
    model = load_model()
    return {
        name: model.Collection(
            kinds={field: kind for field, kind in collection.kinds.items() if kind != "text"},
            order=collection.order,
            parent=collection.parent,
            passing=collection.passing,
        )
        for name, collection in model_schema(model, dict(RULES)).items()
    }


def judge_space(store: SimStore, space: str) -> None:
    """Compare every record of a space with what the model makes of its ledger."""
    model = load_model()
    changes = []
    collected = set()
    for device, n, hlc, context, collection, record, op, fields, gone in store.query(_LINES, space):
        changes.append(
            model.Change(device, n, hlc, decode(context or b"{}"), collection, record, op, decode(fields or b"{}"))
        )
        if gone:
            collected.add((collection, record))
    wanted = model.show(changes, schema())
    rows = store.query("SELECT collection, id, status, body FROM records WHERE space_id = ? AND status < 3", space)
    stored = {(collection, record): (status, body) for collection, record, status, body in rows}
    lost = lost_with_knowledge(changes, wanted, collected)
    for key, record in wanted.items():
        if key in collected:
            continue
        if key not in stored:
            raise Violation("I6", f"{key} is not stored, and should show {record}")
        status, body = stored[key]
        is_orphan = any(above not in stored and above in lost for above in _ancestors(key, wanted))
        meant = 1 if record["deleted"] else 2 if record["hidden"] or is_orphan else 0
        if status != meant and not (meant == 1 and status == 2):
            raise Violation("I6", f"{key} has status {status}, and should have {meant}: {record}")
        if status == 0:
            _compare(key, decode(body), record)


def lost_with_knowledge(changes: Sequence[Any], wanted: Mapping[Key, Any], collected: Set[Key]) -> set[Key]:
    """Those of the collected records of which every put below knew the delete: nobody is owed them.

    changes: the model's, all of a space. wanted: what the model makes of them.
    """
    deletes: dict[Key, list[Any]] = {}
    for change in changes:
        if change.op == "delete" and (key := (change.collection, change.id)) in collected:
            deletes.setdefault(key, []).append(change)
    saw = load_model().saw
    owed = {
        above
        for put in changes
        if put.op == "put"
        for above in _ancestors((put.collection, put.id), wanted)
        if above in deletes and (put.collection, put.id) not in collected
        if not any(saw(put, delete) for delete in deletes[above])
    }
    return deletes.keys() - owed


def _ancestors(key: Key, wanted: Mapping[Key, Any]) -> Iterator[Key]:
    """What is above a record, the nearest first."""
    while (parent := RULES[key[0]].parent) is not None and key in wanted:
        above = wanted[key]["values"].get(parent[0])
        if above is None:
            return
        key = (parent[1], above)
        yield key


def _compare(key: tuple[str, str], body: dict[str, Any], record: dict[str, Any]) -> None:
    texts = {name for name, rule in RULES[key[0]].fields.items() if rule.kind == "text"}
    values = {name: value for name, value in body["values"].items() if name not in texts}
    losers = {name: [one["value"] for one in many] for name, many in body.get("conflicts", {}).items()}
    for told, meant, what in ((values, record["values"], "values"), (losers, record["conflicts"], "conflicts")):
        if told.keys() != meant.keys() or not all(json_equal(told[name], meant[name]) for name in told):
            raise Violation("I6", f"{key} shows {what} {told}, and should show {meant}")


def audit(store: SimStore) -> None:
    """Let the product's audit go over everything."""
    found: list[Broken] = []
    _at_once(Audit(_Reading(store), InlineTexts(), found.append).run())
    if found:
        one = found[0]
        raise Violation("I6", f"the audit finds {len(found)}: {one.rule} {one.space} {one.record} {one.what}")


def _at_once(work: Coroutine[Any, Any, T]) -> T:
    """Run what lets others go first at most, and waits for nothing; nobody else runs meanwhile."""
    try:
        while work.send(None) is None:
            pass
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("the audit waits for something")


class _Reading:
    """A `Database` for reading what is committed, at once, whatever the faults."""

    dialect: Dialect = "sqlite"
    reads_unlocked = False

    def __init__(self, store: SimStore) -> None:
        self._store = store
        self.statements = 0

    @property
    def timeline(self) -> str:
        return self._store.timeline

    @asynccontextmanager
    async def read(self, *, snapshot: bool = False) -> AsyncIterator[Transaction]:
        yield self

    @asynccontextmanager
    async def write(self, *, single: bool = False) -> AsyncIterator[Transaction]:
        raise AssertionError("the audit writes nothing")
        yield self

    async def close(self) -> None:
        return None

    async def execute(self, statement: Executable | Prepared, parameters: Parameters = None) -> Sequence[Any]:
        return run(self._store.reader(), statement, parameters)

    async def execute_all(self, *statements: tuple[Prepared, PreparedParameters]) -> None:
        raise AssertionError("the audit writes nothing")
