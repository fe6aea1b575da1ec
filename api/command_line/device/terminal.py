"""The device that a command works with, and what a command may ask of the person at it.

Owns: the bounded sync around a command, the questions, the journal, and the line about what waits.

Invariants
    V1  A command never waits long for a network: what the sync could not do in its time is said in one line and done by
        a later one. What was written is safe before.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from api.command_line.device import outcome
from api.command_line.device.outcome import Stopped
from api.command_line.device.place import Memory
from api.command_line.device.screen import Screen
from api.command_line.device.writes import Writes
from fitai_client import Client, FitaiError, Status

# V1. What was written should get out; what is shown, or written on, may be a minute old.
SYNC_BEFORE_S = {"before": 1.0, "around": 0.5}
SYNC_AFTER_S = 3.0
# What the user confirmed and watches go.
CONFIRMED_S = 30.0
# Longer than a near server takes, shorter than a person notices.
SEND_FIRST_S = 0.15
JOURNAL_MAX = 50

T = TypeVar("T")


@dataclass
class Terminal:
    """What a command works with."""

    client: Client
    screen: Screen
    memory: Memory
    device: Path
    server: str
    as_json: bool
    offline: bool
    # Why the sync around this command did not finish; empty where it did, or was not to be.
    unfinished: str = ""
    # Whether somebody is signed in, where that was asked already.
    may_sync: bool | None = None
    # Whether so much was written that somebody may wonder where it is.
    imported: bool = False
    _syncing: asyncio.Task[bool] | None = None
    # Whether this command has synced, as a whole.
    _fetched: bool = False

    @property
    def can_ask(self) -> bool:
        """Whether somebody is at the terminal to answer a question (asking.py)."""
        return not self.as_json and sys.stdin.isatty()

    async def sync_within(self, seconds: float) -> bool:
        """Sync for at most so long. False, with `unfinished` saying why, where it did not finish."""
        try:
            async with asyncio.timeout(seconds):
                # What is sent goes at once where this command has fetched already.
                await self.client.sync(spaces=not self._fetched)
        except TimeoutError:
            self.unfinished = "the server is slow to answer; `fitai sync` takes its time"
        except FitaiError as error:
            self.unfinished = outcome.sentence(error).rstrip(".")
        else:
            self.unfinished = ""
            self._fetched = True
        return not self.unfinished

    async def send(self) -> None:
        """Begin the sync that follows a command now, before its answer is put together and printed.

        Where the server is near, others have it when this returns.
        """
        if self.may_sync is None:
            self.may_sync = not self.offline and (await self.client.status()).signed_in
        if self.may_sync and self._syncing is None:
            self._syncing = asyncio.create_task(self.sync_within(SYNC_AFTER_S))
            await asyncio.wait({self._syncing}, timeout=SEND_FIRST_S)

    async def finish_sending(self) -> None:
        """Sync as `send` does, and wait for its end."""
        await self.send()
        if self._syncing is not None:
            await self._syncing

    async def send_confirmed(self) -> None:
        """Send deletes that the user was asked about here, so that the server need not ask once more."""
        await self.finish_sending()
        held = paused(await self.client.status())
        if held is not None and held[0] == "mass_delete":
            await self.client.confirm_deletes()
            await self.sync_within(CONFIRMED_S)

    async def write(self, writes: Writes, words: str) -> None:
        """Write a group, put it into the journal, and begin to send it.

        Raises:
            Stopped: Ctrl+C came while it was written; it is written, and in the journal.
        """

        async def write() -> None:
            await self.client.write_group(writes.group)
            self.remember(words, **writes.undo)

        await whole(write(), "Stopped, after it was written: `fitai undo` takes it back.")
        await self.send()

    def remember(self, words: str, **undo: Any) -> None:
        """Put a command into the journal, with what `fitai undo` needs: created, changed, or an import."""
        self.imported = self.imported or "imported" in undo
        entry = {"words": words, "at": datetime.now(UTC).isoformat(timespec="seconds"), **undo}
        try:
            with Memory.changing(self.device) as self.memory:
                self.memory.journal = [*self.memory.journal, entry][-JOURNAL_MAX:]
        except OSError as error:
            # What was written stands; a failure told here would have it typed a second time.
            told = f"This is written, but `fitai undo` will not know of it: {outcome.sentence(error)}"
            self.screen.say((told, "warn"))


async def go_on(client: Client, device: Path) -> int:
    """Write what a rescue saved into the new file that it began. How many changes were written.

    It is forgotten then: written once more, it would go over what was changed since.
    """
    rescued = Memory.read(device).rescued
    written = await client.write_rescued(rescued) if rescued is not None else 0
    with Memory.changing(device) as memory:
        memory.rescued = None
    return written


async def whole(work: Coroutine[Any, Any, T], stopped: str) -> T:
    """Do `work` to its end even where Ctrl+C comes, so that no write is parted from its entry in the journal.

    Raises:
        Stopped: Ctrl+C came, and the work is done; with `stopped` as its sentence.
    """
    working = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        while not working.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({working})
    working.result()
    raise Stopped(stopped)


def paused(status: Status) -> tuple[str, str] | None:
    """(code, sentence) of what holds the queue until the user decides; None where nothing does."""
    held = next((space.paused for space in status.spaces if space.paused), None)
    if held is None:
        return None
    told = {
        "mass_delete": f"The server asks whether {_deletes(held.get('details'))} are meant: "
        "`fitai sync --confirm-deletes`, or `--withdraw-deletes` shows them again.",
        "over_quota": "The account has no room left: delete something, or `fitai sync --withdraw-new` takes back what "
        "waits.",
    }
    code = str(held["code"])
    return code, told.get(code, f"{str(held['message']).rstrip('.')}. `fitai sync` tries again.")


def _deletes(details: Any) -> str:
    if isinstance(details, dict) and "count" in details:
        return f"{details['count']} deletes of {details.get('collection', 'records')}"
    return "so many deletes"


def say_pending(terminal: Terminal, status: Status) -> None:
    """One line where something waits, or could not be fetched; none where all is well, or nobody ever signed in."""
    if status.inbox:
        refused = "1 change was refused" if status.inbox == 1 else f"{status.inbox} changes were refused"
        terminal.screen.say((f"{refused} by the server: see `fitai inbox`.", "warn"))
    waits = f"{status.pending:,} {'change waits' if status.pending == 1 else 'changes wait'}"
    held = paused(status)
    if not status.signed_in:
        if status.pending and status.account:
            terminal.screen.say((f"{waits} here: the session has ended, run `fitai sign-in`.", "warn"))
        elif status.pending and terminal.imported:
            # Whoever wants no account is not told of one by every command.
            terminal.screen.say((f"{waits} here for an account: `fitai sign-up` or `sign-in`.", "quiet"))
    elif held is not None:
        terminal.screen.say((f"{waits} here. {held[1]}", "warn"))
    elif terminal.unfinished:
        what = f"{waits} here" if status.pending else "This may not be the newest"
        terminal.screen.say((f"{what}: {terminal.unfinished}.", "warn"))
    elif status.pending:
        terminal.screen.say((status.why if not terminal.offline else f"{waits} here for the next sync.", "quiet"))


def sync_json(status: Status, terminal: Terminal) -> dict[str, Any]:
    """The member `sync` of every JSON answer."""
    return {
        "signed_in": status.signed_in,
        "account": status.account,
        "pending": status.pending,
        "inbox": status.inbox,
        "why": held[1] if (held := paused(status)) else terminal.unfinished or status.why,
    }


def print_json(value: dict[str, Any]) -> None:
    """One object, on one line."""
    click.echo(json.dumps(value))
