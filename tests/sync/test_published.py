"""The list of public templates: what a write costs it, on both databases."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from storage import templates as store
from storage.templates import TERMS_MAX, terms_of
from tests.sync.harness import Device, World


class Shelf:
    """Public templates of one person, written by a phone."""

    def __init__(self, world: World, phone: Device) -> None:
        self.world, self.phone = world, phone

    async def publish(self, count: int) -> list[str]:
        ids = [self.world.uuid() for _ in range(count)]
        values = {"title": "Push day", "visibility": "public", "tags": {"add": ["gym"]}}
        await self.phone.push(
            *(self.phone.put("templates", id, **values) for id in ids),
            *(
                self.phone.put("template_exercises", self.world.uuid(), template=id, exercise=self.world.uuid())
                for id in ids
            ),
        )
        return ids

    async def statements_of(self, ids: list[str], **values: Any) -> int:
        before = self.world.database.statements
        await self.phone.push(*(self.phone.put("templates", id, **values) for id in ids))
        return self.world.database.statements - before

    async def listed(self) -> list[str]:
        async with self.world.database.read() as tx:
            return sorted(await store.read_listed(tx, self.world.space))

    async def terms(self, id: str) -> set[bytes]:
        async with self.world.database.read() as tx:
            return (await store.read_terms(tx, self.world.space, [id])).get(id, set())


async def test_a_write_costs_the_list_as_many_statements_for_many_templates_as_for_one(world: World) -> None:
    shelf = Shelf(world, await world.device())
    ids = await shelf.publish(20)
    assert await shelf.statements_of(ids[:1], title="Pull day") == await shelf.statements_of(ids, title="Leg day")


async def test_what_is_found_alike_is_not_written_again(world: World) -> None:
    shelf = Shelf(world, await world.device())
    ids = await shelf.publish(2)
    alike = await shelf.statements_of(ids, folder="mine")
    # What is no more, and what is new.
    assert await shelf.statements_of(ids, title="Leg day") == alike + 2
    assert await shelf.statements_of(ids, title="Leg day again") == alike + 1


async def test_only_what_is_another_is_written_of_what_a_template_is_found_by(world: World) -> None:
    shelf = Shelf(world, await world.device())
    (id,) = await shelf.publish(1)
    before = await shelf.terms(id)
    await shelf.statements_of([id], title="Push week")
    assert (before - await shelf.terms(id), await shelf.terms(id) - before) == ({b"wday"}, {b"wweek"})


async def test_a_person_has_so_many_on_the_list_and_the_next_one_where_one_goes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "LISTED_PER_SPACE_MAX", 3)
    shelf = Shelf(world, await world.device())
    ids = sorted(await shelf.publish(6))
    assert await shelf.listed() == ids[:3]
    # Whatever takes one away: nobody has to touch those that waited.
    await shelf.statements_of(ids[:1], visibility="private")
    assert await shelf.listed() == ids[1:4]
    assert b"wpush" in await shelf.terms(ids[3]) and await shelf.terms(ids[0]) == set()
    await shelf.phone.pull(world.space)
    await shelf.phone.push(*(shelf.phone.delete("templates", each) for each in ids[2:4]))
    assert await shelf.listed() == [ids[1], ids[4], ids[5]]
    # What comes back goes before what comes after it.
    await shelf.statements_of(ids[:1], visibility="public")
    assert await shelf.listed() == [ids[0], ids[1], ids[4]]
    assert await shelf.terms(ids[5]) == set()


async def test_the_list_is_a_function_of_the_records_whatever_order_they_were_written_in(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "LISTED_PER_SPACE_MAX", 4)
    monkeypatch.setattr(store, "EXERCISES_MAX", 1)
    chance = Random(7)
    shelf = Shelf(world, await world.device())
    ids = await shelf.publish(10)
    public, large = set(ids), set[str]()
    for _ in range(40):
        some = chance.sample(ids, chance.randrange(1, 5))
        if chance.random() < 0.2 and len(large) < 3:
            shelf_of = shelf.phone.put("template_exercises", world.uuid(), template=some[0], exercise=world.uuid())
            await shelf.phone.push(shelf_of)
            large.add(some[0])
        elif chance.random() < 0.5:
            await shelf.statements_of(some, visibility="private")
            public -= set(some)
        else:
            await shelf.statements_of(some, visibility="public")
            public |= set(some)
        assert await shelf.listed() == sorted(public - large)[:4]


async def test_a_list_that_is_not_full_is_not_looked_through(world: World) -> None:
    shelf = Shelf(world, await world.device())
    ids = await shelf.publish(5)
    few = await shelf.statements_of(ids[:1], visibility="private")
    ids += await shelf.publish(60)
    assert await shelf.statements_of(ids[1:2], visibility="private") == few


def test_a_flood_of_words_leaves_the_title_findable() -> None:
    exercises = [f"0193575e-3a40-7000-8000-{number:012}" for number in range(500)]
    found = terms_of("Zercher", ["zone two"], exercises)
    assert len(found) == TERMS_MAX
    assert {b"wzercher", b"wzone", b"wtwo", b"tzone two"} < found


async def test_of_a_flood_of_large_templates_so_many_bytes_are_looked_at(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = Shelf(world, await world.device())
    ids = sorted(await shelf.publish(6))
    found = []
    for bytes_max in (0, 1_000, 1_000_000):
        monkeypatch.setattr(store, "LOOKED_AT_BYTES_MAX", bytes_max)
        async with world.database.read() as tx:
            found.append(sorted(await store.read_public_ids(tx, world.space, b'"visibility":"public"')))
    assert found[0] == [] and found[2] == ids
    assert found[1] == ids[: len(found[1])] and 0 < len(found[1]) < len(ids)
