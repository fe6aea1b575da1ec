"""When a device gets its vote on tombstones, and what that costs the reads it comes with. On both databases."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from storage.devices import note_voter
from storage.errors import Busy
from storage.retention import read_voters, take_vote
from storage.spaces import lock_space
from sync.votes import Votes
from tests.sync.harness import Device, World


async def voters(world: World) -> set[str]:
    async with world.database.read() as tx:
        return {voter.device for voter in await read_voters(tx, world.space)}


async def statements(world: World, votes: Votes, device: Device, *, snapshot: bool = False) -> int:
    """How many statements the answer waits for."""
    before = world.database.statements
    await votes.note(device.caller, world.space, snapshot=snapshot)
    return world.database.statements - before


async def test_a_first_read_gives_the_vote_behind_the_answer(world: World) -> None:
    phone = await world.device()
    async with world.database.write() as tx:
        # Whoever writes now holds what the vote has to wait for: the answer does not.
        await lock_space(tx, world.space)
        await world.engine.votes.note(phone.caller, world.space, snapshot=True)
        assert await voters(world) == set()
    await world.engine.votes.flush()
    assert await voters(world) == {phone.id}


async def test_a_vote_that_was_noted_is_written_whatever_becomes_of_the_request(world: World) -> None:
    phone = await world.device()

    noted = asyncio.Event()

    async def request() -> None:
        await world.engine.votes.note(phone.caller, world.space)
        noted.set()
        await asyncio.Event().wait()

    async with world.database.write() as tx:
        await lock_space(tx, world.space)
        asked = asyncio.create_task(request())
        await noted.wait()
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
    await world.engine.votes.flush()
    assert await voters(world) == {phone.id}


async def test_a_device_that_asks_again_meanwhile_is_noted_once(world: World) -> None:
    phone = await world.device()
    async with world.database.write() as tx:
        await lock_space(tx, world.space)
        for _ in range(5):
            await world.engine.votes.note(phone.caller, world.space)
        assert len(world.engine.votes._pending) == 1
    await world.engine.votes.flush()
    assert await voters(world) == {phone.id}


async def test_a_place_that_is_there_is_looked_up_once_and_never_written(world: World) -> None:
    phone = await world.device()
    await phone.push()
    anew = Votes(world.database, world.engine.environment)
    assert [await statements(world, anew, phone) for _ in range(3)] == [1, 0, 0]
    assert await statements(world, anew, phone, snapshot=True) == 1
    assert not anew._pending


async def test_a_device_that_has_pushed_is_not_looked_up_when_it_reads(world: World) -> None:
    phone = await world.device()
    await phone.push(phone.put("workouts", world.uuid(), title="x"))
    assert await statements(world, world.engine.votes, phone) == 0
    assert await voters(world) == {phone.id}


async def test_a_debt_is_paid_by_a_snapshot_before_its_answer_and_by_nothing_else(world: World) -> None:
    phone = await world.device()
    await phone.push()
    async with world.database.write() as tx:
        await take_vote(tx, world.space, phone.id)
    await world.engine.votes.note(phone.caller, world.space)
    assert await voters(world) == set()
    await world.engine.votes.note(phone.caller, world.space, snapshot=True)
    assert await voters(world) == {phone.id}


async def test_a_late_first_vote_pays_no_debt(world: World) -> None:
    """Between the answer and the writing the device pushed, and its user left the space."""
    phone = await world.device()
    async with world.database.write() as tx:
        await lock_space(tx, world.space)
        await world.engine.votes.note(phone.caller, world.space, snapshot=True)
        await note_voter(tx, space=world.space, device=phone.id, user=world.user, now_ms=0, snapshot=False)
        await take_vote(tx, world.space, phone.id)
    await world.engine.votes.flush()
    assert await voters(world) == set()


async def test_nobody_votes_with_anothers_device_nor_with_a_revoked_one(world: World) -> None:
    phone, stranger = await world.device(), await world.device(await world.add_user())
    for caller in (replace(phone.caller, device=stranger.id), replace(phone.caller, device="unknown")):
        await world.engine.votes.note(caller, world.space)
    await world.revoke(phone)
    await world.engine.votes.note(phone.caller, world.space)
    assert not world.engine.votes._pending


async def test_a_vote_that_could_not_be_written_is_given_by_the_next_read(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    phone = await world.device()
    votes = Votes(BusyOnce(world.database), world.engine.environment)  # type: ignore[arg-type]
    await votes.note(phone.caller, world.space)
    await votes.flush()
    assert "is not written yet" in caplog.text
    await votes.note(phone.caller, world.space)
    await votes.flush()
    assert await voters(world) == {phone.id}


async def test_the_memory_of_votes_is_bounded(world: World) -> None:
    votes = Votes(world.database, world.engine.environment, remembered_max=2)
    devices = [await world.device() for _ in range(5)]
    for device in devices:
        await votes.note(device.caller, world.space)
        await votes.flush()
        assert len(votes._known) <= 2
    assert await voters(world) == {device.id for device in devices}


class BusyOnce:
    """A database whose first write comes too late."""

    def __init__(self, database: object) -> None:
        self._database = database
        self._late = True

    def __getattr__(self, name: str) -> object:
        if name == "write" and self._late:
            self._late = False
            raise Busy("another writer holds the database")
        return getattr(self._database, name)
