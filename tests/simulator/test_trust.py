"""After the store went back, a phone is looked into again as soon as it stands in the present history."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from fitai_client.core.spaces import PERSONAL
from tests.simulator.fence import fence, outside
from tests.simulator.oracles import Oracles
from tests.simulator.trust import UNDER_WAY_S
from tests.simulator.user import Hand
from tests.simulator.violation import Violation
from tests.simulator.weather import Plan
from tests.simulator.world import World


@pytest.fixture
def world() -> Iterator[World]:
    world = World(1, Plan(devices=(1,), workers=1))
    yield world
    world.close()
    asyncio.set_event_loop(None)


def live(world: World, story: Callable[[World, Hand, Oracles], Coroutine[Any, Any, None]]) -> None:
    oracles = Oracles(world)

    async def begun() -> None:
        await world.begin()
        await asyncio.sleep(60)
        phone, person = world.phones[0], world.persons[0]
        await story(world, Hand(person.user, phone, PERSONAL, world.witness, person.count), oracles)

    with fence(world.unexpected):
        asyncio.set_event_loop(world.loop)
        try:
            world.loop.run_until_complete(begun())
        except RuntimeError:
            assert world.loop.error is not None
        if world.loop.error is not None:
            raise world.loop.error


async def write_and_go_back(world: World, hand: Hand, oracles: Oracles) -> None:
    backup = world.store.snapshot()
    hand.put("workouts", title=hand.token())
    await asyncio.sleep(60)
    with outside():
        world.store.restore(backup)
    oracles.rewound()


def test_a_phone_is_trusted_again_once_it_has_found_its_way(world: World) -> None:
    trusted: list[bool] = []

    async def story(world: World, hand: Hand, oracles: Oracles) -> None:
        await write_and_go_back(world, hand, oracles)
        trusted.append(oracles.trust.has(hand.phone))
        await asyncio.sleep(300)
        trusted.append(oracles.trust.has(hand.phone))

    live(world, story)
    assert trusted == [False, True]


def test_no_phone_is_trusted_while_an_answer_of_the_lost_history_may_be_under_way_to_it(world: World) -> None:
    trusted: list[bool] = []

    async def story(world: World, hand: Hand, oracles: Oracles) -> None:
        with outside():
            world.store.restore(world.store.snapshot())
        oracles.rewound()
        for _ in range(2):
            trusted.append(oracles.trust.has(hand.phone))
            await asyncio.sleep(UNDER_WAY_S)

    live(world, story)
    assert trusted == [False, True]


def test_i8_is_asked_of_it_from_then_on(world: World) -> None:
    async def story(world: World, hand: Hand, oracles: Oracles) -> None:
        await write_and_go_back(world, hand, oracles)
        await asyncio.sleep(300)
        hand.put("workouts", title=hand.token())
        await asyncio.sleep(60)
        # A device that forgets what it knew.
        with hand.phone.db.write() as tx:
            tx.execute("UPDATE spaces SET version = '{}'")
        hand.phone.wake()
        await asyncio.sleep(5)

    with pytest.raises(Violation, match="I8"):
        live(world, story)
