"""Long work on the loop that everybody shares: how much of it is done at once, and how long is rested between."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from api.training.pacing import REST_MAX_S, Pace, take_all
from figures import Steps

# Each look at the clock takes a millisecond, so a slice of four has three steps.
TICK_S, SLICE_S = 0.001, 0.0035
IN_A_SLICE = 3


@dataclass
class Diary:
    """What is worked and rested, in order."""

    of: list[str] = field(default_factory=list)
    ticks: int = 0

    def now_s(self) -> float:
        self.ticks += 1
        return self.ticks * TICK_S

    async def sleep(self, seconds: float) -> None:
        self.of.append(f"rest {round(seconds / TICK_S)}")
        await asyncio.sleep(0)

    def pace(self, rest: float) -> Pace:
        return Pace(rest, SLICE_S, self.now_s, self.sleep)

    def work(self, name: str, steps: int) -> Steps[str]:
        for _ in range(steps):
            self.of.append(name)
            yield
        return f"{name} is done"


@pytest.fixture
def diary() -> Diary:
    return Diary()


async def test_L1_after_each_slice_is_rested_for_as_long_as_it_took_so_many_times(diary: Diary) -> None:
    pace = diary.pace(2)
    assert await take_all(diary.work("a", 7), lambda: pace) == "a is done"
    assert diary.of == [*"aaa", "rest 10", *"aaa", "rest 10", "a"]


async def test_L1_a_machine_that_stood_still_is_not_rested_for(diary: Diary) -> None:
    pace = diary.pace(1_000)
    await take_all(diary.work("a", 4), lambda: pace)
    assert diary.of[IN_A_SLICE] == f"rest {round(REST_MAX_S / TICK_S)}"


async def test_L2_those_who_share_a_pace_take_turns(diary: Diary) -> None:
    pace = diary.pace(0)
    await asyncio.gather(*(take_all(diary.work(name, steps), lambda: pace) for name, steps in (("a", 9), ("b", 4))))
    assert diary.of == [*"aaa", "rest 0", *"bbb", "rest 0", *"aaa", "rest 0", "b", *"aaa", "rest 0"]


async def test_L3_what_fits_into_a_slice_is_done_at_once(diary: Diary) -> None:
    pace = diary.pace(2)
    await take_all(diary.work("a", 2), lambda: pace)
    assert (diary.of, pace.spent_s) == (["a", "a"], 0)


async def test_L4_who_is_cancelled_takes_no_further_step(diary: Diary) -> None:
    rests = asyncio.Event()

    async def sleep(_: float) -> None:
        rests.set()
        await asyncio.Event().wait()

    pace = Pace(2, SLICE_S, diary.now_s, sleep)
    work = diary.work("a", 7)
    task = asyncio.ensure_future(take_all(work, lambda: pace))
    await rests.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (diary.of, next(work, "closed")) == (["a", "a", "a"], "closed")
    # The next one has its turn.
    assert await take_all(diary.work("b", 1), lambda: pace) == "b is done"


async def test_a_pace_holds_for_one_slice(diary: Diary) -> None:
    paces: Iterator[Pace] = iter([diary.pace(2), diary.pace(0), diary.pace(2)])
    await take_all(diary.work("a", 7), lambda: next(paces))
    assert [each for each in diary.of if each != "a"] == ["rest 10", "rest 0"]


async def test_how_long_was_worked_and_rested_is_counted(diary: Diary) -> None:
    pace = diary.pace(2)
    await take_all(diary.work("a", 7), lambda: pace)
    # Two whole slices; each begins and ends with a look at the clock beside those at its steps.
    assert round(pace.spent_s / TICK_S) == 12
