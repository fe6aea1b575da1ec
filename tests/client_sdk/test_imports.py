"""Bringing an export of another app into a client, rule by rule."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from fitai_client import Client
from fitai_client.csv_export import export_csv
from fitai_client.importing import DIALECTS, NotATrainingLog
from fitai_client.imports import (
    Imported,
    Progress,
    forget_import_choices,
    import_choices,
    import_csv,
    past_imports,
    preview_csv,
    undo_import,
)
from storage import catalog
from tests.api.harness import PASSWORD, Server
from tests.client_sdk.conftest import OpenPhone
from tests.client_sdk.importing.support import GOLDEN, REAL_FILES
from tests.shared import shared
from tests.test_tutorials import ROOT, module_of, programs

DATA = shared() / "data"
HEADER = "Date,Workout Name,Duration,Exercise Name,Set Order,Weight,Reps,Distance,Seconds,Notes,Workout Notes,RPE"


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


def contents(path: Path) -> bytes:
    return path.read_bytes()


def strong(*rows: str) -> bytes:
    return "\n".join([HEADER, *rows, ""]).encode()


def row(
    at: str = "2022-06-07 17:15:30", title: str = "Pull", exercise: str = "Row", order: int = 1, weight: str = "50"
) -> str:
    return f"{at},{title},1h,{exercise},{order},{weight},5,0,0,,,"


async def bring_rows(phone: Client, *rows: str, **options: Any) -> Imported:
    return await import_csv(phone, strong(*rows), timezone="Europe/Paris", **options)


async def with_catalog(phone: Client) -> None:
    """Put the catalog where a sync would."""

    def write(db: Any) -> None:
        with db.write() as tx:
            tx.execute("INSERT INTO spaces (no, id, kind) VALUES (77, ?, 'catalog')", (str(uuid4()),))
            tx.executemany(
                "INSERT INTO records (space, collection, id, status, alive, body) VALUES (77, 'exercises', ?, 1, 1, ?)",
                [(one.id, json.dumps({"values": one.values()})) for one in catalog.load()],
            )

    await phone.run(write)


# -- looking first ----------------------------------------------------------------------------------------------------


async def test_a_preview_tells_what_an_import_would_do_and_writes_nothing(phone: Client) -> None:
    data = (DATA / "hevy-2025-kg.csv").read_bytes()
    preview = await preview_csv(phone, data, timezone="Europe/Paris", unit="kg", choices={"Squat (Barbell)": None})
    assert await phone.sets.count() == 0
    assert (await import_choices(phone)).names == {}
    assert (await import_csv(phone, data, timezone="Europe/Paris")).written == preview.new
    again = await preview_csv(phone, data, timezone="Europe/Paris")
    assert (again.new, again.known) == (0, preview.new)


async def test_a_file_that_is_no_log_is_refused_and_nothing_is_written(phone: Client) -> None:
    with pytest.raises(NotATrainingLog):
        await import_csv(phone, b"a,b\n1,2\n", timezone="Europe/Paris")
    assert (await phone.status()).pending == 0


async def test_progress_is_told_for_reading_and_writing_up_to_the_end(phone: Client) -> None:
    told: list[Progress] = []
    data = (DATA / "hevy-2025-kg.csv").read_bytes()
    await import_csv(phone, data, timezone="Europe/Paris", progress=told.append)
    last = {each.stage: each for each in told}
    assert {stage: each.done == each.total > 0 for stage, each in last.items()} == {"reading": True, "writing": True}
    assert [each.stage for each in told] == sorted(each.stage for each in told)


async def test_an_import_that_is_cancelled_while_it_is_written_has_not_happened(phone: Client) -> None:
    def cancel(step: Progress) -> None:
        if step.stage == "writing":
            importing.cancel()

    data = (DATA / "hevy-2025-kg-supersets-rpe-MIT.csv").read_bytes()
    importing = asyncio.ensure_future(import_csv(phone, data, timezone="Europe/Paris", progress=cancel))
    with pytest.raises(asyncio.CancelledError):
        await importing
    # Behind whatever is still being written.
    await phone.run(lambda db: None)
    assert await phone.workouts.count() == 0 and (await phone.status()).pending == 0


async def test_an_import_that_is_cancelled_too_late_is_told_as_one_that_is_done(phone: Client) -> None:
    writing = phone.write

    async def write(space: int, groups: Any) -> int:
        number = await writing(space, groups)
        importing.cancel()
        await asyncio.sleep(0)
        return number

    phone.write = write  # type: ignore[method-assign]
    importing = asyncio.ensure_future(bring_rows(phone, row()))
    assert (await importing).written == 4 == (await phone.status()).pending


async def test_a_progress_that_fails_stops_no_import(phone: Client) -> None:
    def fail(_: Progress) -> None:
        raise RuntimeError("a defect of the app")

    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    assert (await bring_rows(phone, row(), progress=fail)).written == 4


# -- exercises --------------------------------------------------------------------------------------------------------


async def test_names_resolve_to_the_catalog_by_their_aliases(phone: Client) -> None:
    await with_catalog(phone)
    await bring(phone)
    await bring(phone, "strong-2025-10col-no-notes-MIT.csv")
    assert await phone.exercises.list() == []


async def test_a_users_own_exercise_goes_before_the_catalogs(phone: Client) -> None:
    await with_catalog(phone)
    own = await phone.exercises.create(name="My bench", aliases={"Bench Press (Barbell)"})
    await bring_rows(phone, row(exercise="Barbell Bench Press"))
    assert (await phone.workout_exercises.list())[0]["exercise"] == own.id


async def test_the_same_name_in_logs_of_two_apps_is_one_exercise(phone: Client) -> None:
    await bring_rows(phone, row(exercise="Zercher Carry"))
    header = "title,start_time,end_time,description,exercise_title,exercise_notes,set_index,set_type,weight_kg,reps"
    data = f'{header}\nLegs,"9 Jun 2022, 16:50","9 Jun 2022, 17:50",,Carry (Zercher),,0,normal,60,8\n'
    await import_csv(phone, data.encode(), timezone="Europe/Paris")
    assert await phone.exercises.count() == 1


async def test_a_choice_is_remembered_and_applied_the_next_time(phone: Client) -> None:
    own = await phone.exercises.create(name="Seal Row")
    await bring_rows(phone, row(exercise="Bench Pull"), choices={"Bench Pull": own.id})
    await bring_rows(phone, row(exercise="Bench Pull", at="2022-06-09 17:00:00"))
    assert {one["exercise"] for one in await phone.workout_exercises.list()} == {own.id}
    assert (await import_choices(phone)).names == {"Bench Pull": own.id}


async def test_a_choice_may_be_an_exercise_of_its_own(phone: Client) -> None:
    await with_catalog(phone)
    await bring_rows(phone, row(exercise="Bench Press"), choices={"Bench Press": None})
    await bring_rows(phone, row(exercise="Bench Press", at="2022-06-09 17:00:00"))
    assert [one["name"] for one in await phone.exercises.list()] == ["Bench Press"]


async def test_a_choice_of_an_exercise_that_is_gone_is_made_no_more(phone: Client) -> None:
    own = await phone.exercises.create(name="Seal Row")
    await bring_rows(phone, row(exercise="Bench Pull"), choices={"Bench Pull": own.id})
    await phone.exercises.delete(own.id)
    looked = await preview_csv(phone, strong(row(exercise="Bench Pull")), timezone="Europe/Paris")
    assert looked.file.preview.unmatched == ("Bench Pull",)


async def test_a_unit_is_remembered_for_its_app_until_choices_are_forgotten(phone: Client) -> None:
    await bring_rows(phone, row(), unit="lb")
    later = strong(row(at="2022-06-09 17:00:00"))
    looked = await preview_csv(phone, later, timezone="Europe/Paris")
    assert (looked.file.preview.weight_unit, looked.file.preview.weight_unit_from) == ("lb", "remembered")
    await forget_import_choices(phone)
    assert (await preview_csv(phone, later, timezone="Europe/Paris")).file.preview.weight_unit == "kg"


# -- twins ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("at", "twin"), [("17:14:30", True), ("17:16:30", True), ("17:14:29", False)])
async def test_a_workout_within_a_minute_of_one_that_is_here_is_its_twin(phone: Client, at: str, twin: bool) -> None:
    here = await phone.workouts.create(title="Logged here", started_at="2022-06-07T15:15:30.000Z")
    imported = await bring_rows(phone, row(at=f"2022-06-07 {at}"), row(at="2022-07-01 10:00:00"))
    assert [each.of for each in imported.twins] == ([here.id] if twin else [])
    assert await phone.workouts.count() == (2 if twin else 3)


async def test_a_twin_leaves_no_exercise_behind_and_is_imported_where_the_caller_says_so(phone: Client) -> None:
    await phone.workouts.create(title="Logged here", started_at="2022-06-07T15:15:30.000Z")
    assert (await bring_rows(phone, row())).written == 0
    assert await phone.exercises.count() == 0
    assert (await bring_rows(phone, row(), keep_twins=True)).written == 4


async def test_a_title_that_changed_in_the_other_app_makes_no_second_workout(phone: Client) -> None:
    await bring_rows(phone, row(title="Pull"))
    imported = await bring_rows(phone, row(title="Pull day"))
    assert (imported.written, [each.title for each in imported.twins]) == (0, ["Pull day"])


async def test_two_workouts_of_one_file_are_two_even_in_one_minute(phone: Client) -> None:
    rows = (row(title="Warm up"), row(title="Pull", at="2022-06-07 17:15:50"))
    await bring_rows(phone, *rows)
    assert await phone.workouts.count() == 2
    gone = await phone.workouts.list(title="Pull")
    await phone.workouts.delete(gone[0].id)
    assert (await bring_rows(phone, *rows)).twins == ()
    assert await phone.workouts.count() == 2


# -- undoing ----------------------------------------------------------------------------------------------------------


async def test_an_undone_import_takes_its_exercises_along_but_for_those_that_are_used(phone: Client) -> None:
    imported = await bring_rows(phone, row(exercise="Seal Row"), row(exercise="Yoke Walk", order=2))
    used = (await phone.exercises.list(name="Yoke Walk"))[0]
    workout = await phone.workouts.create(title="Own")
    await phone.workout_exercises.create(workout=workout.id, exercise=used.id, position="a0")
    assert await undo_import(phone, imported) == 1
    assert [one.id for one in await phone.exercises.list()] == [used.id]
    assert [one.id for one in await phone.workouts.list()] == [workout.id]


async def test_an_undone_import_takes_back_what_it_added_to_an_older_workout_and_no_more(phone: Client) -> None:
    await bring_rows(phone, row())
    longer = await bring_rows(phone, row(), row(order=2, weight="60"), row(exercise="Curl"))
    assert longer.written == 4
    assert await undo_import(phone, longer) == 0
    assert [one["weight"]["value"] for one in await phone.sets.list()] == [50]
    assert [one["name"] for one in await phone.exercises.list()] == ["Row"]


async def test_a_workout_that_somebody_wrote_into_stays_whole_when_its_import_is_undone(phone: Client) -> None:
    imported = await bring_rows(
        phone,
        row(),
        row(order=2, weight="60"),
        row(at="2022-06-09 17:00:00", title="Changed"),
        row(at="2022-06-10 17:00:00", title="Noted"),
    )
    (added,) = await phone.workouts.list(title="Pull")
    (changed,) = await phone.workouts.list(title="Changed")
    (noted,) = await phone.workouts.list(title="Noted")
    block = (await phone.workout_exercises.list(workout=added.id))[0]
    await phone.sets.create(workout_exercise=block.id, position="z", reps=12)
    await phone.sets.update((await phone.sets.list(workout=changed.id))[0].id, reps=9)
    before = await phone.sets.count()
    assert await undo_import(phone, imported) == 1
    assert {one.id for one in await phone.workouts.list()} == {added.id, changed.id}
    assert await phone.workouts.find(noted.id) is None
    assert await phone.sets.count() == before - 1
    assert [one["name"] for one in await phone.exercises.list()] == ["Row"]


async def test_an_exercise_that_was_changed_stays_when_its_import_is_undone(phone: Client) -> None:
    imported = await bring_rows(phone, row(exercise="Seal Row"))
    (used,) = await phone.exercises.list()
    await phone.exercises.update(used.id, instructions=["Slowly."])
    assert await undo_import(phone, imported) == 1
    assert [one.id for one in await phone.exercises.list()] == [used.id]


async def test_what_a_server_has_seen_goes_from_either_device_but_for_what_was_written_since(
    lite: Server, open_phone: OpenPhone
) -> None:
    phone = await open_phone("phone", lite.url, background=False)
    tablet = await open_phone("tablet", lite.url, background=False)
    await phone.register("ann@example.com", PASSWORD, "Ann")
    await tablet.sign_in("ann@example.com", PASSWORD)
    days = [row(at=f"2022-06-{day:02} 17:00:00", title=f"Day {day}", weight="52.5") for day in range(1, 5)]
    one = await bring_rows(phone, *days)
    two, three = [
        await import_csv(phone, (DATA / name).read_bytes(), timezone="Europe/Paris")
        for name in ("hevy-2025-kg.csv", "strong-2025-10col-no-notes-MIT.csv")
    ]
    await phone.sync()
    await tablet.sync()
    (changed,) = await tablet.workouts.list(title="Day 2")
    await tablet.workouts.update(changed.id, notes="that day")
    await tablet.sync()
    await phone.sync()
    assert await undo_import(tablet, two) == two.file.preview.workouts
    assert await undo_import(tablet, one) == 3
    assert await undo_import(phone, three) == three.file.preview.workouts
    await phone.sync()
    await tablet.sync()
    await phone.sync()
    for device in (phone, tablet):
        assert [one.id for one in await device.workouts.list()] == [changed.id]
        assert await device.sets.count() == 1


async def test_a_workout_in_which_somebodys_value_lost_a_conflict_stays_when_its_import_is_undone(
    lite: Server, open_phone: OpenPhone
) -> None:
    phone = await open_phone("phone", lite.url, background=False)
    tablet = await open_phone("tablet", lite.url, background=False)
    await phone.register("ann@example.com", PASSWORD, "Ann")
    await tablet.sign_in("ann@example.com", PASSWORD)
    await bring_rows(tablet, row())
    (workout,) = await tablet.workouts.list()
    await tablet.workouts.update(workout.id, title="changed")
    await tablet.sync()
    imported = await bring_rows(phone, row())
    await phone.sync()
    (record,) = await phone.conflicts()
    assert [one.value for one in record.conflicts["title"]] == ["changed"]

    assert await undo_import(phone, imported) == 0

    assert (await phone.workouts.get(workout.id)).conflicts["title"]


async def test_an_undone_import_is_undone_once(phone: Client) -> None:
    imported = await bring_rows(phone, row())
    await undo_import(phone, imported)
    before = (await phone.status()).pending
    assert await undo_import(phone, imported) == 0
    assert (await phone.status()).pending == before


async def test_past_imports_are_listed_with_their_app_and_days(phone: Client) -> None:
    imported = await bring_rows(phone, row(), row(at="2022-06-09 17:00:00"))
    (one,) = await past_imports(phone)
    assert (one.id, one.app, one.workouts) == (imported.file.id, "strong", 2)
    assert (one.first_date, one.last_date) == ("2022-06-07", "2022-06-09")
    await undo_import(phone, one.id)
    assert await past_imports(phone) == []


# -- the way out ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", REAL_FILES, ids=lambda p: p.name)
async def test_a_real_file_that_went_through_a_device_comes_out_with_every_byte(phone: Client, path: Path) -> None:
    await with_catalog(phone)
    data = contents(path)
    imported = await import_csv(phone, data, timezone="Europe/Paris")
    once = await export_csv(phone, imported.file.dialect.name, layout=imported.file.layout)
    assert once == data
    assert (await import_csv(phone, once, timezone="Europe/Paris")).written == 0


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.csv")), ids=lambda p: p.stem)
async def test_every_dialect_goes_through_a_device_and_an_export_without_a_change(phone: Client, path: Path) -> None:
    imported = await import_csv(phone, contents(path), timezone="Europe/Berlin")
    app, layout = imported.file.dialect.name, imported.file.layout
    once = await export_csv(phone, app, layout=layout)
    assert (await import_csv(phone, once, timezone="Europe/Berlin")).written == 0
    assert await export_csv(phone, app, layout=layout) == once


async def test_an_edit_is_in_the_export_and_exercises_have_their_names(phone: Client) -> None:
    await with_catalog(phone)
    await bring_rows(phone, row(exercise="Bench Press (Barbell)"))
    one = (await phone.sets.list())[0]
    await phone.sets.update(one.id, reps=9)
    text = (await export_csv(phone, "hevy")).decode()
    assert '"Barbell Bench Press"' in text
    assert ",50,9," in text


# -- the page ---------------------------------------------------------------------------------------------------------


async def test_the_programs_of_the_page_run(phone: Client, capsys: pytest.CaptureFixture[str]) -> None:
    page = module_of("docs/importing.md", programs("docs/importing.md"))
    await page["bring"](phone, DATA / "hevy-2025-kg.csv")
    assert "hevy: 17 workouts, " in capsys.readouterr().out
    assert await phone.workouts.count() == 0
    assert (await page["take_out"](phone)).startswith(b"Date,Workout Name")


def test_every_dialect_is_on_the_page() -> None:
    text = contents(ROOT / "docs/importing.md").decode()
    assert [each.name for each in DIALECTS if f"`{each.name}`" not in text] == []
