"""`fitai records [EXERCISE]`: personal records, worked out from the sets on this device."""

from __future__ import annotations

from datetime import date
from typing import Any

import click
from rich.text import Text

from api.command_line.device.exercises import Exercise
from api.command_line.device.named import EXERCISE
from api.command_line.device.outcome import Refused
from api.command_line.device.running import JsonCommand, Result, on_device
from api.command_line.device.screen import Flow, line, plain_table
from api.command_line.device.terminal import Terminal
from api.command_line.device.training import Training, read_training
from api.command_line.device.wording import (
    RECORDS,
    day_words,
    mass,
    plain_number,
    record_value,
    record_words,
    set_words,
    short_day,
)
from figures import PersonalRecord

FORMULAS = {"epley": "Epley", "brzycki": "Brzycki", "rpe_table": "the RPE table"}
# What stands for an exercise in the overview: the first of these that it has.
FIRST = ("max_weight", "least_assistance", "max_reps", "distance", "duration")
# The columns from which the best set and the day have their place, and those that a name has at least.
WIDE, DATED, NAME_MIN = 72, 52, 16


@click.command(
    cls=JsonCommand,
    epilog="""\b
Examples:
  fitai records              the bests of what you train most
  fitai records --all        of everything
  fitai records deadlift     every record of one exercise
""",
)
@click.argument("exercise", nargs=-1, type=EXERCISE)
@click.option("--all", "everything", is_flag=True, help="Every exercise, not only the ones trained most.")
@on_device(sync="before")
async def records(terminal: Terminal, exercise: tuple[str, ...], everything: bool) -> Result:
    """Show personal records, worked out from the sets on this device.

    Warm-ups never count, an estimated maximum comes from 1 to 12 reps, and bodyweight exercises count the body where
    the workout says its weight or a measurement before it does.
    """
    training = await read_training(terminal.client)
    if exercise:
        return _records_of(terminal, training, training.exercises.find(" ".join(exercise)))
    counts = training.exercises.trained
    known = training.ledger.exercises
    weighted = {which for which in known if "max_weight" in training.ledger.of(which)}
    ranked = sorted(known, key=lambda one: (one not in weighted, -counts.get(one, 0), training.exercises.name(one)))
    shown = ranked if everything else ranked[:20]
    screen, now = terminal.screen, date.today()
    if not shown:
        raise Refused("No set is logged yet, so there is no record.", code="not_found")
    # Where there is little room the names keep theirs.
    wide, dated = screen.width >= WIDE, screen.width >= DATED
    table = plain_table()
    table.add_column("exercise", ratio=1 if screen.is_terminal else None, style="name", min_width=NAME_MIN)
    for name in ("heaviest", *(("on",) if dated else ()), "est. 1RM", *(("best set",) if wide else ())):
        table.add_column(name, justify="right", no_wrap=True)
    for which in shown:
        bests = training.ledger.of(which)
        first = next(bests[kind] for kind in (*FIRST, *bests) if kind in bests)
        row: list[str | Text] = [
            line(training.exercises.name(which)),
            record_value(first.kind, first.value, training.units),
            *([Text(short_day(training.day_of(first.workout), now), "quiet")] if dated else ()),
            mass(bests["one_rep_max"].value, training.units) if "one_rep_max" in bests else "",
        ]
        if wide:
            best = bests.get("set_volume")
            row.append(set_words(training.values_of(best.set), screen.signs) if best else "")
        table.add_row(*row)
    screen.show(table)
    if len(ranked) > len(shown):
        screen.say((f"{len(ranked) - len(shown)} more with --all; `fitai records NAME` shows one whole.", "quiet"))
    return {"formula": training.formula, "exercises": [_exercise_json(which, training) for which in shown]}


def _records_of(terminal: Terminal, training: Training, exercise: Exercise) -> Result:
    bests = training.ledger.of(exercise.id)
    if not bests:
        raise Refused(f"{exercise.name} has no set that counts yet.", code="not_found")
    screen, now = terminal.screen, date.today()
    formula = f"  1RM by {FORMULAS.get(training.formula, training.formula)}" if "one_rep_max" in bests else ""
    screen.say((exercise.name, "title"), (formula, "quiet"))
    table = plain_table(header=False)
    table.add_column(style="quiet")
    table.add_column(no_wrap=True, style="record", justify="right")
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, style="quiet")
    for kind in RECORDS:
        if (best := bests.get(kind)) is not None:
            values = training.values_of(best.set)
            said = set_words(values, screen.signs) if values else ""
            words = record_words(kind, values)
            value, day = record_value(kind, best.value, training.units), _day(best, training, now)
            if screen.width < DATED:
                screen.say((f"{words}  ", "quiet"), (value, "record"))
                screen.show(Flow([Text(each) for each in (said, day) if each], indent=2))
            else:
                table.add_row(words, value, said, day)
    if screen.width >= DATED:
        screen.show(table)
    at_weight = training.ledger.at_weight(exercise.id)
    if at_weight:
        screen.blank()
        screen.say(("Most reps at a weight", "title"))
        repetitions = [
            line(
                mass(best.weight or 0, training.units),
                (f" {screen.signs.times} ", "quiet"),
                plain_number(float(best.value)),
            )
            for best in reversed(at_weight)
        ]
        screen.show(Flow(repetitions))
    return {"formula": training.formula, **_exercise_json(exercise.id, training)}


def _day(best: PersonalRecord, training: Training, now: date) -> str:
    return day_words(training.day_of(best.workout), now)


def _exercise_json(which: str, training: Training) -> dict[str, Any]:
    bests = training.ledger.of(which)
    return {
        "exercise": {"id": which, "name": training.exercises.name(which)},
        "records": {kind: _best_json(bests[kind], training) for kind in RECORDS if kind in bests},
        "max_reps_at_weight": [
            {"weight_kg": float(best.weight or 0), "reps": float(best.value), "set": best.set}
            for best in training.ledger.at_weight(which)
        ],
    }


def _best_json(best: PersonalRecord, training: Training) -> dict[str, Any]:
    day = training.day_of(best.workout)
    return {
        "value": round(float(best.value), 4),
        "previous": round(float(best.previous), 4) if best.previous is not None else None,
        "set": best.set,
        "workout": best.workout,
        "local_date": day.isoformat() if day else None,
    }
