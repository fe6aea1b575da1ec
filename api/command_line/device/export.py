"""`fitai export FILE`: everything this device holds, to keep, or to take to another app."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from api.command_line.device import clockwork
from api.command_line.device.outcome import Refused
from api.command_line.device.running import JsonCommand, Result, on_device
from api.command_line.device.terminal import Terminal
from api.command_line.device.training import read_training
from api.command_line.device.wording import counted
from fitai_client.csv_export import export_csv
from fitai_client.importing import DIALECTS, read

# What a set may have measured, in words.
MEASURED = {"weight": "weight", "reps": "reps", "duration_s": "time", "distance": "distance", "rpe": "RPE"}


@click.command(
    cls=JsonCommand,
    epilog="""\b
Examples:
  fitai export mine.json              everything, unsent changes too
  fitai export mine.csv               the workouts, as Hevy writes them
  fitai export mine.csv --as strong   as Strong writes them

\b
It works signed out, offline, and where the device was revoked.
""",
)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--as", "dialect", type=click.Choice([each.name for each in DIALECTS]), help="Whose CSV; hevy by default."
)
@click.option("--force", is_flag=True, help="Replace the file where there is one.")
@on_device(sync="before")
async def export(terminal: Terminal, file: Path, dialect: str | None, force: bool) -> Result:
    """Write everything on this device to a file: JSON whole, or CSV for another app."""
    as_csv = dialect is not None or file.suffix.lower() == ".csv"
    if not force and await asyncio.to_thread(file.exists):
        raise Refused(f"{file} is there already: name another file, or add --force.", code="file")
    if as_csv:
        return await _as_csv(terminal, file, dialect or "hevy")
    number = await terminal.client.export(file)
    _say_written(terminal, file, number, "record")
    return {"file": str(file), "records": number}


async def _as_csv(terminal: Terminal, file: Path, dialect: str) -> Result:
    data = await export_csv(terminal.client, dialect)
    await asyncio.to_thread(_replace, file, data)
    here = [one.values for one in (await read_training(terminal.client)).sets if one.get("completed_at")]
    # What is in the file is told by reading it.
    there = await asyncio.to_thread(_sets_in, data) if here else []
    left_out = {name: max(_having(here, name) - _having(there, name), 0) for name in MEASURED}
    _say_written(terminal, file, len(there), "set")
    lost = [f"the {words} of {counted(left_out[name], 'set')}" for name, words in MEASURED.items() if left_out[name]]
    if lost:
        title = next(each.title for each in DIALECTS if each.name == dialect)
        told = f"{title} has no place for {', '.join(lost)}: `fitai export FILE.json` keeps everything."
        terminal.screen.say((f"  {told}", "warn"))
    return {"file": str(file), "sets": len(there), "left_out": left_out}


def _sets_in(data: bytes) -> list[Mapping[str, Any]]:
    groups = read(data, timezone="UTC", now=clockwork.now()).groups
    return [one.fields for group in groups for one in group if one.collection == "sets"]


def _having(sets: list[Mapping[str, Any]], name: str) -> int:
    # Some apps write 0 for what was not measured.
    values = [one.get(name) for one in sets]
    return sum(bool(each.get("value") if isinstance(each, Mapping) else each) for each in values)


def _say_written(terminal: Terminal, file: Path, number: int, what: str) -> None:
    verb = "is" if number == 1 else "are"
    terminal.screen.say((f"{terminal.screen.signs.done} ", "good"), f"{counted(number, what)} {verb} in {file}.")


def _replace(file: Path, data: bytes) -> None:
    """Write beside the place, for this user alone to read, and move it there whole."""
    partial = file.with_name(file.name + ".part")
    with os.fdopen(os.open(partial, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as written:
        written.write(data)
    partial.replace(file)
