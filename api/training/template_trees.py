"""A template with its exercises and their sets: how a whole one comes in, how it is replaced, and how it goes out.

Owns: the nested shapes, and the edits that make a template what a request says.
Refuses to know: addresses, who sees which template, and what a session plans from one (live.py).

The order of a list is the order of what stands in it: positions are given here, and those that hold are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from api.training.answers import Warning, cut, fault
from api.training.odd import Fault
from api.training.progression import unreadable
from api.training.shapes import UuidText, creating, patching, showing, values_of
from storage.collections import COLLECTIONS
from storage.rows import Key
from storage.templates import EXERCISES_MAX, RECORDS_MAX
from sync.errors import InvalidFields
from sync.positions import position_after, position_at
from sync.records import Edit, Record, Tree, View, check_version

# Of one exercise: more than any program asks for.
SETS_MAX: Final = 100

NewId = Callable[[str], str]

_ID: Final = (
    "id",
    Annotated[
        UuidText, Meta(description="The one that stands there; without it, or with one that nobody has, a new one.")
    ]
    | UnsetType,
    UNSET,
)


def _sets(of: Any) -> Any:
    return ("sets", Annotated[list[of], Meta(max_length=SETS_MAX)], msgspec.field(default_factory=list))


def _exercises(of: Any) -> Any:
    return ("exercises", Annotated[list[of], Meta(max_length=EXERCISES_MAX)], msgspec.field(default_factory=list))


_OF_SET: Final = ("template_exercise", "position")
_OF_EXERCISE: Final = ("template", "position")


def _objections_to_set(given: Mapping[str, Any]) -> Iterator[Fault]:
    least, most = given.get("target_reps_min"), given.get("target_reps_max")
    if least is not None and most is not None and least > most:
        yield fault("target_reps_max", "out_of_range", "target_reps_max must not be below target_reps_min")


def _objections_to_template(given: Mapping[str, Any]) -> Iterator[Fault]:
    exercises, weeks = given.get("exercises", ()), given.get("weeks")
    if len(exercises) + sum(len(each.sets) for each in exercises) > RECORDS_MAX:
        message = f"exercises may have at most {RECORDS_MAX} exercises and sets together"
        yield fault("exercises", "wrong_length", message)
    for number, exercise in enumerate(exercises):
        week = _given(exercise.week)
        if weeks is not None and week is not None and week > weeks:
            message = f"exercises[{number}].week must be at most {weeks}, as many weeks as the program has"
            yield fault(f"exercises[{number}].week", "out_of_range", message)


def _given(value: Any) -> Any:
    return None if value is UNSET else value


NewTemplateSet = creating("NewTemplateSet", "template_sets", without=_OF_SET, check=_objections_to_set)
NewTemplateExercise = creating(
    "NewTemplateExercise",
    "template_exercises",
    required=("exercise",),
    without=_OF_EXERCISE,
    more=[_sets(NewTemplateSet)],
)
NewTemplate = creating(
    "NewTemplate",
    "templates",
    required=("title",),
    more=[_exercises(NewTemplateExercise)],
    check=_objections_to_template,
)
WholeTemplateSet = creating("WholeTemplateSet", "template_sets", without=_OF_SET, more=[_ID], check=_objections_to_set)
WholeTemplateExercise = creating(
    "WholeTemplateExercise",
    "template_exercises",
    required=("exercise",),
    without=_OF_EXERCISE,
    more=[_ID, _sets(WholeTemplateSet)],
)
WholeTemplate = creating(
    "WholeTemplate",
    "templates",
    required=("title",),
    more=[_exercises(WholeTemplateExercise)],
    check=_objections_to_template,
)
TemplatePatch = patching("TemplatePatch", "templates")

TemplateSet = showing("TemplateSet", "template_sets")
TemplateExercise = showing(
    "TemplateExercise",
    "template_exercises",
    more=[("sets", list[TemplateSet] | UnsetType, UNSET)],  # type: ignore[valid-type]
)
WARNINGS: Final = ("warnings", list[Warning] | UnsetType, UNSET)

# What a template has where nobody said anything; a title, a position and an exercise there has to be.
_BLANKS: Final[Mapping[str, Mapping[str, Any]]] = {
    "templates": {"visibility": "private"},
    "template_exercises": {},
    "template_sets": {"kind": "normal", "is_amrap": False},
}
# What a PUT that leaves it out leaves alone: it is not about what stands in the template.
_KEPT: Final = frozenset({"position", "source"})


def shown(tree: Tree) -> dict[str, Any]:
    """A template with its exercises, each with its sets, in their order. One that is not whole comes without them."""
    if not tree.is_whole:
        return cut(tree.root)
    exercises = [
        each.plain() | {"sets": [one.plain() for one in tree.children(each, "template_sets")]}
        for each in tree.children(tree.root, "template_exercises")
    ]
    return tree.root.plain() | {"exercises": exercises}


async def expect(view: View, id: str, versions: frozenset[str] | None) -> Record:
    """A template. Raises NotFound where there is none, PreconditionFailed where neither it nor the whole of it is of
    one of these versions."""
    root = await view.get("templates", id)
    if versions is not None and root.version not in versions:
        check_version(versions, await view.version_below(root))
    return root


def odd(body: Any) -> list[Fault]:
    """What is odd about a whole template."""
    return [
        fault(f"exercises[{number}].sets[{place}].{problem.at}", "rule_left_out", problem.text)
        for number, exercise in enumerate(body.exercises)
        for place, each in enumerate(exercise.sets)
        for problem in unreadable(values_of(each, "template_sets"))
    ]


# -- making ----------------------------------------------------------------------------------------------------------


def whole_template(id: str, body: Any, new_id: NewId) -> list[Edit]:
    """The edits that make a template with everything in it."""
    edits = [Edit("create", "templates", id, values_of(body, "templates"))]
    for number, exercise in enumerate(body.exercises):
        at = f"exercises[{number}]."
        made = new_id(f"exercise {number}")
        values = values_of(exercise, "template_exercises") | {"template": id, "position": position_at(number)}
        edits.append(Edit("create", "template_exercises", made, values, at))
        for place, each in enumerate(exercise.sets):
            values = values_of(each, "template_sets") | {"template_exercise": made, "position": position_at(place)}
            one = new_id(f"exercise {number} set {place}")
            edits.append(Edit("create", "template_sets", one, values, f"{at}sets[{place}]."))
    return edits


# -- replacing -------------------------------------------------------------------------------------------------------


def named_keys(body: Any) -> list[Key]:
    """The records that a whole template names by their ids."""
    keys: list[Key] = []
    for exercise in body.exercises:
        if exercise.id is not UNSET:
            keys.append(("template_exercises", exercise.id))
        keys += [("template_sets", each.id) for each in exercise.sets if each.id is not UNSET]
    return keys


@dataclass
class Replacing:
    """From a template that stands to one that a request says: only what differs is written, so that what a device
    changes at the same moment elsewhere in it stays."""

    tree: Tree
    view: View
    new_id: NewId
    wrong: list[Fault] = field(default_factory=list)
    _named: set[str] = field(default_factory=set)

    async def edits(self, body: Any) -> list[Edit]:
        """The edits that do it. Raises InvalidFields where an id is of something else.

        The view has looked up `named_keys` of the body.
        """
        root = self.tree.root
        edits = list(self._changed("templates", root.id, root, values_of(body, "templates"), ""))
        standing = self.tree.children(root, "template_exercises")
        edits += await self._below(root, standing, body.exercises, "template_exercises", "template", "exercises")
        if self.wrong:
            raise InvalidFields(fields=self.wrong)
        return edits

    async def _below(
        self,
        above: Record | None,
        standing: Sequence[Record],
        items: Sequence[Any],
        collection: str,
        parent: str,
        at: str,
        above_id: str = "",
    ) -> list[Edit]:
        """The edits of a list of children; `above` is None where their parent is a new one."""
        by_id = {each.id: each for each in standing}
        known = [by_id.get(item.id) if item.id is not UNSET else None for item in items]
        positions = _positions([None if each is None else str(each.values.get("position") or "") for each in known])
        stays = {each.id for each in known if each is not None}
        edits = [Edit("delete", collection, each.id) for each in standing if each.id not in stays]
        for number, (item, record, position) in enumerate(zip(items, known, positions, strict=True)):
            here = f"{at}[{number}]."
            id = self.new_id(f"{at}[{number}]") if item.id is UNSET else item.id
            if record is None and not await self._is_free((collection, id), here):
                continue
            values = values_of(item, collection) | {"position": position}
            own = {parent: above.id if above is not None else above_id}
            edits += self._changed(collection, id, record, values, here, own)
            if collection == "template_exercises":
                sets = [] if record is None else self.tree.children(record, "template_sets")
                edits += await self._below(
                    record, sets, item.sets, "template_sets", "template_exercise", f"{here}sets", id
                )
        return edits

    async def _is_free(self, key: Key, at: str) -> bool:
        """Whether an id that stands not here may be of something new. What was deleted does not come back by it: below
        it there would be again what nobody named."""
        if key[1] in self._named:
            self.wrong.append(fault(f"{at}id", "invalid", "the same id stands twice in the request"))
        elif await self.view.find(*key) is not None or key in self.view.unshown:
            message = "id is of something that does not stand here; leave it out for something new"
            self.wrong.append(fault(f"{at}id", "unknown_value", message))
        else:
            self._named.add(key[1])
            return True
        return False

    def _changed(
        self,
        collection: str,
        id: str,
        record: Record | None,
        values: Mapping[str, Any],
        at: str,
        own: Mapping[str, str] | None = None,
    ) -> Iterator[Edit]:
        """The edit that makes a record have these values and no others, where it has them not."""
        if record is not None:
            if id in self._named:
                self.wrong.append(fault(f"{at}id", "invalid", "the same id stands twice in the request"))
            self._named.add(id)
            whole = _blank(collection) | dict(values)
            differing = {
                name: value
                for name, value in whole.items()
                if name in record.conflicts or not _same(record.values.get(name, _blank(collection).get(name)), value)
            }
            if differing:
                yield Edit("patch", collection, id, differing, at)
        else:
            yield Edit("create", collection, id, {**values, **(own or {})}, at)


def _blank(collection: str) -> dict[str, Any]:
    """What a record has where a request says nothing of it."""
    blank: dict[str, Any] = {}
    for name, spec in COLLECTIONS[collection].fields.items():
        if name in _KEPT or spec.parent is not None:
            continue
        if spec.kind == "text":
            blank[name] = ""
        elif spec.kind == "set":
            blank[name] = []
        elif spec.nullable:
            blank[name] = None
        elif name in _BLANKS[collection]:
            blank[name] = _BLANKS[collection][name]
    return blank


def _same(here: Any, there: Any) -> bool:
    if isinstance(here, list) and isinstance(there, list) and all(type(each) is str for each in here + there):
        return set(here) == set(there)
    return bool(here == there)


def _positions(standing: Sequence[str | None]) -> list[str]:
    """The positions of a list: those that hold, and new ones behind them; all of them new where they do not hold.

    standing: of each of the list, in its order; None for what is new.
    """
    held = [each for each in standing if each is not None]
    at_the_end = standing[: len(held)] == held
    if not at_the_end or any(not each for each in held) or any(a >= b for a, b in pairwise(held)):
        return [position_at(number) for number in range(len(standing))]
    while len(held) < len(standing):
        held.append(position_after(held[-1] if held else None))
    return held
