"""`fitai bench`: the load generator on the terminal.

Owns: the flags, the progress, the table and the files. Refuses to know: what is measured, and how (bench/).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from api.command_line import running
from api.command_line.failures import Failure
from api.command_line.terminal import console, say
from api.command_line.training_log import training_log
from bench.client import BenchError
from bench.picture import picture
from bench.report import as_json, table
from bench.run import Options, Progress, run
from bench.workloads import USUAL, WORKLOADS, Sizes

EXAMPLES = """\b
Examples:
  fitai bench                                everything, on SQLite
  fitai bench --database postgres W1 W1b W6  pushes, on a Postgres of its own
  fitai bench --scale 0.1 --rounds 1         a quick look
  fitai bench --json b.json --svg b.svg      for a program and for people
  fitai bench --url http://127.0.0.1:8080    a server that runs already
  fitai bench device                         the SDK on a device, by itself
"""
# How often a bar is drawn anew: it takes time from the generator.
REFRESHED_A_SECOND: Final = 4


_CALLED: Final = {"sqlite": "SQLite", "postgres": "Postgres"}
_KNOWN: Final = ", ".join(f"{name} ({WORKLOADS[name].title})" for name in sorted(WORKLOADS))
_BY_ANY_CASE: Final = {name.casefold(): name for name in WORKLOADS}


def _names(_: click.Context, parameter: click.Parameter, value: str | tuple[str, ...]) -> tuple[str, ...]:
    given = value.split(",") if isinstance(value, str) else value
    for name in given:
        if name.strip().casefold() not in _BY_ANY_CASE:
            raise click.BadParameter(f"there is no workload {name!r} yet; there are {_KNOWN}.", param=parameter)
    return tuple(_BY_ANY_CASE[name.strip().casefold()] for name in given)


def _writable(_: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    # Found out now, and not after minutes of work.
    if value is not None and not os.access(value if value.exists() else value.absolute().parent, os.W_OK):
        raise click.BadParameter(f"{value} cannot be written; name a file in a folder that is there.", param=parameter)
    return value


def _address(_: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and not re.match(r"https?://[^/]", value):
        raise click.BadParameter(f"{value} is no address; write one like http://127.0.0.1:8080.", param=parameter)
    return value


class _Lines(Progress):
    """A line for each part of the run: for a pipe."""

    def begin(self, what: str, steps: int) -> Callable[[int], None]:
        say(what, err=True)
        return lambda _: None


class _OneBar(Progress):
    """A bar for the part that runs now: for people."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars

    def begin(self, what: str, steps: int) -> Callable[[int], None]:
        for task in self._bars.task_ids:
            self._bars.remove_task(task)
        # It moves to and fro until the first step is done: accounts and batches are being made.
        task = self._bars.add_task(what, total=None)

        def tick(done: int) -> None:
            self._bars.update(task, total=steps, advance=done)

        return tick


@contextmanager
def _progress() -> Iterator[Progress]:
    terminal = Console(stderr=True)
    if not terminal.is_terminal:
        yield _Lines()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Bars(*columns, console=terminal, transient=True, refresh_per_second=REFRESHED_A_SECOND) as bars:
        yield _OneBar(bars)


@click.command(epilog=EXAMPLES)
@click.argument("named", metavar="[WORKLOAD]...", nargs=-1, callback=_names)
@click.option(
    "--workload",
    "workloads",
    default=",".join(USUAL),
    show_default=True,
    callback=_names,
    help=f"Which, separated by commas: {_KNOWN}.",
)
@click.option(
    "--database",
    type=click.Choice(["sqlite", "postgres"]),
    default="sqlite",
    show_default=True,
    help="What both servers keep their rows in.",
)
@click.option("--database-url", help="A Postgres to make two databases in; one is started where this is left out.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False, writable=True),
    help="Where the SQLite files go: it decides which disk is measured.",
)
@click.option(
    "--url", callback=_address, help="A server that runs already, with its rate limits off; nothing is started."
)
@click.option(
    "--bare-url",
    callback=_address,
    help="With --url: a bare server (python -m bench.bare) on the same machine.",
)
@click.option(
    "--scale",
    type=click.FloatRange(0.001, 100),
    default=1.0,
    show_default=True,
    help="Size of the work; below 1 it is too small to judge by.",
)
@click.option(
    "--rounds",
    type=click.IntRange(1, 100),
    default=3,
    show_default=True,
    help="Figures are medians; W4, W7 and W8 run once.",
)
@click.option(
    "--import-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    callback=training_log,
    help="For W8b: the export of another app; one of 7,211 sets is made where this is left out.",
)
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=_writable,
    help="Write every figure here.",
)
@click.option(
    "--svg",
    "svg_file",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=_writable,
    help="Draw the results here: bars beside the bare limit and what is to be reached, W7 as curves.",
)
def bench(
    named: tuple[str, ...],
    workloads: tuple[str, ...],
    database: Literal["sqlite", "postgres"],
    database_url: str | None,
    folder: Path | None,
    url: str | None,
    bare_url: str | None,
    scale: float,
    rounds: int,
    import_file: Path | None,
    json_file: Path | None,
    svg_file: Path | None,
) -> None:
    """Measure a server beside the least that its language, driver and database can do.

    Times depend on the machine; the ratios hold elsewhere too. Starts our server and the bare one over databases
    of their own, and removes them afterwards.
    """
    if database_url is not None and database == "sqlite":
        raise click.UsageError("--database-url names a Postgres; add --database postgres.")
    if bare_url is not None and url is None:
        raise click.UsageError("--bare-url goes with --url.")
    options = Options(
        workloads=named or workloads,
        database=database,
        database_url=database_url,
        folder=folder,
        url=url,
        bare_url=bare_url,
        sizes=Sizes().scaled(scale),
        rounds=rounds,
        import_file=import_file,
    )
    try:
        # The generator shares the machine with the servers: the less it takes, the less it disturbs.
        with _progress() as progress:
            results = running.run(
                run(options, progress),
                loop_factory=running.fast_loop,
                stopped="Stopped; the servers and their databases are gone.",
            )
    except BenchError as error:
        raise Failure(str(error)) from None
    title = f"on {url or _CALLED[database]}, {'one round' if rounds == 1 else f'medians of {rounds} rounds'}"
    console().print(table(results, title))
    if json_file is not None:
        report = {"scale": scale, **options.about()}
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(as_json(results, report)), indent=2) + b"\n")
    if svg_file is not None:
        small = "" if options.judged else ", too small to judge by"
        svg_file.write_text(picture(results, title + small), encoding="utf-8")
