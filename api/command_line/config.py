"""`fitai config`: the settings in force and where each came from. Secrets are masked, always."""

from __future__ import annotations

import json
from typing import Any

import click
from rich.table import Table

from api.command_line.options import server_flags, settings_from
from api.command_line.terminal import console
from api.settings import PREFIX, Settings

EXAMPLES = """\b
Examples:
  fitai config                            everything, and where each came from
  fitai config --workers 4                whether these flags would do
  FITAI_PORT=9000 fitai config --json     for a program
"""


@click.command(epilog=EXAMPLES)
@server_flags
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def config(as_json: bool, **flags: Any) -> None:
    """Show the settings in force, secrets masked.

    Settings come from environment variables, then from the TOML file that FITAI_CONFIG names, then from
    flags; later ones win.
    """
    loaded = settings_from(flags)
    shown = loaded.settings.shown()
    if as_json:
        shown["registration"] = _words(loaded.settings, "registration", shown["registration"])
        rows = {name: {"value": value, "source": loaded.sources.get(name, "default")} for name, value in shown.items()}
        click.echo(json.dumps(rows, indent=2))
        return
    table = Table(box=None, header_style="bold")
    for title in ("setting", "value", "from"):
        # A value is there to be read and copied whole.
        table.add_column(title, overflow="fold")
    for name, value in shown.items():
        table.add_row(PREFIX + name.upper(), _words(loaded.settings, name, value), loaded.sources.get(name, "default"))
    console().print(table)


def _words(settings: Settings, name: str, value: Any) -> str:
    """What is in force: of a setting that nobody set, what follows from the others."""
    if name == "secret_key" and value is None:
        return "kept beside the SQLite database, made at the first start; to be set with Postgres"
    if name == "registration":
        return "confirmed" if settings.confirms_registrations else "open"
    if name == "blob_url" and value is None:
        return str(settings.blob_folder)
    if name == "mail_folder" and value is None:
        return "beside the database"
    if isinstance(value, list):
        return ", ".join(value) or "none"
    if value is None:
        return "off"
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)
