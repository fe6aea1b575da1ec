"""`fitai`: the one command, and where its subcommands live.

Owns: the list of subcommands and what `fitai` alone shows.
Refuses to know: what a subcommand does. Each is imported when it is called, so that `fitai --help` is quick.
"""

from __future__ import annotations

import gc
import importlib
import sys
from typing import Final

import click

from api.command_line.device import COMMANDS as DEVICE
from api.command_line.terminal import degrade
from api.spelling import nearest

# name → (module, attribute, what `fitai --help` says), in the order in which a newcomer meets them
SERVER: Final[dict[str, tuple[str, str, str]]] = {
    "demo": ("api.command_line.demo", "demo", "See the whole product at work in one terminal."),
    "serve": ("api.command_line.serve", "serve", "Run the server."),
    "config": ("api.command_line.config", "config", "Show the settings in force, and where each came from."),
    "db": ("api.command_line.db", "db", "Bring the database up to date (db upgrade)."),
    "admin": ("api.command_line.admin", "admin", "Make accounts, give roles and plans."),
    "backup": ("api.command_line.backup", "backup", "Back up everything that is stored, into one file."),
    "restore": ("api.command_line.restore", "restore", "Put a backup back, into an empty place."),
    "check": ("api.command_line.check", "check", "Look for damage in everything that is stored."),
    "bench": ("api.command_line.bench", "bench", "Measure the server against the bare limit."),
}
COMMANDS: Final = {**SERVER, **DEVICE}

EXAMPLES: Final = """\b
Examples:
  fitai demo                      the product, shown in some seconds
  fitai serve                     a server on http://127.0.0.1:8080
  fitai serve --port 9000         on another port
  fitai config --json             what is in force, for a program
  fitai import hevy.csv           your years of training, on this device
  fitai log bench press 100kgx5   a set, with or without a network

Every command has --help with examples of its own.
"""


# The flags of every device's command (device/running.py), and whether a value follows.
DEVICE_FLAGS: Final = {"--device": True, "--profile": True, "--server": True, "--offline": False, "--json": False}


class _Lazy(click.Group):
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        flags, rest = _flags_before(args)
        if flags and not rest:
            raise click.UsageError(f"{flags[0]} goes with a command: fitai today {' '.join(flags)}", ctx)
        if flags and not rest[0].startswith("-"):
            args = [rest[0], *flags, *rest[1:]]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        command = getattr(importlib.import_module(module), attribute)
        if not gc.isenabled():
            # As main.py left it. What there is by now stays, but for two thousand objects.
            gc.freeze()
            gc.enable()
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}.{attribute} is no command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            if meant := nearest(args[0], COMMANDS):
                raise click.UsageError(f"{error.message} Did you mean {meant!r}?", ctx) from None
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, commands in (("Commands", SERVER), ("Your own training log", DEVICE)):
            with formatter.section(title):
                formatter.write_dl([(name, what) for name, (_, _, what) in commands.items()])


def _flags_before(args: list[str]) -> tuple[list[str], list[str]]:
    """(the common flags that stand before the command, the rest)."""
    at = 0
    while at < len(args):
        name, equals, _ = args[at].partition("=")
        if name not in DEVICE_FLAGS:
            break
        at += 2 if DEVICE_FLAGS[name] and not equals else 1
    return args[:at], args[at:]


@click.command(
    cls=_Lazy,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXAMPLES,
)
@click.version_option(package_name="fitai", prog_name="fitai")
@click.pass_context
def fitai(context: click.Context) -> None:
    """FitAI keeps training logs in sync: devices write without a network, and the server merges what they send."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def call() -> int:
    """Run what the command line asks for, tell on stderr what stood in the way, and return the exit code."""
    degrade()
    try:
        code = fitai(prog_name="fitai", standalone_mode=False)
    except click.ClickException as error:
        error.show(sys.stderr)
        return error.exit_code
    except click.Abort:
        return 1
    return code if isinstance(code, int) else 0
