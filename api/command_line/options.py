"""What several subcommands share: the flags that are settings, and reading the settings.

Owns: the flags' names and help. Refuses to know: what a setting means (api/settings.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from api.command_line.failures import WrongSetting
from api.command_line.terminal import say
from api.settings import SettingsError
from api.settings_sources import Loaded, load

F = TypeVar("F", bound=Callable[..., Any])


def database_flags(command: F) -> F:
    """The flags of commands that only need the database."""
    return click.option("--database-url", help="Where the data is.  [FITAI_DATABASE_URL]")(command)


def server_flags(command: F) -> F:
    """The flags of everything that describes a server."""
    for option in reversed(
        [
            click.option("--host", help="Address to listen on.  [FITAI_HOST, default 127.0.0.1]"),
            click.option("--port", help="Port to listen on; 0 takes a free one.  [FITAI_PORT, default 8080]"),
            click.option("--database-url", help="Where the data is.  [FITAI_DATABASE_URL, default fitai.db here]"),
            click.option("--redis-url", help="Redis, for more than one process.  [FITAI_REDIS_URL]"),
            click.option("--workers", help="Number of processes.  [FITAI_WORKERS, default 1]"),
            click.option("--rate-limits", help="on, or off on a loopback address.  [FITAI_RATE_LIMITS]"),
            click.option("--log-level", help="debug, info, warning or error.  [FITAI_LOG_LEVEL]"),
        ]
    ):
        command = option(command)
    return command


def settings_from(flags: dict[str, Any]) -> Loaded:
    """Return the settings that environment, file and flags make; a wrong one ends the command with code 2.

    A variable that looks like ours and is none is named on stderr, so that nobody waits for its effect.
    """
    try:
        loaded = load(os.environ, flags)
    except SettingsError as error:
        raise WrongSetting(str(error)) from None
    for variable in loaded.ignored:
        say(f"Note: {variable} is not a setting and has no effect; `fitai config` lists all there are.", err=True)
    return loaded
