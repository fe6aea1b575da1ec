"""When a tombstone may go, rule by rule, on both databases."""

from __future__ import annotations

import json

import pytest

from sync.errors import Resync
from sync.retention import DAY_MS, Retention
from tests.sync.harness import Device, World


@pytest.fixture
def retention(world: World) -> Retention:
    return Retention(world.database, world.engine.environment)


async def deleted_workout(world: World, device: Device) -> tuple[str, str]:
    workout, exercise = world.uuid(), world.uuid()
    await device.push(
        device.put("workouts", workout, title="x"), device.put("workout_exercises", exercise, workout=workout)
    )
    await device.push(device.delete("workouts", workout))
    return workout, exercise


async def held(world: World, device: Device, ids: list[str]) -> list[bool]:
    """For each id, whether the server still holds a tombstone of it."""
    answer = json.loads(await world.engine.feed.pull_ids(device.caller, world.space, ids))
    found = {record["id"] for record in answer["records"] if "seq" in record}
    return [id in found for id in ids]


async def test_a_tombstone_stays_for_thirty_days_whoever_knows_it(world: World, retention: Retention) -> None:
    phone = await world.device()
    workout, _ = await deleted_workout(world, phone)
    world.clock.ms += 30 * DAY_MS - 1_000
    assert await retention.run() == 0
    assert await held(world, phone, [workout]) == [True]


async def test_it_goes_with_everything_below_when_every_voter_knows_it(world: World, retention: Retention) -> None:
    phone, laptop = await world.device(), await world.device()
    await laptop.push()
    workout, _ = await deleted_workout(world, phone)
    world.clock.ms += 31 * DAY_MS
    assert await retention.run() == 0

    await laptop.pull()
    await laptop.push(seen=laptop.context)

    assert await retention.run() == 2
    assert await held(world, phone, [workout]) == [False]
    assert (await world.engine.feed.space(world.space)).records == 0


async def test_a_device_that_was_there_by_a_pull_alone_has_a_vote(world: World, retention: Retention) -> None:
    phone, laptop = await world.device(), await world.device()
    await world.engine.votes.note(laptop.caller, world.space)
    await world.engine.votes.flush()
    await deleted_workout(world, phone)
    world.clock.ms += 31 * DAY_MS
    assert await retention.run() == 0


async def test_a_revoked_device_has_no_vote(world: World, retention: Retention) -> None:
    phone, laptop = await world.device(), await world.device()
    await laptop.push()
    await deleted_workout(world, phone)
    await world.revoke(laptop)
    world.clock.ms += 31 * DAY_MS
    assert await retention.run() == 2


async def test_a_cursor_that_never_saw_the_tombstone_is_sent_to_a_snapshot(world: World, retention: Retention) -> None:
    phone = await world.device()
    start = phone.cursor = json.loads(await world.engine.feed.pull(phone.caller, world.space, None, 10))["cursor"]
    await deleted_workout(world, phone)
    world.clock.ms += 31 * DAY_MS
    await retention.run()
    phone.cursor = start
    with pytest.raises(Resync):
        await phone.pull()


async def test_a_device_that_lags_by_180_days_loses_its_vote_until_it_takes_a_snapshot(
    world: World, retention: Retention
) -> None:
    phone, lost = await world.device(), await world.device()
    await lost.push(lost.put("workouts", world.uuid(), title="mine"))
    await deleted_workout(world, phone)
    world.clock.ms += 181 * DAY_MS
    assert await retention.run() == 2
    with pytest.raises(Resync) as refused:
        await lost.push(lost.put("workouts", world.uuid(), title="late"))
    assert refused.value.details == {"acked": 1}
    lost.n = 1
    assert (await lost.push()).acked == 1

    await world.engine.votes.note(lost.caller, world.space, snapshot=True)

    assert (await lost.push(lost.put("workouts", world.uuid(), title="late"))).acked == 2


async def test_after_it_went_a_put_starts_the_record_with_its_own_fields_alone(
    world: World, retention: Retention
) -> None:
    phone = await world.device()
    workout, _ = await deleted_workout(world, phone)
    world.clock.ms += 31 * DAY_MS
    await retention.run()
    await phone.push(phone.put("workouts", workout, rating=3))
    assert [r["values"] for r in await phone.pull()] == [{"rating": 3}]


async def test_puts_below_a_parent_that_stays_go_on_counting_for_its_own_delete(
    world: World, retention: Retention
) -> None:
    phone, laptop = await world.device(), await world.device()
    workout, exercise = world.uuid(), world.uuid()
    await phone.push(phone.put("workouts", workout, title="x"))
    await laptop.push(laptop.put("workout_exercises", exercise, workout=workout))
    await laptop.push(laptop.delete("workout_exercises", exercise))
    world.clock.ms += 31 * DAY_MS
    await phone.push(seen={laptop.id: 2})
    assert await retention.run() == 1

    phone.context = {phone.id: 1}
    await phone.push(phone.delete("workouts", workout))

    (record,) = await laptop.pull()
    assert record["deleted"] is False


async def test_a_repeated_push_of_what_went_still_gets_its_answer(world: World, retention: Retention) -> None:
    phone = await world.device()
    await deleted_workout(world, phone)
    world.clock.ms += 31 * DAY_MS
    await retention.run()
    phone.after = None
    assert (await phone.push(*phone.log)).acked == 3


async def test_a_space_that_is_gone_has_nothing_to_let_go(world: World, retention: Retention) -> None:
    assert await retention.collect(world.uuid()) == 0
