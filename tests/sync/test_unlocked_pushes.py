"""A push on SQLite reads without the lock; whatever changes what it read keeps it from being written (W1, H3)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from storage.database import open_database
from storage.devices import note_voter, revoke_device
from storage.erasure import Trace, disown_lines, doom_space, set_owner
from storage.errors import Moved
from storage.push_reads import open_push
from storage.push_writes import write_push
from storage.retention import take_vote
from storage.spaces import remove_member, set_member
from sync.caller import Caller
from sync.records import Edit, Records
from sync.retention import Retention
from tests.patience import AS_GOOD_AS_FOR_EVER_S
from tests.sync.harness import Device, World
from tests.sync.inline_texts import InlineTexts

Meanwhile = Callable[[World, Device], Awaitable[None]]


@pytest_asyncio.fixture
async def world(sqlite_url: str) -> AsyncIterator[World]:
    database = await open_database(sqlite_url, wait_s=AS_GOOD_AS_FOR_EVER_S)
    made = await World.make(database, texts=InlineTexts())
    yield made
    await made.close()
    await database.close()


async def another_device_pushes(world: World, phone: Device) -> None:
    tablet = await world.device()
    await tablet.push(tablet.void())


async def it_pushes_that_it_has_seen_more(world: World, phone: Device) -> None:
    # No number is spent, so that the head stays.
    await phone.push(seen={phone.id: 2})


async def somebody_writes_over_rest(world: World, phone: Device) -> None:
    records = Records(world.database, world.engine.server_writer, world.engine.texts)
    edit = Edit("create", "workouts", world.uuid(), {"title": "x"})
    await records.write(Caller(world.user, "browser"), world.space, [edit])


async def old_tombstones_go(world: World, phone: Device) -> None:
    assert await Retention(world.database, world.engine.environment, keep_ms=0, lag_ms=0).collect(world.space)


async def its_vote_is_taken(world: World, phone: Device) -> None:
    async with world.database.write() as tx:
        await take_vote(tx, world.space, phone.id)


async def it_is_revoked(world: World, phone: Device) -> None:
    async with world.database.write() as tx:
        await revoke_device(tx, world.user, phone.id, world.clock.ms)


async def its_user_becomes_a_viewer(world: World, phone: Device) -> None:
    async with world.database.write() as tx:
        await set_member(tx, world.space, world.user, role="viewer")


async def its_user_leaves(world: World, phone: Device) -> None:
    async with world.database.write() as tx:
        await remove_member(tx, world.space, world.user)


async def the_space_is_given_away(world: World, phone: Device) -> None:
    async with world.database.write() as tx:
        await set_owner(tx, world.space, None)


async def the_space_is_doomed(world: World, phone: Device) -> None:
    async with world.database.write() as tx:
        await doom_space(tx, world.space, world.user)


async def its_lines_lose_their_name(world: World, phone: Device) -> None:
    async with world.database.write() as tx:
        await disown_lines(tx, Trace(world.space, phone.id), 1_000)


MEANWHILE: list[Meanwhile] = [
    another_device_pushes,
    it_pushes_that_it_has_seen_more,
    somebody_writes_over_rest,
    old_tombstones_go,
    its_vote_is_taken,
    it_is_revoked,
    its_user_becomes_a_viewer,
    its_user_leaves,
    the_space_is_given_away,
    the_space_is_doomed,
    its_lines_lose_their_name,
]


async def write_after(world: World, phone: Device, meanwhile: Meanwhile | None) -> None:
    """A push of the device that reads, and writes when something else has happened."""
    async with world.database.write(single=True) as tx:
        opened = await open_push(
            tx, space=world.space, user=world.user, device=phone.id, after_n=phone.n, keys=[], lock=False
        )
        assert opened is not None and opened.after is not None and opened.voter is not None
        if meanwhile is not None:
            await meanwhile(world, phone)
        await write_push(
            tx,
            space=opened.space,
            records=[],
            changes=[],
            voter=None,
            deleted_at=0,
            row_version=opened.row_version,
        )


async def phone_with_a_past(world: World) -> Device:
    """Its workout is deleted, and it has a vote."""
    phone = await world.device()
    workout = world.uuid()
    await phone.push(phone.put("workouts", workout, title="“é”"), phone.delete("workouts", workout))
    return phone


@pytest.mark.parametrize("meanwhile", MEANWHILE, ids=lambda each: each.__name__)
async def test_what_a_push_rests_on_is_looked_for_where_it_is_written(world: World, meanwhile: Meanwhile) -> None:
    phone = await phone_with_a_past(world)
    with pytest.raises(Moved):
        await write_after(world, phone, meanwhile)


async def test_a_push_that_nobody_crossed_is_written_without_the_lock(world: World) -> None:
    phone = await phone_with_a_past(world)
    await write_after(world, phone, None)


async def test_a_first_push_finds_that_its_device_was_given_a_vote_meanwhile(world: World) -> None:
    phone = await world.device()
    async with world.database.write(single=True) as tx:
        opened = await open_push(
            tx, space=world.space, user=world.user, device=phone.id, after_n=None, keys=[], lock=False
        )
        assert opened is not None and opened.voter is None
        async with world.database.write() as other:
            await note_voter(other, space=world.space, device=phone.id, user=world.user, now_ms=1, snapshot=False)
        with pytest.raises(Moved):
            await write_push(
                tx,
                space=opened.space,
                records=[],
                changes=[],
                voter=None,
                deleted_at=0,
                row_version=opened.row_version,
            )
