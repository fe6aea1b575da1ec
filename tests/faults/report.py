"""What the person at the terminal sees: the bar while it runs, and the tables at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tests.faults.figures import GOALS, Figures
from tests.faults.scenario import Outcome

_COUNTS: Final = (
    ("kills", "deaths by kill -9"),
    ("looks", "of them looked into before a device could speak again"),
    ("partitions", "partitions"),
    ("pauses", "processes stopped and continued"),
    ("cuts", "connections cut at a byte"),
    ("duplicates", "pushes that arrived twice"),
    ("resent", "requests of plain writers without an answer"),
    ("acked_in_all", "changes acknowledged, and stored once"),
)


def soak_table(soaks: dict[str, Figures]) -> Table:
    """The rounds of kills and partitions, a column a database."""
    table = Table(box=None, header_style="bold", title="Under faults", title_justify="left", title_style="bold")
    table.add_column()
    for kind in soaks:
        table.add_column(kind, justify="right")
    for name, words in _COUNTS:
        table.add_row(words, *(f"{getattr(figures, name):,}" for figures in soaks.values()))
    for name, (words, _, goal) in GOALS.items():
        table.add_row(f"{words}  (goal {goal:g} s)", *(_times(figures.as_json()[name]) for figures in soaks.values()))
    return table


def _times(figures: dict[str, Any]) -> str:
    if not figures["count"]:
        return "-"
    shown = f"p50 {figures['p50']:.2f}  p99 {figures['p99']:.2f}  max {figures['max']:.2f} s"
    return shown if figures["reached"] else f"[yellow]{shown}, missed[/]"


def outcome_table(outcomes: Sequence[Outcome]) -> Table:
    """Every part of the run, a line each."""
    table = Table(box=None, header_style="bold")
    for column in ("part", "database", "", "what came of it"):
        table.add_column(column)
    table.add_column("s", justify="right")
    for one in outcomes:
        mark = "[yellow]skipped[/]" if one.skipped else "[green]held[/]" if one.passed else "[bold red]BROKEN[/]"
        figures = "  ".join(f"{name} {value}" for name, value in one.figures.items() if not isinstance(value, dict))
        said = escape("; ".join(filter(None, (one.said, figures))))
        table.add_row(one.name, one.kind, mark, said[:150], f"{one.seconds:.1f}")
    return table


def print_failures(console: Console, outcomes: Sequence[Outcome]) -> None:
    for one in outcomes:
        if not one.passed and not one.skipped:
            console.print(f"\n[bold red]{one.name}, {one.kind}[/]")
            console.print(one.details, markup=False, highlight=False, soft_wrap=True)
