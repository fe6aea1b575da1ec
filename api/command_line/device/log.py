"""`fitai log`: sets, as they are typed.

Owns: which workout and which exercise of it the sets go to. What is typed is grammar.py's, names are exercises.py's.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import click

from api.command_line.device import clockwork
from api.command_line.device.days import DAY
from api.command_line.device.exercises import Exercise, UnclearName
from api.command_line.device.grammar import BadSet, TypedSet, looks_typed, parse, together
from api.command_line.device.named import EXERCISE
from api.command_line.device.outcome import Refused, Usage
from api.command_line.device.pictures import body, broken_records, heading, set_json
from api.command_line.device.running import JsonCommand, Result, on_device
from api.command_line.device.terminal import Terminal
from api.command_line.device.training import Block, Training, Workout, read_training
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
  fitai log "pull up" x12 +10kgx5 -20kgx8  the body alone, with weight, with help
  fitai log plank 60s 20kgx45s             for a time
  fitai log run 5km/25:30                  a distance, and its time
  fitai log bench press 100kgx5            a name needs no quotes
  fitai log 100kgx5                        the exercise of the last set again
  fitai log deadlift 140kgx5 --date yesterday --title "Pull day"
  fitai log "Log Lift" 60kgx3 --new        an exercise of your own

\b
w: warm-up, d: drop set, f: to failure, m: myo-reps. kg or lb; s, min, h or m:ss;
m, km, mi, yd or ft. After --, a set may begin with a dash whatever follows.
""",
)
@click.argument("words", nargs=-1, required=True, type=EXERCISE, metavar="[EXERCISE] SETS...")
@click.option("--date", "day", type=DAY, metavar="DAY", help="2026-11-24, 24.11.2026, yesterday, or -1.")
@click.option("--title", help="The workout's title.")
@click.option("--note", help="A note for these sets.")
@click.option("--bodyweight", help="Your weight on that day, like 80kg: pull-ups and dips count it.")
@click.option("--new", is_flag=True, help="Make the exercise where none has this whole name.")
@on_device()
async def log(
    terminal: Terminal,
    words: tuple[str, ...],
    day: date | None,
    title: str | None,
    note: str | None,
    bodyweight: str | None,
    new: bool,
) -> Result:
    """Log sets of an exercise.

    They go to the live session, or to today's workout, which is made where there is none.
    """
    _refuse_unknown_flags(words)
    name, typed = _split(words)
    title, note = within(title, TITLE_MAX, "A title"), within(note, NOTE_MAX, "A note")
    body_weight = _mass(bodyweight) if bodyweight else None
    training = await read_training(terminal.client)
    zone = clockwork.zone_name()
    today = clockwork.today(zone)
    wanted = day or today
    if wanted > today:
        raise Refused(f"{wanted} is in the future.")
    target = _target(training, wanted, live=day is None)
    made = Writes(terminal.client.new_id)
    lifted = _exercise(training, target, name, typed, made, new=new)
    _refuse_short_metres(lifted, typed)
    at = clockwork.now() if day is None else clockwork.noon(wanted, zone)
    workout = _workout(target, made, title, body_weight, at, zone, wanted)
    block, place = _block(target, made, workout, lifted)
    ids = []
    for one in typed:
        place = position_after(place)
        fields = {"workout_exercise": block, "position": place, "completed_at": at, **one.fields(lifted.load_mode)}
        ids.append(made.create("sets", {**fields, "notes": note} if note else fields))
    await terminal.write(made, f"log of {counted(len(ids), 'set')} of {lifted.name}")
    with_body = any(one.fields(lifted.load_mode)["load_mode"] in BODY_MODES for one in typed)
    unweighed = with_body and not body_weight and not (target and _knows_the_body(target))
    shown = await _show(terminal, training, workout, lifted, ids)
    if unweighed:
        told = "The load of these is unknown, and has no volume and no 1RM: --bodyweight 80kg says what you weigh."
        terminal.screen.say((told, "quiet"))
    return shown


def _split(words: tuple[str, ...]) -> tuple[str | None, list[TypedSet]]:
    """The exercise's name, None where the first word is a set already, and the sets.

    The first word is a name unless it is a set; those behind it belong to the name while there is no digit in them.
    """
    name: list[str] = []
    for word in words:
        if any(char.isdigit() for char in word) and (name or looks_typed(word) or _is_set(word)):
            break
        name.append(word)
    sets = words[len(name) :]
    _refuse_spaces(words if name and any(char.isdigit() for char in name[0]) else sets)
    try:
        typed = [one for word in sets for one in parse(word)]
    except BadSet as error:
        raise Usage(str(error), code="bad_set") from None
    if not typed:
        raise Usage(f'Say what was done: fitai log "{" ".join(name)}" 100kgx5', code="bad_set")
    return " ".join(name) or None, typed


def _refuse_spaces(words: Sequence[str]) -> None:
    """Refuse `200 kg x 10`, saying how it is written."""
    for first in range(len(words)):
        if _is_set(words[first]):
            continue
        for last in range(first + 2, min(first + 5, len(words)) + 1):
            others = words[first + 1 : last]
            if any(_is_set(each) and not each.startswith("x") for each in others):
                break
            if (whole := together(words[first:last])) is not None:
                apart = " ".join(words[first:last])
                raise Usage(f"{apart!r}: write it together, {whole}.", code="bad_set")
        return


def _refuse_unknown_flags(words: Sequence[str]) -> None:
    """A set may begin with a dash, so click lets every word with one through."""
    for word in words:
        if word.startswith("-") and not any(char.isdigit() for char in word.partition("=")[0]):
            flag = word.partition("=")[0]
            known = [each for option in click.get_current_context().command.params for each in option.opts]
            if flag in known:
                raise Usage(f"{flag} stands behind --, where only sets do: put it in front.")
            close = difflib.get_close_matches(flag, [each for each in known if each.startswith("--")], 1)
            raise Usage(f"There is no option {flag}" + (f": did you mean {close[0]}?" if close else "."))


def _refuse_short_metres(exercise: Exercise, typed: Sequence[TypedSet]) -> None:
    """`1m` of what is held is probably a minute (G1 of grammar.py)."""
    if str(exercise.values.get("measure")) not in ("duration", "weight_duration"):
        return
    for one in typed:
        if one.distance is not None and one.duration_s is None:
            length = "".join(str(part) for part in one.distance)
            minutes = f", and m is for metres: {one.distance[0]}min is a time" if one.distance[1] == "m" else ""
            raise Usage(f"{length}: {exercise.name} is held for a time{minutes}.", code="bad_set")


def _is_set(word: str) -> bool:
    try:
        return bool(parse(word))
    except BadSet:
        return False


def _mass(text: str) -> dict[str, Any]:
    try:
        (one,) = parse(f"{text}x1")
    except (BadSet, ValueError):
        raise Usage(f"--bodyweight {text}: a weight like 80kg or 176lb.") from None
    found = one.fields("external").get("weight")
    if not isinstance(found, dict):
        raise Usage(f"--bodyweight {text}: a weight like 80kg or 176lb.")
    return found


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
        newest = max(target.blocks, key=lambda block: max((_done_at(one) for one in block.sets), default=""))
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


def _block(target: Workout | None, made: Writes, workout: str, exercise: Exercise) -> tuple[str, str | None]:
    """(the workout's exercise that the sets go below, the position of its last set)."""
    blocks: list[Block] = target.blocks if target else []
    for block in reversed(blocks):
        if block.exercise == exercise.id:
            return block.record.id, str(block.sets[-1].get("position")) if block.sets else None
    last = str(blocks[-1].record.get("position")) if blocks else None
    fields = {"workout": workout, "exercise": exercise.id, "position": position_after(last)}
    return made.create("workout_exercises", fields), None


async def _show(terminal: Terminal, training: Training, workout_id: str, exercise: Exercise, ids: list[str]) -> Result:
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
