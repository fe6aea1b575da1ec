"""N1 to N3 of sync/turns.py, and what they are for: one space's writers leave the database to others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from api.middleware import TRAFFIC
from storage.errors import Overloaded
from sync import turns as module
from sync.turns import AT_ONCE, Turns
from tests.api.harness import running, settings_for, until
from tests.security.harness import join, record_id


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@asynccontextmanager
async def taken(turns: Turns, space: str, count: int) -> AsyncIterator[None]:
    """So many turns of a space for the time of the block."""
    over = asyncio.Event()

    async def hold() -> None:
        async with turns.of(space):
            await over.wait()

    tasks = [asyncio.create_task(hold()) for _ in range(count)]
    await settle()
    try:
        yield
    finally:
        over.set()
        await asyncio.gather(*tasks)


async def test_no_more_writers_of_a_space_have_a_turn_than_the_bound_and_another_space_waits_for_none() -> None:
    turns = Turns()
    working, most = 0, 0

    async def write() -> None:
        nonlocal working, most
        async with turns.of("a"):
            working += 1
            most = max(most, working)
            async with turns.of(f"other {working}"):
                await settle()
            working -= 1

    await asyncio.gather(*(write() for _ in range(20)))
    assert most == AT_ONCE
    assert len(turns) == 0


async def test_who_came_first_goes_first() -> None:
    turns, order = Turns(), list[int]()

    async def write(number: int) -> None:
        async with turns.of("a"):
            order.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*(write(number) for number in range(20)))
    assert order == list(range(20))


async def test_a_turn_that_does_not_come_in_time_is_refused_and_nothing_is_left_of_it() -> None:
    turns = Turns(wait_s=0.01)
    async with taken(turns, "a", AT_ONCE):
        with pytest.raises(Overloaded):
            async with turns.of("a"):
                raise AssertionError("it was nobody's turn")
    assert len(turns) == 0


async def test_no_more_wait_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING_MAX", 3)
    turns = Turns()
    async with taken(turns, "a", AT_ONCE + 3):
        with pytest.raises(Overloaded):
            async with turns.of("a"):
                raise AssertionError("it was nobody's turn")


async def test_who_is_cancelled_while_waiting_takes_no_turn_with_it() -> None:
    turns = Turns()
    async with taken(turns, "a", AT_ONCE):
        waiting = asyncio.create_task(turns.of("a").__aenter__())
        await settle()
        waiting.cancel()
        await settle()
        assert waiting.cancelled()
    async with taken(turns, "a", AT_ONCE):
        assert len(turns) == 1
    assert len(turns) == 0


async def test_twenty_writers_of_a_space_that_is_locked_leave_the_database_to_others(postgres_url: str) -> None:
    """More of them than there are connections; without turns, each would wait with one in its hands."""
    async with running(settings_for(postgres_url)) as server:
        ann, bob = await join(server), await join(server)
        await ann.push(ann.put(record_id(0), title="first"))
        body = ann.body(ann.change(op="void"), after=(ann.last or {})[ann.space])
        lock = await asyncpg.connect(postgres_url.replace("postgresql+asyncpg", "postgresql"))
        async with lock.transaction():
            await lock.execute("SELECT 1 FROM spaces WHERE id = $1 FOR UPDATE", ann.space)
            waiting = [asyncio.create_task(ann.ask("POST", ann.at("push"), body)) for _ in range(20)]
            await until(lambda: server.app[TRAFFIC].in_flight == 20)
            for number in range(3):
                assert (await bob.push(bob.put(record_id(number), title="x"))).status == 200
        await lock.close()
        answers = await asyncio.gather(*waiting)
    assert [answer.status for answer in answers] == [200] * 20
    assert {answer.json["acked"] for answer in answers} == {2}
