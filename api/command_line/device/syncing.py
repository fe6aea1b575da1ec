"""`fitai sync` and `fitai status`: what has gone, what waits, and why."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, SpinnerColumn, TextColumn

from api.command_line.device.outcome import NotSignedIn, Refused
from api.command_line.device.running import JsonCommand, Result, on_device
from api.command_line.device.screen import plain_table
from api.command_line.device.terminal import Terminal, paused, say_pending
from api.command_line.device.training import moment
from api.command_line.device.wording import counted, span
from fitai_client import Status

# How often the bar looks at what is still pending.
LOOK_EVERY_S = 0.1


@asynccontextmanager
async def working(terminal: Terminal, words: str) -> AsyncIterator[None]:
    """A bar of what is still to be sent, while the block runs; nothing where nobody looks."""
    if not terminal.screen.is_terminal or terminal.as_json:
        yield
        return
    first = (await terminal.client.status()).pending
    columns: list[ProgressColumn] = [SpinnerColumn("line", style="quiet"), TextColumn("{task.description}")]
    if first:
        columns += [BarColumn(40, "quiet", "good", "good", "quiet"), MofNCompleteColumn()]
    with Progress(*columns, console=terminal.screen.console, transient=True) as progress:
        task = progress.add_task(words, total=first or None)

        async def look() -> None:
            while True:
                progress.update(task, completed=first - (await terminal.client.status()).pending)
                await asyncio.sleep(LOOK_EVERY_S)

        looking = asyncio.create_task(look()) if first else None
        try:
            yield
        finally:
            if looking is not None:
                looking.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await looking


@click.command(
    cls=JsonCommand,
    epilog="""\b
Examples:
  fitai sync                     send and fetch everything
  fitai sync --confirm-deletes   yes, so many deletes are meant
  fitai sync --withdraw-deletes  no: show the records again
  fitai sync --json | jq .sync.pending
""",
)
@click.option("--confirm-deletes", "answer", flag_value="confirm", help="Yes, where the server asks about deletes.")
@click.option("--withdraw-deletes", "answer", flag_value="withdraw", help="No: show the records again.")
@click.option("--write-recovered", "answer", flag_value="recovered", help="Write again what the server had lost.")
@click.option("--withdraw-new", "answer", flag_value="new", help="Take back what the account has no room for.")
@on_device(sync="never", new="empty")
async def sync(terminal: Terminal, answer: str | None) -> Result:
    """Send and fetch everything now, however long it takes. Ctrl+C stops it without loss."""
    before = await terminal.client.status()
    if not before.signed_in:
        raise NotSignedIn(
            f"Nobody is signed in here{_waiting(before)}: `fitai sign-up` makes an account, `fitai sign-in` uses one."
        )
    held = paused(before)
    if answer == "confirm":
        await terminal.client.confirm_deletes()
    elif answer == "withdraw":
        await terminal.client.withdraw_deletes()
    elif answer == "new":
        await terminal.client.withdraw_puts()
    elif answer == "recovered":
        await terminal.client.rewrite_recovered()
    elif held is not None and held[0] not in ("mass_delete", "over_quota"):
        await terminal.client.resume()
    async with working(terminal, "Syncing"):
        await terminal.client.sync()
    if (held := paused(await terminal.client.status())) is not None:
        raise Refused(held[1], code=held[0])
    after = await say_synced(terminal)
    return {"sent": max(before.pending - after.pending, 0)}


async def say_synced(terminal: Terminal) -> Status:
    """One line about where the device stands now."""
    status = await terminal.client.status()
    if status.pending or terminal.unfinished or status.inbox:
        say_pending(terminal, status)
    else:
        workouts, sets = await terminal.client.workouts.count(), await terminal.client.sets.count()
        terminal.screen.say(
            (f"{terminal.screen.signs.done} ", "good"),
            f"Everything is synced: {counted(workouts, 'workout')}, {counted(sets, 'set')}.",
        )
    return status


def _waiting(status: Status) -> str:
    verb = "waits" if status.pending == 1 else "wait"
    return f", and {counted(status.pending, 'change')} {verb}" if status.pending else ""


@click.command(
    cls=JsonCommand,
    epilog="""\b
Examples:
  fitai status
  fitai status --json | jq .status.pending
""",
)
@on_device(sync="never", new="empty")
async def status(terminal: Terminal) -> Result:
    """Show the account, what waits to be sent, since when, and why."""
    await terminal.finish_sending()
    told = await terminal.client.status()
    screen = terminal.screen
    table = plain_table(header=False)
    table.add_column(style="quiet", no_wrap=True)
    table.add_column(overflow="fold")
    who = told.account or "none yet: everything stays on this device"
    table.add_row("account", who if told.signed_in or not told.account else f"{who}, signed out")
    table.add_row("server", terminal.server + _reached(terminal, told))
    table.add_row("device", f"{told.device or 'not known to a server yet'}  {terminal.device}")
    table.add_row("log", await _counted(terminal))
    table.add_row("waiting", _pending(told))
    if why := held[1] if (held := paused(told)) else told.held_up:
        table.add_row("because", why)
    if told.inbox:
        table.add_row("refused", f"{told.inbox}: see `fitai inbox`")
    conflicts = sum(len(record.conflicts) for record in await terminal.client.conflicts())
    if conflicts:
        table.add_row("conflicts", f"{conflicts}: see `fitai conflicts`")
    if told.recovered:
        kept = f"{counted(told.recovered, 'record')} that the server had lost"
        table.add_row("recovered", f"{kept}: `fitai sync --write-recovered` writes them again")
    quota = next((space.quota for space in told.spaces if space.kind == "personal"), None)
    if quota:
        table.add_row("quota", _quota(quota))
    if abs(told.clock_offset_ms) > 2_000:
        table.add_row("clock", f"the server's is {told.clock_offset_ms / 1000:+.1f} s off this one's")
    screen.show(table)
    return {
        "status": asdict(told),
        "server": terminal.server,
        "device_file": str(terminal.device),
        "conflicts": conflicts,
    }


def _reached(terminal: Terminal, told: Status) -> str:
    if not told.signed_in or terminal.offline:
        return ""
    return ", reached" if not terminal.unfinished else ", not reached"


async def _counted(terminal: Terminal) -> str:
    client = terminal.client
    return f"{counted(await client.workouts.count(), 'workout')}, {counted(await client.sets.count(), 'set')}"


def _pending(told: Status) -> str:
    if not told.pending:
        return "nothing"
    since = moment(told.pending_since)
    ago = f", the oldest for {span((datetime.now(UTC) - since).total_seconds())}" if since else ""
    return f"{counted(told.pending, 'change')}{ago}"


def _quota(quota: Any) -> str:
    used = f"{quota['records']:,} of {quota['records_max']:,} records"
    return f"{used}, {quota['bytes'] / 1048576:.1f} of {quota['bytes_max'] / 1048576:,.0f} MiB"
