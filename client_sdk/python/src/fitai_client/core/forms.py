"""Open forms: what the user saw when an edit began is the context of what they save (rules 1 and 20)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..collections import field_of
from ..errors import NotFound
from .database import Tx
from .overlay import seen_values
from .reads import Record, read_one
from .records import SHOWN, read_row
from .spaces import context_for, space
from .vectors import Vector
from .writing import Write

__all__ = ["Form", "open_form"]


@dataclass(frozen=True, slots=True)
class Form:
    """One record as it was when it was opened for editing."""

    space: int
    record: Record
    context: Vector
    began: int
    seen: Mapping[str, list[Any]] = field(default_factory=dict)

    def write(self, fields: Mapping[str, Any]) -> Write:
        """The write that saves these fields, as of the moment the form was opened."""
        return Write(
            self.record.collection,
            self.record.id,
            fields,
            context=self.context,
            seen={name: values for name, values in self.seen.items() if name in fields},
            began=self.began,
        )


def open_form(tx: Tx, no: int, collection: str, id: str) -> Form:
    """Take down what is shown of a record, and what it was known from.

    Raises:
        NotFound: the record does not show.
    """
    record = read_one(tx.conn, no, collection, id)
    row = read_row(tx, no, (collection, id))
    if record is None or row is None:
        raise NotFound(f"{collection} {id} is not there.")
    found = space(tx, no)
    of_snapshot = found.in_snapshot and row.snap == found.snap and row.status == SHOWN
    base = json.loads(row.body) if row.body else None
    names = (base or {}).get("values") or {}
    seen = seen_values(collection, base, names)
    for name, value in record.values.items():
        if field_of(collection, name).kind == "register":
            # An own value that is laid over was seen too.
            seen[name] = [*seen.get(name, ()), value]
    began: int = tx.one("SELECT COALESCE(MAX(pos), 0) FROM log")[0]
    return Form(no, record, context_for(tx, found, of_snapshot=of_snapshot), began, seen)
