"""Which set, exercise or workout of the log is meant: by exercise, number and day, as they are shown, or by id.

Owns: what is typed to point at something. What becomes of it is amend.py's.

Invariants
    A1  Nothing is guessed: what could be two things is refused, with what there is and its numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from api.command_line.device import clockwork
from api.command_line.device.exercises import Exercise
from api.command_line.device.grammar import BadSet, TypedSet, is_set, looks_typed, parse
from api.command_line.device.outcome import Refused, Usage
from api.command_line.device.screen import Signs
from api.command_line.device.training import Block, Training, Workout
from api.command_line.device.wording import at_words, counted, day_words, set_words
from fitai_client import Record

LAST = ("last", "-1")


@dataclass(frozen=True, slots=True)
class Placed:
    """One set where it stands: its number among the sets of its exercise on that day, counted as they are shown."""

    number: int
    workout: Workout
    block: Block
    record: Record


def split_address(words: Sequence[str]) -> tuple[str, list[int], list[TypedSet]]:
    """(the exercise's name, the numbers of its sets, what is typed as a set); -1 is the last set.

    Raises:
        Usage: what is meant as a set is none.
    """
    name: list[str] = []
    numbers: list[int] = []
    for place, word in enumerate(words):
        if (word.isdigit() or word.lower() in LAST) and (name or place == 0):
            numbers.append(int(word) if word.isdigit() else -1)
        elif looks_typed(word) or (place == len(words) - 1 and is_set(word)):
            # `90s` could be of a name, too, where others follow.
            break
        else:
            # A number in the middle belongs to the name.
            name += [*map(str, numbers), word]
            numbers = []
    try:
        return " ".join(name), numbers, [one for word in words[len(name) + len(numbers) :] for one in parse(word)]
    except BadSet as error:
        raise Usage(str(error), code="bad_set") from None


def workouts_of(training: Training, day: date | None) -> list[Workout]:
    """The workouts of a day; without one those of today, and the session that is going on."""
    today = clockwork.today(clockwork.zone_name())
    found = training.on(day or today)
    live = training.active() if day is None else None
    return found if live is None or live.id in {one.id for one in found} else [live, *found]


def sets_of(training: Training, name: str, day: date | None) -> tuple[Exercise, list[Placed]]:
    """The exercise that is named, or that of the newest set of the day, and its sets of that day.

    Raises:
        Refused: there are none; with the day on which there are.
    """
    workouts = workouts_of(training, day)
    if name:
        exercise = training.exercises.find(name)
    else:
        blocks = [block for one in workouts for block in one.blocks if block.sets]
        newest = max(
            blocks, key=lambda block: max(str(one.get("completed_at") or "") for one in block.sets), default=None
        )
        if newest is None:
            raise Refused(
                f"Nothing is logged {_on(day)}: say the exercise, and --date for another day.", code="not_found"
            )
        known = training.exercises.by_id.get(newest.exercise)
        exercise = known or Exercise(newest.exercise, training.exercises.name(newest.exercise), {})
    places = [(one, block, each) for one in workouts for block in one.blocks for each in block.sets]
    mine = [place for place in places if place[1].exercise == exercise.id]
    found = [Placed(number, *place) for number, place in enumerate(mine, 1)]
    if not found:
        days = [one.day for one in training.workouts if any(b.exercise == exercise.id and b.sets for b in one.blocks)]
        last = max((each for each in days if each), default=None)
        where = f" Its newest are of {last}: add --date {last}." if last else ""
        raise Refused(f"{exercise.name} has no set {_on(day)}.{where}", code="not_found")
    return exercise, found


def numbered(found: Sequence[Placed], numbers: Sequence[int], exercise: Exercise, signs: Signs) -> list[Placed]:
    """Those of the sets that the numbers name; the only one needs none.

    Raises:
        Refused: there is no such number, or several sets and none (A1).
    """
    if not numbers and len(found) == 1:
        return list(found)
    chosen = {len(found) if number == -1 else number for number in numbers}
    picked = [one for one in found if one.number in chosen]
    if picked and len(picked) == len(chosen):
        return picked
    listed = f" {signs.dot} ".join(f"{one.number}: {set_words(one.record.values, signs)}" for one in found)
    asks = "say which by its number" if not numbers else "and none of that number"
    raise Refused(f"{exercise.name} has {counted(len(found), 'set')} there, {asks}: {listed}", code="unclear_set")


def workout_of(training: Training, which: str, day: date | None) -> Workout:
    """The workout of a day; where it has several, by its number or the words of its title.

    Raises:
        Refused: there is none, or it could be several (A1).
    """
    found = workouts_of(training, day)
    if not found:
        last = max((one.day for one in training.workouts if one.day), default=None)
        where = f" The newest is of {last}: add --date {last}." if last else ""
        raise Refused(f"Nothing is logged {_on(day)}.{where}", code="not_found")
    fitting = found
    if which.isdigit():
        fitting = found[int(which) - 1 : int(which)] if int(which) else []
    elif which:
        fitting = [one for one in found if which.casefold() in one.title.casefold()]
    if len(fitting) == 1:
        return fitting[0]
    listed = ", ".join(f"{n}: {one.title} {at_words(one.started)}".rstrip() for n, one in enumerate(found, 1))
    raise Refused(f"Say which workout {_on(day)} with --workout and its number. {listed}", code="unclear_workout")


def by_id(training: Training, id: str) -> Workout | tuple[Workout, Block] | Placed:
    """What has this id, or the only thing whose id begins or ends so.

    Raises:
        Refused: nothing has, or several.
    """
    text = id.lower()
    found: list[Workout | tuple[Workout, Block] | Placed] = []
    for workout in training.workouts:
        found += [workout] if _is(workout.id, text) else []
        for block in workout.blocks:
            found += [(workout, block)] if _is(block.record.id, text) else []
            found += [Placed(n, workout, block, one) for n, one in enumerate(block.sets, 1) if _is(one.id, text)]
    if len(found) != 1:
        raise Refused(f"{len(found)} sets, exercises and workouts have the id {id!r}.", code="not_found")
    return found[0]


def _newest(block: Block) -> str:
    return max(str(one.get("completed_at") or "") for one in block.sets)


def _is(id: str, text: str) -> bool:
    return id == text or (len(text) >= 4 and (id.startswith(text) or id.endswith(text)))


def _on(day: date | None) -> str:
    words = day_words(day, clockwork.today(clockwork.zone_name())) if day else "today"
    return words.lower() if words in ("Today", "Yesterday") else words if day is None else f"on {words}"
