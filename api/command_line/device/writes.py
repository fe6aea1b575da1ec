"""What one command writes: one group, and what taking it back needs.

Owns: the journal's form. An entry of the journal lists the records that were made, of those that were changed the
fields before and after, and those that were deleted, as plain JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from api.command_line.device.outcome import Refused
from fitai_client import Record, Write

# As the server keeps them (storage/collections.py).
TITLE_MAX: Final = 200
NOTE_MAX: Final = 2_000

_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

# What a field that was never written shows as, where it takes no null and so cannot become unwritten again.
_UNWRITTEN: Final = {"title": "", "kind": "normal", "to_failure": False, "load_mode": "external"}


class Writes:
    """Collects the writes of one group. `new_id` makes ids of new records."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self.group: list[Write] = []
        self.created: list[list[str]] = []
        self.changed: list[list[Any]] = []
        self.deleted: list[list[str]] = []

    def create(self, collection: str, fields: Mapping[str, Any]) -> str:
        """Make a record; its id."""
        id = self._new_id()
        self.group.append(Write(collection, id, dict(fields)))
        self.created.append([collection, id])
        return id

    def change(self, record: Record, fields: Mapping[str, Any]) -> None:
        """Write fields of a record that shows."""
        self.group.append(Write(record.collection, record.id, dict(fields), must_exist=True))
        before = {name: record.get(name, _UNWRITTEN.get(name)) for name in fields}
        self.changed.append([record.collection, record.id, before, {name: _plain(fields[name]) for name in fields}])

    def delete(self, record: Record) -> None:
        """Delete a record that shows, with what is below it."""
        self.group.append(Write(record.collection, record.id, op="delete"))
        self.deleted.append([record.collection, record.id])

    @property
    def undo(self) -> dict[str, Any]:
        """For the journal."""
        told: dict[str, Any] = {"created": self.created, "changed": self.changed}
        return {**told, "deleted": self.deleted} if self.deleted else told


def within(text: str | None, limit: int, what: str) -> str | None:
    """`text`, where the data model takes it.

    Raises:
        Refused: it is longer; nothing is cut off silently.
    """
    if text is not None and len(text) > limit:
        raise Refused(f"{what} has at most {limit:,} characters, and this one {len(text):,}.", code="too_long")
    return text


def _plain(value: Any) -> Any:
    """As the record shows it once it is written."""
    return wire_time(value) if isinstance(value, datetime) else value


def wire_time(moment: datetime) -> str:
    """A time as the wire has it."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"


def position_after(last: str | None) -> str:
    """A position behind `last`, or the first one; room stays between any two.

    Positions compare by code point. One that ends below the last digit counts up; else a digit is put behind it.
    """
    if not last:
        return "a0"
    digit = _DIGITS.find(last[-1])
    if len(last) > 1 and 0 <= digit < len(_DIGITS) - 1:
        return last[:-1] + _DIGITS[digit + 1]
    return last + "V"
