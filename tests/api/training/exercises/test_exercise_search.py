"""Searching exercises: the same answers over both databases, never stale, and of nobody else's."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import text, update

from api.training.exercise_search import Asked, ExerciseSearch
from storage import tables
from storage.database import open_database
from storage.search.queries import Place, read_places
from storage.spaces import CATALOG_SPACE
from sync.caller import Caller
from sync.catalog import seed_catalog
from tests.api.training.exercises.world import BENCH, BENCHES, CATALOG, a_world, called, custom, names, train
from tests.sync.harness import World

# -- the same answers ------------------------------------------------------------------------------------------------


async def everything_asked(url: str) -> dict[str, Any]:
    """What one user with a log is answered, over the whole catalog."""
    database = await open_database(url)
    async with a_world(database) as world:
        device = await world.device()
        await custom(device, "Zürcher Bench Press", aliases={"add": ["Zubu"]}, equipment={"add": ["machine"]})
        await train(device, [BENCHES[3].id, BENCHES[4].id])
        await train(device, [BENCHES[4].id])
        search = ExerciseSearch(database, world.engine.environment)
        asked = [
            Asked("bench"), Asked("b"), Asked("benhc pres"), Asked("zubu"), Asked("zurcher"), Asked("rdl"), Asked(""),
            Asked("press", page=3, limit=7), Asked("", {"muscle": frozenset({"neck"})}), Asked("chest dumbbell"),
            Asked("biceps"), Asked("glutes"), Asked("lats"), Asked("press", {"muscle": frozenset({"triceps"})}),
            Asked("curl", {"equipment": frozenset({"cable", "band"}), "level": frozenset({"beginner"})}),
        ]  # fmt: skip
        answers = {}
        for each in asked:
            found = await search.search(device.caller, each)
            # Ids of what users write differ from run to run.
            answers[repr(each)] = called(found), found.total, found.counts, found.complete
        answers["popular"] = called(await search.popular(device.caller, Asked(limit=50)))
    await database.close()
    return answers


async def test_both_databases_give_the_same_answers(sqlite_url: str, postgres_url: str) -> None:
    on_sqlite, on_postgres = await everything_asked(sqlite_url), await everything_asked(postgres_url)
    assert on_sqlite == on_postgres
    first = {asked: found[0][:1] for asked, found in on_sqlite.items()}
    assert first[repr(Asked("benhc pres"))] == ["Barbell Bench Press"]
    assert first[repr(Asked("zubu"))] == first[repr(Asked("zurcher"))] == ["Zürcher Bench Press"]
    assert on_sqlite["popular"][:2] == [BENCHES[4].name, BENCHES[3].name]
    assert first[repr(Asked("glutes"))] == ["Glute Bridge"]


async def test_where_muscles_alone_are_typed_what_trains_them_goes_before_what_stretches_them(
    world: World, search: ExerciseSearch
) -> None:
    device = await world.device()
    of_the_chest = {"category": "stretching", "primary_muscles": {"add": ["chest"]}}
    await custom(device, "Doorway Opener", aliases={"add": ["Chest", "Pecs"]}, **of_the_chest)
    for muscle in ("chest", "pecs"):
        found = await names(search, device.caller, muscle)
        assert len(found) == len(BENCHES) + 1 and found[-1] == "Doorway Opener"
    assert await names(search, device.caller, "chest opener") == ["Doorway Opener"]
    # What is called just so is meant.
    await custom(device, "Chest", **of_the_chest)
    assert (await names(search, device.caller, "chest"))[0] == "Chest"


# -- never stale -----------------------------------------------------------------------------------------------------


async def test_a_write_is_found_by_the_next_search(world: World, search: ExerciseSearch) -> None:
    device = await world.device()
    assert await names(search, device.caller, "jefferson") == []

    id = await custom(device, "Jefferson Curl")
    assert await names(search, device.caller, "jefferson") == ["Jefferson Curl"]

    await device.push(device.put("exercises", id, name="Spine Roll", aliases={"add": ["Hang Loose"]}))
    assert await names(search, device.caller, "jefferson") == []
    assert await names(search, device.caller, "hang loose") == ["Spine Roll"]

    await device.push(device.put("exercises", id, archived=True))
    assert await names(search, device.caller, "spine") == []

    await device.push(device.put("exercises", id, archived=False))
    assert await names(search, device.caller, "spine") == ["Spine Roll"]

    await device.push(device.delete("exercises", id))
    assert await names(search, device.caller, "spine") == []


async def test_a_write_through_another_process_is_found_too(world: World, search: ExerciseSearch) -> None:
    device = await world.device()
    other = ExerciseSearch(world.database, world.engine.environment)
    await names(search, device.caller), await names(other, device.caller)
    await custom(device, "Jefferson Curl")
    assert await names(search, device.caller, "jefferson") == await names(other, device.caller, "jefferson") != []


async def test_the_catalog_of_a_new_release_is_found(world: World, search: ExerciseSearch) -> None:
    caller = Caller(world.user, "session")
    assert await names(search, caller, "burpee") == []
    await seed_catalog(world.engine, [each for each in CATALOG if each.name in ("Burpee", BENCH.name)])
    assert await names(search, caller, "burpee") == ["Burpee"]
    assert await names(search, caller, "bench press") == [BENCH.name]


@pytest.mark.parametrize("moved", [{"life": "b2"}, {"floor": 1_000_000}], ids=["life", "floor"])
async def test_where_an_index_cannot_follow_it_is_built_anew(
    world: World, search: ExerciseSearch, moved: dict[str, Any]
) -> None:
    device = await world.device()
    gone, kept = await custom(device, "Jefferson Curl"), await custom(device, "Spine Roll")
    await names(search, device.caller)
    async with world.database.write() as tx:
        # As after a restore, or a collection of tombstones: it is gone without a trace.
        await tx.execute(tables.records.delete().where(tables.records.c.id == gone))
        await tx.execute(update(tables.spaces).where(tables.spaces.c.id == world.space).values(**moved))
    await device.push(device.put("exercises", kept, level="advanced"))
    assert (await search.search(device.caller, Asked("jefferson"))).total == 0
    assert await names(search, device.caller, "spine") == ["Spine Roll"]


# -- whose -----------------------------------------------------------------------------------------------------------


async def test_a_strangers_exercise_is_found_by_nobody_else(world: World, search: ExerciseSearch) -> None:
    device, stranger = await world.device(), Caller(await world.add_user(), "session")
    id = await custom(device, "Jefferson Curl")
    assert await names(search, device.caller, "jefferson") == ["Jefferson Curl"]
    assert await names(search, stranger, "jefferson") == []
    assert await search.find(stranger, id) is None
    assert called(await search.popular(stranger, Asked(limit=100))).count("Jefferson Curl") == 0
    found = await search.search(stranger, Asked())
    assert found.total == len(BENCHES) and sum(found.counts["level"].values()) == len(BENCHES)


async def test_a_shared_spaces_exercises_are_seen_by_its_members_for_as_long_as_they_are_members(
    world: World, search: ExerciseSearch
) -> None:
    owner, friend = await world.device(), Caller(await world.add_user(), "session")
    shared = await world.add_space(world.user, "shared")
    id = await custom(owner, "Partner Carry", space=shared)

    await world.add_member(shared, friend.user, "viewer", "invited")
    assert await names(search, friend, "partner carry") == []
    assert await search.find(friend, id) is None

    members = tables.members
    theirs = (members.c.space_id == shared) & (members.c.user_id == friend.user)
    async with world.database.write() as tx:
        await tx.execute(update(members).where(theirs).values(state="member"))
    assert await names(search, friend, "partner carry") == ["Partner Carry"]
    assert (await search.find(friend, id)) is not None

    async with world.database.write() as tx:
        await tx.execute(members.delete().where(theirs))
    assert await names(search, friend, "partner carry") == []
    assert await search.find(friend, id) is None


async def test_nobody_puts_another_exercise_in_the_place_of_the_catalogs(world: World, search: ExerciseSearch) -> None:
    owner, friend = await world.device(), await world.device(await world.add_user())
    shared = await world.add_space(world.user, "shared")
    await world.add_member(shared, friend.caller.user, "editor")
    await custom(friend, "Visit my page", space=shared, id=BENCH.id)
    assert await names(search, owner.caller, "visit my page") == []
    found = await search.find(owner.caller, BENCH.id)
    assert found is not None and (found.record.values["name"], found.space) == (BENCH.name, CATALOG_SPACE)


async def test_ones_own_copy_of_an_exercise_goes_before_that_of_a_shared_space(
    world: World, search: ExerciseSearch
) -> None:
    device = await world.device()
    shared = await world.add_space(world.user, "shared")
    id = await custom(device, "Jefferson Curl")
    other = await world.device()
    await custom(other, "Jefferson Curl of theirs", space=shared, id=id)
    found = await search.search(device.caller, Asked("jefferson"))
    assert [(each.record.values["name"], each.space) for each in found.exercises] == [("Jefferson Curl", world.space)]


async def test_one_exercise_is_found_by_its_id_archived_or_not(world: World, search: ExerciseSearch) -> None:
    device = await world.device()
    id = await custom(device, "Jefferson Curl", archived=True)
    found = await search.find(device.caller, id)
    assert found is not None
    assert (found.id, found.space, found.is_catalog, found.record.values["archived"]) == (id, world.space, False, True)
    assert found.record.version and found.record.updated_at is not None

    await device.pull()
    await device.push(device.delete("exercises", id))
    assert await search.find(device.caller, id) is None


async def test_what_is_no_id_is_no_exercise(world: World, search: ExerciseSearch) -> None:
    for id in ("", "x", "\x00", "\ud800", "{019", "0193575E-3B01-7000-8000-000000000000"):
        assert await search.find(Caller(world.user, "session"), id) is None


# -- what is trained -------------------------------------------------------------------------------------------------


async def test_of_exercises_that_match_alike_the_one_that_is_trained_most_goes_first(
    world: World, search: ExerciseSearch
) -> None:
    device = await world.device()
    first, second = await custom(device, "Roll A"), await custom(device, "Roll B")
    assert await names(search, device.caller, "roll") == ["Roll A", "Roll B"]
    workout = await train(device, [second])
    assert await names(search, device.caller, "roll") == ["Roll B", "Roll A"]
    await train(device, [first]), await train(device, [first])
    assert await names(search, device.caller, "roll") == ["Roll A", "Roll B"]
    # How well it matches goes before all else.
    assert await names(search, device.caller, "roll b") == ["Roll B"]

    await device.push(device.delete("workouts", workout))
    found = await search.search(device.caller, Asked("roll"))
    assert [(each.record.values["name"], each.uses) for each in found.exercises] == [("Roll A", 2), ("Roll B", 0)]


async def test_what_counts_as_trained_stands_in_the_newest_changes_of_a_space(
    world: World, search: ExerciseSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.search.queries.RECENT_CHANGES", 4)
    device = await world.device()
    await train(device, [BENCHES[0].id])
    assert dict(await search.use.own(await own_place(world))) == {BENCHES[0].id: 1}
    await train(device, [BENCHES[1].id, BENCHES[2].id])
    assert dict(await search.use.own(await own_place(world))) == {each.id: 1 for each in BENCHES[:3]}
    await train(device, [BENCHES[1].id])
    assert dict(await search.use.own(await own_place(world))) == {BENCHES[1].id: 2, BENCHES[2].id: 1}


async def own_place(world: World) -> Place:
    async with world.database.read() as tx:
        return next(place for place in await read_places(tx, world.user) if place.is_own)


async def test_popular_is_what_one_trains_and_then_what_others_train(world: World, search: ExerciseSearch) -> None:
    mine, theirs, rare = BENCHES[3], BENCHES[5], BENCHES[7]
    device = await world.device()
    await train(device, [mine.id])
    for number in range(5):
        user = await world.add_user()
        await train(await world.device(user), [theirs.id, *([rare.id] if number else [])], await world.add_space(user))
    assert await search.use.count() == 6

    popular = called(await search.popular(device.caller, Asked(limit=100)))
    assert popular[:2] == [mine.name, theirs.name]
    assert len(popular) == len(BENCHES)
    # Four people train it, who may be anybody's four friends: it stands where it stood.
    stranger = Caller(await world.add_user(), "session")
    fresh = ExerciseSearch(world.database, world.engine.environment)
    assert called(await fresh.popular(stranger, Asked(limit=100)))[0] == theirs.name
    assert await fresh.use.people() == {theirs.id: 5}


async def test_what_people_train_is_counted_where_it_moved(world: World, search: ExerciseSearch) -> None:
    device = await world.device()
    workout = await train(device, [BENCHES[0].id, BENCHES[1].id])
    assert await search.use.count() == 1
    assert await search.use.count() == 0

    await device.push(device.delete("workouts", workout))
    await train(device, [BENCHES[1].id, BENCHES[2].id])
    taken_out = world.uuid()
    where = {"workout": await train(device, []), "exercise": BENCHES[3].id, "position": "a0"}
    await device.push(device.put("workout_exercises", taken_out, **where))
    await device.push(device.delete("workout_exercises", taken_out))
    assert await search.use.count() == 1
    async with world.database.read() as tx:
        counted = await tx.execute(text("SELECT space_id, exercise_id FROM exercise_uses"))
    assert {tuple(row) for row in counted} == {(world.space, BENCHES[1].id), (world.space, BENCHES[2].id)}


async def test_two_processes_count_at_once(world: World, search: ExerciseSearch) -> None:
    await train(await world.device(), [each.id for each in BENCHES])
    other = ExerciseSearch(world.database, world.engine.environment)
    await asyncio.gather(search.use.count(), other.use.count())
    async with world.database.read() as tx:
        assert (await tx.execute(text("SELECT count(*) FROM exercise_uses")))[0][0] == len(BENCHES)


# -- what it costs ---------------------------------------------------------------------------------------------------


async def test_a_search_takes_two_statements_while_nothing_moves(world: World, search: ExerciseSearch) -> None:
    device = await world.device()
    await custom(device, "Jefferson Curl")
    await names(search, device.caller, "bench")
    before = world.database.statements
    await names(search, device.caller, "jefferson")
    assert world.database.statements - before == 2
