"""Many seeds, one after the other or in processes of their own, and what they came to."""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.simulator.run import Options, Outcome, simulate


@dataclass
class Tally:
    """The sums of some outcomes."""

    seeds: int = 0
    violations: int = 0
    device_hours: float = 0.0
    events: int = 0
    edits: int = 0
    pushes: int = 0
    acks: int = 0
    commits: int = 0
    cpu_s: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    failing: list[int] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        self.seeds += 1
        if outcome.violation is not None:
            self.violations += 1
            self.failing.append(outcome.seed)
        for name in ("device_hours", "events", "edits", "pushes", "acks", "commits", "cpu_s"):
            setattr(self, name, getattr(self, name) + getattr(outcome, name))
        self.faults.update(outcome.faults)

    def as_json(self, minutes: float) -> dict[str, Any]:
        return {
            "seeds": self.seeds,
            "violations": self.violations,
            "failing": self.failing,
            "minutes": round(minutes, 2),
            "cpu_minutes": round(self.cpu_s / 60, 2),
            "device_hours": round(self.device_hours, 1),
            "device_hours_a_minute": round(self.device_hours / minutes, 1) if minutes else None,
            "device_hours_a_core_minute": round(self.device_hours / self.cpu_s * 60, 1) if self.cpu_s else None,
            "events": self.events,
            "edits": self.edits,
            "pushes": self.pushes,
            "acks": self.acks,
            "commits": self.commits,
            "faults": dict(sorted(self.faults.items())),
        }

    def as_text(self, minutes: float) -> str:
        told = self.as_json(minutes)
        faults = ", ".join(f"{name} {number}" for name, number in told.pop("faults").items())
        lines = [f"{name.replace('_', ' ')}: {value}" for name, value in told.items()]
        return "\n".join([*lines, f"faults: {faults or 'none'}"])


def run_many(
    seeds: Iterator[int], options: Options, *, workers: int = 1, minutes: float | None = None
) -> Iterator[Outcome]:
    """Run seeds in their order, until there are none left or the time is over; outcomes come as they are ready."""
    until = None if minutes is None else time.monotonic() + 60 * minutes
    if workers == 1:
        for seed in _until(seeds, until):
            yield simulate(seed, options=options)
        return
    # Forked processes would share what the first one has opened.
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        work = ((seed, options) for seed in seeds)
        if until is None:
            yield from pool.imap_unordered(_run, work)
            return
        under_way = [pool.apply_async(_run, (next(work),)) for _ in range(workers)]
        while under_way:
            for place, one in enumerate(under_way):
                one.wait(0.05)
                if one.ready():
                    yield one.get()
                    if time.monotonic() < until:
                        under_way[place] = pool.apply_async(_run, (next(work),))
                    else:
                        under_way.remove(one)
                    break


def _until(seeds: Iterator[int], until: float | None) -> Iterator[int]:
    for seed in seeds:
        if until is not None and time.monotonic() >= until:
            return
        yield seed


def _run(task: tuple[int, Options]) -> Outcome:
    return simulate(task[0], options=task[1])
