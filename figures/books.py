"""The shown records of one space, indexed by what names them.

Owns: which record stands below which, and what a record that comes, changes or goes touches. Refuses to know: for whom
a set counts, and what it is worth (`history.py`, `lifts.py`).

Invariants
    K1  A book depends on the records it holds alone, never on the order in which they came, as long as a record's
        tombstone comes after it. What comes before its parent waits for it.
    K2  A tombstone drops what lies below it; if the record comes back, the feed brings everything below it anew.
    K3  What was touched names every set and every workout whose figures may have changed, at worst some more.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from figures.forms import Block, Exercise, Participant, Set, Values, Workout
from figures.steps import Steps


@dataclass(slots=True)
class Touched:
    """Ids of what has to be looked at again."""

    sets: set[str] = field(default_factory=set)
    workouts: set[str] = field(default_factory=set)
    # Of any space: what a move names may stand in another one.
    blocks: set[str] = field(default_factory=set)
    # Everything that is done with these, and everything there is: gone through once, however many of a batch say so.
    exercises: set[str] = field(default_factory=set)
    everything: bool = False


class Index(dict[str, set[str]]):
    """Ids by what they name. What nothing names takes no room."""

    def join(self, name: str | None, id: str) -> None:
        if name is None:
            return
        ids = self.get(name)
        if ids is None:
            self[name] = {id}
        else:
            ids.add(id)

    def leave(self, name: str | None, id: str) -> None:
        if name is not None and (ids := self.get(name)) is not None:
            ids.discard(id)
            if not ids:
                del self[name]

    def of(self, name: str) -> frozenset[str] | set[str]:
        return self.get(name, _NONE)


_NONE: frozenset[str] = frozenset()
V = TypeVar("V", bound=Values)


class Shelf(dict[str, V], Generic[V]):
    """The records of one collection, with the indexes of the fields that name other records."""

    def __init__(self, *named: str) -> None:
        super().__init__()
        self.by: dict[str, Index] = {field: Index() for field in named}

    def put(self, id: str, values: V | None) -> V | None:
        """Put a record in the place of the one that was there, or take it away; return that."""
        old = self.pop(id, None)
        for field_name, index in self.by.items():
            if old is not None:
                index.leave(getattr(old, field_name), id)
            if values is not None:
                index.join(getattr(values, field_name), id)
        if values is not None:
            self[id] = values
        return old


class Book:
    """The records of one space that a training history is made of."""

    __slots__ = ("blocks", "exercises", "participants", "sets", "workouts", "writers")

    def __init__(self) -> None:
        self.workouts: Shelf[Workout] = Shelf()
        self.blocks: Shelf[Block] = Shelf("workout", "exercise", "moved_from")
        self.sets: Shelf[Set] = Shelf("workout_exercise", "moved_from")
        self.participants: Shelf[Participant] = Shelf("workout")
        self.exercises: Shelf[Exercise] = Shelf()
        # Of workouts and participants alone.
        self.writers: dict[str, tuple[str, ...]] = {}

    def owner(self, workout: str) -> str | None:
        """Who began a workout; only known in a shared space."""
        return next(iter(self.writers.get(workout, ())), None)

    def put_workout(self, id: str, values: Workout | None, touched: Touched) -> None:
        self.workouts.put(id, values)
        self.touch_workout(id, touched)
        if values is None:
            for block in list(self.blocks.by["workout"].of(id)):
                self.put_block(block, None, touched)
            for participant in list(self.participants.by["workout"].of(id)):
                self.put_participant(participant, None, touched)

    def put_block(self, id: str, values: Block | None, touched: Touched) -> None:
        old = self.blocks.put(id, values)
        self.touch_block(id, touched)
        for block in (old, values):
            if block is not None and block.workout is not None:
                touched.workouts.add(block.workout)
            if block is not None and block.moved_from is not None:
                touched.blocks.add(block.moved_from)
        if values is None:
            for set_id in list(self.sets.by["workout_exercise"].of(id)):
                self.put_set(set_id, None, touched)

    def put_set(self, id: str, values: Set | None, touched: Touched) -> None:
        old = self.sets.put(id, values)
        touched.sets.add(id)
        for one in (old, values):
            if one is not None and one.moved_from is not None:
                touched.sets.add(one.moved_from)

    def put_participant(self, id: str, values: Participant | None, touched: Touched) -> None:
        old = self.participants.put(id, values)
        for one in (old, values):
            if one is not None and one.workout is not None:
                self.touch_workout(one.workout, touched)

    def put_exercise(self, id: str, values: Exercise | None) -> None:
        self.exercises.put(id, values)

    def touch_workout(self, id: str, touched: Touched) -> None:
        touched.workouts.add(id)
        for block in self.blocks.by["workout"].of(id):
            self.touch_block(block, touched)

    def touch_block(self, id: str, touched: Touched) -> None:
        touched.sets.update(self.sets.by["workout_exercise"].of(id))

    def touch_exercise_in_steps(self, id: str, touched: Touched) -> Steps[None]:
        for block in self.blocks.by["exercise"].of(id):
            self.touch_block(block, touched)
            yield

    def touch_everything_in_steps(self, touched: Touched) -> Steps[None]:
        for id in self.sets:
            touched.sets.add(id)
            yield
        for id in self.workouts:
            touched.workouts.add(id)
            yield
