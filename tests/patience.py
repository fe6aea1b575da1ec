"""The suite's patience: a machine that stands still for seconds makes no test fail.

The product gives up on what takes too long, for the sake of who waits; and a test gives up on what never comes. Where
the machine stalls, such a bound is passed though nothing is wrong. So a test's loop counts only the time in which it
ran, and what the product waits for other processes is as good as for ever. Who tests one of these bounds sets it.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Iterator
from typing import Final

import pytest

# A select that is this late was not called late by an ordinary scheduler.
LATE_S: Final = 0.1
# What is left of a wait after a stall: time to take up everything that came meanwhile.
LEFT_S: Final = 0.25
# However often it stalls, time goes on.
STEP_S: Final = 0.02

AS_GOOD_AS_FOR_EVER_S: Final = 120.0
# A share of it that is drawn at random is long, too.
NEVER_S: Final = 365 * 86_400.0

# Waits for Postgres, Redis, servers and readers in processes of their own: these may stall while the test runs.
BOUNDS: Final = (
    "api.command_line.demonstration.server.READY_TIMEOUT_S",
    "api.command_line.device.terminal.SYNC_AFTER_S",
    "api.operations.routes.CHECK_S",
    "api.optional_redis.TIMEOUT_S",
    "storage.postgres.COMMAND_TIMEOUT_S",
    "storage.postgres.CONNECT_TIMEOUT_S",
    "storage.postgres.STALL_S",
    "sync.redis_bus.COMMAND_S",
    "sync.redis_bus.CONNECT_S",
    "sync.texts.START_TIMEOUT_S",
)
# When a server does something by itself: what no test asked for would come between any two steps, be it a write or one
# statement more where statements are counted.
BY_ITSELF: Final = (
    "api.mail.outbox.LOOK_S",
    "api.operations.jobs.POLL_S",
    "api.training.record_keeping.QUIET_S",
    "api.training.record_keeping.LONGEST_S",
    "api.training.record_keeping.LOOK_S",
)
# What Postgres bounds by itself, while a test that holds a lock stands still.
POSTGRES_BOUNDS: Final = ("lock_timeout", "idle_in_transaction_session_timeout", "statement_timeout")


@pytest.fixture(scope="session", autouse=True)
def patience() -> Iterator[None]:
    """Every bound on other processes is long, and no server does anything by itself."""
    from api.command_line.device import terminal
    from storage import postgres

    with pytest.MonkeyPatch.context() as patch:
        for bound in BOUNDS:
            patch.setattr(bound, AS_GOOD_AS_FOR_EVER_S)
        for pause in BY_ITSELF:
            patch.setattr(pause, NEVER_S)
        for when in terminal.SYNC_BEFORE_S:
            patch.setitem(terminal.SYNC_BEFORE_S, when, AS_GOOD_AS_FOR_EVER_S)
        for setting in POSTGRES_BOUNDS:
            patch.setitem(postgres.SERVER_SETTINGS, setting, f"{AS_GOOD_AS_FOR_EVER_S:.0f}s")
        yield


class PatientLoop(asyncio.SelectorEventLoop):
    """A loop whose clock leaves out the times in which its process stood still.

    What was asked of it before a stall, and is there after it, is taken up before anything is too late.
    """

    def __init__(self) -> None:
        self._missed_s = 0.0
        super().__init__(_Selector(self))

    def time(self) -> float:
        return time.monotonic() - self._missed_s

    def stood_still(self, seconds: float) -> None:
        self._missed_s += seconds


class _Selector(selectors.DefaultSelector):
    """Measures how long each wait took, and what passed between two of them."""

    def __init__(self, loop: PatientLoop) -> None:
        super().__init__()
        self._loop = loop
        self._last = time.monotonic()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        began = time.monotonic()
        if began - self._last > LATE_S:
            # A callback that took so long, or a stall within it: nothing could be heard meanwhile.
            self._loop.stood_still(began - self._last - STEP_S)
            if timeout:
                timeout = max(timeout, STEP_S)
        found = super().select(timeout)
        self._last = time.monotonic()
        if timeout is not None and self._last - began > timeout + LATE_S:
            counted = max(timeout - LEFT_S, min(timeout, STEP_S))
            self._loop.stood_still(self._last - began - counted)
        return found
