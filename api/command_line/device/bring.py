"""`fitai import FILE`: years of training from another app, looked at before anything is written.

Owns: the preview on the terminal and the question. How a file is read is fitai_client.importing's.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

import click
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from api.command_line.device import asking, clockwork
from api.command_line.device.again import again, quoted
from api.command_line.device.exercises import Exercises, UnclearName, read_exercises
from api.command_line.device.outcome import Refused, Stopped, Usage
from api.command_line.device.running import JsonCommand, Result, on_device
from api.command_line.device.screen import Screen
from api.command_line.device.syncing import working
from api.command_line.device.terminal import Terminal
from api.command_line.device.wording import counted
from fitai_client.importing import Preview
from fitai_client.imports import ImportPreview, import_csv, preview_csv
from fitai_client.imports import Progress as Step

# An import is worth waiting for; the rest of a slow sending goes with a later command.
SEND_S = 120.0
SHOWN_MAX = 5
# What the next look at a file is typed without.
ASKED = ("yes", "only_look", "as_json")

# Where the unit of the weights is known from.
SURE = {
    "header": "as its header says",
    "column": "as its rows say",
    "given": "as you say",
    "remembered": "as you said before: --unit corrects it",
}


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
  fitai import log.csv --match "Bankdrücken=Bench Press" --match "Dips=new"
  fitai import log.csv --preview --json            only look, for a program

\b
The same file twice imports once, and what was edited since stays.
`fitai undo` takes an import back as a whole.
""",
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--timezone", callback=_zone, help="The zone of the file's times; this machine's by default.")
@click.option("--unit", type=click.Choice(["kg", "lb"]), help="The unit of its weights, where the file leaves it open.")
@click.option(
    "--match", "matches", multiple=True, metavar="NAME=EXERCISE", help="What a name means, or new; remembered."
)
@click.option("--keep-twins", is_flag=True, help="Import workouts that another app has brought here already.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--preview", "only_look", is_flag=True, help="Show what is in it and write nothing.")
@on_device(new="make")
async def bring(
    terminal: Terminal,
    file: Path,
    timezone: str,
    unit: str | None,
    matches: tuple[str, ...],
    keep_twins: bool,
    yes: bool,
    only_look: bool,
) -> Result:
    """Import the export of another app: Hevy, Strong, FitNotes and others, found by their content.

    Shows what is in the file first: the dates, the units, which exercises are known, what is in doubt, and every line
    that cannot be read.
    """
    data = await asyncio.to_thread(sys.stdin.buffer.read if str(file) == "-" else file.read_bytes)
    exercises = await read_exercises(terminal.client)
    given: dict[str, Any] = {
        "timezone": timezone,
        "unit": unit,
        "keep_twins": keep_twins,
        "choices": dict(_match(text, exercises) for text in matches),
        # Before the first sync the catalog is the one that comes with this program.
        "names": exercises.names(),
        "now": clockwork.now(),
    }
    with _bar(terminal) as tell:
        looked = await preview_csv(terminal.client, data, progress=tell, **given)
    own = [name for name, meant in given["choices"].items() if meant is None]
    _show(terminal, looked, file.name, timezone, own, asked=terminal.can_ask and not yes and not only_look)
    other = await _otherwise(terminal, looked) if looked.known else None
    told = {"preview": {**_json(looked, timezone), "differs": other.what if other else []}}
    if other is not None:
        terminal.screen.say((f"  {other.words}", "warn"))
    if not looked.file.preview.workouts:
        terminal.screen.say((f"There is no workout in {file.name}.", "warn"))
        return {**told, "imported": False}
    if only_look:
        return {**told, "imported": False}
    if not yes:
        if not terminal.can_ask:
            raise Refused("Nothing was imported: add --yes, since there is nobody to ask.", code="not_confirmed")
        if not asking.confirm("Import it?", default=True):
            raise Refused("Nothing was imported.", code="not_confirmed")
    with _bar(terminal) as tell:
        try:
            imported = await import_csv(terminal.client, data, progress=tell, **given)
        except asyncio.CancelledError:
            raise Stopped("Stopped: nothing was imported.") from None
    screen = terminal.screen
    if imported.written:
        count = counted(looked.file.preview.workouts, "workout")
        # Nothing is awaited between the end of the import and its entry, so that Ctrl+C cannot part them.
        terminal.remember(f"import of {file.name}", imported=imported.file.id)
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise Stopped(f"Stopped, after {count} were imported: `fitai undo` takes them back.")
        also = f", {imported.known:,} were here already" if imported.known else ""
        screen.say((f"{screen.signs.done} ", "good"), f"{counted(imported.written, 'record')} on this device{also}.")
        screen.say(("`fitai undo` takes them back; `fitai records` shows what they hold.", "quiet"))
    elif other is not None:
        screen.say(f"Nothing was imported: everything in this file is here already, with other {other.named}.")
    else:
        screen.say((f"{screen.signs.done} ", "good"), "Everything in this file was here already.")
    if not terminal.offline and (await terminal.client.status()).signed_in:
        async with working(terminal, "Sending"):
            await terminal.sync_within(SEND_S)
    made = {"import": imported.file.id, "written": imported.written, "known": imported.known}
    return {**told, "imported": True, **made}


@dataclass(frozen=True)
class _Otherwise:
    """What is here already was read in another way than now. what: "times", "units". imports: those it came with."""

    what: list[str]
    imports: list[str]

    @property
    def named(self) -> str:
        return " and ".join(self.what)

    @property
    def words(self) -> str:
        back = ", ".join(f"`fitai undo --import {one[:8]}`" for one in self.imports) or "`fitai undo`"
        return f"What is here already keeps its {self.named}, which are others: {back}, then import again"


async def _otherwise(terminal: Terminal, looked: ImportPreview) -> _Otherwise | None:
    """Whether the workouts of the file that are here have another time zone, or another unit of weight.

    An edit changes neither of all of them, and the ids of what a file brings depend on neither.
    """
    read = {(one.collection, one.id): one.fields for group in looked.file.groups for one in group}
    workouts = [one for one in await terminal.client.workouts.list() if (one.collection, one.id) in read]
    sets = [one for one in await terminal.client.sets.list() if (one.collection, one.id) in read and one.get("weight")]
    zones = [one for one in workouts if one.get("timezone") != read[one.collection, one.id].get("timezone")]
    units = [one for one in sets if one.get("weight")["unit"] != _unit(read[one.collection, one.id])]
    what = [
        name
        for name, others, known in (("times", zones, workouts), ("units", units, sets))
        if known and others == known
    ]
    imports = {str((one.get("source") or {}).get("import") or "") for one in workouts} - {""}
    return _Otherwise(what, sorted(imports)) if what else None


def _unit(fields: Mapping[str, Any]) -> str | None:
    return (fields.get("weight") or {}).get("unit")


def _match(text: str, exercises: Exercises) -> tuple[str, str | None]:
    """(name in the file, the exercise's id, or None for one of its own)."""
    name, equals, meant = text.rpartition("=")
    if not equals or not name.strip() or not meant.strip():
        raise Usage(f'--match {text!r}: say "Name in the file=Exercise", or "Name in the file=new".')
    if meant.strip().casefold() == "new":
        return name.strip(), None
    try:
        return name.strip(), exercises.find(meant).id
    except UnclearName as error:
        own = quoted(f"{name.strip()}=new")
        raise UnclearName(meant.strip(), error.candidates, f" --match {own} makes it one of your own.") from None


@contextmanager
def _bar(terminal: Terminal) -> Iterator[Callable[[Step], None] | None]:
    """A bar of the steps of an import; nothing where nobody looks."""
    if not terminal.screen.is_terminal or terminal.as_json:
        yield None
        return
    columns = (
        SpinnerColumn("line", style="quiet"),
        TextColumn("{task.description}"),
        BarColumn(40, "quiet", "good", "good", "quiet"),
        TextColumn("{task.percentage:>3.0f} %", style="quiet"),
    )
    with Progress(*columns, console=terminal.screen.console, transient=True) as progress:
        task = progress.add_task("Reading", total=None)
        yield lambda step: progress.update(
            task, description=step.stage.capitalize(), completed=step.done, total=step.total or None
        )


def _show(
    terminal: Terminal, looked: ImportPreview, name: str, timezone: str, own: Collection[str], *, asked: bool
) -> None:
    screen, found, preview = terminal.screen, looked.file, looked.file.preview
    screen.say((found.dialect.title, "title"), (f"  {name}", "quiet"))
    facts = [counted(preview.workouts, "workout"), counted(preview.sets, "set")]
    facts.append(counted(preview.exercises, "exercise"))
    if preview.first_date and preview.last_date:
        facts.append(f"{_day(preview.first_date)} {screen.signs.to} {_day(preview.last_date)}")
    screen.say("  ", f" {screen.signs.dot} ".join(facts))
    if looked.known:
        screen.say(("  here     ", "quiet"), f"{looked.known:,} of its records already, {looked.new:,} are new")
    how = SURE.get(preview.weight_unit_from, f"a guess, {preview.weight_unit_sure:.0%} sure: --unit corrects it")
    screen.say(("  weights  ", "quiet"), preview.weight_unit, (f"  {how}", "quiet"))
    if preview.looks_like:
        screen.say((f"  The weights are round numbers in {preview.looks_like}: --unit {preview.looks_like}?", "warn"))
    screen.say(("  times    ", "quiet"), timezone, ("  --timezone changes it", "quiet"))
    _show_names(screen, preview, own, asked=asked)
    if looked.twins:
        verb = "begins" if len(looked.twins) == 1 else "begin"
        told = f"  {counted(len(looked.twins), 'workout')} {verb} when one that is here begins, and stay out"
        screen.say((f"{told}: --keep-twins imports them too", "warn"))
    for doubt in found.warnings[:SHOWN_MAX]:
        screen.say((f"  line {doubt.line}: ", "warn"), f"{doubt.field} {doubt.value!r} {doubt.reason}")
    if len(found.warnings) > SHOWN_MAX:
        screen.say((f"  and {len(found.warnings) - SHOWN_MAX:,} more values in doubt (--json lists them)", "warn"))
    for error in found.errors[:SHOWN_MAX]:
        screen.say((f"  line {error.line} cannot be read: ", "bad"), error.reason)
    if len(found.errors) > SHOWN_MAX:
        screen.say((f"  and {len(found.errors) - SHOWN_MAX:,} more lines (--json lists them)", "bad"))


def _show_names(screen: Screen, preview: Preview, own: Collection[str], *, asked: bool) -> None:
    """Which exercises are known, what becomes of the others, and the command that says otherwise.

    own: the names of which the user says that they are new.
    """
    new = preview.unmatched
    open_names = {name: found for name, found in preview.candidates.items() if name not in own}
    become = "it becomes an exercise of yours" if len(new) == 1 else "those become exercises of yours"
    told = f"{len(new)} new: {become}" if new else "none new"
    screen.say(("  names    ", "quiet"), f"{len(preview.matched)} known, {told}")
    # Those that may be known under another name go first: they are what there is to decide.
    shown = sorted(new, key=lambda name: name not in open_names)[:SHOWN_MAX]
    for name in shown:
        *others, last = [one.name for one in open_names.get(name, ())] or [""]
        like = f"{', '.join(others)} or {last}" if others else last
        screen.say(("  new      ", "quiet"), name, (f"  perhaps your word for {like}?" if like else "", "quiet"))
    if len(new) > len(shown):
        screen.say((f"           and {len(new) - len(shown)} more (--json lists them)", "quiet"))
    if alike := next((name for name in shown if name in open_names), None):
        screen.say(("  If so, answer no, and type:" if asked else "  If so:", "quiet"))
        means = f"{alike}={open_names[alike][0].name}"
        screen.command(again("--match", means, without=ASKED))


def _day(day: Any) -> str:
    return f"{day.day} {day:%b %Y}"


def _json(looked: ImportPreview, timezone: str) -> dict[str, Any]:
    found, preview = looked.file, looked.file.preview
    return {
        "dialect": preview.dialect,
        "first_date": preview.first_date.isoformat() if preview.first_date else None,
        "last_date": preview.last_date.isoformat() if preview.last_date else None,
        "timezone": timezone,
        "workouts": preview.workouts,
        "sets": preview.sets,
        "exercises": preview.exercises,
        "new": looked.new,
        "known": looked.known,
        "twins": [{"title": one.title, "started_at": one.started_at, "of": one.of} for one in looked.twins],
        "weight_unit": preview.weight_unit,
        "weight_unit_from": preview.weight_unit_from,
        "weight_unit_sure": preview.weight_unit_sure,
        "looks_like": preview.looks_like,
        "matched": dict(preview.matched),
        "unmatched": list(preview.unmatched),
        "candidates": {name: [one.name for one in found] for name, found in preview.candidates.items()},
        "doubts": [
            {"line": one.line, "field": one.field, "value": one.value, "reason": one.reason} for one in found.warnings
        ],
        "errors": [{"line": one.line, "lines": one.lines, "reason": one.reason} for one in found.errors],
    }
