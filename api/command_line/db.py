"""`fitai db`: looking after the database without a server."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import click

from api.command_line.main import Failure
from api.command_line.options import database_flags, settings_from
from storage.errors import StorageError
from storage.migrations import upgrade as upgrade_schema

EXAMPLES = """\b
Examples:
  fitai db upgrade
  fitai db upgrade --database-url postgresql+asyncpg://fitai@db/fitai
"""


@click.group()
def db() -> None:
    """Look after the database."""


@db.command(epilog=EXAMPLES)
@database_flags
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def upgrade(as_json: bool, **flags: Any) -> None:
    """Bring the database up to date; nothing happens where it is already."""
    settings = settings_from(flags).settings
    url = settings.shown()["database_url"]
    try:
        asyncio.run(upgrade_schema(settings.database_url))
    except StorageError as error:
        raise Failure(str(error)) from None
    click.echo(json.dumps({"database_url": url, "upgraded": True}) if as_json else f"{url} is up to date.")
