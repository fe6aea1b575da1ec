"""B1 to B4 of api/bodies.py: what bodies cost all together."""

from __future__ import annotations

import asyncio
import json

import pytest

from api import bodies as module
from api.bodies import LARGE_PLACES, SMALL_BYTES, WORKED_BYTES_MAX, Bodies
from api.errors import Busy
from tests.api.harness import running, settings_for, until
from tests.security.harness import join, record_id

LARGE = WORKED_BYTES_MAX // 2


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_what_is_worked_on_at_once_is_bounded_and_comes_in_turn() -> None:
    bodies, worked, order, most = Bodies(), 0, list[int](), 0

    async def work(number: int) -> None:
        nonlocal worked, most
        async with bodies.working(LARGE):
            order.append(number)
            worked += LARGE
            most = max(most, worked)
            await settle()
            worked -= LARGE

    await asyncio.gather(*(work(number) for number in range(10)))
    assert (most, order) == (WORKED_BYTES_MAX, list(range(10)))
    assert bodies.waiting == 0


async def test_one_that_is_larger_than_all_may_be_is_worked_on_alone() -> None:
    bodies = Bodies()
    async with bodies.working(3 * WORKED_BYTES_MAX):
        other = asyncio.create_task(bodies.working(LARGE).__aenter__())
        await settle()
        assert bodies.waiting == 1
    await other


async def test_a_small_one_waits_for_nobody() -> None:
    bodies = Bodies()
    async with bodies.working(WORKED_BYTES_MAX):
        waiting = asyncio.create_task(bodies.working(LARGE).__aenter__())
        await settle()
        async with bodies.working(SMALL_BYTES):
            assert bodies.waiting == 1
    await waiting


async def test_one_whose_turn_does_not_come_is_refused_and_lets_the_next_one_in() -> None:
    bodies = Bodies(wait_s=0.01)
    async with bodies.working(LARGE):
        with pytest.raises(Busy) as refused:
            async with bodies.working(WORKED_BYTES_MAX):
                raise AssertionError("it was not its turn")
        assert refused.value.places == LARGE_PLACES
        async with bodies.working(LARGE):
            assert bodies.waiting == 0


async def test_a_patient_one_waits_as_long_as_it_takes() -> None:
    bodies = Bodies(wait_s=0)
    async with bodies.working(WORKED_BYTES_MAX):
        patient = asyncio.create_task(bodies.working(LARGE, patient=True).__aenter__())
        await settle()
        assert not patient.done()
    await patient


async def test_who_is_cancelled_in_the_moment_of_being_let_in_passes_it_on() -> None:
    bodies = Bodies()
    async with bodies.working(WORKED_BYTES_MAX):
        unlucky = asyncio.create_task(bodies.working(WORKED_BYTES_MAX).__aenter__())
        next_one = asyncio.create_task(bodies.working(WORKED_BYTES_MAX).__aenter__())
        await settle()
    unlucky.cancel()
    await next_one
    assert unlucky.cancelled()


def test_bytes_count_while_they_are_held_and_are_refused_past_the_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEGIN_BYTES_MAX", 100)
    monkeypatch.setattr(module, "HELD_BYTES_MAX", 150)
    bodies = Bodies()
    with bodies.holding(10**6) as first, bodies.holding(10**6) as second:
        # Both began while there was room: what they promised takes none.
        first.add(60)
        second.add(60)
        with pytest.raises(Busy):
            second.add(31)
        with pytest.raises(Busy), bodies.holding(10**6):
            raise AssertionError("it began")
        with pytest.raises(Busy), bodies.holding(None):
            raise AssertionError("it began")
        with bodies.holding(SMALL_BYTES) as small:
            small.add(30)
            assert bodies.held == 150
    assert bodies.held == 0


async def test_a_push_that_is_one_too_many_is_refused_by_name_and_lands_with_its_second_try(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HELD_BYTES_MAX", 60_000)
    async with running(settings_for(sqlite_url)) as server:
        ann = await join(server)
        large = ann.body(*(ann.put(record_id(n), title="t" * 150) for n in range(200)))
        small = ann.body(*large["changes"][:100])
        assert len(json.dumps(small)) < 60_000 < len(json.dumps(large)) - 2_000
        refused = await ann.server.ask("POST", ann.at("push"), large, token=ann.token)
        assert (refused.status, refused.code) == (503, "busy")
        assert int(refused.headers["Retry-After"]) >= 1
        assert (await ann.ask("POST", ann.at("push"), small)).json["acked"] == 100
        monkeypatch.undo()
        assert (await ann.ask("POST", ann.at("push"), large)).json["acked"] == 200


async def test_large_frames_of_sockets_wait_among_the_bodies(sqlite_url: str) -> None:
    """One that waits is not refused: its socket is not read further meanwhile."""
    async with running(settings_for(sqlite_url)) as server:
        ann = await join(server)
        bodies: Bodies = server.app[module.BODIES]
        async with ann.socket({ann.space: None}) as line:
            async with bodies.working(WORKED_BYTES_MAX):
                large = ann.body(*(ann.put(record_id(n), title="t" * 150) for n in range(100)))
                await line.say("push", id=1, space=ann.space, **large)
                await line.say("what")
                await until(lambda: bodies.waiting == 1)
            assert (await line.hear("ack"))["acked"] == 100
            assert (await line.hear("error"))["code"] == "unknown_message"
