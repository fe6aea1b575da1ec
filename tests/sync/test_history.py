"""What a record was, and the ways back, on both databases."""

from __future__ import annotations

import base64
from dataclasses import replace

import pycrdt
import pytest

from conflict.clock import rfc3339
from storage.database import Database
from sync.errors import Forbidden, Invalid, Malformed, NotFound, ReadOnly, Unavailable
from sync.limits import LIMITS
from sync.texts import ProcessTextReader
from tests.sync.harness import Device, World


def text_update(text: str) -> dict[str, str]:
    document = pycrdt.Doc()
    document["text"] = pycrdt.Text(text)
    return {"yjs": base64.b64encode(document.get_update()).decode()}


async def test_history_lists_the_accepted_changes_newest_first(world: World) -> None:
    phone = await world.device()
    workout = world.uuid()
    await phone.push(phone.put("workouts", workout, title="A"), phone.put("workouts", workout, title=5))
    await phone.push(phone.put("workouts", workout, rating=3), phone.delete("workouts", workout))

    changes = (await world.engine.history.read(phone.caller, world.space, ("workouts", workout)))["changes"]

    assert [(c["n"], c["op"], c["fields"]) for c in changes] == [
        (4, "delete", {}),
        (3, "put", {"rating": 3}),
        (1, "put", {"title": "A"}),
    ]
    assert changes[-1]["device"] == phone.id
    assert changes[-1]["at"].endswith("Z")


async def test_restore_writes_an_earlier_state_back_as_a_new_change(world: World) -> None:
    phone = await world.device()
    workout = world.uuid()
    await phone.push(
        phone.put("workouts", workout, title="A", tags={"add": ["x"]}),
        phone.put("workouts", workout, title="B", rating=4, tags={"add": ["y"], "remove": ["x"]}),
    )
    await world.engine.history.restore(phone.caller, world.space, ("workouts", workout), (phone.id, 1))
    (record,) = await phone.pull()
    assert record["values"] == {"rating": None, "tags": ["x"], "title": "A"}
    assert record["updated_by"] == "server-a1"
    assert phone.context["server-a1"] == 1


async def test_restore_brings_a_deleted_record_back_whole(world: World) -> None:
    phone = await world.device()
    workout = world.uuid()
    await phone.push(
        phone.put("workouts", workout, title="A", notes=text_update("felt strong")), phone.delete("workouts", workout)
    )
    await world.engine.history.restore(phone.caller, world.space, ("workouts", workout), (phone.id, 1))
    (record,) = await phone.pull()
    assert (record["values"]["title"], record["values"]["notes"]["text"]) == ("A", "felt strong")


async def test_restore_takes_a_text_back_too(world: World) -> None:
    phone = await world.device()
    workout = world.uuid()
    document = pycrdt.Doc()
    document["text"] = text = pycrdt.Text("felt strong")
    first = {"yjs": base64.b64encode(document.get_update()).decode()}
    before = document.get_state()
    text += ", then weak"
    second = {"yjs": base64.b64encode(document.get_update(before)).decode()}
    await phone.push(phone.put("workouts", workout, notes=first), phone.put("workouts", workout, notes=second))
    (record,) = await phone.pull()
    assert record["values"]["notes"]["text"] == "felt strong, then weak"

    await world.engine.history.restore(phone.caller, world.space, ("workouts", workout), (phone.id, 1))

    (record,) = await phone.pull()
    assert record["values"]["notes"]["text"] == "felt strong"


async def test_restore_to_an_unknown_change_or_by_a_viewer_is_refused(world: World) -> None:
    phone, guest = await world.device(), await world.device(await world.add_user())
    shared = await world.add_space(world.user, "shared")
    await world.add_member(shared, guest.caller.user, "viewer")
    workout = world.uuid()
    await phone.push(phone.put("workouts", workout, title="A"), space=shared)
    restore = world.engine.history.restore
    with pytest.raises(NotFound):
        await restore(phone.caller, shared, ("workouts", workout), (phone.id, 9))
    with pytest.raises(ReadOnly):
        await restore(guest.caller, shared, ("workouts", workout), (phone.id, 1))


async def test_rewind_takes_back_one_members_changes_since_a_moment_and_no_others(world: World) -> None:
    owner, vandal = await world.device(), await world.device(await world.add_user())
    shared = await world.add_space(world.user, "shared")
    await world.add_member(shared, vandal.caller.user, "editor")
    kept, spoiled, deleted, planted = (world.uuid() for _ in range(4))
    await owner.push(*(owner.put("workouts", id, title="mine") for id in (kept, spoiled, deleted)), space=shared)
    await vandal.pull(shared)
    world.clock.ms += 1_000
    since = rfc3339(world.clock.ms)
    await vandal.push(
        vandal.put("workouts", spoiled, title="spoiled"),
        vandal.delete("workouts", deleted),
        vandal.put("workouts", planted, title="planted"),
        space=shared,
    )

    rewound = await world.engine.history.rewind(owner.caller, shared, vandal.caller.user, since)
    assert (rewound.records, rewound.left_out) == (3, [])

    records = {r["id"]: r for r in await owner.pull(shared)}
    assert {id: r["values"]["title"] for id, r in records.items() if not r["deleted"]} == {
        kept: "mine",
        spoiled: "mine",
        deleted: "mine",
    }
    assert records[planted]["deleted"]


async def test_only_an_owner_rewinds(world: World) -> None:
    editor = await world.device(await world.add_user())
    shared = await world.add_space(world.user, "shared")
    await world.add_member(shared, editor.caller.user, "editor")
    with pytest.raises(Forbidden):
        await world.engine.history.rewind(editor.caller, shared, world.user, "2026-01-01T00:00:00Z")
    with pytest.raises(Invalid):
        await world.engine.history.rewind(editor.caller, shared, world.user, "yesterday")


async def test_a_record_without_changes_has_no_history(world: World) -> None:
    phone = await world.device()
    with pytest.raises(NotFound):
        await world.engine.history.read(phone.caller, world.space, ("workouts", world.uuid()))


async def test_a_record_that_was_deleted_then_is_deleted_again_by_a_restore(world: World) -> None:
    phone = await world.device()
    workout = world.uuid()
    await phone.push(phone.put("workouts", workout, title="A"), phone.delete("workouts", workout))
    await phone.push(phone.put("workouts", workout, title="back"))
    await world.engine.history.restore(phone.caller, world.space, ("workouts", workout), (phone.id, 2))
    assert (await phone.pull())[-1]["deleted"] is True


async def test_a_restored_record_below_another_stays_below_it(world: World) -> None:
    phone = await world.device()
    workout, exercise = world.uuid(), world.uuid()
    await phone.push(
        phone.put("workouts", workout, title="A"), phone.put("workout_exercises", exercise, workout=workout, rest_s=90)
    )
    await phone.push(phone.delete("workout_exercises", exercise))
    await world.engine.history.restore(phone.caller, world.space, ("workout_exercises", exercise), (phone.id, 2))
    back = (await phone.pull())[-1]
    assert back["values"] == {"rest_s": 90, "workout": workout}


async def test_a_text_too_long_for_one_change_is_not_restored_and_is_named(world: World) -> None:
    phone = await world.device()
    workout = world.uuid()
    document = pycrdt.Doc()
    document["text"] = text = pycrdt.Text()
    updates = []
    for step in range(3):
        before = document.get_state()
        if step < 2:
            text += "x" * 40_000
        else:
            text.clear()
        updates.append({"yjs": base64.b64encode(document.get_update(before)).decode()})
    for update in updates:
        assert (await phone.push(phone.put("workouts", workout, notes=update))).rejected == []
    with pytest.raises(Invalid) as refused:
        await world.engine.history.restore(phone.caller, world.space, ("workouts", workout), (phone.id, 2))
    assert refused.value.details == {"collection": "workouts", "id": workout, "field": "notes", "code": "too_long"}
    assert (await phone.pull())[0]["values"]["notes"]["text"] == ""


async def test_a_restore_for_which_the_reader_of_texts_has_no_time_may_be_asked_again(world: World) -> None:
    phone = await world.device()
    workout = world.uuid()
    await phone.push(phone.put("workouts", workout, notes=text_update("x" * 9_000)))
    await phone.push(phone.put("workouts", workout, rating=3))
    hurried = ProcessTextReader(read_timeout_s=0.0)
    history = replace(world.engine.history, texts=hurried)
    with pytest.raises(Unavailable) as refused:
        await history.restore(phone.caller, world.space, ("workouts", workout), (phone.id, 1))
    await hurried.close()
    assert refused.value.retry_after_s == 5
    await world.engine.history.restore(phone.caller, world.space, ("workouts", workout), (phone.id, 1))
    assert (await phone.pull())[0]["values"]["rating"] is None


async def test_a_field_that_had_no_value_and_may_not_be_without_one_stays_and_is_named(world: World) -> None:
    phone = await world.device()
    workout = world.uuid()
    await phone.push(phone.put("workouts", workout, rating=3), phone.put("workouts", workout, title="B", rating=4))
    left_out = await world.engine.history.restore(phone.caller, world.space, ("workouts", workout), (phone.id, 1))
    assert left_out == [{"collection": "workouts", "id": workout, "field": "title", "code": "not_null"}]
    assert (await phone.pull())[0]["values"] == {"rating": 3, "title": "B"}


async def test_nothing_that_a_member_did_keeps_the_rest_from_going_back(database: Database) -> None:
    """Neither a first value where none may be taken away, nor room that others have used since."""
    world = await World.make(database, replace(LIMITS, record_bytes_max=4_000))
    owner, vandal = await world.device(), await world.device(await world.add_user())
    shared = await world.add_space(world.user, "shared")
    await world.add_member(shared, vandal.caller.user, "editor")
    named, full, spoiled = (world.uuid() for _ in range(3))
    before, after = ([f"{word}{n:02}" + "x" * 40 for n in range(60)] for word in ("a", "b"))
    await owner.push(
        owner.put("workouts", named, rating=3),
        owner.put("workouts", full, tags={"add": before}),
        owner.put("workouts", spoiled, rating=3),
        space=shared,
    )
    await vandal.pull(shared)
    world.clock.ms += 1_000
    since = rfc3339(world.clock.ms)
    await vandal.push(
        vandal.put("workouts", named, title="evil", rating=1),
        vandal.put("workouts", full, tags={"remove": before}),
        vandal.put("workouts", spoiled, rating=1),
        space=shared,
    )
    await owner.pull(shared)
    await owner.push(owner.put("workouts", full, tags={"add": after}), space=shared)

    rewound = await world.engine.history.rewind(owner.caller, shared, vandal.caller.user, since)

    assert rewound.records == 2
    assert rewound.left_out == [
        {"collection": "workouts", "id": full, "code": "record_full"},
        {"collection": "workouts", "id": named, "field": "title", "code": "not_null"},
    ]
    records = {r["id"]: r["values"] for r in await owner.pull(shared)}
    assert records[named] == {"rating": 3, "title": "evil"}
    assert records[spoiled] == {"rating": 3}
    await world.close()


async def paged(world: World, device: Device, key: tuple[str, str]) -> list[list[int]]:
    """The numbers of a whole history, page by page."""
    pages, before = [], None
    while not pages or before is not None:
        page = await world.engine.history.read(device.caller, world.space, key, before)
        pages.append([change["n"] for change in page["changes"]])
        before = page["before"]
    return pages


async def test_a_long_history_comes_in_pages_of_so_many_changes(world: World) -> None:
    phone = await world.device()
    workout = world.uuid()
    for _ in range(5):
        # A rating is 1 to 5: half of these are refused, and stand in no history.
        await phone.push(*(phone.put("workouts", workout, rating=n % 10 or 99) for n in range(100)))
    pages = await paged(world, phone, ("workouts", workout))
    assert [len(page) for page in pages] == [200, 50]
    numbers = [n for page in pages for n in page]
    assert numbers == sorted(numbers, reverse=True)


async def test_a_page_of_a_history_has_a_bounded_size_and_one_change_always_fits(database: Database) -> None:
    world = await World.make(database, replace(LIMITS, page_bytes_max=250))
    phone = await world.device()
    workout = world.uuid()
    await phone.push(*(phone.put("workouts", workout, title="x" * length) for length in (80, 200, 180, 80, 80)))
    assert await paged(world, phone, ("workouts", workout)) == [[5, 4], [3], [2], [1]]
    await world.close()


@pytest.mark.parametrize("before", ["", "1", "1.", "-1.1", "1.1.1", "9" * 17 + ".1", "a.b", "\0"])
async def test_a_place_in_a_history_that_was_never_given_is_malformed(world: World, before: str) -> None:
    phone = await world.device()
    with pytest.raises(Malformed):
        await world.engine.history.read(phone.caller, world.space, ("workouts", world.uuid()), before)
    end = await world.engine.history.read(phone.caller, world.space, ("workouts", world.uuid()), "1.1")
    assert end == {"changes": [], "before": None}
