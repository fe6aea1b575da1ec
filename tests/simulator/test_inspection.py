"""What is asked of a phone that goes on showing a record which the last snapshot lacked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from fitai_client.core.spaces import PERSONAL, save, space
from tests.simulator.inspection import Inspection
from tests.simulator.oracles import Oracles
from tests.simulator.test_trust import live
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


def look_at_a_record_of_a_lost_history(world: World, *, pull: bool) -> None:
    """Its seq is beyond the cursor, and a later snapshot did not bring it."""

    async def story(world: World, hand: Hand, oracles: Oracles) -> None:
        hand.put("workouts", title=hand.token())
        await asyncio.sleep(60)
        with hand.phone.db.write() as tx:
            tx.execute("UPDATE records SET seq = seq + 1000 WHERE collection = 'workouts'")
            found = space(tx, PERSONAL)
            save(tx, found, snap=found.snap + 1, pull=pull)
        Inspection(world.store).records(hand.phone)

    live(world, story)


def test_i10_what_the_next_pull_brings_may_show_as_it_was_in_the_lost_history(world: World) -> None:
    look_at_a_record_of_a_lost_history(world, pull=True)


def test_i10_it_may_not_where_no_pull_is_due(world: World) -> None:
    with pytest.raises(Violation, match="beyond its cursor"):
        look_at_a_record_of_a_lost_history(world, pull=False)
