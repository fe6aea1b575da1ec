"""A run: so many cases from one seed, against the real application on a real socket over a real SQLite database.

Every case has a `Random` of its own, made of the seed and its number, so `--first N --cases 1` makes it again; what it
meets (what the stranger wrote before) is that of its round alone. A phone that is lied to remembers: its cases are made
again from its first one on.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

from aiohttp import WSMsgType

from storage.migrations import upgrade
from tests.api.harness import Server, running, settings_for
from tests.security.fuzz.answers import Answers, quiet
from tests.security.fuzz.judge import Honest, Judge, Violation, honest
from tests.security.fuzz.mutations import Mutator
from tests.security.fuzz.stranger import Stranger, stranger
from tests.security.fuzz.targets import KINDS, Targets
from tests.security.fuzz.wire import Stuck
from tests.security.harness import Line, Person, faults, join, resident_bytes

# A stranger writes into their own spaces too; after so many cases comes a new one, and the honest ones are looked at.
CASES_A_ROUND: Final = 500
# Of a hundred cases, how many are answers to a device.
ANSWERS: Final = 12


@dataclass
class Report:
    """What a run saw."""

    seed: int
    cases: int = 0
    seconds: float = 0.0
    grown_mib: float = 0.0
    kinds: Counter[str] = field(default_factory=Counter)
    judge: Judge = field(default_factory=Judge)

    def as_json(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "cases": self.cases,
            "seconds": round(self.seconds, 1),
            "grown_mib": round(self.grown_mib, 1),
            "kinds": dict(self.kinds.most_common()),
            "statuses": {str(status): n for status, n in sorted(self.judge.statuses.items())},
            "codes": dict(self.judge.codes.most_common()),
            "closes": {str(code): n for code, n in sorted(self.judge.closes.items())},
        }


class _Faults(logging.Handler):
    """What the server logs and may not (Z1)."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def check(self) -> None:
        records, self.records = self.records, []
        found = faults(records)
        if found:
            cause = next((record.exc_info[1] for record in records if record.exc_info), None)
            raise Violation(f"the server logged: {found[0]}") from cause


async def fuzz(
    folder: Path,
    *,
    cases: int,
    seed: int,
    first: int = 0,
    only: str | None = None,
    told: Callable[[Report], None] = lambda report: None,
) -> Report:
    """Run `cases` cases from number `first` on, of one kind only where `only` names it.

    Raises Violation, which names the case, at the first that fails.
    """  # fmt: skip
    url = f"sqlite+aiosqlite:///{folder / 'fitai.db'}"
    await asyncio.to_thread(asyncio.run, upgrade(url))
    quiet()
    heard = _Faults()
    logging.getLogger().addHandler(heard)
    report = Report(seed)
    try:
        async with running(settings_for(url)) as server:
            await _Run(server, folder, report, heard, told).play(cases, first, only)
    finally:
        logging.getLogger().removeHandler(heard)
    return report


class _Run:
    def __init__(
        self, server: Server, folder: Path, report: Report, heard: _Faults, told: Callable[[Report], None]
    ) -> None:
        self._server = server
        self._report = report
        self._heard = heard
        self._told = told
        self._targets = Targets(server.port, report.judge)
        self._answers = Answers(folder)
        self._last: Stranger | None = None
        # Ann's socket, which is to hear nothing.
        self._line: Line | None = None
        self._heard_by_ann: asyncio.Task[str]

    async def play(self, cases: int, first: int, only: str | None) -> None:
        pair = await honest(await join(self._server), await join(self._server))
        before = await pair.photograph()
        self._heard_by_ann = asyncio.create_task(self._listen(pair))
        started, memory = time.perf_counter(), 0
        try:
            for number in range(first, first + cases):
                if (number - first) % CASES_A_ROUND == 0:
                    await self._round(number, pair, before)
                    # What is loaded once, and caches, are there after the first round.
                    memory = memory or (resident_bytes() if number > first else 0)
                await self._case(number, only)
            await self._round(first + cases, pair, before)
        finally:
            self._heard_by_ann.cancel()
            await self._targets.close()
            self._answers.close()
        self._report.seconds = time.perf_counter() - started
        self._report.grown_mib = (resident_bytes() - memory) / 2**20 if memory else 0.0

    async def _round(self, number: int, pair: Honest, before: dict[str, bytes]) -> None:
        """The honest ones see what they saw (Z4), and a new stranger comes."""
        now = await pair.photograph()
        for what, seen in before.items():
            if now[what] != seen:
                raise Violation(f"before case {number}: {what} changed from {seen!r} to {now[what]!r}")
        if self._heard_by_ann.done():
            heard = self._heard_by_ann.result()
            raise Violation(f"before case {number}: an honest socket ended, or heard of it: {heard}")
        if self._line is not None:
            await self._line.say("token", token=pair.ann.token)
        person: Person = await join(self._server)
        made = await stranger(person, Random(f"{self._report.seed}:{number}:round"), pair.ids)
        if self._last is not None:
            # The one before has a space to show, as others have too.
            made.viewed = await self._last.let_in(person)
        self._last = self._targets.stranger = made
        self._told(self._report)

    async def _case(self, number: int, only: str | None) -> None:
        random = Random(f"{self._report.seed}:{number}")
        mutator = Mutator(random, self._targets.stranger.words)
        self._targets.stranger.random = random
        if only is None and random.randrange(100) < ANSWERS:
            kind = "answer"
        else:
            kind = only or random.choices(list(KINDS), [weight for weight, _ in KINDS.values()])[0]
        try:
            if kind == "answer":
                self._answers.case(number, random, mutator)
            else:
                await KINDS[kind][1](self._targets, random, mutator)
            self._heard.check()
        except Exception as error:
            # Whatever it is, also what the SDK raised and may not, or what this reader of answers cannot read.
            since = self._answers.since if kind == "answer" else number
            again = (
                f"python -m tests.security.fuzz --seed {self._report.seed} --first {since} --cases {number - since + 1}"
            )
            what = "the server neither answers nor closes" if isinstance(error, Stuck) else repr(error)
            raise Violation(f"{kind}: {what} ({again})") from error
        self._report.cases += 1
        self._report.kinds[kind] += 1

    async def _listen(self, pair: Honest) -> str:
        """What Ann's socket hears that she should not, or how it ends. Anybody may invite her."""
        async with pair.ann.socket({pair.ann.space: None, pair.space: None}) as line:
            self._line = line
            while True:
                message = await line.ws.receive()
                if message.type is not WSMsgType.TEXT:
                    return f"{message.type.name} {line.ws.close_code} {message.extra}"
                if '"type":"space"' not in message.data:
                    return str(message.data)[:300]


__all__ = ["Report", "Violation", "fuzz"]
