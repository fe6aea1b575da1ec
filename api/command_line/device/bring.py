"""`fitai import FILE`: years of training from another app, looked at before anything is written.

Owns: the preview on the terminal and the question. How a file is read is fitai_client.importing's.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

import click

from api.command_line.device import clockwork
from api.command_line.device.exercises import read_exercises
from api.command_line.device.outcome import Refused
from api.command_line.device.running import JsonCommand, Result, on_device
from api.command_line.device.syncing import working
from api.command_line.device.terminal import Terminal
from api.command_line.device.wording import counted
from fitai_client.importing import Import, read
from fitai_client.imports import import_csv

# An import is worth waiting for; the rest of a slow sending goes with a later command.
SEND_S = 120.0
SHOWN_MAX = 5


def _zone(_context: click.Context, _parameter: click.Parameter, name: str | None) -> str:
    if name is not None and name not in available_timezones():
        raise click.BadParameter(f"{name} is no time zone; write one like Europe/Berlin.")
    return name or clockwork.zone_name()


@click.command(
    "import",
    cls=JsonCommand,
    epilog="""\b
Examples:
  fitai import hevy.csv                            look at it, then decide
  fitai import strong.csv --unit lb --yes          the log was kept in pounds
  fitai import log.csv --timezone America/New_York where its times were read
  fitai import log.csv --preview --json            only look, for a program

\b
The same file twice imports once, and what was edited since stays.
`fitai undo` takes an import back as a whole.
""",
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--timezone", callback=_zone, help="The zone of the file's times; this machine's by default.")
@click.option("--unit", type=click.Choice(["kg", "lb"]), help="The unit of its weights, where the file leaves it open.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--preview", "only_look", is_flag=True, help="Show what is in it and write nothing.")
@on_device()
async def bring(terminal: Terminal, file: Path, timezone: str, unit: str | None, yes: bool, only_look: bool) -> Result:
    """Import the export of another app: Hevy, Strong, FitNotes and others, found by their content.

    Shows what is in the file first: the dates, the units, which exercises are known, what is in doubt, and every line
    that cannot be read.
    """
    data = await asyncio.to_thread(sys.stdin.buffer.read if str(file) == "-" else file.read_bytes)
    names = (await read_exercises(terminal.client)).names()
    async with working(terminal, "Reading", bar=False):
        found = read(data, timezone=timezone, unit=unit, names=names, now=clockwork.now())
    here = {one.id for one in await terminal.client.workouts.list()}
    known = len({one.id for group in found.groups for one in group if one.collection == "workouts"} & here)
    _preview(terminal, found, file.name, timezone, known)
    told = {"preview": _preview_json(found, timezone, known)}
    if only_look:
        return {**told, "imported": False}
    if not yes:
        if not terminal.can_ask:
            raise Refused("Nothing was imported: add --yes, since there is nobody to ask.", code="not_confirmed")
        if not terminal.ask("Import it?", default=True):
            raise Refused("Nothing was imported.", code="not_confirmed")
    async with working(terminal, "Writing", bar=False):
        imported = await import_csv(terminal.client, data, timezone=timezone, unit=unit, names=names)
    screen = terminal.screen
    count = found.preview.workouts
    if imported.written:
        terminal.remember(f"import of {file.name} ({count:,} workouts)", imported=found.id)
        also = f", {imported.known:,} were here already" if imported.known else ""
        screen.say((f"{screen.signs.done} ", "good"), f"{imported.written:,} records are on this device{also}.")
        screen.say(("`fitai undo` takes them back; `fitai records` shows what they hold.", "quiet"))
    else:
        screen.say((f"{screen.signs.done} ", "good"), "Everything in this file was here already.")
    if not terminal.offline and (await terminal.client.status()).signed_in:
        async with working(terminal, "Sending"):
            await terminal.sync_within(SEND_S)
    return {**told, "imported": True, "import": found.id, "written": imported.written, "known": imported.known}


def _preview(terminal: Terminal, found: Import, name: str, timezone: str, known: int) -> None:
    screen, preview = terminal.screen, found.preview
    dot = f" {screen.signs.dot} "
    screen.say((found.dialect.title, "title"), (f"  {name}", "quiet"))
    if preview.first_date and preview.last_date:
        days = f"{_day(preview.first_date)} {screen.signs.to} {_day(preview.last_date)}"
        already = f", {known:,} of them here already" if known else ""
        facts = [counted(preview.workouts, "workout") + already, counted(preview.sets, "set")]
        facts.append(counted(preview.exercises, "exercise"))
        screen.say("  ", dot.join([*facts, days]))
    sure = {"header": "as its header says", "column": "as its rows say", "given": "as you say"}
    how = sure.get(preview.weight_unit_from, f"a guess, {preview.weight_unit_sure:.0%} sure: --unit corrects it")
    screen.say(("  weights  ", "quiet"), preview.weight_unit, (f"  {how}", "quiet"))
    if preview.looks_like:
        screen.say((f"  The weights are round numbers in {preview.looks_like}: --unit {preview.looks_like}?", "warn"))
    screen.say(("  times    ", "quiet"), timezone, ("  --timezone changes it", "quiet"))
    screen.say(
        ("  names    ", "quiet"),
        f"{len(preview.matched)} known, {len(preview.unmatched)} new: those become exercises of yours",
    )
    for title, items in (("new", preview.unmatched),):
        if items:
            more = f" and {len(items) - SHOWN_MAX} more" if len(items) > SHOWN_MAX else ""
            screen.say((f"  {title:<8} ", "quiet"), (", ".join(items[:SHOWN_MAX]) + more, "quiet"))
    for doubt in found.warnings[:SHOWN_MAX]:
        screen.say((f"  line {doubt.line}: ", "warn"), f"{doubt.field} {doubt.value!r} {doubt.reason}")
    if len(found.warnings) > SHOWN_MAX:
        screen.say((f"  and {len(found.warnings) - SHOWN_MAX:,} more values in doubt (--json lists them)", "warn"))
    for error in found.errors[:SHOWN_MAX]:
        screen.say((f"  line {error.line} cannot be read: ", "bad"), error.reason)
    if len(found.errors) > SHOWN_MAX:
        screen.say((f"  and {len(found.errors) - SHOWN_MAX:,} more lines (--json lists them)", "bad"))


def _day(day: Any) -> str:
    return f"{day.day} {day:%b %Y}"


def _preview_json(found: Import, timezone: str, known: int) -> dict[str, Any]:
    preview = found.preview
    return {
        "dialect": preview.dialect,
        "first_date": preview.first_date.isoformat() if preview.first_date else None,
        "last_date": preview.last_date.isoformat() if preview.last_date else None,
        "timezone": timezone,
        "workouts": preview.workouts,
        "workouts_known": known,
        "sets": preview.sets,
        "exercises": preview.exercises,
        "weight_unit": preview.weight_unit,
        "weight_unit_from": preview.weight_unit_from,
        "weight_unit_sure": preview.weight_unit_sure,
        "looks_like": preview.looks_like,
        "matched": dict(preview.matched),
        "unmatched": list(preview.unmatched),
        "doubts": [
            {"line": one.line, "field": one.field, "value": one.value, "reason": one.reason} for one in found.warnings
        ],
        "errors": [{"line": one.line, "lines": one.lines, "reason": one.reason} for one in found.errors],
    }
