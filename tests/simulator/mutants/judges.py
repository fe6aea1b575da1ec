"""Who notices a mutant: the seeds of the simulator, every short history, or the tests of a layer."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final

from tests.conflict.small_scope import ALPHABETS, Disagreement, Scope
from tests.shared import load_model
from tests.simulator.mutants.registry import Mutant
from tests.simulator.run import Options, draw_plan, simulate
from tests.simulator.weather import Plan

SEEDS_MAX: Final = 500
ROOT: Final = Path(__file__).parents[3]
# What a world's users are to write in all. In a smaller one too little happens; a larger one costs a minute.
EDITS_MIN, EDITS_MAX = 15, 250


@dataclass(frozen=True)
class Verdict:
    """killed_by: what was seen, or None where the mutant lives. seeds: how many it took; 0 for the other judges."""

    mutant: str
    killed_by: str | None
    seeds: int
    seed: int | None
    seconds: float

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def try_mutant(mutant: Mutant, *, seeds_max: int = SEEDS_MAX, seconds_max: float = 600.0) -> Verdict:
    """Run a mutant until it is killed, or the budget is spent."""
    started = cpu_s()
    killed_by: str | None
    seeds, seed = 0, None
    if mutant.judge == "seeds":
        killed_by, seeds, seed = _by_seeds(mutant, seeds_max, started + seconds_max)
    elif mutant.judge == "scope":
        killed_by = _by_scope(mutant)
    else:
        killed_by = _by_suite(mutant)
    return Verdict(mutant.name, killed_by, seeds, seed, round(cpu_s() - started, 2))


def cpu_s() -> float:
    """What this process and its children took of a core: the same on a busy machine."""
    return sum(os.times()[:4])


def worlds(hours: float, needs: Callable[[Plan], bool] = lambda plan: True) -> Iterator[int]:
    """Seeds of which the world is neither too small nor too large, and has what it needs."""
    seed = 0
    while True:
        seed += 1
        plan = Options(hours=hours).applied(draw_plan(seed))
        work = plan.work
        edits = plan.users * hours * work.edits * (1 + work.batches * work.batch / 2)
        if EDITS_MIN <= edits <= EDITS_MAX and needs(plan):
            yield seed


def _by_seeds(mutant: Mutant, most: int, until: float) -> tuple[str | None, int, int | None]:
    for count, seed in enumerate(worlds(mutant.hours, mutant.needs), 1):
        with mutant.alive():
            violation = simulate(seed, hours=mutant.hours).violation
        # Only what the product survives unbroken tells anything about the mutant.
        if violation is not None and simulate(seed, hours=mutant.hours).violation is None:
            return violation, count, seed
        if count >= most or cpu_s() > until:
            return None, count, None
    raise AssertionError("unreachable")


def _by_scope(mutant: Mutant) -> str | None:
    model = load_model()
    scopes = {name: Scope(alphabet, model) for name, alphabet in ALPHABETS.items()}
    with mutant.alive():
        for length, (name, scope) in product((1, 2, 3), scopes.items()):
            try:
                scope.try_all(length)
            except Disagreement as disagreement:
                return f"{name}, {scope.histories + 1} histories: {disagreement}"
    return None


def _by_suite(mutant: Mutant) -> str | None:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-p", "tests.simulator.mutants.plugin"]
    done = subprocess.run(
        [*command, *mutant.tests.split()],
        cwd=ROOT,
        env={**os.environ, "MUTANT": mutant.name},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{mutant.name} could not be judged: {done.stdout}{done.stderr}")
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return failed[0].partition(" ")[2] if failed else None
