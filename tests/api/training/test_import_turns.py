"""Where more import than are worked on at once, each has its turn: who has much to write holds nobody up by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from api.operations.jobs import WAITED_MS
from api.training.imports import own_export, planning, writing
from api.training.imports.forms import Arguments, Reading
from api.training.imports.worker import read_log
from api.training.imports.writing import TURN_STEPS, TURNS_MAX, turn_steps
from storage.imports import ImportRow
from sync.caller import Caller
from sync.records import Edit, Records
from tests.api.due_jobs import run_due
from tests.api.training.test_imports import HEADER, Bench, bench

__all__ = ["bench"]

DAYS = 4
LOG = (
    HEADER + "".join(f"2025-03-0{day} 10:00:00,Day {day},45m,My Press,1,{day},5,0,0,8\n" for day in range(1, DAYS + 1))
).encode()


class Steps:
    """The steps of imports, each of which takes as long as somebody may wait. `after` is called behind each."""

    def __init__(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        self.of: list[str] = []
        self.after: Callable[[str], Any] | None = None
        decide = Records.decide

        async def slowly(records: Records, caller: Caller, *args: Any, **more: Any) -> Any:
            self.of.append(caller.user)
            bench.world.clock.ms += WAITED_MS
            left = await decide(records, caller, *args, **more)
            if self.after is not None:
                await self.after(caller.user)
            return left

        monkeypatch.setattr(Records, "decide", slowly)


@pytest.fixture
def steps(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Steps:
    async def read_here(data: bytes, arguments: Arguments) -> Reading:
        return read_log(data, arguments)

    monkeypatch.setattr(writing, "read_file", read_here)
    monkeypatch.setattr(writing, "TURN_STEPS", 1)
    monkeypatch.setattr(writing, "_TREES", 1)
    monkeypatch.setattr(planning, "STEP_RECORDS", 1)
    return Steps(bench, monkeypatch)


async def another(bench: Bench) -> Bench:
    """The imports of somebody else, on the same server."""
    user = await bench.world.add_user()
    await bench.world.add_space(user)
    return Bench(bench.world, bench.imports, bench.jobs, Caller(user, "browser"))


async def read(bench: Bench, id: str) -> tuple[ImportRow, dict[str, Any]]:
    row, _ = await bench.imports.get(bench.caller, id)
    return row, msgspec.json.decode(row.summary or b"{}")


async def shown(bench: Bench, collection: str) -> set[str]:
    async with bench.world.database.read() as tx:
        view = await bench.imports.records.view(tx, bench.caller, await bench.imports.records.space_of(bench.caller))
        return {each.id for each in await bench.imports.records.all_shown(view, collection)}


async def workouts(bench: Bench) -> set[str]:
    return await shown(bench, "workouts")


async def test_a_third_import_begins_after_one_turn_and_each_goes_on_in_its_turn(bench: Bench, steps: Steps) -> None:
    people = [bench, await another(bench), await another(bench)]
    ids = [await each.take(LOG) for each in people]
    await run_due(bench.jobs)
    order = [each.caller.user for each in people]
    # One exercise and four workouts of each.
    assert steps.of == order * (DAYS + 1)
    for each, id in zip(people, ids, strict=True):
        row, summary = await read(each, id)
        assert (row.state, summary["known"], len(await workouts(each))) == ("done", 0, DAYS)
        assert summary["new"] == summary["written"] == 1 + 3 * DAYS


async def test_what_was_deleted_of_an_import_before_its_next_turn_stays_deleted(bench: Bench, steps: Steps) -> None:
    other, deleted = await another(bench), set[str]()

    async def delete_the_first(user: str) -> None:
        found = await workouts(bench)
        if user == other.caller.user and found and not deleted:
            deleted.update(found)
            edits = [Edit("delete", "workouts", id) for id in found]
            await bench.imports.records.write(bench.caller, bench.world.space, edits)

    steps.after = delete_the_first
    id = await bench.take(LOG)
    await other.take(LOG)
    await run_due(bench.jobs)
    row, summary = await read(bench, id)
    assert (row.state, summary["written"], len(deleted)) == ("done", 1 + 3 * DAYS, 1)
    left = await workouts(bench)
    assert len(left) == DAYS - 1 and not left & deleted


async def test_what_lies_below_what_was_deleted_does_not_bring_it_back(
    bench: Bench, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Our own export is written collection by collection: a workout turns before its sets.
    monkeypatch.setattr(own_export, "GROUP_RECORDS", 1)
    first, second, exercise = bench.world.uuid(), bench.world.uuid(), bench.world.uuid()
    records = [("exercises", exercise, {"name": "My Press"})]
    for workout in (first, second):
        block, set_ = bench.world.uuid(), bench.world.uuid()
        records += [
            ("workouts", workout, {"title": workout, "status": "completed"}),
            ("workout_exercises", block, {"workout": workout, "exercise": exercise, "position": "a"}),
            ("sets", set_, {"workout_exercise": block, "position": "a", "reps": 5, "kind": "normal"}),
        ]
    listed = [{"collection": name, "id": id, "values": values} for name, id, values in records]
    document = {"format": "fitai-export", "version": 1, "spaces": [{"kind": "personal", "records": listed}]}
    other, deleted = await another(bench), set[str]()

    async def delete_the_first(user: str) -> None:
        if user == other.caller.user and await workouts(bench) == {first} and not deleted:
            deleted.add(first)
            await bench.imports.records.write(bench.caller, bench.world.space, [Edit("delete", "workouts", first)])

    steps.after = delete_the_first
    id = await bench.take(msgspec.json.encode(document))
    await other.take(LOG)
    await run_due(bench.jobs)
    row, summary = await read(bench, id)
    assert (row.state, deleted, summary["written"]) == ("done", {first}, len(records) - 2)
    left = [await shown(bench, name) for name in ("workouts", "workout_exercises", "sets")]
    assert (left[0], [len(each) for each in left]) == ({second}, [1, 1, 1])


async def test_an_exercise_that_was_deleted_between_turns_is_made_again_for_what_follows(
    bench: Bench, steps: Steps
) -> None:
    other, deleted = await another(bench), set[str]()

    async def delete_it(user: str) -> None:
        if user == other.caller.user and await workouts(bench) and not deleted:
            deleted.update(await shown(bench, "exercises"))
            edits = [Edit("delete", "exercises", id) for id in deleted]
            await bench.imports.records.write(bench.caller, bench.world.space, edits)

    steps.after = delete_it
    id = await bench.take(LOG)
    await other.take(LOG)
    await run_due(bench.jobs)
    assert ((await read(bench, id))[0].state, len(deleted)) == ("done", 1)
    assert (await shown(bench, "exercises"), len(await workouts(bench))) == (deleted, DAYS)


async def test_a_file_of_large_workouts_has_at_most_a_few_turns(
    bench: Bench, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A step holds one of them, and not two: there are many more steps than its records fill.
    monkeypatch.setattr(planning, "STEP_RECORDS", 5)
    other = await another(bench)
    log = HEADER + "".join(f"2025-03-{day:02} 10:00:00,Day,45m,My Press,1,5,5,0,0,8\n" for day in range(1, 25))
    ids = [await each.take(log.encode()) for each in (bench, other)]
    await run_due(bench.jobs)
    turns = [user for number, user in enumerate(steps.of) if number == 0 or user != steps.of[number - 1]]
    assert [turns.count(each.caller.user) for each in (bench, other)] == [TURNS_MAX] * 2
    assert [(await read(each, id))[0].state for each, id in zip((bench, other), ids, strict=True)] == ["done"] * 2


async def test_what_is_shown_of_an_import_is_the_same_however_many_turns_it_had(bench: Bench, steps: Steps) -> None:
    other, alone = await another(bench), await another(bench)
    ids = [await each.take(LOG) for each in (bench, other)]
    await run_due(bench.jobs)
    steps.of.clear()
    at_once = await alone.take(LOG)
    await run_due(bench.jobs)
    assert steps.of == [alone.caller.user] * (DAYS + 1)
    assert (await read(bench, ids[0]))[1] == (await read(alone, at_once))[1]


async def test_imports_that_are_taken_back_take_turns_too(bench: Bench, steps: Steps) -> None:
    people = [bench, await another(bench)]
    ids = []
    for each in people:
        ids.append(await each.take(LOG))
        await run_due(bench.jobs)
    first = min(await workouts(bench))
    await bench.imports.records.write(
        bench.caller, bench.world.space, [Edit("patch", "workouts", first, {"rating": 5})]
    )
    for each, id in zip(people, ids, strict=True):
        await each.imports.undo(each.caller, each.jobs, id)
    steps.of.clear()
    await run_due(bench.jobs)
    turns = [user for number, user in enumerate(steps.of) if number == 0 or user != steps.of[number - 1]]
    assert len(turns) >= 2 * DAYS
    assert [(await read(each, id))[0].state for each, id in zip(people, ids, strict=True)] == ["undone"] * 2
    assert (await workouts(bench), await workouts(people[1])) == ({first}, set())
    kept = {
        (each["id"], each["why"]) for each in (await read(bench, ids[0]))[1]["kept"] if each["collection"] == "workouts"
    }
    assert kept == {(first, "changed")}


@pytest.mark.parametrize("steps", [0, 1, TURN_STEPS, 8 * TURN_STEPS, 400, 10_000])
def test_an_import_has_at_most_a_few_turns(steps: int) -> None:
    assert turn_steps(steps) >= TURN_STEPS
    assert -(-steps // turn_steps(steps)) <= TURNS_MAX
