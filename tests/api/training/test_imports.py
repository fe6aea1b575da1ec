"""Training logs of other apps come in over REST, are looked at first, and can be taken back; one's own goes out."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import pytest_asyncio

from api.operations.jobs import LEASE_MS, RETRY_MS_MAX, TRIES_MAX, Job, Jobs
from api.training.imports import comparing, planning, service, writing
from api.training.imports.comparing import handed_on
from api.training.imports.forms import Choices
from api.training.imports.own_export import read_own_export
from api.training.imports.planning import STEP_RECORDS, plan, roots
from api.training.imports.service import FILE_KEPT_MS, ImportInProgress, Imports, ImportState
from api.training.imports.taking_back import Brought, read_brought
from storage.collections import COLLECTIONS
from storage.imports import Chosen, earlier_choices, note_brought
from storage.rows import Key
from sync.caller import Caller
from sync.records import Edit, Record, Records
from sync.server_writes import ServerWriter
from tests.api.due_jobs import run_due
from tests.api.harness import Answer, Server, until
from tests.shared import shared
from tests.sync.harness import World

HEADER = "Date,Workout Name,Duration,Exercise Name,Set Order,Weight,Reps,Distance,Seconds,RPE\n"
LEGS = (
    "2025-03-01 10:00:00,Legs,45m,Squat (Barbell),1,100,5,0,0,8\n"
    "2025-03-01 10:00:00,Legs,45m,Squat (Barbell),2,105,5,0,0,\n"
)
PUSH = "2025-03-03 18:00:00,Push,45m,My Own Press,1,40,8,0,0,\n"
LOG = (HEADER + LEGS + PUSH).encode()


@dataclass
class Athlete:
    """Somebody who is signed in."""

    server: Server
    token: str

    async def ask(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        return await self.server.ask(method, path, body, token=self.token, **more)

    async def hand_in(self, file: bytes, query: str = "", media: str = "text/csv") -> Answer:
        return await self.ask("POST", f"/api/import?timezone=UTC{query}", data=file, headers={"Content-Type": media})

    async def ended(self, answer: Answer) -> Any:
        """The import that an answer tells of, when no job works on it any more."""
        assert answer.status == 202, answer.text
        found: dict[str, Any] = {}

        async def at_rest() -> bool:
            found.update((await self.ask("GET", f"/api/imports/{answer.data['id']}")).data)
            return found["state"] not in ("reading", "importing", "undoing")

        await until(at_rest)
        return found

    async def imported(self, file: bytes, query: str = "", media: str = "text/csv") -> Any:
        return await self.ended(await self.hand_in(file, query, media))

    async def log(self, *collections: str) -> dict[tuple[str, str], Any]:
        """What one's own export has of some collections, or of all that people write: (collection, id) → values."""
        document = json.loads((await self.ask("GET", "/api/export")).text)
        records = document["spaces"][0]["records"]
        named = collections or [name for name, spec in COLLECTIONS.items() if not spec.server_only]
        wanted = [each for each in records if each["collection"] in named]
        return {(each["collection"], each["id"]): each["values"] for each in wanted}


@pytest_asyncio.fixture
async def ann(server: Server) -> Athlete:
    return Athlete(server, (await server.register())["access_token"])


@pytest_asyncio.fixture
async def plain(plain_server: Server) -> AsyncIterator[Athlete]:
    yield Athlete(plain_server, (await plain_server.register())["access_token"])


async def test_a_file_becomes_workouts_with_their_exercises_and_sets(ann: Athlete) -> None:
    done = await ann.imported(LOG)
    assert (done["state"], done["summary"]["app"], done["summary"]["row_errors"]) == ("done", "strong", [])
    log = await ann.log()
    titles = {values["title"] for (collection, _), values in log.items() if collection == "workouts"}
    weights = sorted(values["weight"]["value"] for (collection, _), values in log.items() if collection == "sets")
    assert (titles, weights) == ({"Legs", "Push"}, [40, 100, 105])
    assert done["done"] == done["total"] == done["summary"]["written"] == len(log)


async def test_the_same_file_twice_imports_once(ann: Athlete) -> None:
    await ann.imported(LOG)
    before = await ann.log()
    again = await ann.imported(LOG)
    assert (again["state"], again["summary"]["written"], again["summary"]["new"]) == ("done", 0, 0)
    assert await ann.log() == before


async def test_a_file_that_is_looked_at_writes_nothing_until_a_word_is_said(ann: Athlete) -> None:
    seen = await ann.imported(LOG, "&preview=true")
    assert (seen["state"], seen["summary"]["sets"], seen["summary"]["new"] > 0) == ("ready", 3, True)
    assert "My Own Press" in seen["summary"]["unmatched"]
    assert await ann.log() == {}
    answer = await ann.ask("POST", f"/api/imports/{seen['id']}/confirm", {"timezone": "UTC"})
    assert (await ann.ended(answer))["summary"]["written"] == seen["summary"]["new"]


async def test_a_time_zone_of_the_word_counts(plain: Athlete) -> None:
    seen = await plain.imported(LOG, "&preview=true")
    await plain.ended(await plain.ask("POST", f"/api/imports/{seen['id']}/confirm", {"timezone": "Asia/Tokyo"}))
    starts = {values["started_at"] for values in (await plain.log("workouts")).values()}
    assert starts == {"2025-03-01T01:00:00.000Z", "2025-03-03T09:00:00.000Z"}


@pytest.mark.parametrize("said", [None, {}, {"keep_twins": True}])
async def test_what_a_word_leaves_out_is_as_it_was_said_with_the_file(plain: Athlete, said: Any) -> None:
    path, headers = "/api/import?timezone=Asia/Tokyo&unit=lb&preview=true", {"Content-Type": "text/csv"}
    seen = await plain.ended(await plain.ask("POST", path, data=LOG, headers=headers))
    await plain.ended(await plain.ask("POST", f"/api/imports/{seen['id']}/confirm", said))
    starts = {values["started_at"] for values in (await plain.log("workouts")).values()}
    units = {values["weight"]["unit"] for values in (await plain.log("sets")).values()}
    assert (starts, units) == ({"2025-03-01T01:00:00.000Z", "2025-03-03T09:00:00.000Z"}, {"lb"})


async def test_a_name_that_was_chosen_once_is_remembered(plain: Athlete) -> None:
    await plain.imported(LOG)
    ((_, press),) = [key for key, values in (await plain.log("exercises")).items() if values["name"] == "My Own Press"]
    other = LOG.replace(b"My Own Press", b"Another Press").replace(b"2025", b"2024")
    seen = await plain.imported(other, "&preview=true")
    names = {"Another Press": press}
    await plain.ended(await plain.ask("POST", f"/api/imports/{seen['id']}/confirm", {"names": names}))
    later = await plain.imported(other.replace(b"2024", b"2023"), "&preview=true")
    assert later["summary"]["matched"]["Another Press"] == press


async def test_the_exercises_that_names_of_a_file_mean_are_shown_by_id_and_by_name(plain: Athlete) -> None:
    squat = {"name": "My Squat", "aliases": ["Squat (Barbell)"], "measure": "weight_reps"}
    id = (await plain.ask("POST", "/api/exercises", squat)).data["id"]
    summary = (await plain.imported(LOG, "&preview=true"))["summary"]
    assert summary["matched"] == {"Squat (Barbell)": id}
    assert summary["matched_names"] == {"Squat (Barbell)": "My Squat"}


async def test_a_choice_that_means_nothing_is_refused_by_name_and_can_be_made_again(plain: Athlete) -> None:
    squat = (await plain.ask("POST", "/api/exercises", {"name": "My Squat", "measure": "weight_reps"})).data["id"]
    seen = await plain.imported(LOG, "&preview=true")
    nobody = "0193575e-3a40-7000-8000-00000000ffff"
    names = {"My Own Pres": None, "My Own Press": nobody, "Squat (Barbell)": "squat"}
    answer = await plain.ask("POST", f"/api/imports/{seen['id']}/confirm", {"names": names, "timezone": "UTC"})
    assert (answer.status, [(each["field"], each["code"]) for each in answer.json["details"]]) == (
        422,
        [(f"names.{name}", "unknown_value") for name in sorted(names)],
    )
    shapes = {"names": {"My Own Press": 7}, "timezone": "Mars/Olympus", "unit": "stone", "keep": True}
    answer = await plain.ask("POST", f"/api/imports/{seen['id']}/confirm", shapes)
    assert {each["field"] for each in answer.json["details"]} == {"names.My Own Press", "timezone", "unit", "keep"}
    names = {"My Own Press": squat, "Squat (Barbell)": None}
    answer = await plain.ask("POST", f"/api/imports/{seen['id']}/confirm", {"names": names})
    assert (await plain.ended(answer))["summary"]["matched"]["My Own Press"] == squat


async def test_an_import_is_taken_back_as_a_whole_and_nothing_else_is(ann: Athlete) -> None:
    await ann.imported((HEADER + PUSH.replace("2025", "2024")).encode())
    before = await ann.log()
    done = await ann.imported(LOG)
    undone = await ann.ended(await ann.ask("DELETE", f"/api/imports/{done['id']}"))
    assert (undone["state"], undone["summary"]["kept"]) == ("undone", [])
    assert await ann.log() == before


async def test_what_was_taken_back_can_be_imported_again(plain: Athlete) -> None:
    done = await plain.imported(LOG)
    before = await plain.log()
    await plain.ended(await plain.ask("DELETE", f"/api/imports/{done['id']}"))
    assert await plain.log() == {}
    await plain.imported(LOG)
    assert await plain.log() == before


async def test_an_exercise_that_is_used_since_stays_when_its_import_is_taken_back(plain: Athlete) -> None:
    done = await plain.imported((HEADER + PUSH).encode())
    await plain.imported((HEADER + PUSH.replace("2025", "2024")).encode())
    await plain.ended(await plain.ask("DELETE", f"/api/imports/{done['id']}"))
    assert [values["name"] for values in (await plain.log("exercises")).values()] == ["My Own Press"]


async def test_what_its_owner_wrote_since_stays_when_an_import_is_taken_back(ann: Athlete) -> None:
    """Sets added by hand and a diary in one workout, and a workout of a shared space that names the exercise."""
    done = await ann.imported(LOG)
    nested = (await ann.ask("GET", "/api/workouts?nested=true")).data
    (push,) = [each for each in nested if each["title"] == "Push"]
    place = push["exercises"][0]
    by_hand = {"workout_exercise": place["id"], "reps": 12, "weight": {"value": 100, "unit": "kg"}}
    added = await ann.ask("POST", f"/api/workouts/sessions/{push['id']}/sets", by_hand)
    assert added.status == 201, added.text
    assert (await ann.ask("PATCH", f"/api/workouts/{push['id']}", {"notes": "that day"})).status == 200
    gym = (await ann.ask("POST", "/api/sync/spaces", {"name": "Gym"})).json["id"]
    shared = {"title": "Together", "exercises": [{"exercise": place["exercise"], "sets": [{"reps": 5}]}]}
    assert (await ann.ask("POST", f"/api/workouts?space={gym}", shared)).status == 201
    undone = await ann.ended(await ann.ask("DELETE", f"/api/imports/{done['id']}"))
    assert [(each["collection"], each["title"], each["why"]) for each in undone["summary"]["kept"]] == [
        ("workouts", "Push", "changed"),
        ("exercises", "My Own Press", "used"),
    ]
    (left,) = (await ann.ask("GET", "/api/workouts?nested=true")).data
    assert (left["id"], left["notes"]) == (push["id"], "that day")
    assert sorted(each["reps"] for each in left["exercises"][0]["sets"]) == [8, 12]
    assert (await ann.ask("GET", f"/api/exercises/{place['exercise']}")).status == 200


async def test_an_exercise_stays_for_a_shared_space_alone(ann: Athlete) -> None:
    done = await ann.imported((HEADER + PUSH).encode())
    ((_, press),) = await ann.log("exercises")
    gym = (await ann.ask("POST", "/api/sync/spaces", {"name": "Gym"})).json["id"]
    shared = {"title": "Together", "exercises": [{"exercise": press, "sets": [{"reps": 5}]}]}
    assert (await ann.ask("POST", f"/api/workouts?space={gym}", shared)).status == 201
    undone = await ann.ended(await ann.ask("DELETE", f"/api/imports/{done['id']}"))
    assert [(each["id"], each["why"]) for each in undone["summary"]["kept"]] == [(press, "used")]
    assert list(await ann.log()) == [("exercises", press)]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/templates", {"title": "Plan", "exercises": [{"exercise": "?", "sets": [{"target_reps_min": 5}]}]}),
        ("/api/goals", {"kind": "strength", "title": "Strong", "exercise": "?", "target": 100, "unit": "kg"}),
    ],
)
async def test_an_exercise_stays_for_a_template_and_for_a_goal(plain: Athlete, path: str, body: Any) -> None:
    done = await plain.imported((HEADER + PUSH).encode())
    ((_, press),) = await plain.log("exercises")
    made = await plain.ask("POST", path, json.loads(json.dumps(body).replace("?", press)))
    assert made.status == 201, made.text
    undone = await plain.ended(await plain.ask("DELETE", f"/api/imports/{done['id']}"))
    assert [(each["id"], each["why"]) for each in undone["summary"]["kept"]] == [(press, "used")]
    assert ("exercises", press) in await plain.log()


async def test_an_exercise_that_was_changed_since_stays_when_its_import_is_taken_back(plain: Athlete) -> None:
    done = await plain.imported((HEADER + PUSH).encode())
    ((_, press),) = await plain.log("exercises")
    changed = await plain.ask("PATCH", f"/api/exercises/{press}", {"instructions": ["Slowly."]})
    assert changed.status == 200, changed.text
    undone = await plain.ended(await plain.ask("DELETE", f"/api/imports/{done['id']}"))
    assert [(each["id"], each["why"]) for each in undone["summary"]["kept"]] == [(press, "changed")]
    assert list(await plain.log()) == [("exercises", press)]


async def test_what_came_back_with_a_workout_that_was_imported_again_is_not_of_that_import(plain: Athlete) -> None:
    await plain.imported((HEADER + PUSH).encode())
    (push,) = (await plain.ask("GET", "/api/workouts?nested=true")).data
    by_hand = {"workout_exercise": push["exercises"][0]["id"], "reps": 12}
    await plain.ask("POST", f"/api/workouts/sessions/{push['id']}/sets", by_hand)
    await plain.ask("DELETE", f"/api/workouts/{push['id']}")
    again = await plain.imported((HEADER + PUSH).encode())
    before = await plain.log()
    assert sorted(values["reps"] for (collection, _), values in before.items() if collection == "sets") == [8, 12]
    undone = await plain.ended(await plain.ask("DELETE", f"/api/imports/{again['id']}"))
    assert [(each["title"], each["why"]) for each in undone["summary"]["kept"]] == [("Push", "changed")]
    assert await plain.log() == before


async def test_a_workout_of_the_same_minute_is_left_out_and_named(plain: Athlete) -> None:
    await plain.imported(LOG)
    twin = (HEADER + LEGS.replace("10:00:00,Legs", "10:00:30,Beine")).encode()
    done = await plain.imported(twin)
    assert [each["title"] for each in done["summary"]["twins"]] == ["Beine"]
    assert done["summary"]["written"] == 0
    both = await plain.imported(twin, "&keep_twins=true")
    assert both["summary"]["written"] > 0


async def test_what_can_be_read_lands_and_the_rest_is_listed_by_line(plain: Athlete) -> None:
    done = await plain.imported(LOG + b"2025-03-99 99:00:00,Legs,45m,Squat (Barbell),1,100,5,0,0,\n")
    assert [each["line"] for each in done["summary"]["row_errors"]] == [5]
    assert len(await plain.log("sets")) == 3


async def test_a_doubtful_value_is_flagged(plain: Athlete) -> None:
    done = await plain.imported(LOG.replace(b"Push,45m", b"Push,264h"))
    assert "makes the workout 264 hours long" in {each["reason"] for each in done["summary"]["doubts"]}


@pytest.mark.parametrize(
    "file", [b"", b"hello\nworld\n", b"\x00\xff" * 100, b"{}", b'{"format":"x","version":1}', b"{" * 9000]
)
async def test_a_file_that_is_no_training_log_is_refused_in_one_sentence(plain: Athlete, file: bytes) -> None:
    failed = await plain.imported(file, media="application/octet-stream")
    assert failed["state"] == "failed" and failed["summary"]["refused"].endswith(".")
    assert await plain.log() == {}


@pytest.mark.parametrize(
    ("query", "field"), [("&unit=st", "unit"), ("&timezone=Mars", "timezone"), ("&preview=maybe", "preview")]
)
async def test_a_wrong_choice_is_named(plain: Athlete, query: str, field: str) -> None:
    path = "/api/import?" + query.removeprefix("&")
    answer = await plain.ask("POST", path, data=LOG, headers={"Content-Type": "text/csv"})
    assert (answer.status, answer.json["details"][0]["field"]) == (422, field)


async def test_a_form_is_no_file(plain: Athlete) -> None:
    assert (await plain.hand_in(LOG, media="multipart/form-data; boundary=x")).status == 415


async def test_a_file_is_bounded(plain: Athlete, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = {"Content-Type": "text/csv", "Content-Length": str(service.FILE_BYTES_MAX + 1)}
    assert (await plain.ask("POST", "/api/import", data=b"x", headers=headers)).status == 413


async def test_what_is_asked_for_has_to_fit_the_state(plain: Athlete) -> None:
    done = await plain.imported(LOG)
    refused = await plain.ask("POST", f"/api/imports/{done['id']}/confirm", {})
    assert (refused.status, refused.code) == (409, "import_state")


async def test_a_file_that_was_only_looked_at_can_be_taken_back(plain: Athlete) -> None:
    id = (await plain.imported(LOG, "&preview=true"))["id"]
    taken_back = await plain.ended(await plain.ask("DELETE", f"/api/imports/{id}"))
    assert taken_back["state"] == "undone"
    assert (await plain.ask("POST", f"/api/imports/{id}/confirm", {})).code == "import_state"


async def test_anothers_import_is_not_there(ann: Athlete) -> None:
    done = await ann.imported(LOG)
    bob = Athlete(ann.server, (await ann.server.register())["access_token"])
    for method, path, body in (("GET", "", None), ("DELETE", "", None), ("POST", "/confirm", {})):
        theirs = await bob.ask(method, f"/api/imports/{done['id']}{path}", body)
        nobodys = await bob.ask(method, f"/api/imports/{done['id'][::-1]}{path}", body)
        assert (theirs.status, theirs.json | {"meta": 0}) == (404, nobodys.json | {"meta": 0})
    assert (await bob.ask("GET", "/api/imports")).data == []
    assert await bob.log() == {}


async def test_imports_are_listed_newest_first_a_page_at_a_time(plain: Athlete) -> None:
    ids = [(await plain.imported(LOG.replace(b"2025", year)))["id"] for year in (b"2021", b"2022", b"2023")]
    first = await plain.ask("GET", "/api/imports?limit=2")
    cursor = first.json["meta"]["pagination"]["cursor"]
    second = await plain.ask("GET", f"/api/imports?limit=2&cursor={cursor}")
    assert [each["id"] for each in [*first.data, *second.data]] == ids[::-1]
    assert second.json["meta"]["pagination"]["cursor"] is None


async def test_a_list_of_imports_has_the_counts_of_what_one_alone_shows(plain: Athlete) -> None:
    whole = await plain.imported(LOG, "&preview=true")
    (listed,) = (await plain.ask("GET", "/api/imports")).data
    counts = whole["summary"]["counts"]
    short = {name: value for name, value in whole["summary"].items() if not isinstance(value, list | dict)}
    assert (listed["state"], listed["summary"]) == ("ready", short | {"counts": counts})
    assert counts["unmatched"] == len(whole["summary"]["unmatched"]) > 0


@dataclass
class Bench:
    """The imports of one person without a server around them: what is due is done when the test says."""

    world: World
    imports: Imports
    jobs: Jobs
    caller: Caller

    async def take(self, file: bytes = LOG, *, preview: bool = False) -> str:
        id = self.world.uuid()
        choices = Choices("UTC")
        await self.imports.take(self.caller, self.jobs, id=id, file=file, name="", choices=choices, preview=preview)
        self.world.clock.ms += 1
        return id

    async def took(self, file: bytes = LOG, *, preview: bool = False) -> str:
        """An import on which no job works any more."""
        id = await self.take(file, preview=preview)
        await run_due(self.jobs)
        return id

    async def kept(self) -> list[str]:
        """The imports that are there, the oldest first."""
        return [row.id for row in await self.imports.of(self.caller, None, 1_000)][::-1]

    async def state(self, id: str) -> str:
        return (await self.imports.get(self.caller, id))[0].state

    async def shown(self) -> dict[Key, Any]:
        async with self.world.database.read() as tx:
            view = await self.imports.records.view(tx, self.caller, self.world.space)
            found = [each for name in COLLECTIONS for each in await self.imports.records.all_shown(view, name)]
        return {each.key: each.values for each in found}


@pytest.fixture
def bench(world: World) -> Bench:
    records = Records(world.database, world.engine.server_writer, world.engine.texts)
    imports = Imports(world.database, world.engine.environment, records)
    jobs = Jobs(world.database, world.engine.environment, imports.kinds())
    return Bench(world, imports, jobs, Caller(world.user, "browser"))


class Gone(BaseException):
    """Ends everything, as the end of a process does."""


async def test_an_import_that_was_cut_off_goes_on_and_writes_nothing_twice(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies in each step once, just before it commits and just after."""
    monkeypatch.setattr(planning, "STEP_RECORDS", 2)
    decide, cuts = bench.imports.records.decide, 0

    async def die(*args: Any, **more: Any) -> Any:
        nonlocal cuts
        cuts += 1
        if cuts % 3 == 1:
            monkeypatch.setattr(Job, "keep", refuse)
        written = await decide(*args, **more)
        if cuts % 3 == 2:
            raise Gone
        return written

    async def refuse(*_: Any) -> None:
        monkeypatch.setattr(Job, "keep", keep)
        raise Gone

    keep = Job.keep
    monkeypatch.setattr(Records, "decide", lambda _, *args, **more: die(*args, **more))
    id = await bench.take()
    for _ in range(20):
        try:
            await run_due(bench.jobs)
        except Gone:
            bench.world.clock.ms += LEASE_MS + 1
    monkeypatch.undo()
    row, job = await bench.imports.get(bench.caller, id)
    shown = await bench.shown()
    assert (row.state, cuts > 3) == ("done", True)
    assert job is not None and job.done == len(shown)
    writes = bench.world.database.statements
    await bench.take()
    await run_due(bench.jobs)
    assert await bench.shown() == shown and bench.world.database.statements > writes


async def test_an_import_that_was_given_up_says_so_and_can_be_taken_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(Records, "decide", fail)
    id = await bench.take()
    for _ in range(TRIES_MAX):
        await run_due(bench.jobs)
        bench.world.clock.ms += RETRY_MS_MAX
    monkeypatch.undo()
    assert await bench.state(id) == "failed"
    await bench.imports.undo(bench.caller, bench.jobs, id)
    await run_due(bench.jobs)
    assert await bench.state(id) == "undone"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_an_import_for_which_the_space_has_no_room_says_so_and_goes_on_where_there_is_some(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was tried again and again, and had then failed without a word of why."""
    monkeypatch.setattr(planning, "STEP_RECORDS", 2)
    path = bench.world.engine.server_writer.path
    little = replace(path, limits=replace(path.limits, records_max=5))
    imports = replace(bench.imports, records=replace(bench.imports.records, writer=ServerWriter(little)))
    id = await bench.take()
    await run_due(Jobs(bench.world.database, bench.world.engine.environment, imports.kinds()))
    row, job = await bench.imports.get(bench.caller, id)
    some = await bench.shown()
    assert (row.state, json.loads(row.summary or b"{}")["refused"][:18]) == ("failed", "Your space is full")
    assert job is not None and (job.state, job.done) == ("done", len(some))
    await bench.imports.confirm(bench.caller, bench.jobs, id, Choices("UTC"), {})
    await run_due(bench.jobs)
    assert await bench.state(id) == "done"
    assert some.items() < (await bench.shown()).items()


async def test_what_is_written_while_an_import_is_taken_back_stays(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A phone writes into each workout, and uses the exercise, after the job has begun and before it deletes."""
    id = await bench.take()
    await run_due(bench.jobs)
    before = await bench.shown()
    phone = await bench.world.device()
    await phone.pull()
    decide = Records.decide

    async def late(*args: Any, **more: Any) -> Any:
        monkeypatch.undo()
        for key in before:
            if key[0] == "workouts":
                await phone.push(phone.put(*key, rating=5))
        return await decide(*args, **more)

    await bench.imports.undo(bench.caller, bench.jobs, id)
    monkeypatch.setattr(Records, "decide", late)
    await run_due(bench.jobs)
    assert await bench.state(id) == "undone"
    after = await bench.shown()
    assert after.keys() == before.keys()
    assert [after[key].get("rating") for key in before if key[0] == "workouts"] == [5, 5]


async def test_an_undo_that_was_cut_off_still_names_what_stays(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "_TREES", 1)
    id = await bench.take()
    await run_due(bench.jobs)
    first = next(key for key in await bench.shown() if key[0] == "workouts")
    await bench.imports.records.write(bench.caller, bench.world.space, [Edit("patch", *first, {"rating": 5})])
    await bench.imports.undo(bench.caller, bench.jobs, id)
    decide, cuts = bench.imports.records.decide, 0

    async def die(*args: Any, **more: Any) -> Any:
        nonlocal cuts
        cuts += 1
        written = await decide(*args, **more)
        if cuts in (1, 3):
            raise Gone
        return written

    monkeypatch.setattr(Records, "decide", lambda _, *args, **more: die(*args, **more))
    for _ in range(3):
        try:
            await run_due(bench.jobs)
        except Gone:
            bench.world.clock.ms += LEASE_MS + 1
    row, _ = await bench.imports.get(bench.caller, id)
    assert row.state == "undone" and row.summary is not None
    kept = json.loads(row.summary)["kept"]
    assert [(each["collection"], each["id"], each["why"]) for each in kept if each["collection"] == "workouts"] == [
        (*first, "changed")
    ]
    assert [key for key in await bench.shown() if key[0] == "workouts"] == [first]


async def test_one_import_of_a_person_is_under_way_at_a_time(bench: Bench) -> None:
    await bench.take()
    with pytest.raises(ImportInProgress):
        await bench.take()


async def test_a_file_is_not_kept_for_ever(bench: Bench) -> None:
    id = bench.world.uuid()
    await bench.imports.take(bench.caller, bench.jobs, id=id, file=LOG, name="", choices=Choices("UTC"), preview=True)
    await run_due(bench.jobs)
    assert await bench.imports.forget() == 0
    bench.world.clock.ms += FILE_KEPT_MS + 1
    assert await bench.imports.forget() == 1
    with pytest.raises(ImportState):
        await bench.imports.confirm(bench.caller, bench.jobs, id, Choices("UTC"), {})


NO_LOG = b"just some words"


async def test_of_the_files_of_a_person_the_latest_are_kept(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "FILES_MAX", 2)
    ids = [await bench.took(preview=True) for _ in range(3)]
    assert [await bench.state(id) for id in ids] == ["expired", "ready", "ready"]


async def test_of_the_imports_of_a_person_the_oldest_go_first(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "IMPORTS_MAX", 2)
    ids = [await bench.took(NO_LOG) for _ in range(3)]
    assert await bench.kept() == ids[1:]


async def test_what_can_be_taken_back_or_waits_for_a_word_is_kept_before_what_is_over(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "IMPORTS_MAX", 3)
    brought, waiting = await bench.took(), await bench.took(preview=True)
    over = [await bench.took(NO_LOG) for _ in range(3)]
    assert await bench.kept() == [brought, waiting, over[-1]]
    await bench.imports.undo(bench.caller, bench.jobs, brought)
    await run_due(bench.jobs)
    assert await bench.shown() == {}
    # What was taken back is over too, and older than the other.
    last = await bench.took(NO_LOG)
    assert await bench.kept() == [waiting, over[-1], last]


async def test_what_was_decided_about_names_outlives_the_import_that_it_was_decided_for(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "IMPORTS_MAX", 2)
    id = await bench.took(preview=True)
    await bench.imports.confirm(bench.caller, bench.jobs, id, Choices("UTC"), {"My Own Press": None})
    await run_due(bench.jobs)
    for day in range(1, 4):
        await bench.took(LOG.replace(b"2025-03-0", f"2024-0{day}-0".encode()))
    assert id not in await bench.kept()
    async with bench.world.database.read() as tx:
        found = await earlier_choices(tx, bench.caller.user, 1_000)
    assert [json.loads(each)["names"] for each in found] == [{"My Own Press": None}, {}]


async def test_names_of_other_files_that_were_handed_on_keep_nobody_from_importing(
    plain: Athlete, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "IMPORTS_MAX", 2)
    other = LOG.replace(b"My Own Press", b"Another Press").replace(b"2025", b"2024")
    press = (await plain.ask("POST", "/api/exercises", {"name": "My Machine", "measure": "weight_reps"})).data["id"]
    waiting = await plain.imported(LOG, "&preview=true")
    decided = await plain.imported(other, "&preview=true")
    path = f"/api/imports/{decided['id']}"
    await plain.ended(await plain.ask("POST", f"{path}/confirm", {"names": {"Another Press": press}}))
    await plain.ended(await plain.ask("DELETE", path))
    await plain.imported(LOG.replace(b"2025", b"2023"))
    assert (await plain.ask("GET", path)).status == 404
    confirm = f"/api/imports/{waiting['id']}/confirm"
    # A name is refused where it is said now.
    assert (await plain.ask("POST", confirm, {"names": {"Another Press": None}})).status == 422
    assert (await plain.ended(await plain.ask("POST", confirm, {"names": {"My Own Press": None}})))["state"] == "done"
    # And what was handed on is remembered still.
    later = await plain.imported(other, "&preview=true")
    assert later["summary"]["matched"]["Another Press"] == press


def test_of_two_decisions_about_a_name_the_later_one_is_handed_on() -> None:
    def chosen(at: int, **names: str | None) -> Chosen:
        return Chosen(at, f"i{at}", json.dumps({"timezone": "Asia/Tokyo", "names": names}).encode())

    kept = chosen(2, press="second", row="second")
    passed = json.loads(handed_on(kept, [chosen(3, row="third"), chosen(1, press="first", squat="first")]))
    assert (passed["timezone"], passed["names"]) == (
        "Asia/Tokyo",
        {"press": "second", "row": "third", "squat": "first"},
    )


def test_what_is_handed_on_about_names_is_bounded_and_the_latest_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "HANDED_ON_BYTES_MAX", 30)
    gone = [Chosen(at, "i", json.dumps({"timezone": "UTC", "names": {f"name {at}": None}}).encode()) for at in range(9)]
    assert json.loads(handed_on(Chosen(9, "i", b'{"timezone":"UTC"}'), gone))["names"] == {
        "name 7": None,
        "name 8": None,
    }


async def test_an_import_of_which_nobody_noted_what_it_wrote_is_not_called_taken_back(bench: Bench) -> None:
    id = await bench.took()
    before = await bench.shown()
    async with bench.world.database.write() as tx:
        row, _ = await bench.imports.get(bench.caller, id)
        roots = json.dumps(read_brought(row.brought).roots).encode()
        await note_brought(tx, id=id, user=bench.caller.user, brought=roots)
    with pytest.raises(ImportState, match="by hand"):
        await bench.imports.undo(bench.caller, bench.jobs, id)
    await run_due(bench.jobs)
    assert (await bench.state(id), await bench.shown()) == ("done", before)


async def test_what_a_cut_off_import_brought_can_be_taken_back_when_its_file_is_gone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "STEP_RECORDS", 2)
    decide = Records.decide

    async def fail(self: Records, *args: Any, **more: Any) -> Any:
        if await bench.shown():
            raise ValueError("a bug")
        return await decide(self, *args, **more)

    monkeypatch.setattr(Records, "decide", fail)
    id = await bench.take()
    for _ in range(TRIES_MAX):
        await run_due(bench.jobs)
        bench.world.clock.ms += RETRY_MS_MAX
    monkeypatch.undo()
    bench.world.clock.ms += FILE_KEPT_MS + 1
    assert (await bench.imports.forget(), await bench.state(id), len(await bench.shown()) > 0) == (1, "failed", True)
    await bench.imports.undo(bench.caller, bench.jobs, id)
    await run_due(bench.jobs)
    assert (await bench.state(id), await bench.shown()) == ("undone", {})


async def test_of_what_was_decided_about_names_the_latest_is_remembered(bench: Bench) -> None:
    async def remembered(bytes_max: int) -> list[dict[str, Any]]:
        async with bench.world.database.read() as tx:
            found = await earlier_choices(tx, bench.caller.user, bytes_max)
        return [json.loads(each)["names"] for each in found]

    for name in ("One", "Two"):
        id = await bench.took(LOG.replace(b"My Own Press", name.encode()), preview=True)
        await bench.imports.confirm(bench.caller, bench.jobs, id, Choices("UTC"), {name: None})
        await run_due(bench.jobs)
    assert await remembered(1_000) == [{"One": None}, {"Two": None}]
    assert await remembered(100) == [{"Two": None}]


# -- out -----------------------------------------------------------------------------------------------------------


# The large ones are imported once each by the SDK's own tests; their way through here is the same.
REAL = {
    path.name: path.read_bytes() for path in sorted((shared() / "data").glob("*.csv")) if path.stat().st_size < 100_000
}


async def test_the_json_of_an_export_makes_the_same_records_again(ann: Athlete) -> None:
    await ann.imported(LOG)
    bob = Athlete(ann.server, (await ann.server.register())["access_token"])
    exported = (await ann.ask("GET", "/api/export?format=json")).text.encode()
    done = await bob.imported(exported, media="application/json")
    assert (done["state"], done["summary"]["app"]) == ("done", "fitai")
    assert await bob.log() == await ann.log() != {}


@pytest.mark.parametrize("name", REAL)
async def test_a_real_file_comes_out_as_it_came_in(plain: Athlete, name: str) -> None:
    done = await plain.imported(REAL[name])
    out = await plain.ask("GET", f"/api/export?format={done['summary']['app']}")
    bob = Athlete(plain.server, (await plain.server.register())["access_token"])
    again = await bob.imported(out.text.encode())
    assert again["summary"]["row_errors"] == []
    assert (await bob.ask("GET", f"/api/export?format={done['summary']['app']}")).text == out.text


async def test_an_export_is_a_download_of_ones_own_alone(ann: Athlete) -> None:
    await ann.imported(LOG)
    answer = await ann.ask("GET", "/api/export?format=strong")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="fitai-strong.csv"'
    assert answer.headers["Content-Type"].startswith("text/csv")
    assert "My Own Press" in answer.text
    bob = Athlete(ann.server, (await ann.server.register())["access_token"])
    assert "My Own Press" not in (await bob.ask("GET", "/api/export?format=strong")).text


# -- planning ------------------------------------------------------------------------------------------------------


def test_a_step_holds_whole_groups_and_not_many_records() -> None:
    groups = [[("workouts", f"{number}-{place}", {}) for place in range(200)] for number in range(5)]
    steps = plan([], groups, here=set(), started={}, keep_twins=False).steps
    assert [(len(step.records), step.groups) for step in steps] == [(400, 2), (400, 4), (200, 5)]
    assert all(len(step.records) <= STEP_RECORDS for step in steps)


def test_an_exercise_that_nothing_new_names_is_not_made() -> None:
    exercises = [[("exercises", "used", {})], [("exercises", "unused", {})]]
    groups = [[("workouts", "w", {}), ("workout_exercises", "e", {"workout": "w", "exercise": "used"})]]
    made = plan(exercises, groups, here=set(), started={}, keep_twins=False).steps[0].records
    assert [each[1] for each in made] == ["used", "w", "e"]


def test_roots_are_what_nothing_else_of_the_step_is_above() -> None:
    step = [
        ("sets", "s", {"workout_exercise": "old"}),
        ("workouts", "w", {}),
        ("workout_exercises", "e", {"workout": "w"}),
    ]
    assert roots(step) == [("sets", "s"), ("workouts", "w")]


def test_a_note_of_seqs_holds_runs() -> None:
    brought = Brought()
    brought.add([("workouts", "w")], [7, 5, 6])
    brought.add([], [8, 10])
    assert brought.seqs == [(5, 8), (10, 10)]
    assert [seq for seq in range(4, 13) if brought.wrote(_at(seq))] == [5, 6, 7, 8, 10]


def test_a_note_of_before_seqs_were_noted_has_its_roots_and_nothing_that_may_go() -> None:
    brought = read_brought(b'[["workouts","w"]]')
    assert brought.roots == [("workouts", "w")] and not brought.wrote(_at(1))


def _at(seq: int) -> Record:
    return Record("sets", "s", seq, "", None, {}, {}, None, None, {})


def test_what_others_own_is_not_read_from_an_export() -> None:
    record = {"collection": "workouts", "id": "w", "values": {}}
    spaces = [{"kind": "catalog", "records": [record]}, {"kind": "personal", "records": []}]
    assert read_own_export(json.dumps({"format": "fitai-export", "version": 1, "spaces": spaces}).encode()).groups == []
