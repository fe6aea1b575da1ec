"""One run: the servers up, each workload on both in turn, the results.

Owns: the order. Rounds alternate between the two servers, so that what else the machine does meets both alike.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from bench.client import BenchError, connect
from bench.report import Result
from bench.servers import Database, allow_files, started
from bench.workloads import USUAL, WORKLOADS, Figures, Sizes, Target


class Progress(Protocol):
    """Who is told how far the run is."""

    def begin(self, what: str, steps: int) -> Callable[[int], None]:
        """One workload begins on one server, of so many steps; the function takes how many more are done."""
        ...


@dataclass(frozen=True)
class Options:
    """What to run, and against what.

    url, bare_url: servers that run already; where `url` is given nothing is started, and there are no ratios
    without `bare_url`. rounds: how often each workload runs on each server (W4, W7 and W8 once); the
    figures are medians. import_file: a log of another app for W8b.
    """

    workloads: Sequence[str] = USUAL
    database: Database = "sqlite"
    database_url: str | None = None
    folder: Path | None = None
    url: str | None = None
    bare_url: str | None = None
    sizes: Sizes = field(default_factory=Sizes)
    rounds: int = 3
    import_file: Path | None = None

    @property
    def judged(self) -> bool:
        """Whether the work is large enough to say that something was reached or missed."""
        return self.sizes.at_least(Sizes())

    def about(self) -> dict[str, Any]:
        """What was run, for the report."""
        return {
            "database": None if self.url else self.database,
            "url": self.url,
            "rounds": self.rounds,
            "judged": self.judged,
            "sizes": self.sizes.as_json(),
        }


async def run(options: Options, progress: Progress) -> list[Result]:
    """Run every workload of `options`; the results are in the order of their names. `progress` is told what is done.

    Raises BenchError where a server cannot be started, refuses, or loses something.
    """
    unknown = [name for name in options.workloads if name not in WORKLOADS]
    if unknown:
        raise BenchError(f"There is no workload {unknown[0]}; there are {', '.join(sorted(WORKLOADS))}.")
    allow_files()
    async with _targets(options) as (fitai, bare):
        results = [
            await _workload(name, options, fitai, bare, progress) for name in WORKLOADS if name in options.workloads
        ]
    return sorted(results, key=lambda result: result.name)


async def _workload(name: str, options: Options, fitai: Target, bare: Target | None, progress: Progress) -> Result:
    kind = WORKLOADS[name]
    measured: dict[str, list[Figures]] = {"fitai": [], "bare": []}
    rounds = 1 if kind.once else options.rounds
    for number in range(1, rounds + 1):
        for key, target in (("bare", bare), ("fitai", fitai)):
            if target is not None and not (kind.alone and key == "bare"):
                what = f"{name} {kind.title}, round {number} of {rounds}: {target.server.name}"
                tick = progress.begin(what, kind.steps(options.sizes))
                measured[key].append(
                    await kind.run(replace(target, tick=tick, import_file=options.import_file), options.sizes)
                )
    return Result(name, measured["fitai"], measured["bare"], options.sizes, options.judged)


@asynccontextmanager
async def _targets(options: Options) -> AsyncIterator[tuple[Target, Target | None]]:
    async with AsyncExitStack() as stack:

        async def target(name: str, url: str, pid: int | None) -> Target:
            return Target(await stack.enter_async_context(connect(name, url)), pid)

        if options.url is not None:
            bare_url = options.bare_url
            fitai = await target("the server", options.url, None)
            bare = None if bare_url is None else await target("the bare limit", bare_url, None)
            await fitai.server.expect("start it, with its rate limits off, or correct --url")
            if bare is not None:
                await bare.server.expect("start it (python -m bench.bare), or correct --bare-url")
            yield fitai, bare
            return
        ours, least = await stack.enter_async_context(started(options.database, options.database_url, options.folder))
        yield await target("FitAI", ours.url, ours.pid), await target("the bare limit", least.url, least.pid)
