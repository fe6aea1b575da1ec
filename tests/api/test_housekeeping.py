"""What a server does by itself now and then."""

from __future__ import annotations

import asyncio

import pytest

from api.operations.housekeeping import start_housekeeping
from storage.errors import DatabaseUnavailable
from tests.api.harness import Clock, environment


class Passes:
    """Counts passes; each ends as the test says."""

    def __init__(self, *outcomes: int | Exception) -> None:
        self.outcomes = list(outcomes)
        self.done = asyncio.Event()

    async def run(self) -> int:
        outcome = self.outcomes.pop(0)
        if not self.outcomes:
            self.done.set()
            await asyncio.Event().wait()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


async def test_a_pass_that_fails_keeps_no_later_one_from_running(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    passes = Passes(0, DatabaseUnavailable("gone"), RuntimeError("a bug"), 7, 0)
    stop = start_housekeeping({"records": passes.run}, environment(Clock()), interval_s=0.001)
    async with asyncio.timeout(60):
        await passes.done.wait()
        await stop()
    messages = [record.getMessage() for record in caplog.records if "housekeeping" in record.name]
    assert messages == [
        "housekeeping of records waits for the database: gone",
        "housekeeping of records failed",
        "housekeeping of records: 7",
    ]
