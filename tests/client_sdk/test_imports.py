"""Bringing an export of another app into a client, rule by rule."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from fitai_client import Client
from fitai_client.imports import import_csv, undo_import
from tests.shared import shared

DATA = shared() / "data"


@pytest_asyncio.fixture
async def phone(tmp_path: Path) -> AsyncIterator[Client]:
    async with await Client.open(tmp_path / "phone.db", server="http://127.0.0.1:9", background=False) as client:
        yield client


async def bring(phone: Client, name: str = "hevy-2025-kg.csv") -> tuple[int, int]:
    imported = await import_csv(phone, (DATA / name).read_bytes(), timezone="Europe/Paris")
    return imported.written, imported.known


async def test_every_set_of_a_real_file_is_on_the_device_offline(phone: Client) -> None:
    for name, sets in (("hevy-2025-kg.csv", 330), ("strong-2025-10col-no-notes-MIT.csv", 250)):
        before = await phone.sets.count()
        await bring(phone, name)
        assert await phone.sets.count() - before == sets


async def test_the_same_file_twice_imports_once(phone: Client) -> None:
    written, _ = await bring(phone)
    assert await bring(phone) == (0, written)


async def test_an_edit_made_since_the_first_import_stays(phone: Client) -> None:
    await bring(phone)
    one = (await phone.sets.list(limit=1))[0]
    await phone.sets.update(one.id, reps=99)
    await bring(phone)
    assert (await phone.sets.get(one.id))["reps"] == 99


async def test_one_import_is_undone_as_a_whole_and_another_stays(phone: Client) -> None:
    data = (DATA / "hevy-2025-kg.csv").read_bytes()
    hevy = await import_csv(phone, data, timezone="Europe/Paris")
    await bring(phone, "strong-2025-10col-no-notes-MIT.csv")
    assert await undo_import(phone, hevy) == hevy.file.preview.workouts
    assert await phone.sets.count() == 250
    again = await import_csv(phone, data, timezone="Europe/Paris")
    assert await phone.sets.count() == 250 + 330
    assert again.file.id == hevy.file.id


async def test_a_workout_of_the_file_that_was_deleted_comes_back_whole_when_it_is_imported_again(phone: Client) -> None:
    await bring(phone)
    gone = (await phone.workouts.list(limit=1))[0]
    await phone.workouts.delete(gone.id)
    await bring(phone)
    assert await phone.sets.count() == 330
