"""A phone whose disk is full shows what is on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fitai_client import Client, DatabaseError
from fitai_client.core.reserve import RESERVE_BYTES, reserve_of
from tests.faults.disks import NotMounted, SmallDisk, small_disk

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def disk() -> Iterator[SmallDisk]:
    try:
        with small_disk(8) as disk:
            yield disk
    except NotMounted as refused:
        pytest.skip(str(refused))


async def open_phone(disk: SmallDisk) -> Client:
    return await Client.open(disk.folder / "phone.db", server=NOBODY, background=False)


async def log_something(disk: SmallDisk) -> None:
    async with await open_phone(disk) as phone:
        await phone.workouts.create(title="before")


async def titles(phone: Client) -> list[str]:
    return [str(workout["title"]) for workout in await phone.workouts.list()]


async def test_it_opens_and_a_training_has_room(disk: SmallDisk) -> None:
    await log_something(disk)
    disk.fill()
    async with await open_phone(disk) as phone:
        await phone.workouts.create(title="on a full disk")
        assert await titles(phone) == ["before", "on a full disk"]
    async with await open_phone(disk) as phone:
        assert await titles(phone) == ["before", "on a full disk"]


async def test_a_training_has_room_also_where_the_disk_fills_while_it_is_open(disk: SmallDisk) -> None:
    async with await open_phone(disk) as phone:
        disk.fill()
        await phone.workouts.create(title="w", notes="n" * 10_000)
        assert await titles(phone) == ["w"]
        assert not reserve_of(disk.folder / "phone.db").exists()


async def test_where_the_reserve_is_gone_too_the_disk_is_named(disk: SmallDisk) -> None:
    await log_something(disk)
    reserve_of(disk.folder / "phone.db").unlink()
    disk.fill()
    with pytest.raises(DatabaseError) as refused:
        await open_phone(disk)
    assert refused.value.code == "full"


async def test_there_is_a_reserve_again_once_there_is_room(disk: SmallDisk) -> None:
    await log_something(disk)
    disk.fill()
    async with await open_phone(disk):
        assert not reserve_of(disk.folder / "phone.db").exists()
    disk.free()
    async with await open_phone(disk):
        assert reserve_of(disk.folder / "phone.db").stat().st_size == RESERVE_BYTES


async def test_a_phone_that_is_wiped_leaves_no_reserve(disk: SmallDisk) -> None:
    async with await open_phone(disk) as phone:
        await phone.wipe()
    assert list(disk.folder.iterdir()) == []
