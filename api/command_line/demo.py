"""`fitai demo [FILE.csv]`: the product explained by showing it, with real parts.

Owns: the terminal. The story is in demonstration/story.py.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

import click
from rich.console import Console
from rich.table import Table

from api.command_line.demonstration.sample import SAMPLE
from api.command_line.demonstration.server import ServerProcess
from api.command_line.demonstration.story import Failed, Story
from api.command_line.failures import Failure
from api.command_line.running import run
from api.command_line.terminal import console
from api.command_line.training_log import training_log
from fitai_client import FitaiError
from fitai_client.importing import NotATrainingLog

EXAMPLES = """\b
Examples:
  fitai demo                              with a short log that comes with it
  fitai demo my-hevy-export.csv           with your own, as an app wrote it
  fitai demo log.csv --database-url postgresql+asyncpg://fitai@localhost/demo
"""


class TerminalTeller:
    """Tells the story as it happens."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._number = 0

    def begin(self, title: str) -> None:
        self._number += 1
        self._console.print(f"\n[bold cyan]{self._number}[/] [bold]{title}[/]")

    def say(self, line: str) -> None:
        self._console.print(f"  {line}", highlight=False, markup=False)

    def workout(self, title: str, rows: list[tuple[str, str]]) -> None:
        table = Table(title=title, title_justify="left", title_style="italic", show_header=False, box=None)
        table.add_column(style="green", no_wrap=True)
        table.add_column()
        for name, sets in rows[:6]:
            table.add_row(f"  {name}", sets)
        if len(rows) > 6:
            table.add_row(f"  and {len(rows) - 6} more", "")
        self._console.print(table)

    def end(self, seconds: float) -> None:
        self._console.print(f"  [dim]{seconds:.2f} s[/]", highlight=False)


@click.command(epilog=EXAMPLES)
@click.argument(
    "file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path), callback=training_log
)
@click.option(
    "--timezone",
    default="UTC",
    show_default=True,
    callback=lambda _context, _parameter, name: _zone(name),
    help="The zone in which the file's times are meant.",
)
@click.option("--database-url", help="An empty database for the server; a SQLite file of the demo's own by default.")
@click.option("--json", "as_json", is_flag=True, help="Print the steps and the result as JSON, for a program.")
def demo(file: Path | None, timezone: str, database_url: str | None, as_json: bool) -> None:
    """See the whole product at work in one terminal.

    A server starts, a phone imports a log without a network, a laptop follows, both edit the same things offline, the
    server is killed in the middle of a push; at the end all three are compared, record by record. Exits with 1 if
    anything is missing. Everything lives in a temporary folder and is gone afterwards.
    """
    terminal = console(quiet=as_json)
    began = time.perf_counter()
    story, problem = run(
        _told(file, timezone, database_url, TerminalTeller(terminal)),
        stopped="Stopped; the demo's server and its folder are gone.",
    )
    seconds = time.perf_counter() - began
    if as_json:
        click.echo(json.dumps(_result(story, seconds, problem)))
    elif problem is None:
        terminal.print(f"\n[bold green]All three agree.[/] [dim]{seconds:.1f} s in all.[/]\n")
    else:
        for difference in story.differences[:10]:
            terminal.print(f"  {difference.key}: {difference.places}", markup=False)
    if problem is not None:
        raise Failure(f"The demo stopped: {problem}.")


def _zone(name: str) -> str:
    if name not in available_timezones():
        raise click.BadParameter(f"{name} is no time zone; write one like Europe/Berlin.")
    return name


async def _told(
    file: Path | None, timezone: str, database_url: str | None, teller: TerminalTeller
) -> tuple[Story, str | None]:
    """The story, and None where everything held; otherwise what did not, in one sentence without its full stop."""
    with tempfile.TemporaryDirectory(prefix="fitai-demo-") as name:
        folder = Path(name)
        if file is None:
            file = folder / "sample.csv"
            file.write_text(SAMPLE, encoding="utf-8")
        story = Story(folder, file, timezone, ServerProcess(folder, database_url), teller)
        try:
            await story.tell()
        except (Failed, FitaiError, NotATrainingLog, RuntimeError, TimeoutError) as error:
            return story, str(error).rstrip(".") or type(error).__name__
        finally:
            await story.server.stop()
        return story, None


def _result(story: Story, seconds: float, problem: str | None) -> dict[str, Any]:
    return {
        "agreed": problem is None,
        "problem": problem,
        "records": story.records,
        "seconds": round(seconds, 3),
        "steps": [{"title": title, "seconds": round(took, 3)} for title, took in story.steps],
        "differences": [list(difference.key) for difference in story.differences],
    }
