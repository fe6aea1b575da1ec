"""Copying a template: one's own, one that everybody sees, or one behind a link.

Owns: what a copy takes over, and the exercises that it brings along.
Refuses to know: who may see the template that is copied (templates.py), and addresses.

Invariants
    C1  A copy is of one state of its template, whatever is written there meanwhile.
    C2  It refers to exercises that its new owner sees: the catalog's as they are; an own one of the template's owner is
        copied along, once, however many templates bring it; one that nobody can see is left out, and named.
    C3  It says what it is a copy of (`source`), and nobody else sees that it is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final
from uuid import UUID, uuid5

from api.rest.endpoint import Call
from api.training.answers import fault
from api.training.odd import Fault
from api.training.template_faces import OF_CUSTOM, OF_EXERCISE, OF_SET, OF_TEMPLATE, Whole
from storage.collections import COLLECTIONS
from storage.template_marks import count_copy
from storage.templates import public_id
from sync.positions import position_at
from sync.records import Edit, Record, Records, View

_BROUGHT: Final = UUID("c0b1d9f2-6a35-5c8e-9d53-1f7a7e0f4c66")
_APP: Final = "fitai"


@dataclass
class Copying:
    """One copy, into the space `into`, of a template of `whole.place`.

    is_member: the caller is a member of the template's space: what they copy keeps all that it has.
    counts: the template is a public one of somebody else's, and shows by how many people it was copied.
    """

    records: Records
    whole: Whole
    into: str
    is_member: bool
    counts: bool = False
    warnings: list[Fault] = field(default_factory=list)

    async def write(self, call: Call[Any, Any]) -> str:
        """Write the copy, all of it or nothing; returns its id. Raises as Records.decide."""
        id = call.new_id("template")
        space, template = self.whole.place

        async def decide(view: View) -> Sequence[Edit]:
            self.warnings.clear()
            edits = await self._exercises(view)
            made = self._template(call, id)
            if self.counts:
                called, now = public_id(space, template), call.environment.now_ms()
                await count_copy(view.tx, user=call.caller.user, id=called, space=space, template=template, now_ms=now)
            return [*edits, *made]

        await self.records.decide(call.caller, self.into, [("templates", id)], decide, writes_more=self.counts)
        return id

    def _brought(self, exercise: str) -> str | None:
        """The id that an exercise has for the copy's owner; None where they cannot see it (C2)."""
        space, _ = self.whole.place
        if exercise in self.whole.catalog or space == self.into:
            return exercise
        if self.is_member:
            # In a space that several share, an exercise has the id that it has at home.
            return exercise
        if exercise in self.whole.exercises:
            # Nobody chooses an id in somebody else's space.
            return str(uuid5(_BROUGHT, f"{self.into}\n{space}\n{exercise}"))
        return None

    async def _exercises(self, view: View) -> list[Edit]:
        """The edits that bring the exercises that are not there."""
        brought: dict[str, Record] = {}
        if self.whole.place[0] != self.into:
            for id, record in self.whole.exercises.items():
                if id not in self.whole.catalog and (new := self._brought(id)) is not None:
                    brought[new] = record
        await view.look_up(("exercises", id) for id in brought)
        names = COLLECTIONS["exercises"].fields if self.is_member else OF_CUSTOM
        return [
            Edit("put", "exercises", id, {name: record.values[name] for name in names if name in record.values})
            for id, record in brought.items()
            if await view.find("exercises", id) is None
        ]

    def _template(self, call: Call[Any, Any], id: str) -> list[Edit]:
        """The edits that make the copy itself."""
        tree = self.whole.tree
        source = {"app": _APP, "external_id": public_id(*self.whole.place)}
        own = (*OF_TEMPLATE, "folder") if self.whole.place[0] == self.into else OF_TEMPLATE
        edits = [Edit("create", "templates", id, {**_some(tree.root, own), "visibility": "private", "source": source})]
        # A group is one template's own, and all of it goes by one new id.
        group = cache(lambda old: call.new_id(f"superset {old}"))
        for number, each in enumerate(tree.children(tree.root, "template_exercises")):
            exercise = self._brought(str(each.values.get("exercise")))
            if exercise is None:
                message = "it is an exercise of somebody else's that cannot be seen, and is left out"
                self.warnings.append(fault(f"exercises[{number}].exercise", "left_out", message))
                continue
            values = {**_some(each, OF_EXERCISE), "exercise": exercise, "template": id, "position": position_at(number)}
            if values.get("superset") is not None:
                values["superset"] = group(values["superset"])
            made = call.new_id(f"exercise {number}")
            edits.append(Edit("create", "template_exercises", made, values))
            for place, one in enumerate(tree.children(each, "template_sets")):
                values = {**_some(one, OF_SET), "template_exercise": made, "position": position_at(place)}
                edits.append(Edit("create", "template_sets", call.new_id(f"exercise {number} set {place}"), values))
        return edits


def _some(record: Record, fields: Sequence[str]) -> dict[str, Any]:
    return {name: record.values[name] for name in fields if name in record.values}
