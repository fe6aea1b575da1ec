"""`python -m tests.faults`: kills, partitions and named accidents on real servers; what is lost is named."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import secrets
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from random import Random

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from api.command_line.terminal import console
from tests.faults import accidents, controls, losses
from tests.faults.figures import Figures
from tests.faults.report import outcome_table, print_failures, soak_table
from tests.faults.scenario import BOTH, SCENARIOS, Outcome, Scenario, Skipped, carry_out
from tests.faults.soak import KILLS_A_PAUSE, soak
from tests.faults.world import Kind

# Imported for what they put into the list.
MODULES = (accidents, losses, controls)
# A soak over one ledger; longer ones are made of several, since each compares the whole ledger in each round.
KILLS_A_SOAK, PARTITIONS_A_SOAK = 60, 30
# Scenarios at once: most of their time is waiting.
LANES = 2
# Longer than any scenario, on a machine that does much else.
SCENARIO_S = 400.0


@dataclass
class Report:
    """The whole run."""

    seed: int
    soaks: dict[Kind, Figures] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def held(self) -> bool:
        return all(one.passed for one in self.outcomes)

    def as_json(self) -> str:
        soaks = {kind: figures.as_json() for kind, figures in self.soaks.items()}
        outcomes = [asdict(one) for one in self.outcomes]
        return json.dumps({"seed": self.seed, "held": self.held, "soaks": soaks, "outcomes": outcomes}, indent=2)


@click.command()
@click.option("--database", type=click.Choice(["sqlite", "postgres", "both"]), default="both", show_default=True)
@click.option("--kills", default=30, show_default=True, help="kill -9 of a server, Postgres or Redis, a database.")
@click.option("--partitions", default=15, show_default=True, help="Links that are cut off, a database.")
@click.option("--seed", type=int, help="What everything is drawn from. Default: a new one, which is printed.")
@click.option("--scenario", "names", multiple=True, metavar="NAME", help="Only this accident; may be repeated, or all.")
@click.option("--no-scenarios", is_flag=True, help="Only kills and partitions.")
@click.option("--minutes", type=float, help="Go on with kills and partitions for so long, whatever their number.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--list", "listed", is_flag=True, help="Name the scenarios.")
def main(
    database: str,
    kills: int,
    partitions: int,
    seed: int | None,
    names: Sequence[str],
    no_scenarios: bool,
    minutes: float | None,
    as_json: bool,
    listed: bool,
) -> None:
    """Attack real servers, and look whether anything that was acknowledged is lost.

    Ends with 0 where every promise was held, and with 1 otherwise: then the seed, the moment and what is missing are
    printed, and the folder with the logs is kept.
    """
    if listed:
        for one in SCENARIOS.values():
            click.echo(f"{one.name:28} {one.title}")
        return
    if unknown := set(names) - set(SCENARIOS) - {"all"}:
        raise click.UsageError(f"There is no scenario {', '.join(sorted(unknown))}; --list names them.")
    kinds = [kind for kind in BOTH if database in (kind, "both")]
    report = Report(secrets.randbelow(1_000_000) if seed is None else seed)
    usual = not (names or no_scenarios)
    chosen = [one for one in SCENARIOS.values() if (one.usual and usual) or one.name in names or "all" in names]
    terminal = console(quiet=as_json)
    terminal.print(f"seed {report.seed}", highlight=False)
    # What the process at the terminal does with a signal is the rig's end as well.
    asyncio.run(_run(report, kinds, None if names else (kills, partitions), chosen, minutes, terminal))
    if as_json:
        click.echo(report.as_json())
    else:
        if report.soaks:
            terminal.print(soak_table({str(kind): figures for kind, figures in report.soaks.items()}))
            terminal.print()
        terminal.print(outcome_table(report.outcomes))
        print_failures(terminal, report.outcomes)
    sys.exit(0 if report.held else 1)


async def _run(
    report: Report,
    kinds: Sequence[Kind],
    counts: tuple[int, int] | None,
    chosen: Sequence[Scenario],
    minutes: float | None,
    terminal: Console,
) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(
        *columns, TextColumn("{task.fields[said]}"), console=terminal, disable=not terminal.is_terminal
    ) as bar:
        if counts:
            # At once: a rig waits most of its time.
            await asyncio.gather(*(_soaks(report, kind, *counts, minutes, bar) for kind in kinds))
        parts = [(one, kind) for one in chosen for kind in one.kinds if kind in kinds]
        task = bar.add_task("scenarios", total=len(parts), said="")
        lanes = asyncio.Semaphore(LANES)

        async def carried_out(one: Scenario, kind: Kind) -> Outcome:
            async with lanes:
                bar.update(task, said=one.name)
                outcome = await _scenario(one, kind, report.seed, lambda line: bar.update(task, said=line))
                bar.advance(task)
                return outcome

        report.outcomes += await asyncio.gather(*(carried_out(one, kind) for one, kind in parts))
        bar.update(task, said="")


async def _soaks(report: Report, kind: Kind, kills: int, partitions: int, minutes: float | None, bar: Progress) -> None:
    """One soak, or one after the other until the time is over, each with the next seed."""
    figures = report.soaks[kind] = Figures()
    began = time.monotonic()
    until = None if minutes is None else began + minutes * 60
    if until is not None:
        kills, partitions = KILLS_A_SOAK, PARTITIONS_A_SOAK
    task = bar.add_task(kind, total=None if until else kills + partitions + kills // KILLS_A_PAUSE, said="")

    def moved(word: str) -> None:
        bar.update(task, advance=1, said=word)

    for seed in itertools.count(report.seed):
        try:
            await soak(kind, seed, kills=kills, partitions=partitions, figures=figures, moved=moved, until=until)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told and fails the run
            said, details = str(error), _told(error, seed)
            break
        said, details = f"{figures.acked_in_all:,} acknowledged changes, each stored once; all devices equal", ""
        if until is None or time.monotonic() > until:
            break
    bar.update(task, said="")
    report.outcomes.append(Outcome("kills and partitions", kind, not details, said, time.monotonic() - began, details))


async def _scenario(one: Scenario, kind: Kind, seed: int, tell: Callable[[str], None]) -> Outcome:
    began = time.monotonic()
    try:
        async with asyncio.timeout(SCENARIO_S):
            said, figures = await carry_out(one, kind, Random(f"{seed} {one.name} {kind}"), tell)
    except Skipped as skipped:
        return Outcome(one.name, kind, True, str(skipped), time.monotonic() - began, skipped=True)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told and fails the run
        return Outcome(one.name, kind, False, str(error), time.monotonic() - began, _told(error, seed))
    return Outcome(one.name, kind, True, said, time.monotonic() - began, figures=figures)


def _told(error: BaseException, seed: int) -> str:
    return f"seed {seed}\n" + "".join(traceback.format_exception(error))


if __name__ == "__main__":
    # Servers that die make the SDK log what it meets. Here and not above: a level is the whole process's.
    logging.getLogger("fitai_client").setLevel(logging.CRITICAL)
    main()
