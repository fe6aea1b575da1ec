"""How long histories are read and worked out on the loop that everybody shares: counted in steps, not timed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from api.training import histories as module
from api.training.histories import Histories, Kept, Paces, TooLong
from api.training.pacing import Pace
from figures import History, Person, Records
from sync.caller import Caller
from tests.api.harness import until
from tests.api.training.logbook import Lifter
from tests.sync.harness import World

# A slice of an hour that has so many seconds: each look at the clock takes one.
IN_A_SLICE = 20
# What a history takes beside its records.
EMPTY = module._EMPTY


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """One kind of database is enough for what does not depend on it."""
    return sqlite_url


@dataclass
class Counted:
    """A pace whose slices have so many steps, and what happens in the rests between them."""

    ticks: int = 0
    rests: int = 0
    meanwhile: Callable[[], Awaitable[Any]] | None = None
    pace: Pace = field(init=False)

    def __post_init__(self) -> None:
        self.pace = Pace(0, IN_A_SLICE, self._now_s, self._sleep)

    def _now_s(self) -> float:
        self.ticks += 1
        return float(self.ticks)

    async def _sleep(self, _: float) -> None:
        self.rests += 1
        if self.meanwhile is not None:
            await self.meanwhile()
        await asyncio.sleep(0)


@dataclass
class Rig:
    """The histories of one process, all of whose paces are counted."""

    world: World
    ann: Lifter
    look: Counted = field(default_factory=Counted)
    look_long: Counted = field(default_factory=Counted)
    keep: Counted = field(default_factory=Counted)
    keep_long: Counted = field(default_factory=Counted)
    histories: Histories = field(init=False)

    def __post_init__(self) -> None:
        self.histories = self.made()

    def made(self, **more: Any) -> Histories:
        """Histories of which none is kept by now."""
        paces = Paces(self.look.pace, self.look_long.pace, self.keep.pace, self.keep_long.pace)
        return Histories(self.world.database, paces=paces, **more)

    @property
    def caller(self) -> Caller:
        return Caller(self.ann.user, "")

    async def rests_of(self, what: Awaitable[Any]) -> int:
        """How many rests there were in something."""
        before = self.rests
        await what
        return self.rests - before

    @property
    def rests(self) -> int:
        return sum(each.rests for each in (self.look, self.look_long, self.keep, self.keep_long))

    async def look_at(self, **more: Any) -> Kept:
        async with self.histories.of(self.caller, **more) as kept:
            return kept

    async def somebody_waits(self) -> None:
        """Until somebody waits for what another one has."""
        await until(lambda: self.histories._kept[self.ann.user].looks > 0)

    async def is_right(self, kept: Kept) -> bool:
        """Whether what was kept equals what is read anew by somebody else."""
        async with Histories(self.world.database).of(self.caller) as anew:
            same = (kept.history.lifts, kept.history.sessions) == (anew.history.lifts, anew.history.sessions)
            return same and list(kept.records) == list(anew.records)


@pytest.fixture
async def rig(world: World) -> Rig:
    ann = await Lifter.make(world)
    # Of one exercise, so that each set says something of all.
    for day in range(10, 20):
        await ann.log(*[(100, 5)] * 10, day=day)
    return Rig(world, ann)


def at_least(steps: int) -> int:
    """How many rests that many steps have."""
    return steps // IN_A_SLICE


async def test_H3_reading_a_history_leaves_the_loop_to_others_again_and_again(rig: Rig) -> None:
    rests = await rig.rests_of(rig.look_at())
    # Each record is taken, each set made a lift, and each lift looked at for the records.
    assert rests >= at_least(120 + 100 + 100)


@pytest.mark.parametrize("change", ["a set", "a bodyweight", "a formula", "an exercise"])
async def test_H3_so_does_whatever_concerns_a_whole_history(rig: Rig, change: str) -> None:
    await rig.look_at()
    device = rig.ann.device
    made = {
        "a set": lambda: rig.ann.workout((120, 3), day=20),
        "a bodyweight": lambda: [
            device.put("measurements", rig.world.uuid(), at="2026-11-01T08:00:00.000Z", kind="weight", value=80,
                       unit="kg"),
        ],
        "a formula": lambda: [
            device.put("preferences", "00000000-0000-0000-0000-000000000000", one_rep_max="brzycki")
        ],
        "an exercise": lambda: [device.put("exercises", rig.ann.exercise, name="Squat", measure="weight_reps")],
    }  # fmt: skip
    await rig.ann.push(made[change]())
    # All its sets are looked at again.
    assert await rig.rests_of(rig.look_at()) >= at_least(100)
    assert await rig.is_right(await rig.look_at())


async def test_H3_so_does_what_is_made_of_it(rig: Rig) -> None:
    async with rig.histories.of(rig.caller) as kept:
        difference = await kept.made(Records().update_in_steps(kept.history))
        before = rig.rests
        await kept.made(Records().update_in_steps(kept.history))
    assert len(difference.new) == len(kept.records)
    assert rig.rests - before >= at_least(100)


async def test_in_how_many_pages_a_history_is_read_makes_it_no_dearer(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.ann.push(
        rig.ann.device.put("measurements", rig.world.uuid(), kind="weight", value=80, unit="kg",
                           at=f"2026-11-10T08:{minute:02}:00.000Z")
        for minute in range(60)
    )  # fmt: skip

    async def steps(page: int) -> int:
        monkeypatch.setattr(module, "_PAGE", page)
        rig.histories.forget(rig.ann.user)
        before = rig.look.ticks
        await rig.look_at()
        return rig.look.ticks - before

    # The clock is looked at some times more for each page.
    assert await steps(5) < await steps(500) + 5 * (180 // 5)


async def test_a_long_history_is_read_at_a_pace_of_its_own(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    await rig.look_at()
    await rig.look_at(looks=False)
    assert rig.look.rests and not rig.look_long.rests
    monkeypatch.setattr(module, "LONG", 50)
    for looks, pace in ((True, rig.look_long), (False, rig.keep_long)):
        rig.histories.forget(rig.ann.user)
        await rig.look_at(looks=looks)
        assert pace.rests


async def test_H3_who_looks_hurries_whoever_only_keeps_it_up(rig: Rig) -> None:
    looks: list[asyncio.Task[Kept]] = []

    async def somebody_looks() -> None:
        rig.keep.meanwhile = None
        looks.append(asyncio.ensure_future(rig.look_at()))
        await rig.somebody_waits()

    rig.keep.meanwhile = somebody_looks
    await rig.look_at(looks=False)
    assert (rig.keep.rests, len((await looks[0]).history.lifts)) == (1, 100)
    assert rig.look.rests >= at_least(300)


async def test_who_waited_sees_what_was_written_meanwhile(rig: Rig) -> None:
    looks: list[asyncio.Task[Kept]] = []

    async def somebody_looks_and_a_set_is_logged() -> None:
        rig.keep.meanwhile = None
        looks.append(asyncio.ensure_future(rig.look_at()))
        await rig.somebody_waits()
        await rig.ann.log((140, 1), day=21)

    rig.keep.meanwhile = somebody_looks_and_a_set_is_logged
    await rig.look_at(looks=False)
    assert len((await looks[0]).history.lifts) == 101


async def test_who_comes_between_one_who_had_it_and_the_next_has_waited_too() -> None:
    kept, waited = Kept(History(Person("me", "home"))), []

    async def have() -> None:
        async with kept.held(looks=False) as one_waited:
            waited.append(one_waited)

    async with kept.held(looks=False) as first_waited:
        second = asyncio.ensure_future(have())
        await until(lambda: kept.holders == 2)
    # The second has not run since.
    assert not kept.lock.locked()
    await have()
    await second
    await have()
    assert (first_waited, waited) == (False, [True, True, False])


@pytest.mark.parametrize("rests", [1, 5, 10, 15])
async def test_who_waited_for_somebody_who_gave_up_halfway_reads_it_anew(rig: Rig, rests: int) -> None:
    looks: list[asyncio.Task[Kept]] = []

    async def it_is_given_up() -> None:
        if rig.keep.rests == rests:
            looks.append(asyncio.ensure_future(rig.look_at()))
            await rig.somebody_waits()
            first.cancel()

    rig.keep.meanwhile = it_is_given_up
    first = asyncio.ensure_future(rig.look_at(looks=False))
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await rig.is_right(await looks[0])


async def test_of_a_history_that_is_longer_than_its_reader_has_time_for_nothing_is_read(rig: Rig) -> None:
    with pytest.raises(TooLong):
        await rig.look_at(longest=100)
    assert (rig.rests, rig.histories.kept) == (0, 0)
    await rig.look_at(longest=200)
    await rig.ann.log((100, 5), day=20)
    # So it is once it is kept.
    with pytest.raises(TooLong):
        await rig.look_at(longest=130)


async def others(rig: Rig, count: int) -> list[Caller]:
    """People who logged one workout each, of three records."""
    made = [await Lifter.make(rig.world, await rig.world.add_user()) for _ in range(count)]
    for each in made:
        await each.log((100, 5))
    return [Caller(each.user, "") for each in made]


async def test_H4_a_history_that_its_holder_fails_over_is_counted_like_any_other(rig: Rig) -> None:
    callers = await others(rig, 5)
    histories = rig.made(kept_records_max=2 * (EMPTY + 3))
    for caller in callers:
        with pytest.raises(ZeroDivisionError):
            async with histories.of(caller):
                raise ZeroDivisionError
    assert [histories.has(caller.user) for caller in callers] == [False, False, False, True, True]


async def test_H4_a_history_that_alone_is_too_long_pushes_out_nobody_and_is_kept_beside_the_others(rig: Rig) -> None:
    callers = await others(rig, 2)
    histories = rig.made(kept_records_max=2 * (EMPTY + 3))
    for _ in range(2):
        for caller in (rig.caller, *callers):
            async with histories.of(caller, looks=False):
                pass
        assert all(histories.has(caller.user) for caller in (*callers, rig.caller))
    # Of what is short it is still the latest that are kept.
    more = await others(rig, 1)
    async with histories.of(more[0]):
        pass
    assert [histories.has(caller.user) for caller in (*callers, *more)] == [False, True, True]
    assert histories.has(rig.ann.user)


async def test_H4_of_those_that_alone_are_too_long_the_latest_is_kept(rig: Rig) -> None:
    callers = await others(rig, 3)
    histories = rig.made(kept_records_max=EMPTY)
    for caller in callers:
        async with histories.of(caller):
            pass
        assert histories.has(caller.user) and histories.kept == 1
