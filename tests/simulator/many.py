"""Many seeds, one after the other or in processes of their own, and what they came to."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.simulator.run import Options, Outcome, simulate


@dataclass
class Tally:
    """The sums of some outcomes."""

    seeds: int = 0
    first: int | None = None
    last: int | None = None
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
        self.first = outcome.seed if self.first is None else min(self.first, outcome.seed)
        self.last = outcome.seed if self.last is None else max(self.last, outcome.seed)
        if outcome.violation is not None:
            self.violations += 1
            self.failing.append(outcome.seed)
        for name in ("device_hours", "events", "edits", "pushes", "acks", "commits", "cpu_s"):
            setattr(self, name, getattr(self, name) + getattr(outcome, name))
        self.faults.update(outcome.faults)

    def as_json(self, minutes: float) -> dict[str, Any]:
        return {
            "seeds": self.seeds,
            "first": self.first,
            "last": self.last,
            "violations": self.violations,
            "failing": self.failing,
            "minutes": round(minutes, 2),
            "cpu_minutes": round(self.cpu_s / 60, 2),
            "device_hours": round(self.device_hours, 1),
            "device_hours_a_minute": round(self.device_hours / minutes, 1) if minutes else None,
            "events": self.events,
            "edits": self.edits,
            "pushes": self.pushes,
            "acks": self.acks,
            "commits": self.commits,
            "faults": dict(sorted(self.faults.items())),
            "a_device_hour": self.a_device_hour(),
        }

    def a_device_hour(self) -> dict[str, float]:
        """What one device-hour had in it on the average, and what it took: a speed says nothing without them.

        on_two_cores: how many device-hours a minute that makes where two cores have nothing else to do.
        """
        if not self.device_hours:
            return {}
        sums = {"edits": self.edits, "acks": self.acks, "commits": self.commits, "faults": self.faults.total()}
        told = {name: round(total / self.device_hours, 2) for name, total in sums.items()}
        cpu_s = self.cpu_s / self.device_hours
        return told | {"cpu_ms": round(1_000 * cpu_s, 1), "on_two_cores": round(2 * 60 / cpu_s) if cpu_s else 0}

    def as_text(self, minutes: float) -> str:
        told = self.as_json(minutes)
        faults = ", ".join(f"{name} {number}" for name, number in told.pop("faults").items())
        one = told.pop("a_device_hour")
        lines = [f"{name.replace('_', ' ')}: {value}" for name, value in told.items()]
        lines.append(f"faults: {faults or 'none'}")
        if one:
            lines.append(
                "a device-hour: {edits} edits, {acks} acknowledged changes, {commits} commits, {faults} faults, "
                "{cpu_ms} ms of CPU, so {on_two_cores} of them a minute on two free cores".format_map(one)
            )
        return "\n".join(lines)


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


def run_twice(seeds: Iterable[int], options: Options) -> Iterator[Outcome]:
    """Run each seed in two processes that hash texts differently: where their traces differ, somebody went through a
    set, or asked the machine for something (I27)."""
    spawn = multiprocessing.get_context("spawn")
    tasks = [(seed, options) for seed in seeds]
    with _hashing("1"):
        one = spawn.Pool(1)
    with _hashing("4"):
        other = spawn.Pool(1)
    with one, other:
        for first, second in zip(one.imap(_run, tasks), other.imap(_run, tasks), strict=True):
            if first.hash != second.hash and first.violation is None:
                first.violation = f"I27: another run of it had the hash {second.hash} and not {first.hash}"
            yield first


@contextmanager
def _hashing(seed: str) -> Iterator[None]:
    """Processes that begin meanwhile hash texts by this seed."""
    before = os.environ.get("PYTHONHASHSEED")
    os.environ["PYTHONHASHSEED"] = seed
    try:
        yield
    finally:
        os.environ.pop("PYTHONHASHSEED") if before is None else os.environ.update(PYTHONHASHSEED=before)


def _until(seeds: Iterator[int], until: float | None) -> Iterator[int]:
    for seed in seeds:
        if until is not None and time.monotonic() >= until:
            return
        yield seed


def _run(task: tuple[int, Options]) -> Outcome:
    return simulate(task[0], options=task[1])
