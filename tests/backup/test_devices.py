"""Real devices at a real server that came back from a backup: nothing that a device holds is lost (I11, I23)."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from api.command_line.demonstration.compare import differences, shown_by_device, shown_by_server
from api.command_line.demonstration.server import ServerProcess
from fitai_client import Client
from tests.backup.conftest import Empty

EMAIL, PASSWORD = "you@example.com", "a long enough phrase"
SECRET = "c0b74c2f6c1de88a4ff1a9b7712fd0a46e9b3e55d10c8fa2f7d3b1946a5c8e27"


async def command(*words: str) -> None:
    """Run a command of `fitai` in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "api.command_line.main", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()


class Gym:
    """One server, whose database goes back to a backup, and the devices of one user."""

    def __init__(self, folder: Path, url: str, stack: AsyncExitStack) -> None:
        self.folder, self.url, self.stack = folder, url, stack
        self.server = ServerProcess(folder, url, {"FITAI_SECRET_KEY": SECRET})
        self.devices: dict[str, Client] = {}

    @classmethod
    @asynccontextmanager
    async def open(cls, folder: Path, url: str) -> AsyncIterator[Gym]:
        async with AsyncExitStack() as stack:
            gym = cls(folder, url, stack)
            await gym.server.start()
            try:
                yield gym
            finally:
                await gym.server.stop()

    async def device(self, name: str, *, new_account: bool = False) -> Client:
        client = await Client.open(self.folder / f"{name}.db", server=self.server.url, background=False)
        self.devices[name] = await self.stack.enter_async_context(client)
        if new_account:
            await client.register(EMAIL, PASSWORD, "You")
        else:
            await client.sign_in(EMAIL, PASSWORD)
        await client.sync()
        return client

    async def back_up(self) -> None:
        """While the server runs."""
        await command("backup", str(self.folder / "backup.tar"), "--database-url", self.url)

    async def go_back(self, url: str) -> None:
        """The server dies, and comes back over the backup, restored into another place."""
        await self.server.kill()
        await command("restore", str(self.folder / "backup.tar"), "--database-url", url)
        await command("check", "--database-url", url)
        port = self.server.port
        self.server = ServerProcess(self.folder, url, {"FITAI_SECRET_KEY": SECRET})
        self.server.port, self.server.url, self.url = port, f"http://127.0.0.1:{port}", url
        await self.server.start()

    async def settle(self) -> None:
        """Every device gives and takes until nothing moves any more."""
        for _ in range(2):
            for client in self.devices.values():
                await client.sync()

    async def agreed(self) -> dict[tuple[str, str], object]:
        """What all devices and the server show, all alike."""
        places = {name: await shown_by_device(client) for name, client in self.devices.items()}
        places["server"] = await shown_by_server(self.server.url, EMAIL, PASSWORD)
        assert differences(places) == []
        for client in self.devices.values():
            assert (await client.status()).pending == 0
        await command("check", "--database-url", self.url)
        return {key: values for key, (values, _) in places["server"].items()}


@pytest.fixture
async def gym(database_url: str, tmp_path: Path) -> AsyncIterator[Gym]:
    async with Gym.open(tmp_path, database_url) as made:
        yield made


async def test_devices_give_back_what_the_backup_has_not(gym: Gym, empty: Empty, tmp_path: Path) -> None:
    phone = await gym.device("phone", new_account=True)
    laptop = await gym.device("laptop")
    kept = (await phone.workouts.create(title="before", tags=["a"])).id
    gone = (await phone.workouts.create(title="to be deleted")).id
    await gym.settle()
    await gym.back_up()

    later = (await phone.workouts.create(title="after")).id
    exercise = (await phone.workout_exercises.create(workout=later, exercise=kept)).id
    one = (await laptop.workouts.create(title="from the laptop")).id
    await laptop.workouts.update(kept, title="changed", rating=4)
    await phone.workouts.delete(gone)
    await gym.settle()
    before = await gym.agreed()
    unsent = (await phone.workouts.create(title="never sent")).id

    await gym.go_back(empty("sqlite" if gym.url.startswith("sqlite") else "postgres"))
    await gym.settle()

    after = await gym.agreed()
    new = {("workouts", unsent)}
    assert after == before | {key: after[key] for key in new}
    assert {("workouts", later), ("workouts", one), ("workout_exercises", exercise)} < after.keys()
    assert ("workouts", gone) not in after
