"""`fitai edit` and `fitai delete`: what was logged, put right or taken out, whenever it was; `undo` takes it back.

Owns: what is written. Which set or workout is meant is pointing.py's.

Invariants
    M1  What is not named stays: an RPE, a kind of set or a note is as it was until another one is typed.
        A set that was only planned is done once it is typed what was done.
    M2  An exercise, or a workout, of which nothing is left goes too, as a delete: whoever logged into it meanwhile on
        another device brings it back.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import click

from api.command_line.device import asking, clockwork
from api.command_line.device.days import DAY
from api.command_line.device.fulfil import changes
from api.command_line.device.grammar import TypedSet
from api.command_line.device.named import EXERCISE
from api.command_line.device.outcome import Refused, Usage
from api.command_line.device.pictures import body, heading, set_json, workout_json
from api.command_line.device.pointing import Placed, by_id, numbered, sets_of, split_address, workout_of
from api.command_line.device.running import JsonCommand, Result, on_device
from api.command_line.device.terminal import Terminal
from api.command_line.device.training import Block, Training, Workout, read_training
from api.command_line.device.typed import mass_typed, refuse_metres, refuse_unknown_flags
from api.command_line.device.wording import counted, day_words, set_words
from api.command_line.device.writes import NOTE_MAX, TITLE_MAX, Writes, within

DAY_OPTION = click.option("--date", "day", type=DAY, metavar="DAY", help="Of which day; today where none is said.")
WORKOUT_OPTION = click.option(
    "--workout",
    "which",
    is_flag=False,
    flag_value="",
    metavar="[NO]",
    help="The workout itself; where the day has several, its number or its title.",
)
ID_OPTION = click.option("--id", "id", help="By an id, as --json shows it, instead of a name and a day.")


@click.command(
    cls=JsonCommand,
    context_settings={"ignore_unknown_options": True},
    epilog="""\b
Examples:
  fitai edit bench press 2 100kgx6              today's second set of it
  fitai edit bench press last 100kgx6@9         the last one, with its RPE
  fitai edit squat 1 w:60kgx5 --date yesterday  it was a warm-up
  fitai edit squat --date -3                    lists the sets, numbered
  fitai edit squat 2 100kgx5                    the planned one: it is done
  fitai edit bench press --exercise "dip"       it was another exercise
  fitai edit --workout --title "Leg day" --bodyweight 80kg --date yesterday

\b
What is not typed stays as it was. `fitai undo` takes it back.
""",
)
@click.argument("words", nargs=-1, type=EXERCISE, metavar="[EXERCISE] [NO] [SET]")
@DAY_OPTION
@WORKOUT_OPTION
@ID_OPTION
@click.option("--note", help="A note for the set; an empty one takes it away.")
@click.option("--exercise", "other", help="The exercise that it was instead, for all of its sets in that workout.")
@click.option("--title", help="With --workout: its title.")
@click.option("--bodyweight", help="With --workout: your weight on that day, like 80kg.")
@on_device()
async def edit(
    terminal: Terminal,
    words: tuple[str, ...],
    day: date | None,
    which: str | None,
    id: str | None,
    note: str | None,
    other: str | None,
    title: str | None,
    bodyweight: str | None,
) -> Result:
    """Put right what was logged: a set, its exercise, or a workout's title and bodyweight."""
    refuse_unknown_flags(words)
    training = await read_training(terminal.client)
    title, note = within(title, TITLE_MAX, "A title"), within(note, NOTE_MAX, "A note")
    made = Writes(terminal.client.new_id)
    if which is not None or title is not None or bodyweight is not None:
        if words or id or note is not None or other is not None:
            raise Usage("--title and --bodyweight are of a workout: say --workout and its day alone.")
        workout = workout_of(training, which or "", day)
        fields: dict[str, Any] = {} if title is None else {"title": title}
        fields |= {} if bodyweight is None else {"bodyweight": mass_typed(bodyweight)}
        if not fields:
            raise Usage("Say what to change: --title or --bodyweight.")
        made.change(workout.record, fields)
        await terminal.write(made, f"edit of {workout.title}")
        return await _shown(terminal, training, workout)
    name, numbers, typed = split_address(words)
    if id is not None:
        at = by_id(training, id)
        if not isinstance(at, Placed) or name or numbers:
            raise Usage("--id of a set stands in the place of a name and a number.")
        chosen = [at]
    else:
        exercise, found = sets_of(training, name, day)
        one_block = other is not None and not numbers and len({place.block.record.id for place in found}) == 1
        chosen = found[:1] if one_block else numbered(found, numbers, exercise, terminal.screen.signs)
    if len(chosen) != 1 or len(typed) > 1:
        raise Usage("One set at a time: fitai edit bench press 2 100kgx5")
    (place,) = chosen
    if other is not None:
        made.change(place.block.record, {"exercise": training.exercises.find(other).id})
    if fields := _fields(training, place, typed, note):
        made.change(place.record, fields)
    if not made.group:
        raise Usage("Say what it is now: fitai edit bench press 2 100kgx5")
    name = training.exercises.name(place.block.exercise)
    await terminal.write(made, f"edit of set {place.number} of {name}")
    return await _shown(terminal, training, place.workout, place.block.record.id, place.record.id)


def _fields(training: Training, place: Placed, typed: Sequence[TypedSet], note: str | None) -> dict[str, Any]:
    """What differs from the set as it stands (M1)."""
    fields: dict[str, Any] = {}
    if typed:
        known = training.exercises.by_id.get(place.block.exercise)
        if known is not None:
            refuse_metres(known, typed)
        fields = changes(place.workout, place.record, typed[0], known.load_mode if known else "external")
    if note is not None and (note or None) != place.record.get("notes"):
        fields["notes"] = note or None
    return fields


@click.command(
    cls=JsonCommand,
    context_settings={"ignore_unknown_options": True},
    epilog="""\b
Examples:
  fitai delete bench press 2                 today's second set of it
  fitai delete bench press 2 3               two of them
  fitai delete bench press --date yesterday  its sets of that day; asks
  fitai delete --workout --date yesterday    the workout; asks
  fitai delete --workout 2 --date -3 --yes   the second, without asking

\b
`fitai undo` brings it back.
""",
)
@click.argument("words", nargs=-1, type=EXERCISE, metavar="[EXERCISE] [NO...]")
@DAY_OPTION
@WORKOUT_OPTION
@ID_OPTION
@click.option("-y", "--yes", is_flag=True, help="Do not ask before several sets go.")
@on_device()
async def delete(
    terminal: Terminal, words: tuple[str, ...], day: date | None, which: str | None, id: str | None, yes: bool
) -> Result:
    """Take a set, an exercise or a whole workout out of the log, on every device."""
    refuse_unknown_flags(words)
    if not words and which is None and id is None:
        raise Usage("Say what goes: fitai delete bench press 2, or fitai delete --workout --date yesterday")
    training = await read_training(terminal.client)
    signs = terminal.screen.signs
    sets: list[Placed] = []
    if which is not None:
        if words or id:
            raise Usage("--workout takes a whole workout: say its day alone.")
        gone: Workout | tuple[Workout, Block] | None = workout_of(training, which, day)
    elif id is not None:
        at = by_id(training, id)
        gone, sets = (None, [at]) if isinstance(at, Placed) else (at, [])
    else:
        name, numbers, typed = split_address(words)
        if typed:
            raise Usage("Say the number of the set: fitai delete bench press 2")
        exercise, found = sets_of(training, name, day)
        gone, sets = None, numbered(found, numbers, exercise, signs) if numbers or len(found) == 1 else found
    made = Writes(terminal.client.new_id)
    if isinstance(gone, Workout):
        workout, count, what = gone, len(gone.sets), gone.title
        made.delete(gone.record)
    elif gone is not None:
        workout, block = gone
        count, what = len(block.sets), training.exercises.name(block.exercise)
        _take_out(made, workout, {block.record.id, *(one.id for one in block.sets)})
    else:
        workout, count, what = sets[0].workout, len(sets), training.exercises.name(sets[0].block.exercise)
        for each in {one.workout.id: one.workout for one in sets}.values():
            _take_out(made, each, {one.record.id for one in sets})
        if count == 1:
            what = f"set {sets[0].number} of {what}, {set_words(sets[0].record.values, signs)}"
    what = f"{what}, {_day(workout)}" if count < 2 else f"{what}, {_day(workout)}, {counted(count, 'set')}"
    if count > 1 and not yes:
        if not terminal.can_ask:
            raise Refused(f"{counted(count, 'set')} would go: add --yes.", code="not_confirmed")
        if not asking.confirm(f"Delete {what}?", default=False):
            raise Refused("Nothing was deleted.", code="not_confirmed")
    await terminal.write(made, f"delete of {what}")
    if count > 1:
        await terminal.send_confirmed()
    terminal.screen.say(f"Deleted: {what}.", (" `fitai undo` brings it back.", "quiet"))
    left = await training.read_again(terminal.client, workout.id)
    return {
        "deleted": [{"collection": collection, "id": id} for collection, id in made.deleted],
        "workout": workout.id,
        "left": len(left.sets) if left else 0,
    }


def _take_out(made: Writes, workout: Workout, ids: set[str]) -> None:
    """Delete sets or exercises of a workout, and what is empty without them (M2)."""
    going = {block.record.id: [one for one in block.sets if one.id in ids] for block in workout.blocks}
    whole = [
        block
        for block in workout.blocks
        if block.record.id in ids or (block.sets and len(going[block.record.id]) == len(block.sets))
    ]
    if len(whole) == len(workout.blocks) and workout.status not in ("active", "paused"):
        made.delete(workout.record)
        return
    for block in workout.blocks:
        for record in [block.record] if block in whole else going[block.record.id]:
            made.delete(record)


async def _shown(
    terminal: Terminal, training: Training, workout: Workout, block: str | None = None, only: str | None = None
) -> Result:
    """The workout, or one exercise of it, as it stands now."""
    now = await training.read_again(terminal.client, workout.id)
    assert now is not None
    training.narrow([now])
    screen = terminal.screen
    part = Workout(now.record, [one for one in now.blocks if block in (None, one.record.id)])
    day = day_words(now.day, clockwork.today(clockwork.zone_name()))
    screen.show(heading(now, training, screen.signs).append(f"  {day}", "quiet"))
    screen.show(body(part, training, screen.signs, screen.width))
    if block is None:
        return workout_json(now, training)
    (shown,) = part.blocks
    return {
        "workout": now.id,
        "exercise": {"id": shown.exercise, "name": training.exercises.name(shown.exercise)},
        "set": next(set_json(one, training) for one in shown.sets if one.id == only),
    }


def _day(workout: Workout) -> str:
    words = day_words(workout.day, clockwork.today(clockwork.zone_name()))
    return words.lower() if words in ("Today", "Yesterday") else words
