"""Personal records on people's devices: what the history says, written by the server, whatever happens to it."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update

from api.training import histories, record_keeping
from api.training.histories import Histories, Paces
from api.training.pacing import Pace
from api.training.record_keeping import RecordKeeping
from api.training.stored_records import COLLECTION
from conflict.clock import rfc3339
from storage import tables
from storage.record_marks import read_behind
from storage.record_rules import HEARD_MS
from storage.spaces import CATALOG_SPACE, create_space
from sync.errors import ReadOnly
from sync.lives import new_life
from sync.messages import Rejected
from sync.server_writes import ServerWrite, ServerWriter
from tests.api.harness import until
from tests.api.stumbling import Stumbling
from tests.api.training.logbook import AT, Copy, Lifter, Meanwhile, keeping_of
from tests.sync.harness import World
from tests.sync.test_audit import audit


@pytest.fixture
def keeping(world: World) -> RecordKeeping:
    return keeping_of(world)


async def head(world: World, space: str) -> int:
    return (await world.engine.feed.space(space)).head


async def behind(keeping: RecordKeeping) -> list[str]:
    async with keeping.database.read() as tx:
        return await read_behind(tx, await keeping._read_basis())


# -- what a device has -----------------------------------------------------------------------------------------


async def test_a_second_device_gets_the_records_of_what_the_first_one_logged(
    world: World, keeping: RecordKeeping
) -> None:
    ann = await Lifter.make(world)
    _, _, first, second = await ann.log((100, 5), (102.5, 3))
    await keeping.settle()
    tablet = await ann.copy()
    await tablet.pull()
    assert tablet.shown == tablet.worked_out()
    found = {values["kind"]: values for values in tablet.shown.values() if values["previous"]}
    assert found["max_weight"] == {
        "exercise": ann.exercise, "kind": "max_weight", "value": 102.5, "previous": 100, "unit": "kg", "set": second,
        "workout": found["max_weight"]["workout"], "achieved_at": AT.format(day=20, hour=18), "formula": None,
    }  # fmt: skip
    assert tablet.best("max_reps") == 5
    assert first != second


async def test_a_deleted_workout_takes_its_records_back_and_an_undone_delete_brings_them_again(
    world: World, keeping: RecordKeeping
) -> None:
    ann = await Lifter.make(world)
    tablet = await ann.copy()
    await ann.log((100, 5))
    workout, *_ = await ann.log((140, 1), day=21)
    seen = []
    for step in ("logged", "deleted", "undone"):
        if step == "deleted":
            await ann.push([ann.device.delete("workouts", workout)])
        elif step == "undone":
            dot = (ann.device.id, ann.device.n - 3)
            await world.engine.history.restore(ann.device.caller, ann.space, ("workouts", workout), dot)
        await keeping.settle()
        await tablet.pull()
        assert tablet.shown == tablet.worked_out()
        seen.append((tablet.best("max_weight"), len(tablet.shown)))
    assert seen == [(140, 7), (100, 6), (140, 7)]


async def test_a_device_that_synced_last_takes_a_record_that_is_older(world: World, keeping: RecordKeeping) -> None:
    ann = await Lifter.make(world)
    offline = Lifter(world, await world.device(), ann.space, ann.exercise)
    earlier = offline.workout((100, 5), day=2)
    await ann.log((100, 5), day=20)
    await keeping.settle()
    await offline.push(earlier)
    await keeping.settle()
    tablet = await ann.copy()
    await tablet.pull()
    assert {values["workout"] for values in tablet.shown.values()} == {earlier[0]["id"]}


async def test_records_go_as_they_are_when_nothing_is_left(world: World, keeping: RecordKeeping) -> None:
    ann = await Lifter.make(world)
    tablet = await ann.copy()
    workout, *_ = await ann.log((100, 5))
    await keeping.settle()
    await tablet.pull()
    assert tablet.shown
    await ann.push([ann.device.delete("workouts", workout)])
    await keeping.settle()
    await tablet.pull()
    assert tablet.shown == {}


EDITS: dict[str, dict[str, list[Any]]] = {
    "sets": {
        "weight": [None, {"value": 100, "unit": "kg"}, {"value": 225, "unit": "lb"}, {"value": 60, "unit": "kg"}],
        "reps": [None, 0, 1, 5, 12, 30],
        "kind": ["normal", "warmup"],
        "completed_at": [None, AT.format(day=5, hour=8), AT.format(day=25, hour=8)],
        "load_mode": ["external", "bodyweight_plus", "assisted"],
    },
    "workouts": {
        "status": ["completed", "completed", "discarded"],
        "started_at": [AT.format(day=day, hour=18) for day in (1, 15, 28)],
        "bodyweight": [None, {"value": 80, "unit": "kg"}],
    },
    "preferences": {"one_rep_max": ["epley", "brzycki"], "timezone": ["Asia/Tokyo", "America/Lima"]},
    "exercises": {"bodyweight_fraction": [0.5, 1]},
}


async def happen(chance: Random, ann: Lifter, late: Lifter, copy: Copy) -> None:
    """Something that people do to their log, on a device that is there or on one that has been away."""
    world, roll = ann.world, chance.random()
    of = chance.choice([ann, late])
    shown = {name: sorted(key[1] for key in copy.records if key[0] == name) for name in EDITS}
    if roll < 0.3 or not shown["sets"]:
        sets = [(chance.choice([60, 97.5, 100, 140]), chance.choice([1, 3, 5, 12])) for _ in range(3)]
        await of.log(*sets, day=chance.randrange(1, 28))
    elif roll < 0.45:
        collection = chance.choice(["sets", "workouts"])
        if shown[collection]:
            await of.push([of.device.delete(collection, chance.choice(shown[collection]))])
    elif roll < 0.6:
        key = ("sets", chance.choice(shown["sets"]))
        changes = (await world.engine.history.read(ann.device.caller, ann.space, key))["changes"]
        back = chance.choice(changes)
        await world.engine.history.restore(ann.device.caller, ann.space, key, (back["device"], back["n"]))
    elif roll < 0.65:
        await world.engine.history.rewind(ann.device.caller, ann.space, ann.user, rfc3339(world.clock.ms - 20))
    elif roll < 0.75:
        await of.device.pull(ann.space)
    else:
        collection = chance.choice(["sets"] * 4 + ["workouts"] * 2 + ["preferences", "exercises"])
        ids = {"preferences": ["00000000-0000-0000-0000-000000000000"], "exercises": [ann.exercise]}
        name = chance.choice(sorted(EDITS[collection]))
        id = chance.choice(ids.get(collection) or shown[collection] or [""])
        if id:
            value = chance.choice(EDITS[collection][name])
            await of.push([of.device.put(collection, id, **{name: value})])


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_happens_to_a_log_a_device_has_the_records_of_a_full_recomputation(
    world: World, keeping: RecordKeeping, seed: int
) -> None:
    chance = Random(seed)
    ann = await Lifter.make(world)
    late = Lifter(world, await world.device(), ann.space, ann.exercise)
    tablet = await ann.copy()
    for _ in range(40):
        await happen(chance, ann, late, tablet)
        if chance.random() < 0.1:
            # A process that has read nothing yet goes on.
            world.engine.write_path.listeners.clear()
            keeping = keeping_of(world, writes_max=chance.choice([2, 1_000]))
        if chance.random() < 0.3:
            # It writes some of what is left, and more happens before the rest is.
            await keeping._take_turn(ann.user)
        if chance.random() < 0.6:
            await keeping.bring_up(ann.user)
            await tablet.pull()
            assert tablet.shown == tablet.worked_out()
    assert tablet.brought > 20
    assert await audit(world) == []


# -- what is written -------------------------------------------------------------------------------------------


async def test_a_burst_of_pushes_is_one_batch_of_writes(world: World, keeping: RecordKeeping) -> None:
    ann = await Lifter.make(world)
    for day in range(1, 20):
        await ann.log((100 + day, 5), (80, 8), day=day)
    before = await head(world, ann.space)
    await keeping.settle()
    async with world.database.read() as tx:
        lines = await tx.execute(
            select(tables.changes.c.arrival, func.count())
            .where(tables.changes.c.collection == COLLECTION)
            .group_by(tables.changes.c.arrival)
        )
    assert [(arrival > before, count) for arrival, count in lines] == [(True, 7)]


async def test_only_what_differs_is_written_and_a_set_that_breaks_no_record_writes_nothing(
    world: World, keeping: RecordKeeping
) -> None:
    ann = await Lifter.make(world)
    await ann.log((100, 5))
    await keeping.settle()
    at = await ann.log((60, 3), day=21) and await head(world, ann.space)
    await keeping.settle()
    assert await head(world, ann.space) == at
    await ann.log((60, 9), day=22)
    await keeping.settle()
    tablet = await ann.copy()
    await tablet.pull()
    # The most repetitions, in all and at its weight, and the best set and session.
    assert await head(world, ann.space) == at + 3 + 4
    assert tablet.shown == tablet.worked_out()


async def test_records_that_are_as_they_should_be_begin_no_transaction(world: World, keeping: RecordKeeping) -> None:
    ann = await Lifter.make(world)
    await ann.log((100, 5))
    assert await keeping.bring_up(ann.user) == 6
    for other in (keeping, keeping_of(world)):
        assert await other.bring_up(ann.user) == 0
    assert await head(world, ann.space) == 3 + 6


async def test_what_a_set_costs_does_not_depend_on_the_log(world: World, keeping: RecordKeeping) -> None:
    ann = await Lifter.make(world)
    await ann.log(*[(100.0, 5.0)] * 400)
    await keeping.bring_up(ann.user)
    costs = []
    for sets in ([(60.0, 1.0)], [(120.0, 5.0)]):
        await ann.log(*sets, day=21)
        before = world.database.statements
        await keeping.bring_up(ann.user)
        costs.append(world.database.statements - before)
    # Which spaces moved and what in them; what stands and what differs from it.
    assert costs[0] == 4 and costs[1] <= 12


async def test_two_servers_write_what_one_would_have(world: World, keeping: RecordKeeping) -> None:
    ann = await Lifter.make(world)
    other = keeping_of(world)
    for kg in (100, 110, 105):
        await ann.log((kg, 5), day=20)
        assert len([written for each in (keeping, other) if (written := await each.bring_up(ann.user))]) <= 1
    tablet = await ann.copy()
    await tablet.pull()
    assert tablet.shown == tablet.worked_out()


async def test_two_servers_at_once_write_each_record_once(world: World, keeping: RecordKeeping) -> None:
    ann = await Lifter.make(world)
    await ann.log((100, 5), (90, 8))
    written = await asyncio.gather(*(each.bring_up(ann.user) for each in (keeping, keeping_of(world))))
    tablet = await ann.copy()
    await tablet.pull()
    assert sum(written) == 7 and tablet.shown == tablet.worked_out()
    assert await head(world, ann.space) == 4 + 7


async def test_what_was_read_too_early_is_read_again_before_it_is_written(
    world: World,
) -> None:
    ann = await Lifter.make(world)
    await ann.log((100, 5))
    keeping = keeping_of(world, database=Meanwhile(world.database, lambda: ann.log((140, 1), day=21)))
    await keeping.bring_up(ann.user)
    tablet = await ann.copy()
    await tablet.pull()
    assert tablet.best("max_weight") == 140
    assert tablet.brought == len(tablet.shown) == 7


async def test_more_records_than_one_write_takes_are_written_in_parts(
    world: World,
) -> None:
    ann = await Lifter.make(world)
    await ann.log((100, 5), (90, 8))
    assert await keeping_of(world, writes_max=3).bring_up(ann.user) == 7
    tablet = await ann.copy()
    await tablet.pull()
    assert tablet.shown == tablet.worked_out()


# -- what is missed --------------------------------------------------------------------------------------------


async def test_what_a_process_that_died_had_heard_of_is_found_by_another(world: World, keeping: RecordKeeping) -> None:
    ann = await Lifter.make(world)
    await ann.log((100, 5))
    await keeping.settle()
    await ann.log((120, 5), day=21)
    world.engine.write_path.listeners.clear()
    await keeping_of(world).settle()
    tablet = await ann.copy()
    await tablet.pull()
    assert tablet.best("max_weight") == 120


async def test_nobody_is_behind_once_all_is_settled_and_who_writes_is_again(
    world: World, keeping: RecordKeeping
) -> None:
    ann, bob = await Lifter.make(world), await Lifter.make(world, await world.add_user())
    assert await behind(keeping) == []
    await ann.log((100, 5))
    await bob.log((60, 5))
    assert await behind(keeping) == sorted([ann.user, bob.user])
    await keeping.settle()
    assert await behind(keeping) == []
    await ann.push([ann.device.put("workouts", world.uuid(), title="Next")])
    assert await behind(keeping) == [ann.user]


async def test_a_catalog_that_loads_an_exercise_otherwise_and_other_rules_put_everybody_behind(
    world: World, keeping: RecordKeeping
) -> None:
    ann = await Lifter.make(world)
    await ann.log((100, 5))
    await keeping.settle()
    assert await behind(keeping_of(world, rules=99)) == [ann.user]
    environment = world.engine.environment
    async with world.database.write() as tx:
        await create_space(
            tx, space=CATALOG_SPACE, kind="catalog", name="", owner=None, life=new_life(environment), now_ms=1
        )
    pull_up = {"name": "Pull-up", "load_mode": "bodyweight_plus", "bodyweight_fraction": 0.95}
    await world.engine.server_writer.write_as_server(
        CATALOG_SPACE, [ServerWrite("exercises", world.uuid(), "put", pull_up)]
    )
    assert await behind(keeping_of(world)) == [ann.user]


@pytest.mark.parametrize("by", ["who wrote it", "somebody else"])
async def test_a_record_that_went_wrong_is_written_right_whoever_looks_next(
    world: World, keeping: RecordKeeping, by: str
) -> None:
    ann = await Lifter.make(world)
    await ann.log((100, 5))
    await keeping.bring_up(ann.user)
    tablet = await ann.copy()
    await tablet.pull()
    wrong, gone = sorted(tablet.shown)[:2]
    await world.engine.server_writer.write_as_server(
        ann.space,
        [
            ServerWrite(COLLECTION, wrong, "put", {"value": 1}),
            ServerWrite(COLLECTION, gone, "delete"),
            ServerWrite(COLLECTION, world.uuid(), "put", {"kind": "pace", "value": 1}),
        ],
    )
    await (keeping if by == "who wrote it" else keeping_of(world)).bring_up(ann.user)
    await tablet.pull()
    assert tablet.shown == tablet.worked_out()


# -- whose turn it is ------------------------------------------------------------------------------------------


async def test_who_has_more_records_than_a_turn_writes_goes_behind_those_who_wait(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeping = keeping_of(world, writes_max=3)
    both = [await Lifter.make(world), await Lifter.make(world, await world.add_user())]
    for each in both:
        await each.log((100, 5), (90, 8))
    turns: list[str] = []
    write = ServerWriter.write_as_server

    async def noting(self: ServerWriter, space: str, *args: Any, **more: Any) -> Any:
        turns.append(space)
        return await write(self, space, *args, **more)

    monkeypatch.setattr(ServerWriter, "write_as_server", noting)
    await keeping.settle()
    first, other = [each.space for each in sorted(both, key=lambda each: each.user)]
    # Seven records each: three, three and one.
    assert turns == [first, other] * 3
    for each in both:
        tablet = await each.copy()
        await tablet.pull()
        assert tablet.shown == tablet.worked_out()
    assert await behind(keeping) == []


async def test_what_a_turn_costs_does_not_depend_on_how_much_is_left(world: World) -> None:
    ann, keeping = await Lifter.make(world), keeping_of(world, writes_max=1)
    await ann.log(*[(50.0 + lighter, 20.0 - lighter) for lighter in range(10)])
    assert await keeping._take_turn(ann.user, passing=True) == (1, False)
    costs, is_done = [], False
    while not is_done:
        before = world.database.statements
        _, is_done = await keeping._take_turn(ann.user, passing=True)
        costs.append(world.database.statements - before)
    assert len(costs) > 10 and max(costs) <= 12
    # Nobody looks for them, so nothing of them is kept.
    assert (keeping.histories.kept, keeping._passing.kept) == (0, 0)


async def test_nobody_is_marked_as_done_of_whom_something_is_left(world: World) -> None:
    ann, keeping = await Lifter.make(world), keeping_of(world, writes_max=3)
    await ann.log((100, 5), (90, 8))
    assert await keeping._take_turn(ann.user) == (3, False)
    await keeping._flush()
    assert await behind(keeping) == [ann.user]
    # So whoever goes on where this process died writes the rest.
    assert await keeping_of(world).bring_up(ann.user) == 4


async def test_a_long_turn_is_rested_for_by_whose_it_was_and_by_nobody_else_for_long(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_keeping, "REST_MAX_S", 0.0)
    keeping = keeping_of(world, rest=1e12)
    ann, bob = await Lifter.make(world), await Lifter.make(world, await world.add_user())
    await keeping._agreement.renew()
    await ann.log((100, 5))
    await keeping._try(ann.user)
    for each in (ann, bob):
        await each.log((120, 5), day=21)
    later = asyncio.get_running_loop().time() + keeping._asked.longest_s
    assert [keeping._asked.take(later) for _ in range(2)] == [bob.user, None]
    assert keeping._asked.take(later + 1e18) == ann.user


async def test_P6_who_has_a_long_history_has_turns_beside_those_of_all_others(world: World) -> None:
    keeping = keeping_of(world, long=10)
    ann, bob = await Lifter.make(world), await Lifter.make(world, await world.add_user())
    await ann.log(*[(100, 5)] * 10)
    await bob.log((100, 5))
    for each in (ann, bob):
        await keeping._try(each.user)
    assert (await head(world, ann.space), await head(world, bob.space) > 3) == (12, True)
    assert keeping._asked_long.take(asyncio.get_running_loop().time()) == ann.user
    await keeping._try(ann.user, long=True)
    assert await head(world, ann.space) > 12


async def test_P6_what_rests_in_the_midst_of_a_long_history_holds_up_nobody_else(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(histories, "LONG", 40)
    rests, goes_on = asyncio.Event(), asyncio.Event()

    async def sleep(_: float) -> None:
        rests.set()
        await goes_on.wait()

    # No slice is long enough for a step.
    paces = Paces(keep_long=Pace(0, slice_s=-1, sleep=sleep))
    keeping = keeping_of(world, long=40, histories=Histories(world.database, paces=paces))
    ann, bob = await Lifter.make(world), await Lifter.make(world, await world.add_user())
    await ann.log(*[(100, 5)] * 40)
    await bob.log((100, 5))
    stop = keeping.start()
    keeping._asked.put_back(ann.user, 0)
    await rests.wait()
    keeping._asked.put_back(bob.user, 0)
    keeping._wake.set()

    async def ann_alone_is_behind() -> bool:
        await keeping._flush()
        return await behind(keeping) == [ann.user]

    await until(ann_alone_is_behind)
    await stop()


async def test_an_error_in_any_step_of_a_look_is_logged_and_a_later_look_finds_who_is_behind(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(record_keeping, "LOOK_S", 0.001)
    monkeypatch.setattr(record_keeping, "SCAN_LOOKS", 1)
    ann = await Lifter.make(world)
    await ann.log((100, 5))
    tablet = await ann.copy()
    # In a look there is one transaction more each time until it fails, and so each of them fails once.
    stumbling = Stumbling(world.database, {1, 3, 6, 10, 15, 21})
    stop = keeping_of(world, database=stumbling).start()

    async def has_them() -> bool:
        await tablet.pull()
        return stumbling.asked > 21 and bool(tablet.shown) and tablet.shown == tablet.worked_out()

    await until(has_them)
    await stop()
    assert sum(line.exc_info is not None for line in caplog.records if line.levelname == "ERROR") == 6


# -- by which rules --------------------------------------------------------------------------------------------


async def test_processes_with_older_rules_leave_records_alone_while_there_is_one_with_newer(world: World) -> None:
    ann, old, new = await Lifter.make(world), keeping_of(world, rules=1), keeping_of(world, rules=2)
    await ann.log((100, 5))
    await new.settle()
    at = await head(world, ann.space)
    for _ in range(3):
        await old.settle()
    assert (await head(world, ann.space), await behind(new), await behind(old)) == (at, [], [ann.user])
    # What is pushed to the old one is brought up by the new one.
    await ann.log((120, 5), day=21)
    await old.settle()
    assert await head(world, ann.space) == at + 3
    await new.settle()
    assert (await head(world, ann.space) > at + 3, await behind(new)) == (True, [])
    # Two that are as new as each other both write.
    again = keeping_of(world, rules=2)
    assert await behind(again) == []
    await ann.log((140, 5), day=22)
    await again.settle()
    assert await behind(new) == []


async def test_once_the_newer_version_was_taken_back_the_older_one_goes_on(world: World) -> None:
    ann, old, new = await Lifter.make(world), keeping_of(world, rules=1), keeping_of(world, rules=2)
    await new.settle()
    await ann.log((100, 5))
    world.clock.ms += HEARD_MS // 2
    await new.settle()
    world.clock.ms += HEARD_MS // 2
    await old.settle()
    assert await behind(old) == [ann.user], "the newer one has said so since"
    world.clock.ms += HEARD_MS
    await old.settle()
    assert await behind(old) == []


async def test_what_nobody_can_read_of_the_rules_that_others_keep_stops_nobody(world: World) -> None:
    ann, keeping = await Lifter.make(world), keeping_of(world)
    async with world.database.write() as tx:
        for key, value in (("record_rules.next", str(world.clock.ms)), ("record_rules.9", "soon")):
            await tx.execute(insert(tables.meta).values(key=key, value=value))
    await ann.log((100, 5))
    await keeping.settle()
    assert await behind(keeping) == []


async def test_a_process_says_by_which_rules_before_its_first_record_and_looks_before_it_for_newer_ones(
    world: World,
) -> None:
    ann, old, new = await Lifter.make(world), keeping_of(world, rules=1), keeping_of(world, rules=2)
    await ann.log((100, 5))
    await new._try(ann.user)
    at = await head(world, ann.space)
    assert at > 3
    await ann.log((120, 5), day=21)
    for _ in range(2):
        await old._try(ann.user)
    assert await head(world, ann.space) == at + 3
    await new._try(ann.user)
    assert await head(world, ann.space) > at + 3


# -- whose they are --------------------------------------------------------------------------------------------


async def test_what_is_trained_in_a_shared_space_is_told_in_ones_own_alone(
    world: World, keeping: RecordKeeping
) -> None:
    ann, bob = await Lifter.make(world), await Lifter.make(world, await world.add_user())
    gym = await world.add_space(ann.user, "shared")
    await world.add_member(gym, bob.user, "editor")
    await (await ann.also_in(gym)).log((100, 5))
    await ann.log((110, 5), day=21)
    await (await bob.also_in(gym)).log((60, 5))
    await keeping.settle()
    for lifter, best in ((ann, 110), (bob, 60)):
        own, shared = await lifter.copy(), Copy(await world.device(lifter.user), gym)
        await own.pull()
        await shared.pull()
        assert own.best("max_weight") == best
        assert shared.shown == {}
        assert {values["exercise"] for values in own.shown.values()} == {lifter.exercise}


async def test_who_leaves_a_shared_space_leaves_the_records_of_it_too(world: World, keeping: RecordKeeping) -> None:
    ann, bob = await Lifter.make(world), await Lifter.make(world, await world.add_user())
    gym = await world.add_space(ann.user, "shared")
    await world.add_member(gym, bob.user, "editor")
    tablet = await bob.copy()
    await bob.log((60, 5))
    await (await bob.also_in(gym)).log((80, 5), day=21)
    await keeping.settle()
    await tablet.pull()
    assert tablet.best("max_weight") == 80
    async with world.database.write() as tx:
        await tx.execute(
            tables.members.delete().where(tables.members.c.user_id == bob.user, tables.members.c.space_id == gym)
        )
    assert await behind(keeping) == [bob.user]
    await keeping.settle()
    await tablet.pull()
    assert tablet.best("max_weight") == 60
    assert await behind(keeping) == []


async def test_nothing_is_written_for_an_account_that_was_closed(world: World, keeping: RecordKeeping) -> None:
    ann = await Lifter.make(world)
    await ann.log((100, 5))
    async with world.database.write() as tx:
        await tx.execute(update(tables.users).values(disabled_at=1))
    before = await head(world, ann.space)
    await keeping._try(ann.user)
    await keeping.settle()
    assert await head(world, ann.space) == before


async def test_a_device_writes_no_record_and_brings_none_back(world: World, keeping: RecordKeeping) -> None:
    ann = await Lifter.make(world)
    await ann.log((100, 5))
    await keeping.settle()
    tablet = await ann.copy()
    await tablet.pull()
    id = next(iter(tablet.shown))
    answer = await ann.device.push(ann.device.delete(COLLECTION, id), space=ann.space)
    assert [each.code for each in answer.rejected if isinstance(each, Rejected)] == ["read_only"]
    (change,) = (await world.engine.history.read(ann.device.caller, ann.space, (COLLECTION, id)))["changes"]
    with pytest.raises(ReadOnly):
        await world.engine.history.restore(
            ann.device.caller, ann.space, (COLLECTION, id), (change["device"], change["n"])
        )


async def test_what_a_person_takes_back_takes_its_records_along(world: World, keeping: RecordKeeping) -> None:
    ann = await Lifter.make(world)
    tablet = await ann.copy()
    await ann.log((100, 5))
    await keeping.settle()
    world.clock.ms += 60_000
    since = rfc3339(world.clock.ms)
    world.clock.ms += 60_000
    await ann.log((140, 5), day=21)
    await keeping.settle()
    await world.engine.history.rewind(ann.device.caller, ann.space, ann.user, since)
    await keeping.settle()
    await tablet.pull()
    assert tablet.best("max_weight") == 100
    assert tablet.shown == tablet.worked_out()
