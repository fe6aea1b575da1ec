"""Figures into answers: medians, ratios, the table for a reader and the JSON for a program.

Owns: the form of the report. Refuses to know: how a figure came about.
"""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.table import Table

from bench.workloads import WORKLOADS, Comparison, Figures, Sizes

# Of the JSON: raised where a name changes or goes.
VERSION: Final = 1


@dataclass(frozen=True)
class Result:
    """One workload: the figures of every round, of our server and of the bare limit where there was one.

    sizes: how much work there was. judged: whether it was enough to say that something was reached or missed.
    """

    name: str
    fitai: list[Figures]
    bare: list[Figures]
    sizes: Sizes
    judged: bool = True

    @property
    def medians(self) -> Figures:
        """The median of every figure of our server."""
        return median(self.fitai)

    def as_json(self) -> dict[str, Any]:
        """Medians, ratios and whether what is to be reached was reached."""
        fitai, bare = self.medians, median(self.bare)
        compared = {line.figure: line for line in self.lines()}
        return {
            "title": WORKLOADS[self.name].title,
            "fitai": fitai,
            "bare": bare or None,
            "aims": {figure: line.aim or None for figure, line in compared.items()},
            "ratios": {figure: line.ratio for figure, line in compared.items()},
            "reached": {figure: line.reached for figure, line in compared.items()},
            "rounds": {"fitai": self.fitai, "bare": self.bare},
        }

    def lines(self) -> Iterator[Line]:
        """What the table shows of it."""
        fitai, bare = self.medians, median(self.bare)
        for figure, comparison in WORKLOADS[self.name].compared.items():
            yield Line(figure, comparison, fitai.get(figure), bare.get(figure), self.judged)


@dataclass(frozen=True)
class Line:
    """One compared figure."""

    figure: str
    comparison: Comparison
    fitai: float | None
    bare: float | None
    judged: bool = True

    @property
    def ratio(self) -> float | None:
        """Ours by the bare limit's; None where one of them is not known."""
        return self.fitai / self.bare if self.fitai is not None and self.bare else None

    @property
    def reached(self) -> bool | None:
        """Whether the aim is met; None where there is none, no figure, or too little work to tell."""
        comparison = self.comparison
        if not self.judged and not comparison.counted:
            return None
        if comparison.limit is not None:
            if self.fitai is None:
                return None
            return self.fitai >= comparison.limit if comparison.higher else self.fitai <= comparison.limit
        if comparison.reach is None or self.ratio is None:
            return None
        return self.ratio >= comparison.reach if comparison.higher else self.ratio <= comparison.reach

    @property
    def aim_value(self) -> float | None:
        """What is to be reached, as a figure like ours; None where there is nothing, or nothing known.

        Of a bare limit that was too small to be measured (0) there is no share to reach.
        """
        comparison = self.comparison
        if comparison.limit is not None:
            return comparison.limit
        return comparison.reach * self.bare if comparison.reach is not None and self.bare else None

    @property
    def aim(self) -> str:
        """What is to be reached, in words."""
        bound = f"at {'least' if self.comparison.higher else 'most'}"
        if self.comparison.limit is not None:
            return f"{bound} {self.comparison.limit:,g}" if self.comparison.limit else "none"
        if self.comparison.reach is not None:
            return f"{bound} {self.comparison.reach:g} ×"
        return ""

    @property
    def verdict(self) -> str:
        """`reached`, in words; empty where there is nothing to reach."""
        if self.aim and not self.judged and not self.comparison.counted:
            return "too small to judge"
        return {None: "", True: "reached", False: "missed"}[self.reached]


def median(rounds: Sequence[Figures]) -> Figures:
    """The median of every figure over the rounds; None where a round does not know it."""
    if not rounds:
        return {}
    made: Figures = {}
    for figure in rounds[0]:
        values = [value for each in rounds if (value := each[figure]) is not None]
        made[figure] = statistics.median(values) if len(values) == len(rounds) else None
    return made


def machine() -> dict[str, Any]:
    """Where it was measured, as far as it matters for a comparison."""
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def as_json(results: Sequence[Result], about: Mapping[str, Any]) -> dict[str, Any]:
    """The whole report as plain JSON. `about` says what was run: database, sizes, rounds."""
    return {
        "version": VERSION,
        "machine": machine(),
        **about,
        "workloads": {result.name: result.as_json() for result in results},
    }


def table(results: Sequence[Result], title: str) -> Table:
    """The table for the terminal."""
    made = Table(title=title)
    for column in ("", "figure"):
        made.add_column(column)
    for column in ("FitAI", "bare limit", "ratio", "to reach"):
        made.add_column(column, justify="right")
    made.add_column("")
    for result in results:
        for place, line in enumerate(result.lines()):
            made.add_row(
                f"{result.name} {WORKLOADS[result.name].title}" if place == 0 else "",
                line.comparison.label,
                number(line.fitai),
                number(line.bare),
                "" if line.ratio is None else f"{line.ratio:.2f}",
                line.aim,
                line.verdict,
            )
        made.add_section()
    return made


def number(value: float | None) -> str:
    """A figure as a reader wants it: three digits, or whole from a hundred on."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
