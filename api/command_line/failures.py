"""How a command ends that cannot do what it was asked: one sentence on stderr, and the exit code.

Failure        1    what the user can mend
WrongSetting   2    a setting or a flag is wrong; nothing was tried
Stopped        130  the user had enough, or the machine did
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from api.command_line.main import INTERRUPTED
from api.command_line.terminal import say
from storage.errors import StorageError


class Failure(click.ClickException):
    """What the user can mend, as one sentence."""

    exit_code = 1

    def show(self, file: Any = None) -> None:
        say(f"fitai: {self.message}", err=True)


class WrongSetting(Failure):
    """A setting or a flag is wrong; nothing was tried."""

    exit_code = 2


class Stopped(Failure):
    """The user had enough, or the machine did."""

    exit_code = INTERRUPTED


@contextmanager
def telling(as_json: bool) -> Iterator[None]:
    """Around what asks the database: its errors end the command, in one sentence or, for a program, with their code."""
    try:
        yield
    except StorageError as error:
        if as_json:
            click.echo(json.dumps({"ok": False, "error": str(error), "code": error.code}))
            raise click.exceptions.Exit(1) from None
        raise Failure(str(error)) from None
