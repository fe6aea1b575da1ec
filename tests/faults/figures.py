"""What a run measured: how often each fault came, and how long until all was well again.

Owns: the figures and what they are held against. Refuses to know: how they are shown (`report.py`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

# What is measured → (what it is called, which value counts, the goal in seconds). A goal is shown and fails nothing:
# a busy machine is no defect. What is stuck is a `Violation`.
GOALS: Final[dict[str, tuple[str, str, float]]] = {
    "server": ("server killed → it serves again", "max", 3.0),
    "postgres": ("Postgres killed → a push succeeds", "max", 10.0),
    "kill": ("after a kill or a pause → all equal", "p99", 10.0),
    "partition": ("healed partition → all equal", "p99", 5.0),
}


@dataclass
class Times:
    """Seconds of one kind."""

    seconds: list[float] = field(default_factory=list)

    def add(self, seconds: float) -> None:
        self.seconds.append(seconds)

    def quantile(self, fraction: float) -> float:
        """The value that so many of them do not exceed."""
        ordered = sorted(self.seconds)
        return ordered[min(int(len(ordered) * fraction), len(ordered) - 1)]

    def as_json(self) -> dict[str, Any]:
        if not self.seconds:
            return {"count": 0}
        values = {"p50": self.quantile(0.5), "p99": self.quantile(0.99), "max": max(self.seconds)}
        return {"count": len(self.seconds)} | {name: round(value, 3) for name, value in values.items()}


@dataclass
class Figures:
    """One database's. `strikes` counts the faults by name; `kills`, `partitions` and `pauses` sum them up."""

    strikes: Counter[str] = field(default_factory=Counter)
    kills: int = 0
    partitions: int = 0
    pauses: int = 0
    rounds: int = 0
    # How often the database was compared after a death, before a device could speak to it again.
    looks: int = 0
    # Of the soak that runs, and of those before it.
    acked: int = 0
    acked_before: int = 0
    resent: int = 0
    duplicates: int = 0
    cuts: int = 0
    seconds: float = 0.0
    times: dict[str, Times] = field(default_factory=lambda: {name: Times() for name in GOALS})

    @property
    def acked_in_all(self) -> int:
        return self.acked_before + self.acked

    def as_json(self) -> dict[str, Any]:
        counts = ("kills", "partitions", "pauses", "rounds", "looks", "acked_in_all", "resent", "duplicates", "cuts")
        made: dict[str, Any] = {name: getattr(self, name) for name in counts}
        made |= {"seconds": round(self.seconds, 1), "strikes": dict(sorted(self.strikes.items()))}
        for name, (_, value, goal) in GOALS.items():
            times = self.times[name].as_json()
            made[name] = times | ({"goal": goal, "reached": times[value] <= goal} if times["count"] else {})
        return made
