"""`fitai rescue`: a damaged device's file is set aside, and what is left of it goes on in a new one."""

from __future__ import annotations

import asyncio
import os
from datetime import datetime
from pathlib import Path

import click

from api.command_line.device.outcome import Refused
from api.command_line.device.place import SERVER, Memory, device_file, make_private, server_address
from api.command_line.device.running import JsonCommand, common_flags, quiet_logs, run
from api.command_line.device.screen import Screen
from api.command_line.device.terminal import go_on, print_json
from fitai_client import Client


@click.command(
    cls=JsonCommand,
    epilog="""\b
Examples:
  fitai rescue                      where the file is said to be damaged
  fitai rescue --device old.db      of a file anywhere

\b
Nothing is deleted: the damaged file stays beside the new one, with what could
be read of it as JSON.
""",
)
@common_flags
def rescue(device: str | None, profile: str | None, server: str | None, offline: bool, as_json: bool) -> None:
    """Save what can be read of a damaged device, and start a new one.

    What the server has comes back with the next sign-in, and what only this device had is written again then, or at
    once where nobody was signed in here.
    """
    quiet_logs()
    run(_rescue(device_file(os.environ, device, profile), server, as_json), as_json=as_json)


async def _rescue(path: Path, server: str | None, as_json: bool) -> None:
    if not await asyncio.to_thread(path.is_file):
        raise Refused(f"There is no device at {path}.", code="file")
    memory = Memory.read(path)
    address = server_address(server or os.environ.get("FITAI_SERVER") or SERVER)
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    saved, aside = (
        path.with_name(f"{path.stem}.rescued-{stamp}.json"),
        path.with_name(f"{path.stem}.damaged-{stamp}.db"),
    )
    found = await Client.rescue(path, saved)
    make_private(saved)
    if memory.server is None and found.on_server:
        # A copy of the file alone does not remember which server knows its log.
        memory.server = address
    remembered = memory.server
    # Without an account nobody else has the records, whether or not their changes could be read.
    goes_on = found.unsent > 0 or found.attachments > 0 or (memory.server is None and found.records > 0)
    waits = memory.server is not None and goes_on
    # Before the file goes: whatever ends this process, what was saved is written by the next command, or sign-in.
    with Memory.changing(path) as memory:
        # What `undo` remembers was of the changes of the file that is going.
        memory.journal, memory.rescued = [], str(saved.absolute()) if goes_on else None
        memory.server = remembered
    await asyncio.to_thread(_set_aside, path, aside)
    make_private(path)
    written = found.unsent
    if goes_on and not waits:
        async with await Client.open(path, server="http://127.0.0.1:9", background=False) as client:
            written = await go_on(client, path)

    told = {
        "records": found.records,
        "unsent": found.unsent,
        "refused": found.refused,
        "unreadable": found.unreadable,
        "saved": str(saved),
        "damaged": str(aside),
    }
    if as_json:
        print_json({"ok": True, **told, "sign_in": memory.server is not None})
        return
    screen = Screen(quiet=False)
    lost = f", {found.unreadable:,} rows could not be read" if found.unreadable else ""
    screen.say((f"{screen.signs.done} ", "good"), f"{found.records:,} records are saved in {saved}{lost}.")
    screen.say(f"The file of before is now {aside}.")
    if memory.server is not None:
        again = f", and what it never got ({found.unsent:,}) is written again" if found.unsent else ""
        screen.say(f"Next: `fitai sign-in`. What the server has comes back{again}.")
    elif goes_on:
        screen.say(f"{written:,} changes go on in a new file.")
        if written < found.unsent:
            screen.say((f"{found.unsent - written:,} were left without sense, and are in {saved} alone.", "warn"))


def _set_aside(path: Path, aside: Path) -> None:
    """Move a database with what SQLite keeps beside it."""
    # The file first: a new one in its place takes up no log that is not its own.
    for suffix in ("", "-wal", "-shm"):
        beside = Path(f"{path}{suffix}")
        if beside.exists():
            beside.replace(f"{aside}{suffix}")
