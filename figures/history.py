"""A person's training, put together from every space they train in, and caught up record by record.

Owns: lifts and sessions, kept up with the records behind them; and which exercises and workouts are dirty, that is,
have changed since the caller last asked.

Refuses to know: where bytes come from, what time it is, and the figures themselves (`records.py`, `analytics.py`, …).

Invariants
    H1  A history is a function of the records that are shown now: caught up one by one, or read anew, it is equal.
    H2  Every id counts once, in the first space where it counts (`spaces.py` says for whom, and in which order).
    H3  A set that leans on the body was done with the weight that its workout says, else with the latest one measured
        before the workout; a later one says nothing about it.
    H4  What only concerns the person (measurements, goals, preferences) is read from their own space alone.
    H5  Whatever changes a lift or a session is dirty; what is not dirty has not changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from figures.books import Book, Index, Shelf, Touched
from figures.forms import (
    Block,
    Exercise,
    Goal,
    Measurement,
    Participant,
    Preferences,
    Record,
    Set,
    Stored,
    Values,
    Workout,
    decode,
)
from figures.lifts import NOT_DONE, Lift, Session, counts, lift, load_mode, moment, session
from figures.one_rep_max import EPLEY
from figures.quantities import Quantity
from figures.spaces import Person, Spaces
from figures.steps import Steps, at_once
from figures.weighings import Weighings

V = TypeVar("V", bound=Values)

_NO_PREFERENCES: Final = Preferences()
# Later than any time of a day: who only says the day was weighed before its end.
_END_OF_DAY: Final = "T23:59:59.999Z"


@dataclass(slots=True)
class Dirty:
    """What changed. exercises and workouts: whose lifts are not what they were. The rest: whether any of them did."""

    exercises: set[str] = field(default_factory=set)
    workouts: set[str] = field(default_factory=set)
    measurements: bool = False
    goals: bool = False
    preferences: bool = False

    def __bool__(self) -> bool:
        return bool(self.exercises or self.workouts or self.measurements or self.goals or self.preferences)


class History:
    """Every lift and every session of a person, kept up with the records behind them.

    Give `catch_up` what the feeds of the spaces bring, in the order of each feed; then `take_dirty` says what to work
    out again. What is public here is only read; between two calls of `catch_up` all of it is one consistent state.

    Who reads feeds page by page gives each to `take_in_steps`, and works out once, by `work_out_in_steps`, what all of
    them touched.

    lifts: by the set's id. lifts_of_exercise, lifts_of_workout: the ids of the lifts. sessions: by the workout's id.
    """

    def __init__(self, person: Person, catalog: Mapping[str, Exercise] | None = None) -> None:
        """catalog: the exercises that everybody has, by id (`exercises_in`); it is shared and never written to."""
        self.person = person
        self.catalog = {} if catalog is None else catalog
        self.lifts: dict[str, Lift] = {}
        self.lifts_of_exercise = Index()
        self.lifts_of_workout = Index()
        self.sessions: dict[str, Session] = {}
        self.goals: Shelf[Goal] = Shelf()
        self.preferences = _NO_PREFERENCES
        self._spaces = Spaces(person, self.catalog)
        self._weighings = Weighings()
        self._dirty = Dirty()
        self._touched = Touched()

    # -- what there is -------------------------------------------------------------------------------------------

    @property
    def formula(self) -> str:
        """How one-rep maxima are estimated."""
        return self.preferences.one_rep_max or EPLEY

    def exercise(self, id: str) -> Exercise | None:
        """An exercise by its id, wherever it is known from: the person's own, the catalog's, one of a shared space."""
        return self._spaces.exercise(id)

    def weighings(self) -> Iterator[tuple[str, Quantity]]:
        """(when, kg) of every measurement of the body's weight, oldest first."""
        return self._weighings.all()

    def take_dirty(self) -> Dirty:
        """What changed since this was last called."""
        dirty, self._dirty = self._dirty, Dirty()
        return dirty

    # -- catching up ---------------------------------------------------------------------------------------------

    def catch_up(self, stored: Iterable[Stored]) -> None:
        """Take records as they are now, tombstones among them; the same one again changes nothing.

        In the order of the feed: a record's tombstone drops what lies below it, which comes anew if the record comes
        back. Only what these records touch is worked out again.

        Raises:
            UnreadableRecord: one of them is no record. What came before it is taken.
        """
        try:
            at_once(self.take_in_steps(stored))
        finally:
            at_once(self.work_out_in_steps())

    def take_in_steps(self, stored: Iterable[Stored]) -> Steps[None]:
        """Take records as `catch_up` does. Until they are worked out, the history is in no state that anybody may read.

        Raises as catch_up.
        """
        for one in stored:
            record = decode(one.body)
            if record is not None:
                self._take(one, record, self._touched)
            yield

    def work_out_in_steps(self) -> Steps[None]:
        """Bring lifts and sessions to where the records are that were taken (H1). O(what these touch)."""
        touched, self._touched = self._touched, Touched()
        yield from self._weigh(touched)
        yield from self._work_out(touched)

    def leave(self, space: str) -> None:
        """Forget a shared space that the person is no longer in."""
        at_once(self.leave_in_steps(space))

    def leave_in_steps(self, space: str) -> Steps[None]:
        """As `leave`; before the last step the history is in no state that anybody may read."""
        book = self._spaces.leave(space)
        if book is not None:
            yield from book.touch_everything_in_steps(self._touched)
            # What stood hidden behind the same id elsewhere counts now.
            yield from self.work_out_in_steps()

    def _take(self, stored: Stored, record: Record, touched: Touched) -> None:
        """Put one record into its book."""
        collection, id, values = record
        own = stored.space == self.person.space
        book = self._spaces.book(stored.space)
        if collection in ("workouts", "participants"):
            if values is None:
                book.writers.pop(id, None)
            else:
                book.writers[id] = stored.writers
        if collection == "sets":
            book.put_set(id, _as(Set, values), touched)
        elif collection == "workout_exercises":
            book.put_block(id, _as(Block, values), touched)
        elif collection == "workouts":
            book.put_workout(id, _as(Workout, values), touched)
        elif collection == "participants":
            book.put_participant(id, _as(Participant, values), touched)
        elif collection == "exercises":
            book.put_exercise(id, _as(Exercise, values))
            touched.exercises.add(id)
            # A new name or other muscles change no lift, and yet what is said of them.
            self._dirty.exercises.add(id)
        elif own and collection == "measurements":
            self._dirty.measurements = True
            self._weighings.put(id, _as(Measurement, values))
        elif own and collection == "goals":
            self.goals.put(id, _as(Goal, values))
            self._dirty.goals = True
        elif own and collection == "preferences":
            self._prefer(_as(Preferences, values) or _NO_PREFERENCES, touched)

    def _prefer(self, preferences: Preferences, touched: Touched) -> None:
        old, self.preferences = self.preferences, preferences
        self._dirty.preferences = True
        if (old.one_rep_max, old.timezone) != (preferences.one_rep_max, preferences.timezone):
            touched.everything = True

    def _weigh(self, touched: Touched) -> Steps[None]:
        """Read the weights of the body again, and touch every workout since they are others."""
        since = yield from self._weighings.read_again()
        if since is None:
            return
        for book in self._spaces:
            for id, workout in book.workouts.items():
                if _until(workout) >= since:
                    book.touch_workout(id, touched)
                yield

    def _work_out(self, touched: Touched) -> Steps[None]:
        """Bring lifts and sessions to where the touched records are (H1)."""
        for book in self._spaces:
            for block in touched.blocks:
                book.touch_block(block, touched)
                yield
            for exercise in touched.exercises:
                yield from book.touch_exercise_in_steps(exercise, touched)
            if touched.everything:
                yield from book.touch_everything_in_steps(touched)
        dirty, workouts = self._dirty, touched.workouts
        bodies: dict[tuple[str, str], Quantity | None] = {}
        for id in touched.sets:
            yield
            old, new = self.lifts.get(id), self._lift(id, bodies)
            if old == new:
                continue
            if old is not None:
                del self.lifts[id]
                self.lifts_of_exercise.leave(old.exercise, id)
                self.lifts_of_workout.leave(old.workout, id)
                dirty.exercises.add(old.exercise)
                dirty.workouts.add(old.workout)
                workouts.add(old.workout)
            if new is not None:
                self.lifts[id] = new
                self.lifts_of_exercise.join(new.exercise, id)
                self.lifts_of_workout.join(new.workout, id)
                dirty.exercises.add(new.exercise)
                dirty.workouts.add(new.workout)
                workouts.add(new.workout)
        for id in workouts:
            yield
            before, now = self.sessions.get(id), self._session(id)
            if before == now:
                continue
            dirty.workouts.add(id)
            if now is not None:
                self.sessions[id] = now
            else:
                del self.sessions[id]

    # -- what counts ---------------------------------------------------------------------------------------------

    def _lift(self, id: str, bodies: dict[tuple[str, str], Quantity | None]) -> Lift | None:
        """The lift that a set is, in the first space where it is one (H2). bodies: the weights found so far."""
        for space, book in self._spaces.items():
            one = book.sets.get(id)
            if one is None or not counts(one) or one.workout_exercise is None or self._spaces.moved_set(space, id):
                continue
            block = book.blocks.get(one.workout_exercise)
            if block is None or block.exercise is None or block.workout is None:
                continue
            workout = book.workouts.get(block.workout)
            if workout is None or workout.status in NOT_DONE or self._spaces.moved_block(space, one.workout_exercise):
                continue
            if not self._spaces.is_theirs(book, block.workout, one.athlete):
                continue
            exercise = self._spaces.exercise(block.exercise, book)
            body = None
            if load_mode(one, exercise) != "external":
                key = (space, block.workout)
                if key not in bodies:
                    bodies[key] = self._body(book, block.workout, workout)
                body = bodies[key]
            return lift(id, one, space, one.workout_exercise, block, workout, exercise, body, self.formula)
        return None

    def _session(self, id: str) -> Session | None:
        """The session that a workout is: one that is completed, or in which the person did a set that counts.

        In a shared space only the latter: that others have trained there is no workout of theirs.
        """
        spaces = {self.lifts[each].space for each in self.lifts_of_workout.of(id)}
        for space, book in self._spaces.items():
            workout = book.workouts.get(id)
            if workout is None or workout.status in NOT_DONE:
                continue
            if space in spaces or (book is self._spaces.own and workout.status == "completed"):
                return session(id, workout, self.preferences.timezone)
        return None

    def _body(self, book: Book, id: str, workout: Workout) -> Quantity | None:
        """What the person weighed in a workout (H3)."""
        said = self._spaces.said_bodyweight(book, id, workout)
        return said if said is not None else self._weighings.before(_until(workout))


def exercises_in(bodies: Iterable[bytes]) -> dict[str, Exercise]:
    """The shown exercises among stored bodies by id: the catalog, decoded once for every history."""
    records = (decode(body) for body in bodies)
    return {one.id: one.values for one in records if one is not None and isinstance(one.values, Exercise)}


def _until(workout: Workout) -> str:
    """Up to when a measurement was before a workout."""
    at = moment(workout)
    return f"{at}{_END_OF_DAY}" if at and workout.started_at is None else at


def _as(form: type[V], values: Values | None) -> V | None:
    assert values is None or isinstance(values, form)
    return values
