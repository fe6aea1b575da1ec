"""A text that takes the reader's time costs its sender time, and nobody else theirs."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pycrdt
import pytest
import pytest_asyncio

from conflict.update import ROOT
from storage.database import Database
from sync import planner
from sync.errors import RateLimited, TooLarge
from sync.limits import Limits
from sync.text_guard import PENALTY_MS, TextGuard
from sync.texts import ProcessTextReader, ReadText
from tests.sync.harness import World


def text(words: str) -> dict[str, str]:
    document = pycrdt.Doc()
    document[ROOT] = pycrdt.Text(words)
    return {"yjs": base64.b64encode(document.get_update()).decode()}


class Counting(ProcessTextReader):
    """The real reader; `asked` has the size of each question."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.asked: list[int] = []

    async def read(self, updates: Sequence[bytes]) -> list[ReadText]:
        self.asked.append(len(updates))
        return await super().read(updates)


def with_reader(world: World, reader: ProcessTextReader) -> World:
    """The same world whose pushes ask another reader."""
    engine = world.engine
    guard = TextGuard(reader, engine.environment)
    path = replace(engine.write_path, texts=reader)
    object.__setattr__(engine, "device_writer", replace(engine.device_writer, path=path, guard=guard))
    return world


@pytest_asyncio.fixture
async def hanging(world: World) -> AsyncIterator[Counting]:
    """A reader to which every text is one that hangs: none is read within no time at all."""
    reader = Counting(read_timeout_s=0.0)
    with_reader(world, reader)
    yield reader
    await reader.close()


async def test_a_text_that_hangs_is_rejected_before_any_lock_is_taken(world: World, hanging: Counting) -> None:
    phone = await world.device()
    answer = await phone.push(
        *(phone.put("workouts", world.uuid(), notes=text("x")) for _ in range(4)),
        phone.put("workouts", world.uuid(), title="lands"),
    )
    assert [(each.n, each.code) for each in answer.rejected] == [(n, "bad_text") for n in (1, 2, 3, 4)]
    # All at once, then two alone: the third and the fourth are refused without being read, and none in the push.
    assert hanging.asked == [4, 1, 1]
    assert len(await phone.pull()) == 1


async def test_an_account_whose_text_hung_waits_with_its_texts_alone(world: World, hanging: Counting) -> None:
    phone = await world.device()
    await phone.push(phone.put("workouts", world.uuid(), notes=text("x")))
    with pytest.raises(RateLimited) as refused:
        await phone.push(phone.put("workouts", world.uuid(), notes=text("y")))
    assert refused.value.retry_after_s is not None and 0 < refused.value.retry_after_s <= PENALTY_MS // 1000
    phone.n = 1
    assert (await phone.push(phone.put("workouts", world.uuid(), title="no text"))).rejected == []
    # A clock that is set back makes nobody wait longer.
    world.clock.ms -= PENALTY_MS
    assert (await phone.push(phone.put("workouts", world.uuid(), notes=text("y")))).rejected
    # Another account is read as always.
    other = await world.add_user()
    space = await world.add_space(other)
    tablet = await world.device(other)
    asked = len(hanging.asked)
    await tablet.push(tablet.put("workouts", world.uuid(), notes=text("z")), space=space)
    assert len(hanging.asked) > asked

    world.clock.ms += PENALTY_MS
    again = await phone.push(phone.put("workouts", world.uuid(), notes=text("y")))
    assert [each.code for each in again.rejected] == ["bad_text"]


async def test_too_many_texts_to_be_read_one_by_one_are_sent_in_parts(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planner, "ONE_BY_ONE_BYTES_MAX", 50)
    world = await World.make(database, Limits(record_bytes_max=3_000))
    phone = await world.device()
    changes = [phone.put("workouts", world.uuid(), notes=text("short")) for _ in range(4)]
    # It fits as it was sent, and not as it is served, with its string.
    changes.append(phone.put("workouts", world.uuid(), notes=text("long " * 300)))
    with pytest.raises(TooLarge):
        await phone.push(*changes)
    phone.after = None
    assert await phone.pull() == []
    # One alone is always read.
    for change in changes[:4]:
        assert (await phone.push(change)).rejected == []
    assert [each.code for each in (await phone.push(changes[4])).rejected] == ["record_full"]
    await world.close()


async def test_a_full_set_has_no_text_read_one_by_one(world: World) -> None:
    reader = Counting()
    with_reader(world, reader)
    phone = await world.device()
    id = world.uuid()
    crowded = phone.put("workouts", world.uuid(), tags={"add": [f"{n}" for n in range(1_001)]})
    answer = await phone.push(crowded, *(phone.put("workouts", id, notes=text(f"{n}")) for n in range(20)))
    assert [each.code for each in answer.rejected] == ["record_full"]
    # What came with the batch, before it; what the one record holds, after it.
    assert reader.asked == [20, 1]
    await reader.close()
