"""One run: the servers up, each workload on both in turn, the results.

Owns: the order. Rounds alternate between the two servers, so that what else the machine does meets both alike.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.client import BenchError, connect
from bench.report import Result
from bench.servers import Database, started
from bench.workloads import USUAL, WORKLOADS, Figures, Sizes, Target, sizes_shown


@dataclass(frozen=True)
class Options:
    """What to run, and against what.

    url, bare_url: servers that run already; where `url` is given nothing is started, and there are no ratios
    without `bare_url`. rounds: how often each workload runs on each server (W4 once); the figures are
    medians.
    """

    workloads: Sequence[str] = USUAL
    database: Database = "sqlite"
    database_url: str | None = None
    folder: Path | None = None
    url: str | None = None
    bare_url: str | None = None
    sizes: Sizes = field(default_factory=Sizes)
    rounds: int = 3

    @property
    def judged(self) -> bool:
        """Whether the work is large enough to say that something was reached or missed."""
        sizes, full = asdict(self.sizes), asdict(Sizes())
        return all(sizes[name] >= full[name] for name in full)

    def about(self) -> dict[str, Any]:
        """What was run, for the report."""
        return {
            "database": None if self.url else self.database,
            "url": self.url,
            "rounds": self.rounds,
            "judged": self.judged,
            "sizes": sizes_shown(self.sizes),
        }


async def run(options: Options, progress: Callable[[str], None]) -> list[Result]:
    """Run every workload of `options`; `progress` is told what is being done.

    Raises BenchError where a server cannot be started, refuses, or loses something.
    """
    unknown = [name for name in options.workloads if name not in WORKLOADS]
    if unknown:
        raise BenchError(f"There is no workload {unknown[0]}; there are {', '.join(sorted(WORKLOADS))}.")
    async with _targets(options) as (fitai, bare):
        return [
            await _workload(name, options, fitai, bare, progress) for name in WORKLOADS if name in options.workloads
        ]


async def _workload(
    name: str, options: Options, fitai: Target, bare: Target | None, progress: Callable[[str], None]
) -> Result:
    kind = WORKLOADS[name]
    measured: dict[str, list[Figures]] = {"fitai": [], "bare": []}
    rounds = 1 if kind.once else options.rounds
    for number in range(1, rounds + 1):
        for key, target in (("bare", bare), ("fitai", fitai)):
            if target is not None and not (kind.alone and key == "bare"):
                progress(f"{name} {kind.title}, round {number} of {rounds}: {target.server.name}")
                measured[key].append(await kind.run(target, options.sizes))
    return Result(name, measured["fitai"], measured["bare"], options.judged)


@asynccontextmanager
async def _targets(options: Options) -> AsyncIterator[tuple[Target, Target | None]]:
    async with AsyncExitStack() as stack:

        async def target(name: str, url: str, pid: int | None) -> Target:
            return Target(await stack.enter_async_context(connect(name, url)), pid)

        if options.url is not None:
            bare_url = options.bare_url
            yield (
                await target("the server", options.url, None),
                None if bare_url is None else await target("the bare limit", bare_url, None),
            )
            return
        fitai, bare = await stack.enter_async_context(started(options.database, options.database_url, options.folder))
        yield await target("FitAI", fitai.url, fitai.pid), await target("the bare limit", bare.url, bare.pid)
