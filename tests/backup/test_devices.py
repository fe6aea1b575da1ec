"""Real devices at a real server that came back from a backup: nothing that a device holds is lost (I11, I23)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from api.command_line.demonstration.compare import differences, shown_by_device, shown_by_server
from fitai_client import AccountError, Client
from storage.database import open_database
from tests.backup.conftest import Empty
from tests.backup.support import back_up, put_back, violations_in
from tests.client_sdk.server import ServerProcess

EMAIL, PASSWORD = "you@example.com", "a long enough phrase"


class Gym:
    """One server, whose database goes back to a backup, and the devices of one user."""

    def __init__(self, folder: Path, url: str, stack: AsyncExitStack) -> None:
        self.folder, self.url, self.stack = folder, url, stack
        self.server = ServerProcess(url)
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
        database = await open_database(self.url)
        await back_up(database, self.folder / "backup.tar")
        await database.close()

    async def go_back(self, url: str) -> None:
        """The server goes, and comes back over the backup, restored into another place."""
        await self.server.stop()
        await put_back(self.folder / "backup.tar", url)
        port = self.server.port
        self.server, self.url = ServerProcess(url), url
        self.server.port = port
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
        assert await violations_in(self.url) == []
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


async def test_what_a_device_wrote_that_is_gone_is_kept_aside_by_those_who_saw_it_and_written_again_by_a_call(
    gym: Gym, empty: Empty
) -> None:
    phone = await gym.device("phone", new_account=True)
    lost = await gym.device("lost")
    kept = (await lost.workouts.create(title="before")).id
    await gym.settle()
    await gym.back_up()
    workout = (await lost.workouts.create(title="only of the lost one")).id
    exercise = (await lost.workout_exercises.create(workout=workout, exercise=kept)).id
    one = (await lost.sets.create(workout_exercise=exercise, reps=5)).id
    await gym.settle()
    before = await gym.agreed()
    del gym.devices["lost"]

    await gym.go_back(empty("sqlite"))
    await gym.settle()

    assert (await gym.agreed()).keys() == {("workouts", kept)}
    assert {(collection, id_) for collection, id_, _ in await phone.recovered()} == {
        ("workouts", workout),
        ("workout_exercises", exercise),
        ("sets", one),
    }
    assert await phone.rewrite_recovered() == 3
    laptop = await gym.device("laptop")
    await gym.settle()
    assert await gym.agreed() == before
    assert await laptop.workouts.find(workout) is not None


async def test_a_device_that_the_backup_does_not_know_gives_back_all_it_has(gym: Gym, empty: Empty) -> None:
    phone = await gym.device("phone", new_account=True)
    await phone.workouts.create(title="before")
    await gym.settle()
    await gym.back_up()
    laptop = await gym.device("laptop")
    await laptop.workouts.create(title="from a device made since")
    await gym.settle()
    await laptop.workouts.create(title="seen by nobody")
    await laptop.sync()
    before = await shown_by_server(gym.server.url, EMAIL, PASSWORD)

    await gym.go_back(empty("postgres"))
    # Its session is not known either.
    with pytest.raises(AccountError, match="sign"):
        await laptop.sync()
    await laptop.sign_in(EMAIL, PASSWORD)
    await gym.settle()

    assert len(await gym.agreed()) == len(before) == 3


async def test_what_an_account_wrote_that_the_backup_does_not_know_stays_on_its_devices(gym: Gym, empty: Empty) -> None:
    await gym.back_up()
    phone = await gym.device("phone", new_account=True)
    workout = (await phone.workouts.create(title="of an account made since")).id
    await gym.settle()

    await gym.go_back(empty("sqlite"))
    with pytest.raises(AccountError, match="sign"):
        await phone.sync()

    assert await phone.workouts.find(workout) is not None
    assert await phone.export(gym.folder / "export.json") >= 1


async def test_a_move_that_loses_nothing_costs_the_devices_nothing(
    sqlite_url: str, empty: Empty, tmp_path: Path
) -> None:
    async with Gym.open(tmp_path, sqlite_url) as gym:
        phone = await gym.device("phone", new_account=True)
        for number in range(5):
            await phone.workouts.create(title=str(number))
        await gym.device("laptop")
        await gym.settle()
        before = await gym.agreed()
        await gym.back_up()

        await gym.go_back(empty("postgres"))
        await gym.settle()

        assert await gym.agreed() == before
        database = await open_database(gym.url)
        async with database.read() as tx:
            arrived = await tx.execute(text("SELECT op FROM changes WHERE device_id NOT LIKE 'server-%'"))
        await database.close()
        assert [row[0] for row in arrived] == ["put"] * 5
