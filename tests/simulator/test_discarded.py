"""What a phone's file and the server lost both is nowhere to be looked for; what either has still is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from fitai_client.core.spaces import PERSONAL
from tests.simulator.discarded import Discarded
from tests.simulator.fence import fence, outside
from tests.simulator.phone import Phone
from tests.simulator.user import Hand
from tests.simulator.weather import Plan
from tests.simulator.world import World

Story = Callable[[World, Hand], Coroutine[Any, Any, None]]


@pytest.fixture
def world() -> Iterator[World]:
    world = World(1, Plan(devices=(1,), workers=1))
    yield world
    world.close()
    asyncio.set_event_loop(None)


def played(world: World, story: Story) -> bool:
    """Let this happen to a phone; whether the title that its user wrote is given up."""

    async def live() -> None:
        await world.begin()
        await asyncio.sleep(60)
        phone, person = world.phones[0], world.persons[0]
        await story(world, Hand(person.user, phone, PERSONAL, world.witness, person.count))

    with fence(world.unexpected):
        asyncio.set_event_loop(world.loop)
        world.loop.run_until_complete(live())
    return bool(world.witness.written & world.witness.replaced)


async def write(hand: Hand) -> None:
    hand.put("workouts", title=hand.token())
    await asyncio.sleep(60)


def replace(world: World, phone: Phone, discarded: Discarded) -> None:
    """An empty file takes the place of the phone's."""
    phone.kill()
    discarded.keep(phone.path)
    phone.path.unlink()
    discarded.look()


def test_what_the_file_lost_first_and_then_the_server_is_given_up(world: World) -> None:
    async def story(world: World, hand: Hand) -> None:
        discarded, backup = Discarded(world), world.store.snapshot()
        await write(hand)
        replace(world, hand.phone, discarded)
        with outside():
            world.store.restore(backup)
        discarded.look()

    assert played(world, story)


def test_what_the_server_lost_first_and_then_the_file_is_given_up(world: World) -> None:
    async def story(world: World, hand: Hand) -> None:
        discarded, backup = Discarded(world), world.store.snapshot()
        await write(hand)
        with outside():
            world.store.restore(backup)
        discarded.look()
        replace(world, hand.phone, discarded)

    assert played(world, story)


def test_what_the_server_holds_is_not_given_up(world: World) -> None:
    async def story(world: World, hand: Hand) -> None:
        discarded = Discarded(world)
        await write(hand)
        replace(world, hand.phone, discarded)
        with outside():
            world.store.restore(world.store.snapshot())
        discarded.look()

    assert not played(world, story)


def test_what_another_phone_shows_of_a_record_that_the_server_has_is_not_given_up_and_comes_back(
    world: World,
) -> None:
    titles: list[object] = []

    async def story(world: World, hand: Hand) -> None:
        discarded, other = Discarded(world), world.add_phone(hand.phone.user, "u0p1")
        world.hand_over(other)
        workout = hand.put("workouts", title=hand.token())
        await asyncio.sleep(120)
        backup = world.store.snapshot()
        hand.put("workouts", workout, title=hand.token())
        await asyncio.sleep(120)
        replace(world, hand.phone, discarded)
        with outside():
            world.store.restore(backup)
        discarded.look()
        await asyncio.sleep(300)
        there = world.store.query("SELECT body FROM records WHERE id = ?", workout)[0][0]
        titles.append(json.loads(there)["values"]["title"])

    played(world, story)
    (last,) = world.witness.written - world.witness.replaced
    assert [json.dumps(title) for title in titles] == [last[2]]


def test_what_is_in_a_log_is_not_given_up_though_the_server_lost_it(world: World) -> None:
    async def story(world: World, hand: Hand) -> None:
        discarded, backup = Discarded(world), world.store.snapshot()
        await write(hand)
        discarded.keep(hand.phone.path)
        with outside():
            world.store.restore(backup)
        discarded.look()

    assert not played(world, story)
