"""The log as a person thinks of it: workouts, their exercises, their sets, in order. Read once, whole.

Owns: putting records together, and which of them are worked out. Refuses to know: figures (figures.py), and the looks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from fractions import Fraction
from typing import Any

from api.command_line.device.exercises import Exercises, read_exercises
from api.command_line.device.figures import Ledger, fraction, history_of, known_exercise
from figures import Exercise, History, Lift
from fitai_client import Client, Record

# A workout that only a plan, or nobody, stands for is not part of the log.
_NOT_DONE = ("planned", "discarded")


@dataclass(slots=True)
class Block:
    """One exercise of a workout, with its sets in order."""

    record: Record
    sets: list[Record] = field(default_factory=list)

    @property
    def exercise(self) -> str:
        return str(self.record.get("exercise"))


@dataclass(slots=True)
class Workout:
    """One workout, whole."""

    record: Record
    blocks: list[Block] = field(default_factory=list)

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def title(self) -> str:
        return str(self.record.get("title") or "Workout")

    @property
    def status(self) -> str:
        return str(self.record.get("status") or "completed")

    @property
    def started(self) -> datetime | None:
        return moment(self.record.get("started_at"))

    @property
    def ended(self) -> datetime | None:
        return moment(self.record.get("ended_at"))

    @property
    def day(self) -> date | None:
        """The day by the user's own clock at the time."""
        if local := self.record.get("local_date"):
            return date.fromisoformat(local)
        return self.started.astimezone().date() if self.started else None

    @property
    def sets(self) -> list[Record]:
        return [one for block in self.blocks for one in block.sets]

    @property
    def took_place(self) -> bool:
        """Whether anything was done: a set, or, where it never had one, that it was completed."""
        sets = self.sets
        return any(one.get("completed_at") for one in sets) or (not sets and self.status == "completed")

    @property
    def order(self) -> tuple[str, str]:
        return (self.record.get("started_at") or self.record.get("local_date") or "", self.id)


@dataclass(slots=True)
class Training:
    """Everything on the device that was trained, oldest first, and the figures of it.

    units: kg or lb, for showing. beside: what else figures follow from: participants and measurements.
    """

    workouts: list[Workout]
    exercises: Exercises
    formula: str
    first_weekday: int
    weekly_target: int | None
    units: str
    user: str | None
    beside: Sequence[Record] = ()
    _only: frozenset[str] | None = None
    _ledger: Ledger | None = None
    _known: Mapping[str, Exercise] | None = None
    _days: dict[str, date | None] | None = None
    _by_id: dict[str, Record] | None = None

    @property
    def sets(self) -> list[Record]:
        """Every set, oldest workout first."""
        return [one for workout in self.workouts for one in workout.sets]

    @property
    def ledger(self) -> Ledger:
        """The records; worked out when they are first asked for."""
        if self._ledger is None:
            only = self._only
            self._ledger = Ledger(self._history(lambda _, block: only is None or block.exercise in only))
        return self._ledger

    def narrow(self, workouts: Iterable[Workout]) -> None:
        """Work out records only of what these workouts train: enough to show them, and much less work."""
        self._only = frozenset(block.exercise for one in workouts for block in one.blocks)
        self._ledger = None

    async def read_again(self, client: Client, id: str) -> Workout | None:
        """Read one workout anew, after it was written; None where it no longer shows."""
        found = await client.workouts.find(id)
        blocks = await client.workout_exercises.list(workout=id) if found else []
        # By the exercise: an index range each, where all sets of a workout would be a scan.
        sets = [one for block in blocks for one in await client.sets.list(workout_exercise=block.id)]
        made = put_together([found] if found else [], blocks, sets)
        others = [one for one in self.workouts if one.id != id]
        self.workouts = sorted([*others, *made], key=lambda one: one.order)
        self._ledger = self._days = self._by_id = None
        return made[0] if made else None

    def lifts(self) -> Iterable[Lift]:
        """Every set of this user that counts, of what is worked out."""
        return self.ledger.history.lifts.values()

    def volume(self, workout: Workout) -> Fraction:
        """In kg, exactly; sets without a load add nothing."""
        return sum((fraction(one.volume) for one in self.lifts_of(workout) if one.volume is not None), Fraction(0))

    def lifts_of(self, workout: Workout) -> list[Lift]:
        """The sets of a workout that count."""
        if self._only is not None and not {block.exercise for block in workout.blocks} <= self._only:
            lifts = self._history(lambda of, _: of.id == workout.id).lifts.values()
            return [one for one in lifts if one.workout == workout.id]
        history = self.ledger.history
        return [history.lifts[id] for id in history.lifts_of_workout.of(workout.id)]

    def values_of(self, set: str | None) -> Mapping[str, Any]:
        """The values of a set by its id; none of none."""
        if self._by_id is None:
            self._by_id = {one.id: one for one in self.sets}
        return self._by_id[set].values if set is not None else {}

    def _history(self, wanted: Callable[[Workout, Block], bool]) -> History:
        """What some blocks of the log add up to; what was moved away from them, wherever to, counts no more."""
        if self._known is None:
            self._known = {id: known_exercise(one.values) for id, one in self.exercises.by_id.items()}
        preferences = Record("preferences", "", {"one_rep_max": self.formula})
        return history_of([preferences, *self.beside, *self._records(wanted)], self._known, self.user)

    def _records(self, wanted: Callable[[Workout, Block], bool]) -> Iterator[Record]:
        """The records of some blocks, and whatever tells that something was moved."""
        for workout in self.workouts:
            found = [
                one
                for block in workout.blocks
                for one in ((block.record, *block.sets) if wanted(workout, block) else _movers(block))
            ]
            if found:
                yield workout.record
                yield from found

    def day_of(self, workout: str) -> date | None:
        """The day of a workout, by its id."""
        if self._days is None:
            self._days = {one.id: one.day for one in self.workouts}
        return self._days.get(workout)

    def active(self) -> Workout | None:
        """The live session; the newest, where two devices began one each."""
        return next((one for one in reversed(self.workouts) if one.status in ("active", "paused")), None)

    def on(self, day: date) -> list[Workout]:
        return [one for one in self.workouts if one.day == day]


def _movers(block: Block) -> Iterator[Record]:
    return (one for one in (block.record, *block.sets) if one.get("moved_from"))


def moment(text: str | None) -> datetime | None:
    """A time of the wire, aware."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC) if text else None


def put_together(workouts: Iterable[Record], blocks: Iterable[Record], sets: Iterable[Record]) -> list[Workout]:
    """Workouts that took place, oldest first, each with its exercises and sets in order."""
    made = {one.id: Workout(one) for one in workouts if one.get("status") not in _NOT_DONE}
    by_block: dict[str, Block] = {}
    for record in sorted(blocks, key=_place):
        block = by_block[record.id] = Block(record)
        if (workout := made.get(str(record.get("workout")))) is not None:
            workout.blocks.append(block)
    for record in sorted(sets, key=_place):
        if (of := by_block.get(str(record.get("workout_exercise")))) is not None:
            of.sets.append(record)
    return sorted(made.values(), key=lambda one: one.order)


def _place(record: Record) -> tuple[str, str]:
    return (str(record.get("position") or ""), record.id)


async def read_training(client: Client) -> Training:
    """Read the whole log of the personal space."""
    sets = await client.sets.list()
    blocks = await client.workout_exercises.list()
    workouts = put_together(await client.workouts.list(), blocks, sets)
    trained = Counter(block.exercise for workout in workouts for block in workout.blocks for _ in block.sets)
    preferences = await read_preferences(client)
    return Training(
        workouts,
        await read_exercises(client, trained),
        formula=str(preferences.get("one_rep_max") or "epley"),
        first_weekday=int(preferences.get("first_weekday") or 1),
        weekly_target=preferences.get("weekly_target"),
        units=_unit(preferences.get("units"), workouts),
        user=client.identity.user if client.identity else None,
        beside=[*await client.participants.list(), *await client.measurements.list()],
    )


def _unit(preferred: str | None, workouts: list[Workout]) -> str:
    """kg or lb: as preferred, else as most of the newest sets were entered."""
    if preferred:
        return "lb" if preferred == "imperial" else "kg"
    entered = Counter(
        one["weight"]["unit"] for workout in workouts[-10:] for one in workout.sets if one.get("weight")
    ).most_common(1)
    return entered[0][0] if entered else "kg"


async def read_preferences(client: Client) -> dict[str, Any]:
    """The preferences that were ever written."""
    found = await client.preferences.list(limit=1)
    return dict(found[0].values) if found else {}
