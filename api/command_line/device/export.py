"""`fitai export FILE`: everything this device holds, to keep, or to take to another app."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import click

from api.command_line.device.outcome import Refused
from api.command_line.device.running import JsonCommand, Result, on_device
from api.command_line.device.terminal import Terminal
from api.command_line.device.training import read_training
from fitai_client.csv_export import export_csv
from fitai_client.importing import DIALECTS


@click.command(
    cls=JsonCommand,
    epilog="""\b
Examples:
  fitai export mine.json              everything, unsent and refused changes too
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
        await asyncio.to_thread(_replace, file, await export_csv(terminal.client, dialect or "hevy"))
        number = sum(1 for one in (await read_training(terminal.client)).sets if one.get("completed_at"))
    else:
        number = await terminal.client.export(file)
    what = "sets" if as_csv else "records"
    terminal.screen.say((f"{terminal.screen.signs.done} ", "good"), f"{number:,} {what} are in {file}.")
    return {"file": str(file), what: number}


def _replace(file: Path, data: bytes) -> None:
    """Write beside the place, for this user alone to read, and move it there whole."""
    partial = file.with_name(file.name + ".part")
    with os.fdopen(os.open(partial, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as written:
        written.write(data)
    partial.replace(file)
