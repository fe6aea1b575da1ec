"""`fitai check`: an audit of every rule of the stored data.

Owns: the progress bar, the lines and the JSON, the exit code. Refuses to know the rules (sync/audit_rules.py).
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import click
from rich.table import Table

from api.command_line.failures import telling
from api.command_line.options import database_flags, settings_from
from api.command_line.progress import progress_bar
from api.command_line.restore import restore_into
from api.command_line.running import run
from api.command_line.terminal import console, say
from storage.database import Database, masked, open_database
from storage.errors import BackupUnwritable, DatabaseReadOnly, DatabaseUnavailable, StorageError
from storage.migrations import is_newest
from sync.audit import Audit, Tally
from sync.audit_rules import Violation
from sync.audit_workers import workers
from sync.texts import ProcessTextReader

# A document of more is read by nobody; the count tells how many there are.
LISTED_MAX: Final = 10_000
# Below, it is done before other processes have started.
RECORDS_FOR_WORKERS: Final = 20_000

EXAMPLES = """\b
Examples:
  fitai check                           fitai.db in this folder
  fitai check before-upgrade.tar        whether a backup could be restored
  fitai check --database-url sqlite+aiosqlite:////srv/copy.db
  fitai check --database-url postgresql+asyncpg://fitai@db/fitai
  fitai check --json                    for a program
"""


@click.command(epilog=EXAMPLES)
@click.argument("backup", type=click.Path(path_type=Path), required=False)
@database_flags
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(backup: Path | None, as_json: bool, **flags: Any) -> None:
    """Check everything that is stored, in the database or in the file BACKUP, and change nothing.

    Works beside a running server. Ends with 0 where all is well, and with 1 where anything is not; each fault is
    one line that says what to do. A backup is restored into a temporary file (in TMPDIR), which goes with the check.
    """
    settings = settings_from(flags).settings
    with telling(as_json):
        tally = run(_check(backup, settings.database_url, as_json=as_json))
    if tally.violations:
        sys.exit(1)


async def _check(backup: Path | None, url: str, *, as_json: bool) -> Tally:
    look = _as_json if as_json else _in_words
    if backup is None:
        return await look(url, masked(url))
    async with _restored(backup, quiet=as_json) as url:
        return await look(url, str(backup))


@asynccontextmanager
async def _restored(backup: Path, *, quiet: bool) -> AsyncIterator[str]:
    """A backup as a database in a temporary file, by its URL."""
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(TemporaryDirectory(prefix="fitai-check-"))
            url = f"sqlite+aiosqlite:///{folder}/restored.db"
            await restore_into(backup, url, quiet=quiet)
        except (DatabaseReadOnly, DatabaseUnavailable, BackupUnwritable, OSError):
            # The only database in this is the temporary one: nothing is said about the server's.
            raise BackupUnwritable(
                "The backup could not be restored into a temporary file, as a check of it has to; name a folder with "
                "room for the whole database in TMPDIR."
            ) from None
        yield url


async def _as_json(url: str, name: str) -> Tally:
    listed: list[Violation] = []

    def found(violation: Violation) -> None:
        if len(listed) < LISTED_MAX:
            listed.append(violation)

    async with _opened(url) as audit:
        audit.found = found
        tally, ended = await _as_far_as_it_goes(audit)
    report = {
        "checked": name,
        "clean": not tally.violations,
        "complete": ended is None,
        "ended": ended,
        "spaces": tally.spaces,
        "records": tally.records,
        "changes": tally.changes,
        "found": tally.violations,
        "violations": [
            {"rule": v.rule, "space": v.space, "record": v.record, "what": v.what, "remedy": v.remedy} for v in listed
        ],
    }
    click.echo(json.dumps(report, indent=2))
    return tally


async def _in_words(url: str, name: str) -> Tally:
    terminal = console()
    with progress_bar(terminal) as counting:
        async with _opened(url) as audit:
            size, walked = await audit.size(), counting("checking", "records")
            audit.walked = lambda records: walked(records, size)
            # Not wrapped: one fault is one line for whatever reads it.
            audit.found = lambda v: terminal.print(line_of(v), markup=False, highlight=False, soft_wrap=True)
            tally, ended = await _as_far_as_it_goes(audit)
    terminal.print(_summary(tally))
    if ended is not None:
        say(f"The check ended before it was done: {ended}", err=True)
    terminal.print(_verdict(name, tally), markup=False, highlight=False, soft_wrap=True)
    return tally


async def _as_far_as_it_goes(audit: Audit) -> tuple[Tally, str | None]:
    """Run an audit; where damage that it has told of already keeps it from going on, say so beside what was found.

    Raises StorageError where it can be read on nowhere and nothing was found to be wrong.
    """
    try:
        return await audit.run(), None
    except StorageError as error:
        if not audit.tally.violations:
            raise
        return audit.tally, str(error)


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[Audit]:
    async with AsyncExitStack() as stack:
        database = await open_database(url, patient=True)
        stack.push_async_callback(database.close)
        await _refuse_other_schema(database)
        texts = ProcessTextReader()
        stack.push_async_callback(texts.close)
        audit = Audit(database, texts, found=lambda _: None)
        if await audit.size() >= RECORDS_FOR_WORKERS:
            audit = Audit(database, texts, lambda _: None, workers=await stack.enter_async_context(workers(url)))
        yield audit


async def _refuse_other_schema(database: Database) -> None:
    """What another schema says cannot be judged here. Raises StorageError."""
    newest = True
    # Where damage keeps it from being read, the audit tells of that.
    with suppress(StorageError):
        async with database.read() as tx:
            newest = await is_newest(tx)
    if not newest:
        raise StorageError(
            "The database has the schema of another version of FitAI, and is checked by that one; `fitai db upgrade` "
            "brings one of an earlier version up to date."
        )


def line_of(violation: Violation) -> str:
    """A violation as one line: where, which rule, what is wrong, what to do."""
    where = [f"space {violation.space}"] if violation.space else []
    where += [violation.record] if violation.record else []
    text = f"{', '.join(where) or 'the database'}: {violation.rule}: {violation.what}; to do: {violation.remedy}"
    # What a damaged row says may hold anything.
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _verdict(name: str, tally: Tally) -> str:
    if not tally.violations:
        return f"All is well in {name}."
    faults = "1 fault" if tally.violations == 1 else f"{tally.violations:,} faults"
    return f"{faults} in {name}: each line above says what to do."


def _summary(tally: Tally) -> Table:
    table = Table(box=None, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, count in (
        ("spaces", tally.spaces),
        ("records", tally.records),
        ("changes worked out again", tally.changes),
        ("violations", tally.violations),
    ):
        table.add_row(name, f"{count:,}")
    return table
