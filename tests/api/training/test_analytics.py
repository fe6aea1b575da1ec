"""One's figures over HTTP: always of what was written last, and of nobody else's."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from api.app import DATABASE, ENGINE
from api.training.analytics import RecordsQuery, newest_first_in_steps
from api.training.histories import Histories, Kept
from figures import Records, Steps
from sync.caller import Caller
from tests.api.harness import Server
from tests.api.training.conftest import Person, person
from tests.figures.counted import counted
from tests.figures.log import Log, kg

pytestmark = pytest.mark.asyncio(loop_scope="module")

EXERCISE = {"name": "Squat", "measure": "weight_reps", "load_mode": "external", "primary_muscles": ["quadriceps"]}


async def squat(of: Person) -> str:
    return str((await of.made("/exercises", EXERCISE))["id"])


async def train(of: Person, exercise: str, day: str, *sets: tuple[float, int]) -> Any:
    """A completed workout of one exercise: (kg, reps) of each set."""
    done = f"{day}T18:00:00Z"
    made = [
        {"weight": {"value": kg, "unit": "kg"}, "reps": reps, "load_mode": "external", "completed_at": done}
        for kg, reps in sets
    ]
    body = {"started_at": done, "local_date": day, "exercises": [{"exercise": exercise, "sets": made}]}
    return await of.made("/workouts", body)


async def best(of: Person, exercise: str) -> dict[str, Any]:
    records = (await of.ask("GET", f"/exercises/{exercise}/records")).data
    return {each["kind"]: each["value"] for each in records if each["weight"] is None}


async def test_a_workout_counts_in_the_next_answer(ann: Person) -> None:
    exercise = await squat(ann)
    before = await ann.ask("GET", "/users/me/analytics?timeframe=all")
    assert before.data["totals"]["sets"] == 0
    await train(ann, exercise, "2026-11-02", (100, 5), (102.5, 3))
    after = await ann.ask("GET", "/users/me/analytics?timeframe=all")
    totals = after.data["totals"]
    assert (totals["workouts"], totals["sets"], totals["reps"], totals["volume"]) == (1, 2, 8, 807.5)
    assert after.headers["ETag"] != before.headers["ETag"]


async def test_a_deleted_workout_takes_its_records_back(ann: Person) -> None:
    exercise = await squat(ann)
    await train(ann, exercise, "2026-11-02", (100, 5))
    heavier = await train(ann, exercise, "2026-11-04", (140, 1))
    assert (await best(ann, exercise))["max_weight"] == 140
    await ann.ask("DELETE", f"/workouts/{heavier['id']}")
    assert (await best(ann, exercise))["max_weight"] == 100


async def test_what_a_phone_brings_counts_too(ann: Person) -> None:
    exercise = await squat(ann)
    await train(ann, exercise, "2026-11-02", (100, 5))
    phone = await ann.device()
    workout, block, one = phone.new_id(), phone.new_id(), phone.new_id()
    await phone.push(
        ("workouts", workout, {"status": "completed", "started_at": "2026-10-01T10:00:00.000Z"}),
        ("workout_exercises", block, {"workout": workout, "exercise": exercise, "position": "a1"}),
        (
            "sets",
            one,
            {
                "workout_exercise": block,
                "position": "a1",
                "reps": 2,
                "weight": {"value": 120, "unit": "kg"},
                "load_mode": "external",
                "completed_at": "2026-10-01T10:05:00.000Z",
            },
        ),
    )
    assert (await best(ann, exercise))["max_weight"] == 120
    history = await ann.ask("GET", f"/exercises/{exercise}/history")
    assert [point["weight"] for point in history.data] == [100, 120]
    assert history.json["meta"]["pagination"] == {"page": 1, "limit": 20, "total": 2}


async def test_records_are_listed_the_latest_first_and_by_kind(ann: Person) -> None:
    exercise = await squat(ann)
    await train(ann, exercise, "2026-11-02", (100, 5))
    await train(ann, exercise, "2026-11-04", (120, 1))
    answer = await ann.ask("GET", "/records?kind=max_weight")
    assert [(each["value"], each["previous"]) for each in answer.data] == [(120, 100)]
    paged = [await ann.ask("GET", f"/records?limit=1&page={page}") for page in (1, 2)]
    assert paged[0].data[0]["achieved_at"] >= paged[1].data[0]["achieved_at"]


async def test_each_record_is_a_step_where_records_are_found_and_put_in_order() -> None:
    log, records = Log(), Records()
    for n in range(5):
        log.workout(f"w{n}", f"2026-11-0{n + 1}")
        log.set(f"e{n % 3}", f"w{n}", weight=kg(100 + n), reps=5)
    records.update(log.catch_up())
    steps, found = counted(newest_first_in_steps(records, RecordsQuery()))
    assert steps >= 2 * len(records)
    assert sorted(found, key=lambda one: one.achieved_at, reverse=True) == found
    assert {one.key: one for one in found} == {one.key: one for one in records} and len(found) == len(records)
    of_one = counted(newest_first_in_steps(records, RecordsQuery(exercise="e0", kind="one_rep_max")))[1]
    assert of_one == [one for one in found if (one.exercise, one.kind) == ("e0", "one_rep_max")]


async def test_a_goal_follows_its_own_progress(ann: Person) -> None:
    exercise = await squat(ann)
    goal = await ann.made(
        "/goals", {"kind": "strength", "title": "Squat", "exercise": exercise, "target": 200, "unit": "kg"}
    )
    await train(ann, exercise, "2026-11-02", (100, 5))
    progress = (await ann.ask("GET", "/goals/progress")).data[goal["id"]]
    assert (progress["current"], progress["share"]) == (100, 0.5)


async def test_figures_are_nobody_elses(ann: Person, bob: Person) -> None:
    exercise = await squat(ann)
    await train(ann, exercise, "2026-11-02", (100, 5))
    assert (await bob.ask("GET", "/records")).data == []
    theirs = await bob.ask("GET", f"/exercises/{exercise}/history")
    nobodys = await bob.ask("GET", f"/exercises/{exercise[::-1]}/history")
    assert (theirs.status, theirs.json | {"meta": 0}) == (404, nobodys.json | {"meta": 0})
    assert (await bob.ask("GET", f"/analytics/exercise.svg?exercise={exercise}")).status == 404


async def test_a_shared_space_counts_for_who_trained_there_and_no_longer_for_who_left(ann: Person, bob: Person) -> None:
    space = (await ann.ask("POST", "/sync/spaces", {"name": "Gym"})).json["id"]
    exercise = await squat(ann)
    done = "2026-11-05T18:00:00Z"
    one = {"weight": {"value": 80, "unit": "kg"}, "reps": 5, "load_mode": "external", "completed_at": done}
    body = {"started_at": done, "exercises": [{"exercise": exercise, "sets": [one]}]}
    assert (await ann.ask("POST", f"/workouts?space={space}", body)).status == 201
    assert (await best(ann, exercise))["max_weight"] == 80
    invited = await ann.ask("POST", f"/sync/spaces/{space}/members", {"user": bob.user, "role": "owner"})
    assert invited.status in (200, 201), invited.text
    assert (await bob.ask("GET", "/records")).data == []


async def test_a_zone_says_which_day_it_is(ann: Person) -> None:
    answer = await ann.ask("GET", "/users/me/analytics?tz=Mars/Olympus")
    assert (answer.status, answer.json["details"][0]["field"]) == (422, "tz")
    west, east = [await ann.ask("GET", f"/users/me/analytics?tz=Etc/GMT{by}") for by in ("%2B12", "-14")]
    assert west.data["span"]["last"] < east.data["span"]["last"]


@pytest.mark.parametrize("picture", ["volume", "muscles", "calendar"])
async def test_a_picture_is_an_svg_that_runs_nothing(ann: Person, picture: str) -> None:
    exercise = await squat(ann)
    await train(ann, exercise, "2026-11-02", (100, 5))
    answer = await ann.ask("GET", f"/analytics/{picture}.svg?timeframe=90d&theme=dark")
    assert answer.headers["Content-Type"].startswith("image/svg+xml")
    assert "script" not in answer.headers["Content-Security-Policy"]
    assert ElementTree.fromstring(answer.text).tag.endswith("svg")


async def test_the_calendar_shows_the_days_of_the_timeframe(ann: Person) -> None:
    exercise = await squat(ann)
    await train(ann, exercise, "2026-01-02", (100, 5))
    cells = {}
    for frame in ("7d", "90d", "1y"):
        answer = await ann.ask("GET", f"/analytics/calendar.svg?timeframe={frame}")
        cells[frame] = answer.text.count("workout</title>") + answer.text.count(" kg</title>")
    assert cells == {"7d": 7, "90d": 90, "1y": 365}
    whole = await ann.ask("GET", "/analytics/calendar.svg?timeframe=all&unit=lb")
    assert "2 Jan 2026: 1 workout, 1 set, 1,102 lb" in whole.text and ">1 Jan 2026: " not in whole.text


async def test_a_parameter_that_changes_nothing_of_a_picture_is_refused_by_name(ann: Person) -> None:
    # Sets have no unit of mass, and one exercise is shown from its first workout on.
    assert await ann.refused("GET", "/analytics/muscles.svg?unit=lb") == {("unit", "unknown_field")}
    assert await ann.refused("GET", "/analytics/exercise.svg?exercise=x&timeframe=7d") == {
        ("timeframe", "unknown_field")
    }


async def test_the_picture_of_an_exercise_names_it_and_escapes_what_it_is_called(ann: Person) -> None:
    exercise = (await ann.made("/exercises", {**EXERCISE, "name": "<script>&"}))["id"]
    await train(ann, exercise, "2026-11-02", (100, 5))
    answer = await ann.ask("GET", f"/analytics/exercise.svg?exercise={exercise}")
    assert answer.status == 200
    assert "&lt;script&gt;&amp;" in answer.text and "<script>" not in answer.text


# -- how histories are kept ------------------------------------------------------------------------------------------


async def test_a_history_that_was_kept_up_equals_one_that_is_read_anew(ann: Person) -> None:
    app = ann.server.app
    kept_up = Histories(app[DATABASE])
    caller = Caller(ann.user, "s")
    exercise = await squat(ann)
    workouts = []
    for day in ("2026-11-02", "2026-10-02", "2026-11-09"):
        workouts.append(await train(ann, exercise, day, (100, 5), (60, 12)))
        async with kept_up.of(caller) as kept:
            assert len(kept.records) > 0
    await ann.ask("DELETE", f"/workouts/{workouts[1]['id']}")
    async with kept_up.of(caller) as kept, Histories(app[DATABASE]).of(caller) as anew:
        assert (kept.history.lifts, kept.history.sessions) == (anew.history.lifts, anew.history.sessions)
        assert list(kept.records) == list(anew.records)


async def test_what_is_kept_is_bounded(shared_server: Server) -> None:
    histories = Histories(shared_server.app[DATABASE], kept_records_max=5)
    for _ in range(3):
        one = await person(shared_server)
        await train(one, await squat(one), "2026-11-02", (100, 5))
        async with histories.of(Caller(one.user, "s")) as kept:
            assert kept.size > 0
    assert histories.kept == 1


async def test_people_without_a_record_are_bounded_too(shared_server: Server) -> None:
    histories = Histories(shared_server.app[DATABASE], kept_records_max=1)
    for _ in range(3):
        async with histories.of(Caller((await person(shared_server)).user, "s")):
            pass
    assert histories.kept == 1


async def test_as_many_are_kept_as_there_is_room_for(shared_server: Server) -> None:
    histories = Histories(shared_server.app[DATABASE], kept_records_max=1_000)
    people = [Caller((await person(shared_server)).user, "s") for _ in range(4)]
    async with histories.of(people[0]) as kept:
        alone = kept.size
    histories = Histories(shared_server.app[DATABASE], kept_records_max=2 * alone + 1)
    for caller in people * 2:
        async with histories.of(caller):
            pass
    assert histories.kept == 2


async def test_a_question_where_nothing_moved_reads_no_record(ann: Person) -> None:
    await train(ann, await squat(ann), "2026-11-02", (100, 5))
    await ann.ask("GET", "/records")
    database = ann.server.app[ENGINE].database
    histories = Histories(database)
    async with histories.of(Caller(ann.user, "s")):
        pass
    before = database.statements
    async with histories.of(Caller(ann.user, "s")):
        pass
    # The spaces, and the catalog's place.
    assert database.statements - before <= 4


# -- how often a figure is made --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/exercises/{exercise}/history",
        "/exercises/{exercise}/history?page=2&limit=1",
        "/exercises/{exercise}/records",
        "/records?exercise={exercise}&kind=max_weight",
        "/goals/progress",
        "/users/me/analytics",
        "/analytics/exercise.svg?exercise={exercise}",
        "/analytics/calendar.svg",
    ],
)
async def test_a_figure_is_made_once_until_something_is_written(
    ann: Person, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    exercise = await squat(ann)
    await train(ann, exercise, "2026-11-02", (100, 5))
    made: list[object] = []
    original = Kept.made

    async def counted(kept: Kept, steps: Steps[Any]) -> Any:
        made.append(steps)
        return await original(kept, steps)

    monkeypatch.setattr(Kept, "made", counted)
    first, again = [await ann.ask("GET", path.format(exercise=exercise)) for _ in range(2)]
    assert (len(made), again.status, again.text.partition('"meta"')[0]) == (1, 200, first.text.partition('"meta"')[0])
    await train(ann, exercise, "2026-11-03", (110, 5))
    await ann.ask("GET", path.format(exercise=exercise))
    assert len(made) == 2
