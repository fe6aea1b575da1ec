"""Two servers on one Postgres and one Redis are one server to the devices, and so are two workers of one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from api.command_line.demonstration.compare import differences, shown_by_device, shown_by_server
from api.command_line.demonstration.server import ServerProcess
from fitai_client import Client

EMAIL, PASSWORD = "you@example.com", "a long enough phrase"
SECRET = "c0b74c2f6c1de88a4ff1a9b7712fd0a46e9b3e55d10c8fa2f7d3b1946a5c8e27"


@asynccontextmanager
async def serving(folder: Path, url: str, redis: str, **settings: str) -> AsyncIterator[str]:
    await asyncio.to_thread(folder.mkdir)
    server = ServerProcess(folder, url, {"FITAI_SECRET_KEY": SECRET, "FITAI_REDIS_URL": redis, **settings})
    await server.start()
    try:
        yield server.url
    finally:
        await server.stop()


async def sees(client: Client, workout: str, title: str) -> None:
    """Return once a change that came over the socket shows this title."""
    async with asyncio.timeout(60), client.workouts.watch(id=workout) as changes:
        found = await client.workouts.find(workout)
        if found is not None and found["title"] == title:
            return
        async for change in changes:
            if change.after is not None and change.after["title"] == title:
                return


async def follow_each_other(folder: Path, first: str, second: str) -> None:
    async with (
        await Client.open(folder / "phone.db", server=first) as phone,
        await Client.open(folder / "laptop.db", server=second) as laptop,
    ):
        await phone.register(EMAIL, PASSWORD, "You")
        await laptop.sign_in(EMAIL, PASSWORD)
        for client in (phone, laptop):
            async with asyncio.timeout(60):
                while not (await client.status()).live:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        workout = (await phone.workouts.create(title="from the phone")).id
        await sees(laptop, workout, "from the phone")
        await laptop.workouts.update(workout, title="from the laptop")
        await sees(phone, workout, "from the laptop")
        await phone.sync()
        await laptop.sync()
        places = {
            "phone": await shown_by_device(phone),
            "laptop": await shown_by_device(laptop),
            "first": await shown_by_server(first, EMAIL, PASSWORD),
            "second": await shown_by_server(second, EMAIL, PASSWORD),
        }
    assert len(places["first"]) == 1
    assert differences(places) == []


async def test_devices_on_two_servers_follow_each_other(postgres_url: str, redis_url: str, tmp_path: Path) -> None:
    async with (
        serving(tmp_path / "a", postgres_url, redis_url) as first,
        serving(tmp_path / "b", postgres_url, redis_url) as second,
    ):
        await follow_each_other(tmp_path, first, second)


async def test_devices_on_two_workers_follow_each_other(database_url: str, redis_url: str, tmp_path: Path) -> None:
    async with serving(tmp_path / "server", database_url, redis_url, FITAI_WORKERS="2") as both:
        await follow_each_other(tmp_path, both, both)
