"""What a push gets where something beside it is slow, busy or odd, on both databases."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pycrdt
import pytest

from conflict.clock import rfc3339
from storage.database import Database, Transaction
from storage.errors import Busy, Moved
from sync.errors import Invalid, Unavailable
from sync.limits import Limits
from sync.push import DeviceWriter
from sync.texts import ProcessTextReader
from tests.sync.harness import World


def text_update(words: str) -> dict[str, str]:
    document = pycrdt.Doc()
    document["text"] = pycrdt.Text(words)
    return {"yjs": base64.b64encode(document.get_update()).decode()}


class Crowded:
    """A database on which other writers come first a few times."""

    def __init__(self, database: Database, times: int) -> None:
        self._database, self.times = database, times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    @asynccontextmanager
    async def write(self, *, single: bool = False) -> AsyncIterator[Transaction]:
        if single and self.times > 0:
            self.times -= 1
            raise Moved("another writer was there first")
        async with self._database.write(single=single) as tx:
            yield tx
            if self.times > 0:
                self.times -= 1
                raise Busy("another writer was there first")


def crowded_writer(world: World, crowded: Crowded) -> DeviceWriter:
    writer = world.engine.device_writer
    attempts = replace(writer.path.attempts, database=crowded)  # type: ignore[arg-type]
    return replace(writer, path=replace(writer.path, attempts=attempts))


@pytest.mark.parametrize("times", [1, 3])
async def test_a_push_that_meets_others_is_tried_again_and_lands_once(world: World, times: int) -> None:
    phone = await world.device()
    writer = crowded_writer(world, Crowded(world.database, times))
    request = phone.request([phone.put("workouts", world.uuid(), title="x")])
    assert (await writer.push(phone.caller, world.space, request)).acked == 1
    assert [record["values"] for record in await phone.pull()] == [{"title": "x"}]


async def test_a_push_that_meets_others_again_and_again_is_asked_to_come_later(world: World) -> None:
    phone = await world.device()
    crowded = Crowded(world.database, 100)
    writer = crowded_writer(world, crowded)
    request = phone.request([phone.put("workouts", world.uuid(), title="x")])
    with pytest.raises(Unavailable) as refused:
        await writer.push(phone.caller, world.space, request)
    assert refused.value.retry_after_s == 1
    assert crowded.times == 96
    assert await phone.pull() == []
    assert (await world.engine.push(phone.caller, world.space, request)).acked == 1


async def test_texts_that_take_too_long_cost_their_own_changes_and_few_waits(world: World) -> None:
    phone = await world.device()
    hurried = ProcessTextReader(read_timeout_s=0.0)
    writer = world.engine.device_writer
    writer = replace(writer, path=replace(writer.path, texts=hurried))
    slow = [phone.put("workouts", world.uuid(), notes=text_update("x" * 20_000)) for _ in range(6)]
    plain = phone.put("workouts", world.uuid(), title="fine")
    answer = await writer.push(phone.caller, world.space, phone.request([*slow, plain]))
    kills = hurried.kills
    await hurried.close()
    assert [(r.n, r.code, r.field) for r in answer.rejected] == [(n, "bad_text", "notes") for n in range(1, 7)]
    # Once for all together, and twice to find out which; the rest are not waited for.
    assert kills == 3
    assert [record["values"] for record in await phone.pull()] == [{"title": "fine"}]


async def test_a_schema_counts_from_one(world: World) -> None:
    phone = await world.device()
    with pytest.raises(Invalid, match="count from 1"):
        await phone.push(phone.put("workouts", world.uuid(), title="x"), schema=0)


@pytest.mark.parametrize(
    ("ahead_ms", "sent_at"),
    [
        (-41, None), (1_500, None), (0, None), (None, "yesterday"), (None, ""), (None, "9999-99-99T00:00:00Z"),
    ],
)  # fmt: skip
async def test_the_answer_says_how_far_a_clock_is_ahead_where_it_told_a_time(
    world: World, ahead_ms: int | None, sent_at: str | None
) -> None:
    phone = await world.device()
    said = sent_at if ahead_ms is None else rfc3339(world.clock.ms + ahead_ms)
    assert (await phone.push(sent_at=said)).skew_ms == ahead_ms
    assert (await phone.push()).skew_ms is None


async def test_a_time_without_a_zone_counts_as_utc(world: World) -> None:
    phone = await world.device()
    assert (await phone.push(sent_at=rfc3339(world.clock.ms).removesuffix("Z"))).skew_ms == 0


async def test_deleting_many_of_a_collection_asks_only_where_it_is_more_than_half(database: Database) -> None:
    world = await World.make(database, Limits(mass_delete_records=3))
    phone = await world.device()
    ids = [world.uuid() for _ in range(8)]
    await phone.push(*(phone.put("workouts", id, title="x") for id in ids))
    assert (await phone.push(*(phone.delete("workouts", id) for id in ids[:4]))).acked == 12
    await world.close()
