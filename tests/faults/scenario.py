"""What a scenario is, and the list of them.

A scenario is a named accident, told from beginning to end; it raises `Violation` where the product breaks a promise. A
control breaks the product on purpose, and has to end in a `Violation`: it proves that the rig would see it.
"""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from tests.faults.verdict import Violation
from tests.faults.world import Kind

# Told what has just been seen, in words.
Tell = Callable[[str], None]
# What a scenario measured, for the report; seconds by name, mostly.
Run = Callable[[Kind, Random, Tell], Awaitable[dict[str, Any] | None]]

BOTH: Final[tuple[Kind, ...]] = ("sqlite", "postgres")


class Skipped(Exception):
    """This machine lacks what the scenario needs; the message says what."""


@dataclass(frozen=True)
class Scenario:
    """breaks: for a control, the rules of which one has to be broken. usual: whether a run without names has it."""

    name: str
    title: str
    run: Run
    kinds: Sequence[Kind] = BOTH
    breaks: frozenset[str] = frozenset()
    usual: bool = True


@dataclass
class Outcome:
    """What came of one part of a run. `said`: one sentence for the table; `details`: everything, where it failed."""

    name: str
    kind: Kind
    passed: bool
    said: str
    seconds: float
    details: str = ""
    figures: dict[str, Any] = field(default_factory=dict)
    skipped: bool = False


SCENARIOS: Final[dict[str, Scenario]] = {}


def scenario(
    title: str, *, kinds: Sequence[Kind] = BOTH, breaks: Sequence[str] = (), usual: bool = True
) -> Callable[[Run], Run]:
    """Put a function into the list, under its own name with hyphens."""

    def listed(run: Run) -> Run:
        name = run.__name__.replace("_", "-")
        SCENARIOS[name] = Scenario(name, title, run, kinds, frozenset(breaks), usual)
        return run

    return listed


async def carry_out(one: Scenario, kind: Kind, random: Random, tell: Tell) -> tuple[str, dict[str, Any]]:
    """Run one: (a sentence, its figures). Raises Violation where it failed, a control that found nothing among them."""
    if not one.breaks:
        return "as promised", await one.run(kind, random, tell) or {}
    try:
        figures = await one.run(kind, random, tell) or {}
    except Violation as violation:
        if violation.rule not in one.breaks:
            raise
        if violation.folder is not None:
            shutil.rmtree(violation.folder, ignore_errors=True)
        return f"seen: {str(violation).splitlines()[0]}", {"rule": violation.rule}
    raise Violation("blind", f"the product was broken on purpose ({one.title}) and the rig saw nothing: {figures}")
