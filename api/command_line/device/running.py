"""How every command of the terminal runs: its common flags, its device, its end.

Owns: opening and closing the device, and that every failure is one sentence and an exit code (outcome.py).

Invariants
    R1  With --json, standard output is one object, whatever happens.
    R2  No traceback, and Ctrl+C ends with 130 and a closed database.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any, Concatenate, Literal, ParamSpec

import click

from api.command_line.device import outcome
from api.command_line.device.outcome import Stopped
from api.command_line.device.place import (
    SERVER,
    Memory,
    New,
    device_file,
    device_name,
    device_there,
    server_address,
    shown_name,
)
from api.command_line.device.screen import Screen, clean
from api.command_line.device.terminal import SYNC_BEFORE_S, Terminal, go_on, print_json, say_pending, sync_json
from api.command_line.terminal import say
from fitai_client import Client

log = logging.getLogger(__name__)

P = ParamSpec("P")
Result = dict[str, Any] | None
When = Literal["before", "around", "never"]

Command = Callable[Concatenate[Terminal, P], Awaitable[Result]]


class JsonCommand(click.Command):
    """A command whose wrong command line is told as JSON too, where that is asked for."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        as_json = "--json" in args
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            if not as_json:
                raise
            _fail(error.format_message(), "usage", outcome.USAGE, as_json=True)
            raise


class JsonGroup(JsonCommand, click.Group):
    """The same of a group."""


def common_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """The flags of every command that has a device."""
    for option in reversed(
        [
            click.option("--device", type=click.Path(dir_okay=False), help="The device's file.  [FITAI_DEVICE]"),
            click.option("--profile", help="Which of several devices.  [FITAI_PROFILE, default: default]"),
            click.option("--server", help=f"The server's address.  [FITAI_SERVER, the last one, or {SERVER}]"),
            click.option("--offline", is_flag=True, help="Do not talk to the server now."),
            click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for a program."),
        ]
    ):
        command = option(command)
    return command


def on_device(
    *, sync: When = "around", background: bool = False, new: New = "refuse"
) -> Callable[[Command[P]], Callable[..., None]]:
    """Make a click callback of a command: an async function of a `Terminal` and its own arguments.

    sync: "before" a command that shows, so that it shows the newest; "around" one that writes, so that it goes on from
    the newest, and its own goes out. background: hold the live socket while it runs. new: where there is no device yet,
    "make" it, show an "empty" one and make nothing, or "refuse".
    """

    def decorate(function: Command[P]) -> Callable[..., None]:
        @common_flags
        @functools.wraps(function)
        def command(
            *, device: str | None, profile: str | None, server: str | None, offline: bool, as_json: bool, **own: Any
        ) -> None:
            context = click.get_current_context()
            if context.invoked_subcommand is not None:
                return
            # A flag may stand before a subcommand as well as behind it.
            above = context.parent.params if context.parent else {}
            device, profile = device or above.get("device"), profile or above.get("profile")
            server, offline = server or above.get("server"), offline or bool(above.get("offline"))
            as_json = as_json or bool(above.get("as_json"))
            quiet_logs()
            screen = Screen(quiet=as_json)

            async def work() -> None:
                path = device_file(os.environ, device, profile)
                memory = Memory.read(path)
                address = server_address(server or os.environ.get("FITAI_SERVER") or memory.server or SERVER)
                named = device_name(os.environ, device, profile)
                there = device_there(path, new, named=named)
                async with AsyncExitStack() as stack:
                    file = stack.enter_context(there)
                    following = background and not offline
                    name = shown_name(path, named)
                    opened = await Client.open(file, server=address, name=name, background=following)
                    client = await stack.enter_async_context(opened)
                    terminal = Terminal(client, screen, memory, path, address, as_json, offline)
                    if memory.rescued is not None and memory.server is None and file == path:
                        # A rescue was ended before it came to that, and no sign-in will.
                        await go_on(client, path)
                    result = await _around(terminal, sync, lambda: function(terminal, **own))  # type: ignore[call-arg]
                    if as_json and result is not None:
                        print_json({"ok": True, **result, "sync": sync_json(await client.status(), terminal)})

            run(work(), as_json=as_json, stopped="" if background else "Stopped.")

        return command

    return decorate


async def _around(terminal: Terminal, when: When, work: Callable[[], Awaitable[Result]]) -> Result:
    may = not terminal.offline and when != "never" and (await terminal.client.status()).signed_in
    terminal.may_sync = may if when != "never" else None
    if may:
        await terminal.sync_within(SYNC_BEFORE_S[when])
    result = await work()
    if may and when == "around":
        await terminal.finish_sending()
    if when != "never":
        say_pending(terminal, await terminal.client.status())
    return result


def run(work: Coroutine[Any, Any, None], *, as_json: bool, stopped: str = "Stopped.") -> None:
    """Run a command to its end, and end the process with its exit code (R1, R2). `stopped` is said at Ctrl+C."""
    stops: list[int] = []
    try:
        asyncio.run(_stoppable(work, stops))
    except (KeyboardInterrupt, Stopped, asyncio.CancelledError) as error:
        by_system = signal.SIGTERM in stops or getattr(error, "by_system", False)
        left = str(error) if isinstance(error, Stopped) else ""
        told = left or ("Stopped by the system." if by_system else stopped)
        _fail(told, "stopped", outcome.TERMINATED if by_system else outcome.STOPPED, as_json)
    except BrokenPipeError:
        raise
    except outcome.EXPECTED as error:
        _fail(outcome.sentence(error), outcome.code(error), outcome.exit_code(error), as_json, error)
    except click.exceptions.Exit:
        raise
    except Exception as error:
        log.debug("unexpected", exc_info=True)
        told = (
            f"This is a mistake in fitai ({type(error).__name__}: {error}). FITAI_DEBUG=1 shows more; please report it."
        )
        _fail(told, "internal", outcome.REFUSED, as_json)


async def _stoppable(work: Coroutine[Any, Any, None], stops: list[int]) -> None:
    """`work`, cancelled by the first Ctrl+C or SIGTERM; the second ends the process at once."""
    task = asyncio.current_task()

    def stop(number: int) -> None:
        if stops:
            os._exit(outcome.STOPPED)
        stops.append(number)
        if task is not None:
            task.cancel()

    if sys.platform != "win32":
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop, number)
    await work


def _fail(message: str, code: str, exit_code: int, as_json: bool, error: BaseException | None = None) -> None:
    candidates = [each.name for each in getattr(error, "candidates", ())]
    if as_json:
        told: dict[str, Any] = {"ok": False, "error": message, "code": code}
        print_json({**told, "candidates": candidates} if candidates else told)
    elif message:
        if code == "stopped" and sys.stderr.isatty():
            # The terminal has written ^C, or a question, on this line.
            click.echo(err=True)
        say(f"fitai: {clean(message)}", err=True)
        for name in candidates if len(candidates) > 1 else ():
            say(f"  {clean(name)}", err=True)
    raise click.exceptions.Exit(exit_code)


def quiet_logs() -> None:
    """The SDK's log belongs on no screen that somebody reads, unless they ask for it."""
    if os.environ.get("FITAI_DEBUG"):
        logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
        return
    logging.getLogger("fitai_client").addHandler(logging.NullHandler())
    logging.getLogger("fitai_client").propagate = False
