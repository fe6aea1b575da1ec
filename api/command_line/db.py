"""`fitai db`: looking after the database without a server."""

from __future__ import annotations

import json
from typing import Any

import click

from api.command_line.failures import Failure
from api.command_line.options import database_flags, settings_from
from api.command_line.running import run
from api.command_line.terminal import say
from storage.errors import StorageError
from storage.migrations import upgrade as upgrade_schema

EXAMPLES = """\b
Examples:
  fitai db upgrade
  fitai db upgrade --database-url postgresql+asyncpg://fitai@db/fitai
"""


@click.group(epilog=EXAMPLES)
def db() -> None:
    """Look after the database. `fitai check` looks for damage in it."""


@db.command(epilog=EXAMPLES, short_help="Bring the database up to date.")
@database_flags
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def upgrade(as_json: bool, **flags: Any) -> None:
    """Bring the database up to date, or make it; nothing happens where it is already.

    `fitai serve` does the same at its start. A step that is interrupted is begun again: the database is never half new.
    """
    settings = settings_from(flags).settings
    url = settings.shown()["database_url"]
    try:
        run(upgrade_schema(settings.database_url))
    except StorageError as error:
        raise Failure(str(error)) from None
    say(json.dumps({"database_url": url, "upgraded": True}) if as_json else f"{url} is up to date.")
