"""Imports of several people at once: none is held up by all that another one is."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from api.operations.jobs import Job
from api.training.imports import planning, service, writing
from api.training.imports.forms import Arguments, Reading
from api.training.imports.worker import read_log
from sync.caller import Caller
from sync.records import Records
from tests.api.harness import Server, until
from tests.api.training.test_imports import HEADER, LOG, Athlete


class Readers:
    """Reads files without a process for each; goes on with those that begin with a mark once it is told to."""

    mark = b"\n"

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.waiting = 0
        self.go = asyncio.Event()
        monkeypatch.setattr(writing, "read_file", self.read_file)

    async def read_file(self, data: bytes, arguments: Arguments) -> Reading:
        read = await asyncio.to_thread(read_log, data.removeprefix(self.mark), arguments)
        if data.startswith(self.mark):
            self.waiting += 1
            await self.go.wait()
        return read


async def people(server: Server, count: int) -> list[Athlete]:
    return [Athlete(server, (await server.register())["access_token"]) for _ in range(count)]


async def test_a_file_that_takes_long_holds_nobody_elses_up(
    plain_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers = Readers(monkeypatch)
    *slow, quick = await people(plain_server, service.AT_ONCE)
    begun = [await each.hand_in(readers.mark + LOG) for each in slow]
    await until(lambda: readers.waiting == len(slow))
    assert (await quick.imported(LOG))["state"] == "done"
    readers.go.set()
    assert [(await each.ended(one))["state"] for each, one in zip(slow, begun, strict=True)] == ["done"] * len(slow)


async def test_large_files_are_waited_for_by_large_ones_alone(
    plain_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "LARGE_BYTES", len(LOG))
    readers = Readers(monkeypatch)
    *large, small = await people(plain_server, service.LARGE_AT_ONCE + 2)
    begun = [await each.hand_in(readers.mark + LOG) for each in large]
    await until(lambda: readers.waiting == service.LARGE_AT_ONCE)
    assert (await small.imported(LOG))["state"] == "done"
    # Those that are over the number are still where they were, and come once there is room.
    assert readers.waiting == service.LARGE_AT_ONCE
    readers.go.set()
    assert [(await each.ended(one))["state"] for each, one in zip(large, begun, strict=True)] == ["done"] * len(large)
    assert readers.waiting == len(large)


async def test_imports_that_are_written_take_turns_step_by_step(
    plain_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "STEP_RECORDS", 1)
    readers, write, decide = Readers(monkeypatch), writing.Writing._write, Records.decide
    # Who wants to make a step, in the order of asking.
    asking: list[str] = []
    waited = within = 0

    async def asks(self: writing.Writing, job: Job, caller: Caller, *args: Any) -> Any:
        asking.append(caller.user)
        return await write(self, job, caller, *args)

    async def steps(self: Records, caller: Caller, *args: Any, **more: Any) -> Any:
        nonlocal waited, within
        assert asking.pop(0) == caller.user, "whoever waits for a step has the next one"
        within += 1
        assert within == 1, "two steps at once load the server as two imports do"
        try:
            return await decide(self, caller, *args, **more)
        finally:
            within -= 1
            waited += bool(asking)

    monkeypatch.setattr(writing.Writing, "_write", asks)
    monkeypatch.setattr(Records, "decide", steps)
    days = [f"2025-03-{day:02} 10:00:00,Legs,45m,Squat (Barbell),1,100,5,0,0,8\n" for day in range(1, 29)]
    both = await people(plain_server, 2)
    begun = [await each.hand_in(readers.mark + (HEADER + "".join(days)).encode()) for each in both]
    await until(lambda: readers.waiting == 2)
    readers.go.set()
    for each, one in zip(both, begun, strict=True):
        assert (await each.ended(one))["state"] == "done"
    assert waited
