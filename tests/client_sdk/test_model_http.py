"""The model server over HTTP does to an SDK what it does to our own in process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from fitai_client import Client
from tests.client_sdk.conftest import OpenPhone
from tests.client_sdk.model_http import ModelHttp


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with TestServer(ModelHttp().app) as running:
        yield str(running.make_url("")).rstrip("/")


async def accident(url: str, what: str, **body: Any) -> None:
    async with aiohttp.ClientSession() as session, session.post(f"{url}/accidents/{what}", json=body) as answer:
        assert answer.status == 200


async def state(url: str) -> Any:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/accidents/state") as answer:
        return await answer.json()


async def titles(phone: Client) -> set[Any]:
    return {workout["title"] for workout in await phone.workouts.list()}


async def two(open_phone: OpenPhone, url: str) -> tuple[Client, Client]:
    phone, laptop = await open_phone("phone", url), await open_phone("laptop", url)
    for device in (phone, laptop):
        await device.sign_in("ann@example.com", "anything")
    return phone, laptop


async def test_two_devices_show_what_it_shows(open_phone: OpenPhone, url: str) -> None:
    phone, laptop = await two(open_phone, url)
    await phone.workouts.create(title="a", tags=["x"])
    await phone.sync()
    await laptop.sync()
    assert await titles(laptop) == {"a"}
    assert [record["values"] for record in (await state(url))["records"]] == [{"title": "a", "tags": ["x"]}]


async def test_after_a_restore_it_gets_everything_back(open_phone: OpenPhone, url: str) -> None:
    phone, laptop = await two(open_phone, url)
    await accident(url, "backup")
    await phone.workouts.create(title="a")
    await phone.sync()
    await accident(url, "restore")
    assert (await state(url))["records"] == []
    for device in (phone, laptop, phone, laptop):
        await device.sync()
    assert await titles(laptop) == await titles(phone) == {"a"}


async def test_what_it_revokes_goes_on_under_a_new_id(open_phone: OpenPhone, url: str) -> None:
    phone, laptop = await two(open_phone, url)
    await phone.workouts.create(title="a")
    await phone.sync()
    (device,) = (await state(url))["version"]
    await accident(url, "revoke", device=device)
    await phone.workouts.create(title="b")
    await phone.sync()
    await laptop.sync()
    assert await titles(laptop) == {"a", "b"}
    assert len((await state(url))["version"]) == 2


async def test_what_it_forgot_comes_back_whole_where_it_was_edited(open_phone: OpenPhone, url: str) -> None:
    phone, laptop = await two(open_phone, url)
    edited = await phone.workouts.create(title="a", tags=["x"])
    gone = await phone.workouts.create(title="b")
    for device in (phone, laptop):
        await device.sync()
    for workout in (edited, gone):
        await laptop.workouts.delete(workout.id)
    await laptop.sync()
    await accident(url, "forget")
    await phone.workouts.update(edited.id, title="c")
    for device in (phone, laptop):
        await device.sync()
    (record,) = (await state(url))["records"]
    assert record["values"] == {"title": "c", "tags": ["x"]}
    assert await titles(phone) == await titles(laptop) == {"c"}
