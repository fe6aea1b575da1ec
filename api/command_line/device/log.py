"""`fitai log`: sets, as they are typed.

Owns: which workout and which exercise of it the sets go to. What is typed is typed.py's and grammar.py's,
names are exercises.py's, and which planned set is fulfilled is fulfil.py's.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import click

from api.command_line.device import clockwork
from api.command_line.device.days import DAY
from api.command_line.device.exercises import Exercise, UnclearName
from api.command_line.device.fulfil import changes, fulfilled_by, planned_sets
from api.command_line.device.grammar import TypedSet
from api.command_line.device.named import EXERCISE
from api.command_line.device.outcome import Refused, Usage
from api.command_line.device.pictures import body, broken_records, heading, pieces, set_json
from api.command_line.device.running import JsonCommand, Result, on_device
from api.command_line.device.terminal import Terminal
from api.command_line.device.training import Block, Training, Workout, read_training
from api.command_line.device.typed import mass_typed, refuse_metres, refuse_unknown_flags, split_words
from api.command_line.device.wording import counted
from api.command_line.device.writes import NOTE_MAX, TITLE_MAX, Writes, position_after, within
from fitai_client import Record

APP = "fitai"
BODY_MODES = ("bodyweight_plus", "assisted")


@click.command(
    cls=JsonCommand,
    context_settings={"ignore_unknown_options": True},
    epilog="""\b
Examples:
  fitai log "Bench Press" 100kgx5 100kgx5 102.5kgx3@8.5   weight x reps @ RPE
  fitai log squat w:60kgx5 100kgx5x3       a warm-up, then 3 sets of 5
  fitai log "pull up" x12 +10kgx5 -20kgx8  the body, with weight, with help
  fitai log plank 60s 20kgx45s             for a time
  fitai log run 5km/25:30                  a distance, and its time
  fitai log bench press 100kgx5            a name needs no quotes
  fitai log 100kgx5                        the exercise of the last set again
  fitai log deadlift 140kgx5 --date yesterday --title "Pull day"
  fitai log "Log Lift" 60kgx3 --new        an exercise of your own
  fitai log bench press 60kgx12 --extra    a set beside what is planned

\b
w: warm-up, d: drop set, f: to failure, m: myo-reps. kg or lb; s, min, h or
m:ss; m, km, mi, yd or ft. After --, a set may begin with a dash.
""",
)
@click.argument("words", nargs=-1, required=True, type=EXERCISE, metavar="[EXERCISE] SETS...")
@click.option("--date", "day", type=DAY, metavar="DAY", help="2026-11-24, 24.11.2026, yesterday, or -1.")
@click.option("--title", help="The workout's title.")
@click.option("--note", help="A note for these sets.")
@click.option("--bodyweight", help="Your weight on that day, like 80kg: pull-ups and dips count it.")
@click.option("--new", is_flag=True, help="Make the exercise where none has this whole name.")
@click.option("--extra", is_flag=True, help="Add the sets beside what is planned, and fulfil none of it.")
@on_device(new="make")
async def log(
    terminal: Terminal,
    words: tuple[str, ...],
    day: date | None,
    title: str | None,
    note: str | None,
    bodyweight: str | None,
    new: bool,
    extra: bool,
) -> Result:
    """Log sets of an exercise.

    They go to the live session, or to today's workout, which is made where there is none. Sets that are planned
    there are fulfilled in their order, warm-ups by warm-ups; what goes beyond is added.
    """
    refuse_unknown_flags(words)
    name, typed = split_words(words)
    title, note = within(title, TITLE_MAX, "A title"), within(note, NOTE_MAX, "A note")
    body_weight = mass_typed(bodyweight) if bodyweight else None
    training = await read_training(terminal.client)
    zone = clockwork.zone_name()
    today = clockwork.today(zone)
    wanted = day or today
    if wanted > today:
        raise Refused(f"{wanted} is in the future.")
    target = _target(training, wanted, live=day is None)
    made = Writes(terminal.client.new_id)
    lifted = _exercise(training, target, name, typed, made, new=new)
    refuse_metres(lifted, typed)
    at = clockwork.now() if day is None else clockwork.noon(wanted, zone)
    workout = _workout(target, made, title, body_weight, at, zone, wanted)
    blocks = [block for block in target.blocks if block.exercise == lifted.id] if target else []
    planned = planned_sets(blocks)
    met = fulfilled_by(typed, [] if extra else planned)
    said = {"notes": note} if note else {}
    fulfilled, ids = [], []
    for one, each in zip(typed, met, strict=True):
        if target is not None and each is not None:
            made.change(each, changes(target, each, one, lifted.load_mode) | said)
            fulfilled.append(each)
            ids.append(each.id)
    if more := [one for one, each in zip(typed, met, strict=True) if each is None]:
        block, place = _block(target, made, workout, lifted, _where(blocks, fulfilled))
        for one in more:
            place = position_after(place)
            fields = {"workout_exercise": block, "position": place, "completed_at": at, **one.fields(lifted.load_mode)}
            ids.append(made.create("sets", fields | said))
    await terminal.write(made, f"log of {counted(len(ids), 'set')} of {lifted.name}")
    with_body = any(one.fields(lifted.load_mode)["load_mode"] in BODY_MODES for one in typed)
    unweighed = with_body and not body_weight and not (target and _knows_the_body(target))
    shown = await _show(terminal, training, workout, lifted, ids)
    left = len(planned) - len(fulfilled)
    _say_plan(terminal, fulfilled, left)
    if unweighed:
        told = "The load of these is unknown, and has no volume and no 1RM: --bodyweight 80kg says what you weigh."
        terminal.screen.say((told, "quiet"))
    return {**shown, "fulfilled": [one.id for one in fulfilled], "planned": left}


def _target(training: Training, day: date, *, live: bool) -> Workout | None:
    """The live session; else the newest workout of the day that was logged here or on a phone, not imported."""
    if live and (active := training.active()) is not None:
        return active
    own = [one for one in training.on(day) if (one.record.get("source") or {}).get("app") in (None, APP)]
    return own[-1] if own else None


def _exercise(
    training: Training, target: Workout | None, name: str | None, typed: list[TypedSet], made: Writes, *, new: bool
) -> Exercise:
    """The exercise that is meant; with `new`, made where there is none."""
    if name is None:
        if target is None or not target.blocks:
            raise Usage('Say the exercise: fitai log "Bench Press" 100kgx5', code="bad_set")
        newest = max(target.blocks, key=_newest)
        known = training.exercises.by_id.get(newest.exercise)
        return known or Exercise(newest.exercise, training.exercises.name(newest.exercise), {})
    if new:
        if (known := training.exercises.whole(name)) is not None:
            return known
    else:
        try:
            return training.exercises.find(name)
        except UnclearName as error:
            raise UnclearName(name, error.candidates, f" --new makes {name!r} an exercise of your own.") from None
    if not 2 <= len(name.strip()) <= 100:
        raise Refused(f"{name!r}: a name has 2 to 100 characters.")
    first = typed[0]
    mode = first.fields("none")["load_mode"]
    fields = {"name": name.strip(), "category": "strength", "measure": first.measure, "load_mode": mode}
    return Exercise(made.create("exercises", fields), name.strip(), fields, own=True)


def _knows_the_body(workout: Workout) -> bool:
    """Whether its bodyweight is known, or that it is not was said already."""
    return bool(workout.record.get("bodyweight")) or any(one.get("load_mode") in BODY_MODES for one in workout.sets)


def _done_at(one: Record) -> str:
    return str(one.get("completed_at") or "")


def _workout(
    target: Workout | None,
    made: Writes,
    title: str | None,
    bodyweight: dict[str, Any] | None,
    at: datetime,
    zone: str,
    day: date,
) -> str:
    """The id of the workout that the sets go to. When one without a session ended, nobody said."""
    fields: dict[str, Any] = {name: value for name, value in (("title", title), ("bodyweight", bodyweight)) if value}
    if target is None:
        whole = {"status": "completed", "started_at": at, "timezone": zone, "local_date": day.isoformat()}
        return made.create("workouts", {**whole, "source": {"app": APP}, **fields})
    if fields:
        made.change(target.record, fields)
    return target.id


def _where(blocks: Sequence[Block], fulfilled: Sequence[Record]) -> Block | None:
    """Which of an exercise's blocks takes the sets beyond its plan: the one that is being trained, else the last."""
    if fulfilled:
        return next(block for block in blocks if fulfilled[-1] in block.sets)
    if planned_sets(blocks):
        begun = [block for block in reversed(blocks) if any(map(_done_at, block.sets))]
        return max(begun, key=_newest) if begun else next(block for block in blocks if block.sets)
    return blocks[-1] if blocks else None


def _newest(block: Block) -> str:
    return max(map(_done_at, block.sets), default="")


def _block(
    target: Workout | None, made: Writes, workout: str, exercise: Exercise, block: Block | None
) -> tuple[str, str | None]:
    """(the workout's exercise that the sets go below, made where there is none; the position of its last set)."""
    if block is not None:
        return block.record.id, str(block.sets[-1].get("position")) if block.sets else None
    blocks = target.blocks if target else []
    last = str(blocks[-1].record.get("position")) if blocks else None
    fields = {"workout": workout, "exercise": exercise.id, "position": position_after(last)}
    return made.create("workout_exercises", fields), None


def _say_plan(terminal: Terminal, fulfilled: Sequence[Record], left: int) -> None:
    """What was planned and is done now, and how many sets of the exercise still are planned; nothing without a plan."""
    signs = terminal.screen.signs
    if fulfilled:
        told = "Fulfilled: " + "   ".join(each.plain for each in pieces(fulfilled, {}, signs))
        told += f"; {left} more {'is' if left == 1 else 'are'} planned." if left else "."
    elif left:
        told = f"Beside the plan, of which {counted(left, 'set')} {'is' if left == 1 else 'are'} left."
    else:
        return
    terminal.screen.say((f"  {told}", "quiet"))


async def _show(
    terminal: Terminal, training: Training, workout_id: str, exercise: Exercise, ids: list[str]
) -> dict[str, Any]:
    """The exercise as it stands now, and what was broken."""
    training.exercises.add(exercise)
    workout = await training.read_again(terminal.client, workout_id)
    assert workout is not None
    training.narrow([workout])
    screen = terminal.screen
    shown = Workout(workout.record, [block for block in workout.blocks if block.exercise == exercise.id])
    screen.show(heading(workout, training, screen.signs))
    screen.show(body(shown, training, screen.signs, screen.width))
    new = Workout(workout.record, [Block(b.record, [s for s in b.sets if s.id in ids]) for b in shown.blocks])
    for broken in broken_records(new, training, screen.signs):
        screen.show(broken)
    return {
        "workout": workout_id,
        "exercise": {"id": exercise.id, "name": exercise.name},
        "sets": [set_json(one, training) for block in new.blocks for one in block.sets],
    }
