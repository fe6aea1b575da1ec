"""Where the values went of changes that are not stored as they were made, after a server lost something.

What a device gives back under its old number stands as it was made. A record that is written whole stands as it showed:
of what led there only this much is demanded, and nothing less.

S1   a value is there: some change that is stored writes it, or a device's inbox offers it
S2   or whoever replaced it had been shown it, and what they wrote in its place is accounted for in the same way
     (a device that writes anew what a server lost is nobody: it may replace nothing of anybody's)
     or the same device deleted the record afterwards, and that delete is stored
S3   a delete is stored, by whomever, or was overruled: by an edit of somebody else who had not seen it, and which it
     had not seen

When something was acknowledged says nothing: of two values that did not know of each other, both are to be there.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from tests.faults.acks import Ack, Change, Dot, Made, name_of

# A field of a record.
Place = tuple[str, str, str]


def values_of(change: Change) -> Iterator[tuple[Place, str]]:
    """Each value that a put writes, an element of a set alone, as text."""
    for name, value in json.loads(change.fields or "{}").items():
        place = (change.collection, change.id, name)
        if isinstance(value, dict) and value.keys() <= {"add", "remove"}:
            yield from ((place, _text({"in": element})) for element in value.get("add", ()))
        else:
            yield place, _text(value)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


class Standing:
    """What is there, and who replaced what."""

    def __init__(
        self, stored: Iterable[Change], acks: Iterable[Ack], made: Iterable[Made], offered: Iterable[Change]
    ) -> None:
        stored = list(stored)
        self._there = {value for change in (*stored, *offered) for value in values_of(change)}
        self._made = {one.name: one for one in made}
        # By a value, where in the order of making; by who deleted a record for good, where they did so.
        self._order: dict[tuple[Place, str], tuple[str, int]] = {}
        self._deleted: dict[tuple[str, str, str], int] = {}
        deletes = {change for change in stored if change.op == "delete"}
        for at, one in enumerate(self._made.values()):
            for value in values_of(one.change):
                self._order.setdefault(value, (one.actor, at))
            if one.change in deletes:
                self._deleted[one.actor, one.change.collection, one.change.id] = at
        self._dots: defaultdict[tuple[str, Change], set[Dot]] = defaultdict(set)
        for ack in acks:
            self._dots[name_of(ack.actor, ack.change)].add(ack.dot)
        # By a value, those that were written where it showed.
        self._instead: defaultdict[tuple[Place, str], set[tuple[Place, str]]] = defaultdict(set)
        self._puts: defaultdict[tuple[str, str], list[Made]] = defaultdict(list)
        for one in self._made.values():
            if one.change.op == "put":
                self._puts[one.change.collection, one.change.id].append(one)
            for place, text in values_of(one.change):
                for shown in one.seen.get(place[2], ()):
                    self._instead[place, _text(shown)].add((place, text))

    def has(self, ack: Ack) -> bool:
        """Whether everything that a change said is accounted for."""
        if ack.change.op == "delete":
            return self._is_overruled(ack)
        return all(self._is_accounted_for(value) for value in values_of(ack.change))

    def _is_accounted_for(self, value: tuple[Place, str]) -> bool:
        """S1 and S2."""
        known, due = {value}, [value]
        while due:
            one = due.pop()
            if one in self._there or self._was_deleted(one):
                return True
            later = self._instead.get(one, set()) - known
            known |= later
            due += later
        return False

    def _was_deleted(self, value: tuple[Place, str]) -> bool:
        """A loser of a conflict is in no whole record: where its author deleted that, it is nowhere."""
        if value not in self._order:
            return False
        actor, at = self._order[value]
        return self._deleted.get((actor, *value[0][:2]), -1) > at

    def _is_overruled(self, ack: Ack) -> bool:
        """S3, of a delete that is not stored."""
        delete = self._made.get(name_of(ack.actor, ack.change))
        if delete is None:
            return False
        return any(
            put.actor != delete.actor and not self._had_seen(delete, put) and not self._had_seen(put, delete)
            for put in self._puts[ack.change.collection, ack.change.id]
        )

    def _had_seen(self, later: Made, earlier: Made) -> bool:
        """Its context names a number of the other; a device's own earlier changes are in it unnamed."""
        own = self._dots.get(later.name, ())
        return any(
            n <= later.context.get(device, 0) or any(device == one and n < at for one, at in own)
            for device, n in self._dots.get(earlier.name, ())
        )
