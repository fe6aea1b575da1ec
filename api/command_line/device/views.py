"""`fitai today` and `fitai history [EXERCISE]`: the log, read."""

from __future__ import annotations

from datetime import date, timedelta
from fractions import Fraction
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from api.command_line.device.days import DAY
from api.command_line.device.exercises import Exercise
from api.command_line.device.figures import best_one_rep_max
from api.command_line.device.named import EXERCISE
from api.command_line.device.pictures import body, duration_s, heading, pieces, set_json, workout_json
from api.command_line.device.running import JsonCommand, Result, on_device
from api.command_line.device.screen import NARROW, Flow, cut, plain_table, sparkline
from api.command_line.device.terminal import Terminal
from api.command_line.device.training import Training, Workout, read_training
from api.command_line.device.wording import counted, day_words, mass, span, volume_words
from figures import streak, week_of

LIMIT = 10


@click.command(
    cls=JsonCommand,
    epilog="""\b
Examples:
  fitai today                    what was trained today, records marked
  fitai today --date yesterday   or 2026-11-20, or -3: three days ago
  fitai today --json             for a program
""",
)
@click.option("--date", "day", type=DAY, metavar="DAY", help="2026-11-24, 24.11.2026, yesterday, or -1.")
@on_device(sync="before", new="empty")
async def today(terminal: Terminal, day: date | None) -> Result:
    """Show today's training: every set by exercise, and the records among them."""
    training = await read_training(terminal.client)
    now = date.today()
    wanted = day or now
    found = training.on(wanted)
    training.narrow(found)
    screen = terminal.screen
    near = day_words(wanted, now) if wanted >= now - timedelta(days=1) else ""
    whole = f"{wanted:%A} {wanted.day} {wanted:%B %Y}"
    screen.say((near or whole, "title"), (f"  {whole}" if near else "", "quiet"))
    if not found:
        last = next((one for one in reversed(training.workouts) if one.day and one.day < wanted), None)
        before = f" The last time was {day_words(last.day, now)}: {last.title}." if last else ""
        screen.say((f"Nothing is logged.{before}", "quiet"))
        if not training.workouts:
            screen.say(("Log a set with `fitai log`, or bring your years along with `fitai import`.", "quiet"))
    for workout in found:
        screen.blank()
        screen.show(heading(workout, training, screen.signs))
        screen.show(body(workout, training, screen.signs, screen.width))
    week = _week(terminal, training, wanted)
    return {"date": wanted.isoformat(), "workouts": [workout_json(one, training) for one in found], "week": week}


def _week(terminal: Terminal, training: Training, day: date) -> dict[str, Any]:
    """The week up to this day, and how many weeks in a row met the target, where there is one."""
    first = week_of(day, training.first_weekday)
    held = [one for one in training.workouts if one.day and one.took_place]
    of_week = [one for one in held if one.day and first <= one.day <= day]
    days, volume = len({one.day for one in of_week}), sum((training.volume(one) for one in of_week), Fraction(0))
    target = training.weekly_target
    row = (
        streak((one.day for one in held if one.day), day, first_weekday=training.first_weekday, target=target).current
        if target
        else None
    )
    if of_week:
        said = [counted(days, "day") + (f" of {target}" if target else ""), volume_words(volume, training.units)]
        said += [f"{counted(row, 'week')} in a row"] if row else []
        terminal.screen.blank()
        terminal.screen.say(("This week  " + f" {terminal.screen.signs.dot} ".join(said), "quiet"))
    return {"days": days, "volume_kg": float(volume), "weekly_target": target, "streak": row}


@click.command(
    cls=JsonCommand,
    epilog="""\b
Examples:
  fitai history                   the last ten workouts
  fitai history --limit 50        more of them
  fitai history --sets --limit 3  with every set
  fitai history leg extension     one exercise, session by session
""",
)
@click.argument("exercise", nargs=-1, type=EXERCISE)
@click.option("--limit", type=click.IntRange(1, 10_000), default=LIMIT, show_default=True, help="How many.")
@click.option("--sets", "with_sets", is_flag=True, help="With every set.")
@on_device(sync="before", new="empty")
async def history(terminal: Terminal, exercise: tuple[str, ...], limit: int, with_sets: bool) -> Result:
    """Look back: the newest workouts, or one exercise session by session."""
    training = await read_training(terminal.client)
    if exercise:
        return _of_exercise(terminal, training, training.exercises.find(" ".join(exercise)), limit)
    shown = training.workouts[-limit:][::-1]
    training.narrow(shown)
    screen, now = terminal.screen, date.today()
    if not shown:
        screen.say(("Nothing is logged yet.", "quiet"))
    if with_sets:
        for workout in shown:
            screen.say((day_words(workout.day, now), "quiet"))
            screen.show(heading(workout, training, screen.signs))
            screen.show(body(workout, training, screen.signs, screen.width))
            screen.blank()
    elif screen.width < NARROW:
        for workout in shown:
            _stacked(workout, training, terminal, now)
    elif shown:
        screen.show(_overview(shown, training, terminal, now))
    if shown and len(training.workouts) > len(shown):
        left = len(training.workouts) - len(shown)
        screen.say((f"{left:,} earlier ones; --limit shows more.", "quiet"))
    return {
        "total": len(training.workouts),
        "workouts": [workout_json(one, training, whole=with_sets) for one in shown],
    }


def _stacked(workout: Workout, training: Training, terminal: Terminal, now: date) -> None:
    """A workout in lines of its own, where the columns of a table have no room."""
    signs, seconds, volume = terminal.screen.signs, duration_s(workout), training.volume(workout)
    active = "  active" if workout.status == "active" else ""
    terminal.screen.say((f"{day_words(workout.day, now)}  ", "quiet"), (workout.title, "name"), (active, "live"))
    facts = [span(seconds)] if seconds is not None else []
    facts.append(counted(sum(1 for one in workout.sets if one.get("completed_at")), "set"))
    facts += [volume_words(volume, training.units)] if volume else []
    broken = sum(1 for one in workout.sets if training.ledger.marks.get(one.id))
    won = [Text(f"{signs.record} {broken}", "record")] if broken else []
    terminal.screen.show(Flow([*(Text(each, "quiet") for each in facts), *won], indent=2))


def _overview(shown: list[Workout], training: Training, terminal: Terminal, now: date) -> Table:
    table = plain_table()
    table.add_column("", no_wrap=True)
    table.add_column("workout", ratio=1 if terminal.screen.is_terminal else None)
    for name in ("time", "sets", "volume", terminal.screen.signs.record):
        table.add_column(name, justify="right", no_wrap=True)
    for workout in shown:
        seconds = duration_s(workout)
        volume = training.volume(workout)
        broken = sum(1 for one in workout.sets if training.ledger.marks.get(one.id))
        title = cut((workout.title, "name"))
        if workout.status == "active":
            title.append("  active", "live")
        table.add_row(
            Text(day_words(workout.day, now), "quiet"),
            title,
            span(seconds) if seconds is not None else "",
            f"{sum(1 for one in workout.sets if one.get('completed_at'))}",
            volume_words(volume, training.units) if volume else "",
            Text(str(broken) if broken else "", "record"),
        )
    return table


def _of_exercise(terminal: Terminal, training: Training, exercise: Exercise, limit: int) -> Result:
    """One exercise, session by session, newest first, with the estimated maximum of each."""
    sessions = []
    training.narrow(one for one in training.workouts if any(block.exercise == exercise.id for block in one.blocks))
    for workout in training.workouts:
        sets = [one for block in workout.blocks if block.exercise == exercise.id for one in block.sets]
        if sets:
            lifts = [one for one in training.lifts_of(workout) if one.exercise == exercise.id]
            sessions.append((workout, sets, best_one_rep_max(lifts)))
    shown = sessions[-limit:][::-1]
    screen, now = terminal.screen, date.today()
    maxima = [float(best) for _, _, best in sessions if best is not None]
    spark = sparkline(maxima[-min(40, screen.width - 4) :], screen.signs)
    screen.say((exercise.name, "title"), (f"  {counted(len(sessions), 'session')}", "quiet"), (f"  {spark}", "name"))
    if not shown:
        screen.say(("Never logged.", "quiet"))
    elif screen.width < NARROW:
        for workout, sets, best in shown:
            maximum = f"  est. 1RM {mass(best, training.units)}" if best else ""
            screen.say((day_words(workout.day, now), "quiet"), (maximum, "quiet"))
            screen.show(Flow(pieces(sets, training.ledger.marks, screen.signs), indent=2))
    else:
        table = plain_table()
        table.add_column("", no_wrap=True, style="quiet")
        table.add_column("sets", ratio=1 if screen.is_terminal else None)
        table.add_column("est. 1RM" if maxima else "", justify="right", no_wrap=True)
        for workout, sets, best in shown:
            said = Flow(pieces(sets, training.ledger.marks, screen.signs))
            table.add_row(day_words(workout.day, now), said, mass(best, training.units) if best else "")
        screen.show(table)
    return {
        "exercise": {"id": exercise.id, "name": exercise.name},
        "total": len(sessions),
        "sessions": [
            {
                "workout": workout.id,
                "local_date": workout.day.isoformat() if workout.day else None,
                "one_rep_max_kg": round(float(best), 4) if best is not None else None,
                "sets": [set_json(one, training) for one in sets],
            }
            for workout, sets, best in shown
        ],
    }
