"""`fitai`: the one command, and where its subcommands live.

Owns: the list of subcommands, and how a failure that the user can mend is told: one sentence on stderr, exit
code 1, or 2 where the command line or a setting is wrong.
Refuses to know: what a subcommand does. Each is imported when it is called, so that `fitai --help` is quick.
"""

from __future__ import annotations

import importlib
from typing import Any, Final

import click

# name → (module, attribute, what `fitai --help` says)
COMMANDS: Final[dict[str, tuple[str, str, str]]] = {
    "serve": ("api.command_line.serve", "serve", "Run the server."),
    "config": ("api.command_line.config", "config", "Show the settings in force, secrets masked."),
    "db": ("api.command_line.db", "db", "Look after the database."),
    "demo": ("api.command_line.demo", "demo", "See the whole product at work in one terminal."),
    "bench": ("api.command_line.bench", "bench", "Measure the server against the bare limit."),
    "check": ("api.command_line.check", "check", "Check everything that is stored."),
}

EXAMPLES: Final = """\b
Examples:
  fitai serve                     a server on http://127.0.0.1:8080, data in fitai.db
  fitai serve --port 9000         on another port
  fitai config --json             what is in force, for a program
  fitai db upgrade                bring the database up to date
"""


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        command = getattr(importlib.import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}.{attribute} is no command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, what) for name, (_, _, what) in COMMANDS.items()])


class Failure(click.ClickException):
    """What the user can mend, as one sentence."""

    exit_code = 1

    def show(self, file: Any = None) -> None:
        click.echo(f"fitai: {self.message}", err=True)


class WrongSetting(Failure):
    """A setting or a flag is wrong; nothing was tried."""

    exit_code = 2


@click.command(
    cls=_Lazy,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXAMPLES,
)
@click.version_option(package_name="fitai", prog_name="fitai")
def fitai() -> None:
    """FitAI: an offline-first sync server for training logs."""


def main() -> None:
    """The entry point of the console script. click sees to Ctrl+C and to a reader that has had enough."""
    fitai(prog_name="fitai")


if __name__ == "__main__":
    main()
