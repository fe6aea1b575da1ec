"""Records without a device: read as they are shown, written through the one write path, on both databases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from storage.database import Database
from storage.field_types import Order
from storage.records import LATEST
from sync.caller import Caller
from sync.errors import InvalidFields, NotFound, OverQuota, PreconditionFailed, ReadOnly, TooLargeToShow
from sync.limits import Limits
from sync.positions import position_after, position_at
from sync.records import Edit, Record, Records, View, Written
from tests.sync.harness import Device, World
from tests.sync.test_history import text_update


class Desk:
    """One person at their browser."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.caller = Caller(world.user, "browser")
        self.records = Records(world.database, world.engine.server_writer, world.engine.texts)

    async def write(self, *edits: Edit) -> Written:
        return await self.records.write(self.caller, self.world.space, edits)

    async def create(self, collection: str, **values: Any) -> str:
        id = self.world.uuid()
        await self.write(Edit("create", collection, id, values))
        return id

    async def patch(self, collection: str, id: str, **values: Any) -> Written:
        return await self.write(Edit("patch", collection, id, values))

    async def get(self, collection: str, id: str) -> Record:
        return await self.records.get(self.caller, self.world.space, collection, id)


@pytest.fixture
def desk(world: World) -> Desk:
    return Desk(world)


async def faults(writing: Any) -> set[tuple[str, str]]:
    with pytest.raises(InvalidFields) as caught:
        await writing
    return {(fault["field"], fault["code"]) for fault in caught.value.fields}


# -- what is written -------------------------------------------------------------------------------------------------


async def test_what_a_browser_writes_reaches_every_device_as_a_delta(desk: Desk) -> None:
    phone = await desk.world.device()
    id = await desk.create("workouts", title="Legs", notes="felt strong", tags=["pm", "gym"])
    (record,) = await phone.pull()
    assert (record["id"], record["updated_by"]) == (id, "server-a1")
    assert record["values"]["tags"] == ["gym", "pm"]
    assert (record["values"]["title"], record["values"]["notes"]["text"]) == ("Legs", "felt strong")


async def test_a_record_reads_as_plain_json(desk: Desk) -> None:
    id = await desk.create("workouts", title="Legs", notes="felt strong", tags=["gym"], rating=None)
    record = await desk.get("workouts", id)
    assert record.values == {"title": "Legs", "notes": "felt strong", "tags": ["gym"], "rating": None}
    assert record.plain().keys() == {"id", "version", "title", "notes", "tags", "rating", "updated_at", "updated_by"}


async def test_a_set_that_is_given_whole_keeps_what_a_device_adds_at_the_same_time(desk: Desk) -> None:
    phone = await desk.world.device()
    id = await desk.create("workouts", title="Legs", tags=["a", "b"])
    await phone.pull()
    added = phone.put("workouts", id, tags={"add": ["c"]})
    await desk.patch("workouts", id, tags=["b", "d"])
    await phone.push(added)
    assert (await desk.get("workouts", id)).values["tags"] == ["b", "c", "d"]


async def test_a_text_that_is_given_whole_keeps_what_a_device_writes_at_the_same_time(desk: Desk) -> None:
    phone = await desk.world.device()
    id = desk.world.uuid()
    await phone.push(phone.put("workouts", id, title="Legs", notes=text_update("felt strong")))
    await desk.patch("workouts", id, notes="felt very strong")
    assert (await desk.get("workouts", id)).values["notes"] == "felt very strong"


async def test_a_register_lost_to_a_concurrent_write_stays_visible(desk: Desk) -> None:
    phone = await desk.world.device()
    id = await desk.create("workouts", title="Legs")
    await phone.pull()
    concurrent = phone.put("workouts", id, title="Leg day")
    await desk.patch("workouts", id, title="Squats")
    await phone.push(concurrent)
    record = await desk.get("workouts", id)
    assert {record.values["title"], record.conflicts["title"][0]["value"]} == {"Leg day", "Squats"}


async def test_nothing_is_written_where_nothing_changes(desk: Desk) -> None:
    id = await desk.create("workouts", title="Legs", notes="strong", tags=["a"])
    before = await desk.get("workouts", id)
    assert (await desk.patch("workouts", id, notes="strong", tags=["a"])).records == {}
    assert (await desk.get("workouts", id)).version == before.version


async def test_a_create_that_is_sent_again_does_nothing(desk: Desk) -> None:
    id = await desk.create("workouts", title="Legs")
    await desk.patch("workouts", id, title="Squats")
    await desk.write(Edit("create", "workouts", id, {"title": "Legs"}))
    assert (await desk.get("workouts", id)).values["title"] == "Squats"
    await desk.write(Edit("delete", "workouts", id))
    await desk.write(Edit("create", "workouts", id, {"title": "Legs"}))
    with pytest.raises(NotFound):
        await desk.get("workouts", id)


async def test_the_one_record_of_a_collection_is_made_by_its_first_put(desk: Desk) -> None:
    nil = "00000000-0000-0000-0000-000000000000"
    for first_weekday in (1, 7):
        await desk.write(Edit("put", "preferences", nil, {"first_weekday": first_weekday}))
    assert (await desk.get("preferences", nil)).values == {"first_weekday": 7}


async def test_a_tree_shows_what_is_below_in_its_order(desk: Desk) -> None:
    workout, bench, first, second = (desk.world.uuid() for _ in range(4))
    await desk.write(
        Edit("create", "workouts", workout, {"title": "Push"}),
        Edit("create", "workout_exercises", bench, {"workout": workout, "position": "a0"}),
        Edit("create", "sets", second, {"workout_exercise": bench, "position": "a1", "reps": 5}),
        Edit("create", "sets", first, {"workout_exercise": bench, "position": "a0", "reps": 8}),
    )
    tree = await desk.records.tree(desk.caller, desk.world.space, "workouts", workout)
    (exercise,) = tree.children(tree.root, "workout_exercises")
    assert [each.values["reps"] for each in tree.children(exercise, "sets")] == [8, 5]
    async with desk.world.database.read() as tx:
        (same,) = await (await desk.records.view(tx, desk.caller, desk.world.space)).trees([tree.root])
    assert same.version == tree.version
    await desk.write(Edit("delete", "workouts", workout))
    with pytest.raises(NotFound):
        await desk.get("sets", first)


async def test_workouts_are_listed_by_their_start_whatever_the_order_in_which_they_came(desk: Desk) -> None:
    starts = {hour: f"2026-11-23T{hour:02}:00:00.000Z" for hour in (9, 7, 8)}
    for hour, start in starts.items():
        await desk.create("workouts", title=str(hour), started_at=start)
    planned = await desk.create("workouts", title="planned")
    deleted = await desk.create("workouts", title="deleted", started_at=starts[9])
    await desk.write(Edit("delete", "workouts", deleted))

    pages: list[list[str]] = []
    end: tuple[str, str] | None = LATEST
    while end is not None:
        found, end = await desk.records.by_time(desk.caller, desk.world.space, "workouts", before=end, limit=2)
        pages.append([each.values["title"] for each in found])
    assert pages == [["9", "8"], ["7", "planned"]]

    await desk.patch("workouts", planned, started_at=starts[8])
    recent, _ = await desk.records.by_time(desk.caller, desk.world.space, "workouts", since=starts[8])
    assert [each.values["title"] for each in recent] == ["9", "planned", "8"]


async def grown(desk: Desk, *sizes: int) -> list[str]:
    """Workouts with one exercise each, and so many sets."""
    phone = await desk.world.device()
    workouts = []
    for size in sizes:
        workout, exercise = desk.world.uuid(), desk.world.uuid()
        await desk.write(
            Edit("create", "workouts", workout, {"title": "Long"}),
            Edit("create", "workout_exercises", exercise, {"workout": workout, "position": "a0"}),
        )
        await phone.pull()
        sets = [
            phone.put("sets", desk.world.uuid(), workout_exercise=exercise, position=position_at(n), reps=n)
            for n in range(size)
        ]
        for first in range(0, size, 500):
            await phone.push(*sets[first : first + 500])
        workouts.append(workout)
    return workouts


async def test_what_one_answer_shows_is_bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sync.records.TREE_MAX", 10)
    fits, large, small = await grown(desk, 9, 10, 3)
    assert len((await desk.records.tree(desk.caller, desk.world.space, "workouts", fits)).below) == 10
    with pytest.raises(TooLargeToShow):
        await desk.records.tree(desk.caller, desk.world.space, "workouts", large)
    async with desk.world.database.read() as tx:
        view = await desk.records.view(tx, desk.caller, desk.world.space)
        roots = [await view.get("workouts", each) for each in (small, fits, large)]
        with pytest.raises(TooLargeToShow):
            await view.tree("workouts", large)
        pages = []
        while roots:
            trees = await view.trees(roots)
            pages.append([(tree.root.id, len(tree.below), tree.is_whole) for tree in trees])
            roots = roots[len(trees) :]
    assert pages == [[(small, 4, True)], [(fits, 10, True)], [(large, 0, False)]]


async def test_who_adds_behind_the_others_reads_the_last_ones_alone(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sync.records.LAST_MAX", 3)
    (workout,) = await grown(desk, 12)
    async with desk.world.database.read() as tx:
        view = await desk.records.view(tx, desk.caller, desk.world.space)
        (exercise,) = await view.last_below(await view.get("workouts", workout), "workout_exercises")
        assert [each.values["reps"] for each in await view.last_below(exercise, "sets")] == [9, 10, 11]
        assert await view.last_below(exercise, "participants") == []


# -- what is refused -------------------------------------------------------------------------------------------------


async def test_every_wrong_field_of_every_record_is_named_and_nothing_is_written(desk: Desk) -> None:
    workout, exercise = desk.world.uuid(), desk.world.uuid()
    edits = [
        Edit("create", "workouts", workout, {"title": 5, "rating": 6, "tags": [7], "notes": None, "nope": 1}),
        Edit("create", "workout_exercises", exercise, {"workout": workout, "rest_s": 0.5}, at="exercises[0]."),
    ]
    assert await faults(desk.write(*edits)) == {
        ("title", "wrong_type"),
        ("rating", "out_of_range"),
        ("tags", "wrong_type"),
        ("notes", "wrong_type"),
        ("nope", "unknown_field"),
        ("exercises[0].rest_s", "wrong_type"),
    }
    with pytest.raises(NotFound):
        await desk.get("workouts", workout)


async def test_what_the_planner_refuses_is_named_alike(desk: Desk) -> None:
    one, other = await desk.create("workouts", title="A"), await desk.create("workouts", title="B")
    exercise = await desk.create("workout_exercises", workout=one)
    moved = Edit("patch", "workout_exercises", exercise, {"workout": other}, at="exercises[3].")
    assert await faults(desk.write(moved)) == {("exercises[3].workout", "immutable")}
    full = Edit("patch", "workouts", one, {"tags": [f"tag {n}" for n in range(1_001)]})
    assert await faults(desk.write(full)) == {("tags", "record_full")}
    assert await faults(desk.patch("workouts", one, notes="x" * 60_000)) == {("notes", "wrong_length")}


async def test_what_the_server_alone_writes_is_read_only(desk: Desk) -> None:
    assert await faults(desk.create("achievements", kind="x")) == {("", "read_only")}


async def test_what_does_not_exist_and_what_is_anothers_look_alike(desk: Desk) -> None:
    id = await desk.create("workouts", title="Legs")
    stranger = Caller(await desk.world.add_user(), "browser")
    with pytest.raises(NotFound) as foreign:
        await desk.records.get(stranger, desk.world.space, "workouts", id)
    with pytest.raises(NotFound) as missing:
        await desk.records.get(desk.caller, desk.world.space, "workouts", desk.world.uuid())
    assert foreign.value.message == missing.value.message
    with pytest.raises(NotFound):
        await desk.records.write(stranger, desk.world.space, [Edit("delete", "workouts", id)])
    for odd in ("", "\0", "x" * 1_000, id.upper()):
        with pytest.raises(NotFound):
            await desk.write(Edit("delete", "workouts", odd))
        with pytest.raises(NotFound):
            await desk.records.get(desk.caller, odd, "workouts", id)


async def test_a_viewer_reads_and_does_not_write(desk: Desk) -> None:
    shared = await desk.world.add_space(desk.world.user, "shared")
    guest = Caller(await desk.world.add_user(), "browser")
    await desk.world.add_member(shared, guest.user, "viewer")
    id = desk.world.uuid()
    await desk.records.write(desk.caller, shared, [Edit("create", "workouts", id, {"title": "Ours"})])
    assert (await desk.records.get(guest, shared, "workouts", id)).values["title"] == "Ours"
    with pytest.raises(ReadOnly):
        await desk.records.write(guest, shared, [Edit("delete", "workouts", id)])


async def test_a_full_space_takes_deletes_alone(database: Database) -> None:
    world = await World.make(database, Limits(records_max=1))
    desk = Desk(world)
    id = await desk.create("workouts", title="Legs")
    with pytest.raises(OverQuota):
        await desk.create("workouts", title="More")
    await desk.write(Edit("delete", "workouts", id))
    await desk.create("workouts", title="Other")
    await world.close()


async def test_a_write_that_expects_another_version_changes_nothing(desk: Desk) -> None:
    id = await desk.create("workouts", title="Legs")
    seen = (await desk.get("workouts", id)).version
    await desk.write(Edit("patch", "workouts", id, {"title": "Squats"}, expected=[seen]))
    with pytest.raises(PreconditionFailed):
        await desk.write(Edit("patch", "workouts", id, {"title": "Arms"}, expected=[seen]))
    assert (await desk.get("workouts", id)).values["title"] == "Squats"


async def test_the_version_that_a_write_answers_is_the_one_that_is_read(desk: Desk) -> None:
    id = await desk.create("workouts", title="Legs")
    written = await desk.patch("workouts", id, title="Squats", notes="strong")
    assert written.records["workouts", id] == await desk.get("workouts", id)


async def test_what_is_decided_on_holds_until_it_is_written(desk: Desk) -> None:
    """A device that gets in between has the decision made anew."""
    phone: Device = await desk.world.device()
    id = await desk.create("workouts", title="1")
    seen: list[str] = []

    async def add_one(view: View) -> Sequence[Edit]:
        title = (await view.get("workouts", id)).values["title"]
        if not seen:
            await phone.push(phone.put("workouts", id, title="5"))
        seen.append(title)
        return [Edit("patch", "workouts", id, {"title": str(int(title) + 1)})]

    await desk.records.decide(desk.caller, desk.world.space, [("workouts", id)], add_one)
    assert (seen, (await desk.get("workouts", id)).values["title"]) == (["1", "5"], "6")


# -- what it costs ---------------------------------------------------------------------------------------------------


async def test_a_write_takes_as_many_statements_after_a_long_history_as_before(desk: Desk) -> None:
    workout, exercise = await desk.create("workouts", title="Push"), desk.world.uuid()
    await desk.write(Edit("create", "workout_exercises", exercise, {"workout": workout}))

    async def statements_of(count: int) -> int:
        before = desk.world.database.statements
        sets = [(desk.world.uuid(), {"workout_exercise": exercise, "reps": 5}) for _ in range(count)]
        await desk.write(*(Edit("create", "sets", id, values) for id, values in sets))
        return desk.world.database.statements - before

    few = await statements_of(1)
    await statements_of(300)
    assert await statements_of(20) == few == (2 if desk.world.database.dialect == "postgresql" else 5)


async def test_what_is_decided_late_costs_no_more_statements_the_more_it_is(desk: Desk) -> None:
    async def statements_of(count: int) -> int:
        before = desk.world.database.statements
        edits = [Edit("create", "workouts", desk.world.uuid(), {"title": "A"}) for _ in range(count)]

        async def decide(_: View) -> Sequence[Edit]:
            return edits

        await desk.records.decide(desk.caller, desk.world.space, (), decide)
        return desk.world.database.statements - before

    assert await statements_of(1) == await statements_of(50)


def test_positions_of_a_list_are_in_its_order_and_leave_room_behind() -> None:
    made = [position_at(index) for index in range(5_000)]
    assert made == sorted(made) and len(set(made)) == len(made)
    last = None
    for _ in range(500):
        before, last = last, position_after(last)
        assert before is None or before < last
    assert len(last or "") <= Order().max_length // 10
    assert all(position_after(each) > each for each in ("!", "~", "a0z", "zz", "b00"))
