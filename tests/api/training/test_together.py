"""One session in a browser and on two devices at once: each sees what the others log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from fitai_client import Client, Watch
from tests.api.harness import PASSWORD
from tests.api.training.conftest import Person

pytestmark = pytest.mark.asyncio(loop_scope="module")

SQUAT = "8106380d-5122-5600-b7e4-f73c25bdffc7"
# Nothing here waits for a clock; this only ends a test that would hang.
WAIT_S = 60


def _holds(shown: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(shown.get(name) == value for name, value in wanted.items())


@dataclass
class Browser:
    """A page: it writes over REST, and its socket tells it what is new."""

    person: Person
    socket: aiohttp.ClientWebSocketResponse

    async def sees(self, id: str, **values: Any) -> None:
        """Wait for the delta that brings a record with these values."""
        async with asyncio.timeout(WAIT_S):
            while True:
                said = await self.socket.receive_json()
                for record in said.get("records", ()):
                    if record["id"] == id and _holds(record.get("values", {}), values):
                        return


@asynccontextmanager
async def browser(person: Person) -> AsyncIterator[Browser]:
    page = await person.device()
    async with person.server.session.ws_connect(f"{person.server.url}/api/sync/live") as socket:
        hello = {"protocol": 1, "schema": 1, "token": person.token, "device": page.id, "spaces": {page.space: None}}
        await socket.send_json({"type": "hello", **hello})
        assert (await socket.receive_json())["type"] == "welcome"
        yield Browser(person, socket)


async def signed_in(stack: AsyncExitStack, person: Person, path: Path, **options: Any) -> Client:
    device = await stack.enter_async_context(await Client.open(path, server=person.server.url, **options))
    await device.sign_in(person.email, PASSWORD)
    return device


async def shows(watch: Watch, id: str, **values: Any) -> None:
    """Wait until a device shows a record with these values."""
    async with asyncio.timeout(WAIT_S):
        async for change in watch:
            if change.id == id and change.after is not None and _holds(change.after.values, values):
                return


async def test_each_sees_the_sets_of_the_others(ann: Person, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack, browser(ann) as page:
        phone, tablet = [await signed_in(stack, ann, tmp_path / f"{name}.db") for name in ("phone", "tablet")]
        for device in (phone, tablet):
            await asyncio.wait_for(device.wait_live(), WAIT_S)
        watches = [device.watch() for device in (phone, tablet)]

        started = await ann.made("/workouts/sessions/start", {"title": "Legs"})
        path = f"/workouts/sessions/{started['id']}"
        first = await ann.made(f"{path}/sets", {"exercise": SQUAT, "reps": 8})
        for watch in watches:
            await shows(watch, first["id"], reps=8)

        second = await phone.sets.create(
            workout_exercise=first["workout_exercise"], position="a1", reps=5, completed_at=started["started_at"]
        )
        await page.sees(second.id, reps=5)
        await shows(watches[1], second.id, reps=5)

        await tablet.sets.update(second.id, reps=6)
        await page.sees(second.id, reps=6)
        timed = (await ann.ask("POST", f"{path}/timer", {"action": "start", "duration_s": 90})).data
        for watch in watches:
            await shows(watch, started["id"], rest_timer=timed["rest_timer"])

        (squat,) = (await ann.ask("GET", path)).data["exercises"]
        assert [(each["id"], each["reps"]) for each in squat["sets"]] == [(first["id"], 8), (second.id, 6)]
        await ann.ask("POST", f"{path}/complete", {})
        for watch in watches:
            await shows(watch, started["id"], status="completed")


async def test_sessions_that_two_devices_started_offline_both_stay(ann: Person, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        titles = ("phone", "tablet")
        devices = [await signed_in(stack, ann, tmp_path / f"{each}.db", background=False) for each in titles]
        for device, title in zip(devices, titles, strict=True):
            started_at = "2999-01-01T10:00:00.000Z"
            await device.workouts.create(title=title, status="active", started_at=started_at)
        for device in devices:
            await device.sync()
    shown = (await ann.ask("GET", "/workouts/sessions/active")).data
    assert {each["title"] for each in shown} == {"phone", "tablet"}
    refused = await ann.ask("POST", "/workouts/sessions/start", {})
    assert (refused.code, refused.json["details"]["session"]) == ("session_active", shown[0]["id"])


async def test_of_sessions_that_are_started_at_once_one_is(ann: Person) -> None:
    answers = await asyncio.gather(*(ann.ask("POST", "/workouts/sessions/start", {}) for _ in range(5)))
    assert sorted(each.status for each in answers) == [201, 409, 409, 409, 409]
    assert len((await ann.ask("GET", "/workouts/sessions/active")).data) == 1
