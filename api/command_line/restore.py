"""`fitai restore`: a backup, put back into an empty place of either database.

Owns: the progress bar, the words and the JSON. Refuses to know: how it is done (storage/backup).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from api.command_line.backup import described, rows_are
from api.command_line.failures import telling
from api.command_line.options import database_flags, settings_from
from api.command_line.progress import progress_bar
from api.command_line.running import run
from api.command_line.terminal import console, say
from api.secret_key import place_beside
from api.settings import Settings
from storage.backup.archive import Archive, Header
from storage.backup.erasures import read_erasures
from storage.backup.restoring import restore as put_back
from storage.database import backend_of, masked
from storage.sqlite_connection import path_of
from sync.environment import system
from sync.lives import begin_life

EXAMPLES = """\b
Examples:
  fitai restore /srv/backups/fitai-20261125T030000Z.tar
  fitai restore old.tar --database-url sqlite+aiosqlite:////srv/new.db
  fitai restore old.tar --database-url postgresql+asyncpg://fitai@db/fitai
  fitai restore old.tar --erasures erasures.jsonl   less who was erased since

After it: `fitai check`, and `fitai serve`. Devices then give back what they hold and the backup has not.
"""


@click.command(epilog=EXAMPLES)
@click.argument("source", type=click.Path(path_type=Path))
@database_flags
@click.option(
    "--erasures",
    type=click.Path(path_type=Path),
    multiple=True,
    help="What `fitai admin erasures` printed: accounts that were erased since the backup stay erased.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def restore(source: Path, erasures: tuple[Path, ...], as_json: bool, **flags: Any) -> None:
    """Put the backup in the file SOURCE into an empty place.

    The place is a file that is not there yet, or a Postgres database without a row; nothing is ever replaced. The
    checksum is compared before anything is written, and what is written is there as a whole or not at all. A backup of
    an earlier version is brought up to date, and one of either database can be put into the other.
    """
    settings = settings_from(flags).settings
    with telling(as_json):
        erased = [each for path in erasures for each in read_erasures(path)]
        header, again = run(
            restore_into(source, settings.database_url, quiet=as_json, erased=erased),
            stopped="Stopped; nothing was restored.",
        )
    shown = masked(settings.database_url)
    if as_json:
        told = {"ok": True, "file": str(source), "database_url": shown, **described(header), "erased_again": again}
        click.echo(json.dumps(told, indent=2))
    else:
        if again:
            accounts = "1 account is" if again == 1 else f"{again:,} accounts are"
            say(f"{accounts} erased again; the server takes away what is left of it at its start.")
        if not erasures:
            say(
                "Accounts that were erased since the backup are back, if there were any. To keep them erased, restore "
                "into an empty place with --erasures and what `fitai admin erasures` printed."
            )
        # The flag is for one command alone: without it the next one would look at another database.
        what = rows_are(header)
        place = f" --database-url {shown}" if flags["database_url"] else ""
        say(f"{what} restored in {shown}, as of {header.taken_at}; look over them with `fitai check{place}`.")
        if (missing := _secret_missing(settings)) is not None:
            say(
                f"{missing} is not there, and no backup has it: put the old one there before the server starts, or "
                "everybody has to sign in again."
            )


def _secret_missing(settings: Settings) -> Path | None:
    """The file beside a restored database that the server would make anew, and so end all sessions; or None."""
    if settings.secret_key is not None or backend_of(settings.database_url) != "sqlite":
        return None
    path = place_beside(path_of(settings.database_url))
    return None if path.exists() else path


async def restore_into(
    source: Path, url: str, *, quiet: bool, erased: Sequence[tuple[str, int]] = ()
) -> tuple[Header, int]:
    """Put a backup into the empty place that `url` names, with a progress bar: what it says of itself, and how many
    accounts of it had been erased. Raises BackupError, StorageError."""
    environment = system()
    with progress_bar(console(quiet=quiet)) as counting:
        archive = Archive.verified(source, counting("verifying", "bytes"))
        again = await put_back(
            archive,
            url,
            begin_life=lambda space: begin_life(space, environment, timeline=""),
            erased=erased,
            walked=counting("restoring", "rows"),
        )
    return archive.header, again
