"""`fitai undo`: what the last commands did, taken back one by one; an import as a whole.

Owns: which command is next. Invariants
    U1  What somebody wrote since stays: a changed field keeps it, and a workout that others added to is not deleted.
        What was not taken back is said.
    U2  Undoing many workouts asks first, here and not by the server a second time.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

import click

from api.command_line.device import asking
from api.command_line.device.outcome import Refused
from api.command_line.device.place import Memory
from api.command_line.device.running import JsonCommand, Result, on_device
from api.command_line.device.screen import clean, plain_table
from api.command_line.device.terminal import Terminal, whole
from api.command_line.device.wording import counted
from fitai_client import NotFound, Write
from fitai_client.imports import PastImport, past_imports, undo_import

# The server asks about more deletes than this (protocol: mass_delete).
ASK_ABOVE = 1


@click.command(
    cls=JsonCommand,
    epilog="""\b
Examples:
  fitai undo              take back the last command; again, the one before
  fitai undo --list       what can be taken back, and the imports
  fitai undo --import 3f2a  an import, by the beginning of its id
""",
)
@click.option("--list", "listing", is_flag=True, help="Only show what can be taken back.")
@click.option("--import", "import_id", help="Take back this import, whenever it was made.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before an import goes.")
@on_device()
async def undo(terminal: Terminal, listing: bool, import_id: str | None, yes: bool) -> Result:
    """Take back what the last command wrote on this device."""
    imports = await _imports(terminal)
    if listing:
        return _list(terminal, imports)
    if import_id is not None:
        found = [one for one in imports if one.startswith(import_id.lower())]
        if len(found) != 1:
            number = f"{len(found)} imports begin" if found else "No import begins"
            raise Refused(f"{number} with {import_id!r}: see `fitai undo --list`.", code="not_found")
        return await _undo_import(terminal, found[0], f"import {found[0][:8]}", imports[found[0]].workouts, yes=yes)
    if not terminal.memory.journal:
        older = " but the imports that `fitai undo --list` shows" if imports else ""
        raise Refused(f"There is nothing to take back on this device{older}.", code="nothing_to_undo")
    entry = terminal.memory.journal[-1]
    if "imported" in entry:
        made = str(entry["imported"])
        count = imports[made].workouts if made in imports else 0
        return await _undo_import(terminal, made, str(entry["words"]), count, yes=yes)
    writes, kept = await _inverse(terminal, entry)

    async def take_back() -> None:
        await terminal.client.write_group(writes) if writes else None
        kept.extend(await _brought_back(terminal, entry))
        _forget(terminal, entry)

    await whole(take_back(), f"Stopped, after this was taken back: {entry['words']}.")
    await terminal.send()
    terminal.screen.say(f"Taken back: {entry['words']}.")
    if entry.get("settled"):
        terminal.screen.say(("  The conflict stays settled.", "quiet"))
    for collection, name in kept:
        terminal.screen.say((f"  {name} ({collection}) was written since, or is gone for good, and stays.", "warn"))
    return {
        "undone": entry["words"],
        "writes": len(writes) + len(entry.get("deleted", ())),
        "kept": [f"{c}.{n}" for c, n in kept],
    }


def _forget(terminal: Terminal, entry: dict[str, Any]) -> None:
    """Take an entry out of the journal, and none that another command has put there meanwhile."""
    with Memory.changing(terminal.device) as terminal.memory:
        if entry in terminal.memory.journal:
            terminal.memory.journal.remove(entry)


async def _inverse(terminal: Terminal, entry: dict[str, Any]) -> tuple[list[Write], list[tuple[str, str]]]:
    """The writes that take an entry back, and the fields that were changed since (U1)."""
    client = terminal.client
    writes: list[Write] = []
    kept: list[tuple[str, str]] = []
    gone: set[str] = set()
    created = {id for _, id in entry.get("created", ())}
    for collection, id in entry.get("created", ()):
        record = await client.collection(collection).find(id)
        if record is None:
            continue
        if await _others(terminal, collection, id) - created:
            kept.append((collection, "something in it"))
            continue
        # What is below a record that goes, goes with it.
        if not gone & set(record.above.values()):
            writes.append(Write(collection, id, op="delete"))
        gone.add(id)
    for collection, id, before, after in entry.get("changed", ()):
        record = await client.collection(collection).find(id)
        if record is None:
            continue
        fields = {name: value for name, value in before.items() if record.get(name) == after[name]}
        kept += [(collection, name) for name in before if name not in fields]
        if fields:
            writes.append(Write(collection, id, fields, must_exist=True))
    return writes, kept


async def _brought_back(terminal: Terminal, entry: dict[str, Any]) -> list[tuple[str, str]]:
    """Show again what an entry deleted; what of it could not be. What somebody brought back already stays as it is."""
    lost: list[tuple[str, str]] = []
    for collection, id in entry.get("deleted", ()):
        if await terminal.client.collection(collection).find(id) is None:
            try:
                await terminal.client.restore(collection, id)
            except NotFound:
                lost.append((collection, id[:8]))
    return lost


async def _others(terminal: Terminal, collection: str, id: str) -> set[str]:
    """What hangs on a record, whoever wrote it."""
    client = terminal.client
    if collection == "exercises":
        return {one.id for one in await client.workout_exercises.list(exercise=id)}
    if collection == "workouts":
        blocks = await client.workout_exercises.list(workout=id)
        return {one.id for one in [*blocks, *await client.sets.list(workout=id)]}
    if collection == "workout_exercises":
        return {one.id for one in await client.sets.list(workout_exercise=id)}
    return set()


async def _imports(terminal: Terminal) -> dict[str, PastImport]:
    """Every import that is on this device, by its id."""
    return {one.id: one for one in await past_imports(terminal.client)}


async def _undo_import(terminal: Terminal, id: str, words: str, count: int, *, yes: bool) -> Result:
    if count > ASK_ABOVE and not yes:
        if not terminal.can_ask:
            raise Refused(f"{counted(count, 'workout')} would go: add --yes.", code="not_confirmed")
        if not asking.confirm(f"Take back {counted(count, 'workout')} ({words})?", default=False):
            raise Refused("Nothing was taken back.", code="not_confirmed")

    async def take_back() -> int:
        number = await undo_import(terminal.client, id)
        with Memory.changing(terminal.device) as terminal.memory:
            terminal.memory.journal = [one for one in terminal.memory.journal if one.get("imported") != id]
        return number

    number = await whole(take_back(), f"Stopped, after this was taken back: {words}.")
    await terminal.send_confirmed()  # U2
    terminal.screen.say(f"Taken back: {words}. {counted(number, 'workout')} went, and what else it brought.")
    if kept := count - number:
        terminal.screen.say((f"  {counted(kept, 'workout')} of it, written into since, stayed.", "warn"))
    return {"undone": words, "import": id, "workouts": number, "kept": kept}


def _list(terminal: Terminal, imports: dict[str, PastImport]) -> Result:
    screen = terminal.screen
    if not terminal.memory.journal and not imports:
        screen.say(("There is nothing to take back on this device.", "quiet"))
    table = plain_table(header=False)
    table.add_column(style="quiet", no_wrap=True)
    table.add_column()
    for entry in reversed(terminal.memory.journal):
        at = datetime.fromisoformat(str(entry["at"])).astimezone()
        table.add_row(f"{at:%d %b %H:%M}", clean(str(entry["words"])))
    for one in imports.values():
        days = f"{one.first_date} to {one.last_date}"
        table.add_row(f"--import {one.id[:8]}", f"{one.app.capitalize()}, {counted(one.workouts, 'workout')}, {days}")
    screen.show(table)
    return {
        "commands": [{"at": one.get("at"), "words": one["words"]} for one in reversed(terminal.memory.journal)],
        "imports": [asdict(one) for one in imports.values()],
    }
