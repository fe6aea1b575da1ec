"""P1 to P5 of storage/pool.py, with numbers for connections."""

from __future__ import annotations

import asyncio
from itertools import count

import pytest

from storage import pool as pools
from storage.errors import Busy, DatabaseUnavailable, Overloaded
from storage.pool import Pool, begin_work


class Opener:
    """Opens 1, 2, 3, …; waits for `gate` where there is one, fails where it is told to."""

    def __init__(self) -> None:
        self.numbers = count(1)
        self.dead: set[int] = set()
        self.gate: asyncio.Event | None = None
        self.fails = False

    async def __call__(self) -> int:
        if self.gate is not None:
            await self.gate.wait()
        if self.fails:
            raise DatabaseUnavailable("gone")
        return next(self.numbers)

    def alive(self, item: int) -> bool:
        return item not in self.dead


def make(size: int = 1, wait_s: float = 30.0) -> tuple[Pool[int], Opener]:
    opener = Opener()
    return Pool(opener, opener.alive, size=size, wait_s=wait_s), opener


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_connection_is_used_again() -> None:
    pool, _ = make()
    for _ in range(3):
        item = await pool.acquire()
        assert item == 1
        pool.release(item)


async def test_no_more_are_open_than_the_size_says() -> None:
    pool, _ = make(size=2)
    assert [await pool.acquire(), await pool.acquire()] == [1, 2]
    third = asyncio.create_task(pool.acquire())
    await settle()
    assert pool.waiting == 1
    pool.release(2)
    assert await third == 2


async def test_who_asked_first_is_served_first() -> None:
    pool, _ = make()
    item = await pool.acquire()
    served: list[int] = []

    async def take(number: int) -> None:
        mine = await pool.acquire()
        served.append(number)
        pool.release(mine)

    tasks = [asyncio.create_task(take(number)) for number in range(10)]
    await settle()
    pool.release(item)
    await asyncio.gather(*tasks)
    assert served == list(range(10))


async def test_one_who_comes_later_does_not_overtake_those_who_wait() -> None:
    pool, _ = make()
    item = await pool.acquire()
    first = asyncio.create_task(pool.acquire())
    await settle()
    pool.release(item)
    second = asyncio.create_task(pool.acquire())
    assert await first == 1
    await settle()
    assert not second.done()
    pool.release(1)
    assert await second == 1


async def test_what_was_begun_is_finished_before_what_is_new_is_begun() -> None:
    pool, _ = make()
    item = await pool.acquire()
    served: list[str] = []

    async def work(name: str, times: int, *, waited: bool = False) -> None:
        begin_work(waited=waited)
        for _ in range(times):
            mine = await pool.acquire()
            served.append(name)
            pool.release(mine)

    tasks = [asyncio.create_task(work("long", 3)), *(asyncio.create_task(work(name, 1)) for name in "abcd")]
    await settle()
    tasks.append(asyncio.create_task(work("waited elsewhere", 1, waited=True)))
    await settle()
    pool.release(item)
    await asyncio.gather(*tasks)
    # One that comes back goes to who is in line; the long one asks again behind it.
    assert served == ["waited elsewhere", "long", "a", "long", "b", "long", "c", "d"]


async def test_nobody_waits_longer_than_the_bound() -> None:
    pool, _ = make(wait_s=0.01)
    item = await pool.acquire()
    with pytest.raises(Busy):
        await pool.acquire()
    pool.release(item)
    assert await pool.acquire() == 1


async def test_no_more_wait_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "WAITERS_MAX", 2)
    pool, _ = make()
    item = await pool.acquire()
    tasks = [asyncio.create_task(pool.acquire()) for _ in range(2)]
    await settle()
    with pytest.raises(Busy):
        await pool.acquire()
    pool.release(item)
    pool.release(await tasks[0])
    assert await tasks[1] == 1


class Hands:
    """The loop's clock, moved by the test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        self.now = loop.time()
        monkeypatch.setattr(loop, "time", lambda: self.now)

    async def pass_(self, seconds: float) -> None:
        """Time goes by while the loop runs."""
        for _ in range(round(seconds * 100)):
            self.now += 0.01
            await settle()

    async def stand_still(self, seconds: float) -> None:
        """Time goes by in one step: the machine did something else."""
        self.now += seconds
        await settle()


@pytest.fixture
async def hands(monkeypatch: pytest.MonkeyPatch) -> Hands:
    return Hands(monkeypatch)


async def test_where_no_connection_comes_back_all_who_wait_are_told_and_who_comes_later_at_once(hands: Hands) -> None:
    opener = Opener()
    pool = Pool(opener, opener.alive, size=1, wait_s=30.0, stall_s=1.0)
    item = await pool.acquire()
    waiting = [asyncio.create_task(pool.acquire()) for _ in range(3)]
    await hands.pass_(0.9)
    assert pool.waiting == 3
    await hands.pass_(0.2)
    assert {type(waiter.exception()) for waiter in waiting} == {Overloaded}
    late = asyncio.create_task(pool.acquire())
    await settle()
    assert isinstance(late.exception(), Overloaded)
    # What others wait for waits on, and the first one that comes back ends the matter.
    patient = asyncio.create_task(pool.acquire(patient=True))
    await hands.pass_(10)
    pool.release(item)
    assert await patient == 1
    waiter = asyncio.create_task(pool.acquire())
    await settle()
    pool.release(1)
    assert await waiter == 1


async def test_a_line_stands_still_again_after_it_has_moved(hands: Hands) -> None:
    opener = Opener()
    pool = Pool(opener, opener.alive, size=1, wait_s=30.0, stall_s=1.0)
    item = await pool.acquire()
    first, last = asyncio.create_task(pool.acquire()), asyncio.create_task(pool.acquire())
    await hands.pass_(0.9)
    pool.release(item)
    assert await first == item
    await hands.pass_(1.1)
    assert isinstance(last.exception(), Overloaded)


async def test_a_loop_that_stood_still_is_no_stall(hands: Hands) -> None:
    """Of a machine with other load: the answers that would give a connection back lie there, unread."""
    opener = Opener()
    pool = Pool(opener, opener.alive, size=1, wait_s=30.0, stall_s=1.0)
    item = await pool.acquire()
    waiter = asyncio.create_task(pool.acquire())
    await settle()
    for _ in range(5):
        await hands.stand_still(2)
    another = asyncio.create_task(pool.acquire())
    await settle()
    assert pool.waiting == 2
    for each in (waiter, another):
        pool.release(item)
        assert await each == item


async def test_one_who_comes_after_a_long_quiet_waits_for_what_is_in_use(hands: Hands) -> None:
    opener = Opener()
    pool = Pool(opener, opener.alive, size=1, wait_s=30.0, stall_s=1.0)
    opener.gate = asyncio.Event()
    both = [asyncio.create_task(pool.acquire()) for _ in range(2)]
    await settle()
    opener.gate.set()
    item = await both[0]
    pool.release(item)
    assert await both[1] == item
    await hands.pass_(60)  # Nobody asks for a minute, and the connection is out.
    waiter = asyncio.create_task(pool.acquire())
    await hands.pass_(0.5)
    pool.release(item)
    assert await waiter == item


async def test_a_line_that_moves_is_no_stall(hands: Hands) -> None:
    """Whoever waits longer than a stall is served, as long as others are served meanwhile."""
    opener = Opener()
    pool = Pool(opener, opener.alive, size=1, wait_s=30.0, stall_s=1.0)
    item = await pool.acquire()
    first, last = asyncio.create_task(pool.acquire()), asyncio.create_task(pool.acquire())
    for waiter in (first, last):
        await hands.pass_(0.9)
        pool.release(item)
        assert await waiter == 1


async def test_one_that_died_is_replaced() -> None:
    pool, opener = make()
    pool.release(await pool.acquire())
    opener.dead.add(1)
    assert await pool.acquire() == 2


async def test_one_that_died_is_replaced_for_who_waited_too() -> None:
    pool, opener = make()
    item = await pool.acquire()
    waiter = asyncio.create_task(pool.acquire())
    await settle()
    opener.dead.add(1)
    pool.release(item)
    assert await waiter == 2


async def test_the_place_of_a_discarded_one_goes_to_who_waits() -> None:
    pool, _ = make()
    await pool.acquire()
    waiter = asyncio.create_task(pool.acquire())
    await settle()
    pool.discard()
    assert await waiter == 2


async def test_an_opening_that_fails_leaves_its_place_to_the_next() -> None:
    pool, opener = make()
    opener.fails = True
    for _ in range(3):
        with pytest.raises(DatabaseUnavailable):
            await pool.acquire()
    opener.fails = False
    assert await pool.acquire() == 1


async def test_who_is_cancelled_while_one_is_opened_leaves_it_to_the_next() -> None:
    pool, opener = make()
    opener.gate = asyncio.Event()
    cancelled = asyncio.create_task(pool.acquire())
    await settle()
    cancelled.cancel()
    waiter = asyncio.create_task(pool.acquire())
    await settle()
    opener.gate.set()
    assert await waiter == 1
    assert cancelled.cancelled()


async def test_who_is_cancelled_while_an_opening_fails_blocks_nobody() -> None:
    pool, opener = make()
    opener.gate, opener.fails = asyncio.Event(), True
    cancelled = asyncio.create_task(pool.acquire())
    await settle()
    cancelled.cancel()
    await settle()
    opener.gate.set()
    await pool.settle()
    opener.fails = False
    assert await pool.acquire() == 1


@pytest.mark.parametrize("discarded", [True, False])
async def test_who_is_cancelled_in_the_moment_of_being_served_passes_it_on(discarded: bool) -> None:
    pool, _ = make()
    item = await pool.acquire()
    unlucky = asyncio.create_task(pool.acquire())
    waiter = asyncio.create_task(pool.acquire())
    await settle()
    if discarded:
        pool.discard()
    else:
        pool.release(item)
    unlucky.cancel()
    assert await waiter == (2 if discarded else 1)
    assert unlucky.cancelled()


async def test_who_is_cancelled_while_waiting_is_forgotten() -> None:
    pool, _ = make()
    item = await pool.acquire()
    cancelled = asyncio.create_task(pool.acquire())
    await settle()
    cancelled.cancel()
    await settle()
    assert pool.waiting == 0
    pool.release(item)
    assert await pool.acquire() == 1


async def test_the_idle_ones_can_be_taken_out() -> None:
    pool, _ = make(size=2)
    one, two = await pool.acquire(), await pool.acquire()
    pool.release(one)
    pool.release(two)
    assert sorted(pool.take_idle()) == [1, 2]
    assert [await pool.acquire(), await pool.acquire()] == [3, 4]
