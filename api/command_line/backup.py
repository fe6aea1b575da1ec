"""`fitai backup`: everything that is stored, in one file, beside a running server.

Owns: the file's name where a folder was given, the progress bar, the words and the JSON.
Refuses to know: what a backup is (storage/backup).
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from api.command_line.failures import telling
from api.command_line.options import database_flags, settings_from
from api.command_line.progress import progress_bar
from api.command_line.running import run
from api.command_line.terminal import console, say
from api.version import fitai_version
from storage.backup.archive import Header
from storage.backup.saving import Saved, save
from storage.database import open_database

EXAMPLES = """\b
Examples:
  fitai backup /srv/backups/          into a new file, named by the moment
  fitai backup before-upgrade.tar     into this file, which must not exist
  fitai backup /srv/backups/ --json   for a program, with name and checksum
  fitai backup pg.tar --database-url postgresql+asyncpg://fitai@db/fitai

`fitai check FILE` looks whether a backup could be restored, and `fitai restore FILE` does it.
"""


@click.command(epilog=EXAMPLES)
@click.argument("target", type=click.Path(path_type=Path))
@database_flags
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def backup(target: Path, as_json: bool, **flags: Any) -> None:
    """Back up everything that is stored into the file TARGET, or into a new file in the folder TARGET.

    Works beside a running server and keeps nobody waiting. The file is one state of the whole: what the server had
    answered before is in it. It is there as a whole or not at all, nothing is ever replaced, and only you can read it:
    it holds everybody's training, and the hashes of passwords.
    """
    settings = settings_from(flags).settings
    if str(target) == "-":
        raise click.BadParameter("a backup is written into a file, not to standard output; name one.")
    now = datetime.now(UTC)
    if target.is_dir():
        target /= f"fitai-{now:%Y%m%dT%H%M%SZ}.tar"
    with telling(as_json):
        saved = run(_save(settings.database_url, target, now, quiet=as_json), stopped="Stopped; no backup was made.")
    if as_json:
        told = {"ok": True, "file": str(target), "bytes": saved.size, "sha256": saved.sha256, **described(saved.header)}
        click.echo(json.dumps(told, indent=2))
    else:
        say(f"{rows_are(saved.header)} backed up in {target} ({saved.size:,} bytes, SHA-256 {saved.sha256}).")


async def _save(url: str, target: Path, now: datetime, *, quiet: bool) -> Saved:
    database = await open_database(url, patient=True)
    try:
        with progress_bar(console(quiet=quiet)) as counting:
            return await save(
                database,
                target,
                fitai=fitai_version(),
                taken_at=now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                walked=counting("backing up", "rows"),
            )
    finally:
        await database.close()


def rows_are(header: Header) -> str:
    """How many rows a backup has, as a sentence begins."""
    return "1 row is" if header.rows == 1 else f"{header.rows:,} rows are"


def described(header: Header) -> dict[str, Any]:
    """What a backup says of itself, for a program."""
    return {
        "taken_at": header.taken_at,
        "fitai": header.fitai,
        "schema": header.schema,
        "database": header.database,
        "rows": {table.name: table.rows for table in header.tables},
    }
