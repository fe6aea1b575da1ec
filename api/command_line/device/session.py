"""`fitai start`, `fitai rest` and `fitai done`: a live session, followed by every other device as it happens."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import click

from api.command_line.device import clockwork
from api.command_line.device.fulfil import planned_sets
from api.command_line.device.grammar import parse_seconds
from api.command_line.device.log import APP
from api.command_line.device.outcome import Refused, Stopped, Usage
from api.command_line.device.pictures import body, broken_records, heading, workout_json
from api.command_line.device.running import JsonCommand, Result, on_device
from api.command_line.device.terminal import Terminal
from api.command_line.device.training import Training, Workout, moment, read_preferences, read_training
from api.command_line.device.wording import at_words, clock, counted, plain_number
from api.command_line.device.writes import TITLE_MAX, Writes, within
from fitai_client import Record

REST_S = 90
REST_MAX_S = 3_600


@click.command(
    cls=JsonCommand,
    epilog="""\b
Examples:
  fitai start              begin; `fitai log` adds to it from now on
  fitai start "Push day"   with a title
""",
)
@click.argument("title", required=False)
@on_device(new="make")
async def start(terminal: Terminal, title: str | None) -> Result:
    """Begin a live session. Devices that `watch` show it at once."""
    title = within(title, TITLE_MAX, "A title")
    training = await read_training(terminal.client)
    if (active := training.active()) is not None:
        raise Refused(
            f"{active.title!r} is going on since {at_words(active.started)}: end it with `fitai done`.",
            code="session_active",
        )
    zone, made = clockwork.zone_name(), Writes(terminal.client.new_id)
    fields: dict[str, Any] = {
        "status": "active",
        "started_at": clockwork.now(),
        "timezone": zone,
        "local_date": clockwork.today(zone).isoformat(),
        "source": {"app": APP},
    }
    id = made.create("workouts", {**fields, "title": title} if title else fields)
    await terminal.write(made, f"start of {title or 'a workout'}")
    terminal.screen.say((title or "Workout", "title"), ("  active", "live"))
    terminal.screen.say(('Log with `fitai log "Bench Press" 100kgx5`, rest with `fitai rest 90`.', "quiet"))
    return {"workout": id, "title": title, "status": "active"}


@click.command(
    cls=JsonCommand,
    epilog="""\b
Examples:
  fitai rest 90        90 seconds, on every device
  fitai rest 2min -w   and count them down here, with a bell at the end
  fitai rest           what is left of the rest; begins one where none runs
  fitai rest --stop    enough
""",
)
@click.argument("time", required=False)
@click.option("-w", "--wait", is_flag=True, help="Count down here until it is over.")
@click.option("--stop", is_flag=True, help="End the rest.")
@on_device(new="empty")
async def rest(terminal: Terminal, time: str | None, wait: bool, stop: bool) -> Result:
    """Rest between two sets of the live session, to the same second on every device."""
    seconds = _seconds(time) if time else None
    workout = _active(await read_training(terminal.client)).record
    ends = await rest_ends(terminal, workout)
    now = _instant(await terminal.client.server_now())
    if stop:
        await _set_timer(terminal, workout, None, "end of a rest")
        terminal.screen.say("The rest is over.")
        return {"workout": workout.id, "rest_timer": None, "left_s": 0}
    if seconds is None and (ends is None or ends <= now):
        seconds = float((await read_preferences(terminal.client)).get("default_rest_s") or REST_S)
    if seconds is not None:
        began = await terminal.client.server_now()
        timer = {"started_at": began, "duration_s": _whole(seconds)}
        workout = await _set_timer(terminal, workout, timer, f"rest of {clock(seconds)}")
        ends = _instant(began) + timedelta(seconds=seconds)
    assert ends is not None
    left = await terminal.client.rest_left(workout) or 0
    terminal.screen.say(
        "Rest  ", (clock(left), "title"), (f"  until {ends.astimezone():%H:%M:%S}, on every device", "quiet")
    )
    if wait:
        await terminal.finish_sending()
        await _count_down(terminal, ends)
        left = 0
    return {"workout": workout.id, "rest_timer": workout.get("rest_timer"), "left_s": round(left, 1)}


@click.command(
    cls=JsonCommand,
    epilog="""\b
Examples:
  fitai done             the session is over; its records are shown
  fitai done --effort 8  how hard it was, from 1 to 10
  fitai done --discard   out of the log; `fitai undo` brings it back
""",
)
@click.option("--discard", is_flag=True, help="Throw the session away.")
@click.option("--effort", type=click.FloatRange(1, 10), help="How hard it was, 1 to 10.")
@click.option("--title", help="Name it, or name it anew.")
@on_device(new="empty")
async def done(terminal: Terminal, discard: bool, effort: float | None, title: str | None) -> Result:
    """End the live session and show what it came to. One into which nothing was logged leaves no trace in the log."""
    title = within(title, TITLE_MAX, "A title")
    training = await read_training(terminal.client)
    workout = _active(training)
    made = Writes(terminal.client.new_id)
    if not workout.blocks and not _says_something(workout.record) and effort is None and title is None and not discard:
        # As a delete: sets that another device logs into it unseen bring it back, where a status would hide them.
        made.delete(workout.record)
        await terminal.write(made, f"empty session {workout.title}")
        terminal.screen.say(
            f"No set was logged, so {workout.title} does not stay in the log; `fitai undo` brings it back."
        )
        return {"workout": workout.id, "status": "discarded"}
    fields: dict[str, Any] = {"status": "discarded" if discard else "completed", "ended_at": clockwork.now()}
    fields |= {"rest_timer": None} if workout.record.get("rest_timer") else {}
    fields |= {"perceived_effort": _whole(effort)} if effort is not None else {}
    fields |= {"title": title} if title else {}
    made.change(workout.record, fields)
    await terminal.write(made, f"{'discard' if discard else 'end'} of {workout.title}")
    if discard:
        terminal.screen.say(f"{workout.title} is thrown away; `fitai undo` brings it back.")
        return {"workout": workout.id, "status": "discarded"}
    over = await training.read_again(terminal.client, workout.id)
    assert over is not None
    training.narrow([over])
    screen = terminal.screen
    screen.say((f"{screen.signs.done} ", "good"), heading(over, training, screen.signs))
    screen.show(body(over, training, screen.signs, screen.width))
    for broken in broken_records(over, training, screen.signs):
        screen.show(broken)
    if left := len(planned_sets(over.blocks)):
        stays = "is still planned: it stays in the log as planned, and counts nowhere."
        stay = "are still planned: they stay in the log as planned, and count nowhere."
        screen.say((f"  {counted(left, 'set')} {stays if left == 1 else stay}", "quiet"))
    return {**workout_json(over, training), "planned": left}


async def rest_ends(terminal: Terminal, workout: Record) -> datetime | None:
    """When the workout's rest is over, by the server's clock; None where none was begun."""
    timer = workout.get("rest_timer")
    began = moment(timer.get("started_at")) if timer else None
    return began + timedelta(seconds=float(timer["duration_s"])) if began else None


async def _set_timer(terminal: Terminal, workout: Record, timer: dict[str, Any] | None, words: str) -> Record:
    made = Writes(terminal.client.new_id)
    made.change(workout, {"rest_timer": timer})
    await terminal.write(made, words)
    return await terminal.client.workouts.get(workout.id)


async def _count_down(terminal: Terminal, ends: datetime) -> None:
    """The seconds in place; a bell at the end. Into a pipe, only the end.

    Raises:
        Stopped: Ctrl+C ends the counting, and not the rest.
    """
    console = terminal.screen.console
    try:
        while (left := (ends - _instant(await terminal.client.server_now())).total_seconds()) > 0:
            if terminal.screen.is_terminal:
                console.print(f"\r  {clock(left)}  ", end="")
            await asyncio.sleep(min(left, left % 1 or 1))
    except asyncio.CancelledError:
        raise Stopped(f"The rest goes on until {ends.astimezone():%H:%M:%S}; `fitai rest --stop` ends it.") from None
    if terminal.screen.is_terminal:
        console.print("\r         \r", end="")
        console.bell()
    terminal.screen.say(("Go.", "good"))


def _says_something(session: Record) -> bool:
    """Whether somebody wrote more into a session than that it began."""
    return bool(session.text("notes").strip() or session.get("perceived_effort") or session.get("tags"))


def _active(training: Training) -> Workout:
    workout = training.active()
    if workout is None:
        raise Refused("No session is going on: begin one with `fitai start`.", code="no_session")
    return workout


def _seconds(text: str) -> float:
    seconds = parse_seconds(text)
    if seconds is None or not 0 < seconds <= REST_MAX_S:
        raise Usage(f"{text!r} is no rest: say 90, 1:30 or 2min, up to an hour.")
    return float(seconds)


def _whole(value: float) -> int | float:
    return float(plain_number(value)) if value % 1 else int(value)


def _instant(text: str) -> datetime:
    found = moment(text)
    assert found is not None
    return found
