"""`fitai watch`: the live session, or the newest workout, as it changes on any device.

Owns: when to look again. On a terminal the picture is redrawn in place; into a pipe, and with --json, each change is a
line of its own.

What other devices write arrives by the socket. What another terminal of this very device writes does not pass through
this process: the database's own counter tells that it moved.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import click
from rich.console import Group
from rich.live import Live
from rich.text import Text

from api.command_line.device import clockwork
from api.command_line.device.pictures import body, broken_records, heading, set_json, workout_json
from api.command_line.device.running import JsonCommand, Result, on_device
from api.command_line.device.screen import line
from api.command_line.device.session import rest_ends
from api.command_line.device.terminal import Terminal, print_json
from api.command_line.device.training import Training, Workout, moment, read_training
from api.command_line.device.wording import KINDS, clock, day_words, is_done, set_words
from api.command_line.device.writes import wire_time
from fitai_client import Change, Record
from fitai_client.core.database import LocalDatabase

# How often another process of this device is looked for, and the clocks are redrawn.
LOOK_EVERY_S = 0.25
NEWS_MAX = 4
# What the server makes of the sets that are watched: nothing of it is shown here.
FOLLOWING = ("personal_records", "achievements", "notifications")
# A socket that is not there by then is told as missing.
CONNECTING_S = 5.0

GOING_ON = ("active", "paused")
# The id, title and status of the workout that is shown, and the end of its rest while that runs.
_Session = tuple[str | None, str, str, datetime | None]


@click.command(
    cls=JsonCommand,
    epilog="""\b
Examples:
  fitai watch                follow the session on your phone, until Ctrl+C
  fitai watch --timing       and say how long each set took to get here
  fitai watch | tee live.txt a line a change
  fitai watch --json         an object a line, for a program
""",
)
@click.option("--timing", is_flag=True, help="Say how old each set was when it was shown, in milliseconds.")
@click.option("--for", "seconds", type=click.FloatRange(0), help="Stop after so many seconds.")
@on_device(sync="before", background=True)
async def watch(terminal: Terminal, timing: bool, seconds: float | None) -> Result:
    """Follow the live session, or the newest workout, on whatever device it happens."""
    view = _View(terminal, timing)
    await view.read()
    try:
        async with asyncio.timeout(seconds), view.drawn():
            async for changes in _changes(terminal):
                await view.take(changes)
    except TimeoutError:
        pass
    return None


async def _changes(terminal: Terminal) -> AsyncIterator[list[Change]]:
    """What changed, in one list what came at once; an empty one each LOOK_EVERY_S, to redraw the clocks."""
    async with terminal.client.watch() as found:
        while True:
            changes: list[Change] = []
            try:
                async with asyncio.timeout(LOOK_EVERY_S):
                    changes.append(await anext(found))
            except TimeoutError:
                pass
            while found.waiting:
                changes.append(await anext(found))
            yield changes


def _moment(text: str) -> datetime:
    found = moment(text)
    assert found is not None
    return found


def _written_elsewhere(db: LocalDatabase) -> int:
    """A number that moves with every commit of another process to this device's file."""
    return int(db.conn.execute("PRAGMA data_version").fetchone()[0])


@dataclass(frozen=True, slots=True)
class _News:
    """What happened beside the sets: its name and facts for a program, and the words for people."""

    event: str
    words: str
    facts: Mapping[str, Any]


class _View:
    """What is shown: one workout, its rest, and the newest changes."""

    def __init__(self, terminal: Terminal, timing: bool) -> None:
        self._terminal = terminal
        self._timing = timing
        self._training: Training | None = None
        self._workout: Workout | None = None
        self._news: list[Text] = []
        self._live: Live | None = None
        # Every set that was there, so that showing another workout announces nothing.
        self._known: set[str] | None = None
        self._elsewhere: int | None = None
        # The server's clock minus this one's.
        self._ahead = timedelta(0)
        self._ends: datetime | None = None
        self._began = asyncio.get_running_loop().time()
        # None until it is known: the socket takes a moment, which is no news.
        self._connected: bool | None = None
        self._session: _Session = (None, "", "", None)

    @asynccontextmanager
    async def drawn(self) -> AsyncIterator[None]:
        """Draw in place while the block runs, where there is a terminal; else say once what is shown."""
        screen = self._terminal.screen
        self._session = self._session_now()
        if self._terminal.as_json:
            shown = self._workout and self._training and workout_json(self._workout, self._training)
            print_json({"event": "showing", "workout": shown})
            yield
        elif not screen.is_terminal:
            screen.show(self._picture())
            yield
        else:
            with Live(self._picture(), console=screen.console, auto_refresh=False, transient=False) as live:
                self._live = live
                yield

    async def read(self) -> None:
        """Read the log, and choose what to show."""
        self._training = await read_training(self._terminal.client)
        self._elsewhere = await self._terminal.client.run(_written_elsewhere)
        self._ahead = _moment(await self._terminal.client.server_now()) - clockwork.now()
        if self._known is None:
            self._known = {one.id for workout in self._training.workouts for one in workout.sets}
        await self._choose(self._training)

    async def take(self, changes: list[Change]) -> None:
        """Show what changed, and what another process of this device wrote."""
        before, draw = self._sets(), bool(changes)
        # What arrived is shown before anything is asked of the writing thread, which is busy with it.
        if changes and self._training is not None:
            await self._take(self._training, changes)
        elif self._training is None or await self._terminal.client.run(_written_elsewhere) != self._elsewhere:
            await self.read()
            draw = True
        now = self._sets()
        began, ended = self._session_news()
        self._say(began)
        for id, (one, name) in now.items():
            old = before.get(id)
            if old is not None and old[0].values != one.values:
                fulfilled = is_done(one.values) and not is_done(old[0].values)
                self._tell("fulfilled" if fulfilled else "changed", name, one)
            elif self._known is not None and id not in self._known:
                self._tell("added", name, one)
        self._known = (self._known or set()) | now.keys()
        for id, (one, name) in before.items():
            if id not in now and self._workout is not None and one.above.get("workouts") == self._workout.id:
                self._tell("deleted", name, one)
        self._say(ended)
        if self._live is not None and draw:
            self._live.update(self._picture(), refresh=True)
            draw = False
        draw |= await self._tell_connection()
        # A rest and a live session have a clock; anything else stands still.
        running = self._ends is not None or (self._workout is not None and self._workout.status == "active")
        if self._live is not None and (draw or running):
            self._live.update(self._picture(), refresh=True)

    async def _take(self, training: Training, changes: list[Change]) -> None:
        """Read anew only what changed, so that a set shows at once however long the log is."""
        touched: set[str] = set()
        for change in changes:
            record = change.after or change.before
            if record is None:
                continue
            if change.collection == "workouts":
                touched.add(change.id)
            elif change.collection in ("workout_exercises", "sets"):
                touched.add(str(record.above.get("workouts")))
            elif change.collection not in FOLLOWING:
                return await self.read()
        for id in touched:
            await training.read_again(self._terminal.client, id)
        return await self._choose(training)

    async def _choose(self, training: Training) -> None:
        """The live session, else the newest workout."""
        workouts = training.workouts
        self._workout = training.active() or (workouts[-1] if workouts else None)
        training.narrow([self._workout] if self._workout else [])
        self._ends = await rest_ends(self._terminal, self._workout.record) if self._workout else None

    def _sets(self) -> dict[str, tuple[Record, str]]:
        if self._workout is None or self._training is None:
            return {}
        name = self._training.exercises.name
        return {one.id: (one, name(block.exercise)) for block in self._workout.blocks for one in block.sets}

    def _session_now(self) -> _Session:
        workout = self._workout
        resting = self._ends if self._ends is not None and self._ends > self._now() else None
        return (workout.id, workout.title, workout.status, resting) if workout else (None, "", "", resting)

    def _session_news(self) -> tuple[list[_News], list[_News]]:
        """What became of the session and its rest since the last look: (to be told before its sets, after them)."""
        (was, title, status, rested), (now, name, state, resting) = self._session, self._session_now()
        self._session = (now, name, state, resting)
        began: list[_News] = []
        ended: list[_News] = []
        if status in GOING_ON and (now != was or state not in GOING_ON):
            over = _News("session_ended", f"{title} ended", {"workout": was, "title": title})
            (began if now != was and state in GOING_ON else ended).append(over)
        if state in GOING_ON and (now != was or status not in GOING_ON):
            began.append(_News("session_began", f"{name} began", {"workout": now, "title": name}))
        if resting is not None and resting != rested:
            left_s = (resting - self._now()).total_seconds()
            words = f"rest of {clock(left_s)}, until {resting.astimezone():%H:%M:%S}"
            facts = {"workout": now, "ends_at": wire_time(resting), "left_s": round(left_s, 1)}
            began.append(_News("rest_began", words, facts))
        elif resting is None and rested is not None:
            ended.insert(0, _News("rest_ended", "the rest is over", {"workout": was}))
        return began, ended

    def _say(self, news: Iterable[_News]) -> None:
        """A line each into a pipe, an object each for a program; on a terminal the picture has it."""
        for one in news if self._live is None else ():
            if self._terminal.as_json:
                print_json({"event": one.event, **one.facts, "at": wire_time(self._now())})
            else:
                self._terminal.screen.say((f"{self._now().astimezone():%H:%M:%S}  ", "quiet"), one.words)

    def _tell(self, what: str, name: str, one: Record) -> None:
        """One change: a line in the list, in the pipe, or an object. `what`: added, fulfilled, changed or deleted.

        A planned set that was done is logged, for people; for a program a set that was there is changed.
        """
        assert self._training is not None
        screen, now = self._terminal.screen, self._now()
        done = moment(one.get("completed_at"))
        logged = what in ("added", "fulfilled")
        age_ms = round((now - done).total_seconds() * 1000) if done and logged else None
        if self._terminal.as_json:
            told = {
                "event": "set_changed" if what == "fulfilled" else f"set_{what}",
                "exercise": name,
                "set": set_json(one, self._training),
                "at": wire_time(now),
            }
            print_json({**told, "age_ms": age_ms} if self._timing else told)
            return
        kind = str(one.get("kind") or "normal")
        # That it is planned, `set_words` says.
        label = f"{words} " if (words := KINDS.get(kind, kind)) else ""
        clocked = (f"{now.astimezone():%H:%M:%S}  ", "quiet")
        said = line(clocked, (name, "name"), "  ", (label, "quiet"), set_words(one.values, screen.signs))
        if kind == "failure":
            said.append(" F", "quiet")
        if not logged:
            said.append(f" {what}", "warn")
        if self._training.ledger.marks.get(one.id):
            said.append(f" {screen.signs.record}", "record")
        if self._timing and age_ms is not None:
            said.append(f"  {age_ms} ms after it was logged", "quiet")
        if self._live is None:
            screen.show(said)
        self._news = [*self._news, said][-NEWS_MAX:]

    def _now(self) -> datetime:
        """By the server's clock."""
        return clockwork.now() + self._ahead

    async def _tell_connection(self) -> bool:
        """Look whether the socket is there; True where that is news."""
        status = await self._terminal.client.status()
        waited = asyncio.get_running_loop().time() - self._began > CONNECTING_S
        missing = status.signed_in and (waited or bool(self._terminal.unfinished) or self._terminal.offline)
        if self._connected == status.live or not (status.live or missing or self._connected):
            return False
        self._connected = status.live
        words = "live" if status.live else "offline; showing this device"
        self._say([_News("live" if status.live else "offline", words, {})])
        return True

    def _picture(self) -> Group:
        screen, training, workout = self._terminal.screen, self._training, self._workout
        state = line(("live", "live")) if self._connected else line(("not connected; showing this device", "quiet"))
        if workout is None or training is None:
            return Group(line(("Nothing is logged yet. ", "quiet"), state))
        parts: list[Any] = [
            heading(workout, training, screen.signs),
            body(workout, training, screen.signs, screen.width),
        ]
        parts += broken_records(workout, training, screen.signs)
        if self._ends is not None and (left := (self._ends - self._now()).total_seconds()) > 0:
            parts.append(line(("  Rest ", "live"), (clock(left), "title")))
        day = day_words(workout.day, clockwork.today(clockwork.zone_name()))
        if self._live is not None or self._connected:
            parts += ["", line((f"{day}  ", "quiet"), state, ("  Ctrl+C ends", "quiet")), *self._news]
        return Group(*parts)
