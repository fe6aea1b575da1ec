"""What the audit of a database finds: nothing after any history, and every kind of damage by its name.

Each damage is written by SQL, past every rule, into a small world that is sound otherwise.
"""

from __future__ import annotations

import base64
import random
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import msgspec
import pycrdt
import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.engine import make_url

from conflict import record as kernel
from storage import audit as store
from storage.database import Database, Transaction
from storage.errors import StorageError
from sync.audit import SPACES_PER_PAGE, Audit
from sync.audit_rules import REMEDIES, Violation
from sync.audit_workers import Part, PartAudit, Workers, workers
from sync.retention import DAY_MS, Retention
from tests.sync.harness import START_MS, Device, World
from tests.sync.inline_texts import InlineTexts


@pytest_asyncio.fixture
async def world(database: Database) -> AsyncIterator[World]:
    """As elsewhere, but its texts are read without a process of their own: none of them is a bomb."""
    made = await World.make(database, texts=InlineTexts())
    yield made
    await made.close()


async def audit(world: World) -> list[Violation]:
    """Everything that is wrong in the world's database."""
    found: list[Violation] = []
    tally = await Audit(world.database, world.engine.texts, found.append).run()
    assert tally.violations == len(found)
    return found


def text_update(words: str) -> dict[str, str]:
    document = pycrdt.Doc()
    document["text"] = pycrdt.Text(words)
    return {"yjs": base64.b64encode(document.get_update()).decode()}


# -- what is sound -----------------------------------------------------------------------------------------------


class Story:
    """Random writes of everything that a history can hold, out of order and with old contexts."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.random = world, random.Random(seed)
        self.workouts = [world.uuid() for _ in range(3)]
        self.exercises = [(world.uuid(), self.random.choice(self.workouts)) for _ in range(3)]
        self.sets = [(world.uuid(), self.random.choice(self.exercises)[0]) for _ in range(4)]

    def change(self, device: Device) -> dict[str, Any]:
        draw = self.random
        if draw.random() < 0.05:
            return device.void()
        collection, id, fields = draw.choice(
            [("workouts", w, self.of_workout()) for w in self.workouts]
            + [("workout_exercises", e, {"workout": w, "rest_s": draw.randint(0, 3)}) for e, w in self.exercises]
            + [("sets", s, {"workout_exercise": e, "reps": draw.randint(0, 3)}) for s, e in self.sets]
        )
        if draw.random() < 0.2:
            change = device.delete(collection, id)
        else:
            change = device.put(collection, id, **{k: v for k, v in fields.items() if draw.random() < 0.8})
        if draw.random() < 0.3:
            change["context"] = {d: draw.randint(0, n) for d, n in device.context.items() if draw.random() < 0.8}
        if draw.random() < 0.1:
            change["group"] = draw.randint(1, 2)
        return change

    def of_workout(self) -> dict[str, Any]:
        draw = self.random
        return draw.choice(
            [
                {"title": draw.choice("abc"), "rating": draw.choice([1, None])},
                {"status": draw.choice(["planned", "active", "completed"])},
                {"tags": {"add": draw.sample("xyz", 2), "remove": draw.sample("xyz", 1)}},
                {"notes": text_update(draw.choice(["heavy", "light"]))},
                {"energy_kcal": draw.randint(1, 3)},
                {"bodyweight": {"value": 80.5, "unit": "kg"}},
                # Refused, and a trace of it stays in the ledger alone.
                {"title": 5},
            ]
        )


@pytest.mark.parametrize("seed", range(6))
async def test_a_random_history_leaves_nothing_to_find(world: World, seed: int) -> None:
    story = Story(world, seed)
    devices = [await world.device() for _ in range(3)]
    for _ in range(25):
        device = story.random.choice(devices)
        step = story.random.random()
        if step < 0.7:
            seen = {"seen": device.context} if story.random.random() < 0.3 else {}
            changes = [story.change(device) for _ in range(story.random.randint(1, 6))]
            await device.push(*changes, confirm_deletes=True, **seen)
        else:
            await device.pull(limit=2)
    await world.engine.history.rewind(devices[0].caller, world.space, world.user, "2026-11-18T20:26:40.030Z")
    assert await audit(world) == []


@pytest.mark.parametrize("seed", range(4))
async def test_a_history_that_goes_on_after_old_tombstones_went_leaves_nothing_to_find(world: World, seed: int) -> None:
    story = Story(world, seed)
    phone, laptop = await world.device(), await world.device()
    retention = Retention(world.database, world.engine.environment)
    removed = 0
    for _ in range(4):
        for device in (phone, laptop, phone, laptop):
            await device.push(*[story.change(device) for _ in range(4)], confirm_deletes=True)
        await phone.pull()
        await phone.push(*[phone.delete("workouts", workout) for workout in story.workouts[:2]], confirm_deletes=True)
        for device in (phone, laptop):
            await device.pull()
            await device.push(seen=device.context)
        world.clock.ms += 31 * DAY_MS
        removed += await retention.run()
    assert removed > 0
    assert await audit(world) == []


async def test_pages_and_long_histories_of_one_record_do_not_disturb_the_audit(world: World) -> None:
    phone = await world.device()
    workouts = [world.uuid() for _ in range(230)]
    await phone.push(*[phone.put("workouts", w, title="x") for w in workouts])
    for _ in range(3):
        await phone.push(*[phone.put("workouts", workouts[7], rating=n % 5 + 1) for n in range(800)])
    found: list[Violation] = []
    tally = await Audit(world.database, world.engine.texts, found.append).run()
    assert found == []
    assert (tally.spaces, tally.records, tally.changes) == (1, 230, 2_630)


async def test_every_space_is_checked_for_itself(world: World) -> None:
    phone = await world.device()
    other = await world.add_space(world.user, "shared")
    await phone.push(phone.put("workouts", world.uuid(), title="x"))
    phone.n, phone.after, phone.context = 0, None, {}
    await phone.push(phone.put("workouts", world.uuid(), title="y"), space=other)
    assert await audit(world) == []


async def test_what_is_gone_over_comes_to_what_was_announced(damaged: Damaged) -> None:
    walked: list[int] = []
    made = Audit(damaged.world.database, damaged.world.engine.texts, lambda _: None, walked.append)
    # A tombstone among them.
    assert await made.size() == 4
    await made.run()
    assert sum(walked) == 4


# -- what is damaged ---------------------------------------------------------------------------------------------


@dataclass
class Damaged:
    """A small sound world: workout > exercise > set, a deleted workout, and the means to spoil it."""

    world: World
    url: str
    phone: Device
    workout: str = ""
    exercise: str = ""
    set: str = ""
    gone: str = ""

    @property
    def names(self) -> dict[str, Any]:
        ids = {"workout": self.workout, "exercise": self.exercise, "set": self.set, "gone": self.gone}
        return ids | {"space": self.world.space, "user": self.world.user, "device": self.phone.id}

    async def run(self, statement: str, **parameters: Any) -> None:
        """Run SQL that no rule and no foreign key stops."""
        named = {k: v for k, v in (self.names | parameters).items() if f":{k}" in statement}
        if self.world.database.dialect == "sqlite":
            with closing(sqlite3.connect(make_url(self.url).database or "")) as connection:
                connection.execute(statement, named)
                connection.commit()
            return
        async with self.world.database.write() as tx:
            await tx.execute(text("SET LOCAL session_replication_role = replica"))
            await tx.execute(text(statement), named)

    async def change_state(self, id: str, move: Callable[[kernel.RecordState], kernel.RecordState]) -> None:
        """Write another state into a record's row, and count its bytes anew."""
        async with self.world.database.read() as tx:
            rows = await tx.execute(text("SELECT state FROM records WHERE id = :id"), {"id": id})
        before = bytes(rows[0][0])
        after = kernel.encode(move(kernel.decode(before)))
        assert after != before
        await self.run("UPDATE records SET state = :state WHERE id = :id", state=after, id=id)
        await self.run("UPDATE spaces SET bytes = bytes + :more WHERE id = :space", more=len(after) - len(before))


@pytest.fixture
async def damaged(world: World, database_url: str) -> Damaged:
    phone = await world.device()
    made = Damaged(world, database_url, phone, *[world.uuid() for _ in range(4)])
    await phone.push(
        phone.put("workouts", made.workout, title="Legs", notes=text_update("heavy"), tags={"add": ["x"]}),
        phone.put("workout_exercises", made.exercise, workout=made.workout),
        phone.put("sets", made.set, workout_exercise=made.exercise, reps=8),
        phone.put("workouts", made.gone, title="x"),
        phone.delete("workouts", made.gone),
        seen={},
    )
    assert await audit(world) == []
    return made


def rules(found: list[Violation]) -> set[tuple[str, str | None]]:
    return {(violation.rule, violation.record) for violation in found}


# Rule, what it is told of (a name of `Damaged.names`, or None for the space), and the damage.
BY_SQL: list[tuple[str, str | None, str]] = [
    ("head_behind", "set", "UPDATE spaces SET head = head - 3"),
    ("head_ahead", None, "UPDATE spaces SET head = head + 1"),
    ("seq_repeated", None, "UPDATE records SET seq = (SELECT seq FROM records WHERE id = :set) WHERE id = :gone"),
    ("seq_repeated", "set", "UPDATE records SET seq = 0 WHERE id = :set"),
    ("counter_differs", None, "UPDATE spaces SET records = records + 1"),
    ("counter_differs", None, "UPDATE spaces SET bytes = bytes - 1"),
    ("version_differs", None, "DELETE FROM changes WHERE n = 5"),
    ("ledger_hole", None, "DELETE FROM changes WHERE n = 4"),
    ("head_behind", None, "UPDATE changes SET arrival = 99 WHERE n = 5"),
    ("floor_above_head", None, "UPDATE spaces SET floor = head + 1"),
    ("lives_disorder", None, "UPDATE spaces SET life = 'other'"),
    ("space_unreadable", None, "UPDATE spaces SET server_hlc = 'x'"),
    ("status_differs", "set", "UPDATE records SET status = 2 WHERE id = :set"),
    ("status_differs", "gone", "UPDATE records SET status = 0 WHERE id = :gone"),
    ("tombstone_undated", "gone", "UPDATE records SET deleted_at = NULL WHERE id = :gone"),
    ("tombstone_undated", "set", "UPDATE records SET deleted_at = 7 WHERE id = :set"),
    ("list_differs", "workout", "UPDATE records SET listed_at = '2026' WHERE id = :workout"),
    ("list_differs", "set", "UPDATE records SET listed_at = '' WHERE id = :set"),
    ("parent_differs", "set", "UPDATE records SET parent_collection = NULL, parent_id = NULL WHERE id = :set"),
    ("parent_differs", "set", "UPDATE records SET parent_id = :workout WHERE id = :set"),
    ("parent_differs", "set", "UPDATE records SET parent_collection = NULL WHERE id = :set"),
    ("parent_missing", "set", "DELETE FROM records WHERE id = :exercise"),
    ("record_missing", "gone", "DELETE FROM records WHERE id = :gone"),
    ("record_missing", "set", "DELETE FROM records WHERE id = :set"),
    ("ledger_missing", "set", "DELETE FROM changes WHERE record_id = :set"),
    ("unknown_collection", "other/set", "UPDATE records SET collection = 'other' WHERE id = :set"),
    ("replay_differs", "set", "UPDATE changes SET hlc = '0000000000000001' WHERE record_id = :set"),
    ("change_unreadable", "set", "UPDATE changes SET hlc = 'x' WHERE record_id = :set"),
    ("change_unreadable", "set", "UPDATE changes SET op = 'move' WHERE record_id = :set"),
    ("record_missing", "?/set", "UPDATE changes SET collection = NULL WHERE record_id = :set"),
    ("space_unreadable", None, "UPDATE spaces SET kind = 'persona1'"),
    ("space_without_owner", "space", "DELETE FROM members"),
    ("space_without_owner", "space", "UPDATE members SET role = 'editor'"),
    ("space_without_owner", "space", "UPDATE members SET state = 'invited'"),
    ("space_without_owner", "space", "UPDATE spaces SET owner_id = NULL"),
    ("member_without_role", "user", "UPDATE members SET role = 'boss'"),
    ("member_without_role", "user", "UPDATE members SET state = ''"),
]


@pytest.mark.parametrize(("rule", "record", "damage"), BY_SQL)
async def test_damage_is_named(damaged: Damaged, rule: str, record: str | None, damage: str) -> None:
    await damaged.run(damage)
    collections = {"workout": "workouts", "exercise": "workout_exercises", "set": "sets", "gone": "workouts"}
    where = None
    if record is not None:
        collection, _, name = record.rpartition("/")
        where = (
            f"{collection or collections[name]}/{damaged.names[name]}" if name in collections else damaged.names[name]
        )
    found = await audit(damaged.world)
    assert (rule, where) in rules(found)
    assert {violation.space for violation in found} == {damaged.world.space}


BY_BYTES: list[tuple[str, str, bytes]] = [
    ("space_unreadable", "UPDATE spaces SET version = :bytes", b"{"),
    ("space_unreadable", "UPDATE spaces SET lives = :bytes", b"\xff"),
    ("lives_disorder", "UPDATE spaces SET lives = :bytes", b'[["b2",3],["a1",0]]'),
    ("lives_disorder", "UPDATE spaces SET lives = :bytes", b'[["a1",0],["a1",1]]'),
    ("lives_disorder", "UPDATE spaces SET lives = :bytes", b'[["b2",0],["a1",99]]'),
    ("version_differs", "UPDATE spaces SET version = :bytes", b'{"device1":7}'),
    ("version_differs", "UPDATE spaces SET version = :bytes", b'{"device1":5,"other":1}'),
    ("version_differs", "UPDATE spaces SET version = :bytes", b"{}"),
    ("seen_ahead", "UPDATE space_devices SET seen = :bytes", b'{"other":1}'),
    ("seen_ahead", "UPDATE space_devices SET seen = :bytes", b"?"),
    ("state_unreadable", "UPDATE records SET state = :bytes WHERE id = :set", b"[9]"),
    ("state_unreadable", "UPDATE records SET state = :bytes WHERE id = :set", b"\xff\xfe"),
    ("body_differs", "UPDATE records SET body = :bytes WHERE id = :set", b"{}"),
    ("body_differs", "UPDATE records SET body = :bytes WHERE id = :gone", b"\xff"),
    ("change_unreadable", "UPDATE changes SET fields = :bytes WHERE record_id = :set", b"{"),
    ("change_unreadable", "UPDATE changes SET fields = :bytes WHERE record_id = :set", b'{"reps":-1}'),
    ("change_unreadable", "UPDATE changes SET context = :bytes WHERE record_id = :set", b"[]"),
    ("replay_differs", "UPDATE changes SET fields = :bytes WHERE record_id = :set", b'{"reps":9}'),
    ("change_unreadable", "UPDATE changes SET verdict = :bytes WHERE record_id = :set", b"{"),
    ("change_unreadable", "UPDATE changes SET verdict = :bytes WHERE record_id = :set", b'{"code":"x"}'),
]


@pytest.mark.parametrize(("rule", "damage", "data"), BY_BYTES)
async def test_damaged_bytes_are_named(damaged: Damaged, rule: str, damage: str, data: bytes) -> None:
    await damaged.run(damage, bytes=data)
    assert rule in {violation.rule for violation in await audit(damaged.world)}


BY_STATE: list[tuple[str, str, Callable[[kernel.RecordState], kernel.RecordState]]] = [
    ("below_short", "exercise", lambda s: msgspec.structs.replace(s, below={})),
    ("below_unfounded", "workout", lambda s: msgspec.structs.replace(s, below={"device1": 1})),
    ("state_broken", "set", lambda s: msgspec.structs.replace(s, own_puts={"device1": -1})),
    ("text_differs", "workout", lambda s: kernel.with_text(s, "notes", "light")),
    ("text_differs", "workout", lambda s: kernel.with_text(s, "notes", "heavy", b"rubbish")),
    ("replay_differs", "set", lambda s: msgspec.structs.replace(s, own_puts={"device1": 2})),
    ("replay_differs", "gone", lambda s: msgspec.structs.replace(s, deletes={"device1": 4})),
    ("replay_differs", "workout", lambda s: msgspec.structs.replace(s, sets={})),
    ("replay_differs", "workout", lambda s: msgspec.structs.replace(s, texts={})),
]


@pytest.mark.parametrize(("rule", "record", "move"), BY_STATE)
async def test_a_damaged_state_is_named(
    damaged: Damaged, rule: str, record: str, move: Callable[[kernel.RecordState], kernel.RecordState]
) -> None:
    await damaged.change_state(damaged.names[record], move)
    found = [v for v in await audit(damaged.world) if v.rule == rule]
    told = "exercise" if rule != "below_short" else "set"
    expected = damaged.names[told if record == "exercise" else record]
    assert [violation.record and violation.record.split("/")[1] for violation in found] == [expected]


async def test_a_record_that_was_changed_without_a_new_seq_is_named(damaged: Damaged) -> None:
    phone = damaged.phone
    await phone.push(phone.put("sets", damaged.set, reps=9))
    assert await audit(damaged.world) == []
    await damaged.run("UPDATE records SET seq = 2 WHERE id = :set")
    assert ("seq_stale", f"sets/{damaged.set}") in rules(await audit(damaged.world))


async def test_what_a_collected_record_left_in_its_parent_is_sound(damaged: Damaged) -> None:
    world, phone = damaged.world, damaged.phone
    await phone.push(phone.delete("sets", damaged.set))
    await phone.pull()
    await phone.push(seen=phone.context)
    world.clock.ms += 31 * DAY_MS
    assert await Retention(world.database, world.engine.environment).run() > 0
    await phone.push(phone.put("workouts", damaged.workout, rating=3))
    assert await audit(world) == []


async def test_a_record_that_was_collected_may_come_back_below_another_one(damaged: Damaged) -> None:
    world, phone = damaged.world, damaged.phone
    # The last put that is counted above is its own.
    await phone.push(phone.put("workout_exercises", damaged.exercise, rest_s=90))
    await phone.pull()
    await phone.push(phone.delete("workout_exercises", damaged.exercise))
    await phone.pull()
    await phone.push(seen=phone.context)
    world.clock.ms += 31 * DAY_MS
    assert await Retention(world.database, world.engine.environment).run() > 0
    other = world.uuid()
    await phone.push(
        phone.put("workouts", other, title="x"), phone.put("workout_exercises", damaged.exercise, workout=other)
    )
    assert await audit(world) == []


async def test_what_follows_a_broken_change_is_not_blamed_for_it(damaged: Damaged) -> None:
    phone = damaged.phone
    await phone.push(*[phone.put("sets", damaged.set, reps=reps) for reps in (9, 10)])
    await damaged.run("UPDATE changes SET op = 'move' WHERE record_id = :set AND n = 3")
    assert rules(await audit(damaged.world)) == {("change_unreadable", f"sets/{damaged.set}")}


async def test_a_change_that_the_kernel_no_longer_takes_is_named(damaged: Damaged) -> None:
    fields = msgspec.json.encode({"notes": {"yjs": base64.b64encode(b"rubbish").decode()}})
    await damaged.run("UPDATE changes SET fields = :fields WHERE record_id = :workout", fields=fields)
    (found,) = [v for v in await audit(damaged.world) if v.rule == "change_unreadable"]
    assert found.record == f"workouts/{damaged.workout}"
    assert "change 1 of device1" in found.what


async def test_a_ledger_that_is_gone_as_a_whole_is_missed_by_every_record(damaged: Damaged) -> None:
    await damaged.run("DELETE FROM changes")
    missed = [v.record for v in await audit(damaged.world) if v.rule == "ledger_missing"]
    assert len(missed) == 4


async def test_damage_is_named_however_many_spaces_come_before(damaged: Damaged) -> None:
    world = damaged.world
    spaces = [await world.add_space(world.user, "shared") for _ in range(SPACES_PER_PAGE)]
    for space in (spaces[0], spaces[-1]):
        await damaged.run("UPDATE spaces SET records = 7 WHERE id = :other", other=space)
    assert {v.space for v in await audit(world)} == {spaces[0], spaces[-1]}


ORPHANS: list[tuple[str, str]] = [
    ("member_without_user", "UPDATE members SET user_id = 'nobody'"),
    ("member_without_space", "UPDATE members SET space_id = 'nowhere'"),
    ("owner_without_user", "UPDATE spaces SET owner_id = 'nobody'"),
    ("device_without_user", "UPDATE devices SET user_id = 'nobody'"),
    ("session_without_user", "UPDATE sessions SET user_id = 'nobody'"),
    ("session_without_device", "UPDATE sessions SET device_id = 'nothing'"),
    ("token_without_session", "UPDATE refresh_tokens SET session_id = 'nothing'"),
    ("session_with_two_tokens", "UPDATE refresh_tokens SET spent_at = NULL"),
    ("voter_without_device", "DELETE FROM devices"),
    ("voter_without_space", "UPDATE space_devices SET space_id = 'nowhere'"),
    ("records_without_space", "UPDATE records SET space_id = 'nowhere' WHERE id = :set"),
    ("changes_without_space", "UPDATE changes SET space_id = 'nowhere' WHERE n = 3"),
]


@pytest.mark.parametrize(("rule", "damage"), ORPHANS)
async def test_what_names_nothing_is_named(damaged: Damaged, rule: str, damage: str) -> None:
    await damaged.run(
        "INSERT INTO sessions (id, user_id, device_id, created_at, last_used_at, expires_at, user_agent) "
        f"VALUES ('s1', :user, :device, {START_MS}, {START_MS}, {START_MS}, '')"
    )
    await damaged.run(
        "INSERT INTO refresh_tokens (hash, session_id, issued_at, spent_at) "
        f"VALUES ('h1', 's1', {START_MS}, {START_MS}), ('h2', 's1', {START_MS}, NULL)"
    )
    assert await audit(damaged.world) == []
    await damaged.run(damage)
    assert rule in {violation.rule for violation in await audit(damaged.world)}


async def test_a_voter_that_owes_a_snapshot_may_have_lost_its_device(damaged: Damaged) -> None:
    await damaged.run("UPDATE space_devices SET resync = true")
    await damaged.run("DELETE FROM devices")
    assert await audit(damaged.world) == []


async def test_damage_is_named_in_a_space_that_has_let_tombstones_go(damaged: Damaged) -> None:
    world, phone = damaged.world, damaged.phone
    await phone.pull()
    await phone.push(seen=phone.context)
    world.clock.ms += 31 * DAY_MS
    assert await Retention(world.database, world.engine.environment).run() == 1
    await phone.push(phone.put("workouts", damaged.gone, rating=3))
    assert await audit(world) == []

    await damaged.run("DELETE FROM records WHERE id = :workout")
    await damaged.change_state(damaged.gone, lambda s: msgspec.structs.replace(s, own_puts={}))

    found = rules(await audit(world))
    assert ("record_missing", f"workouts/{damaged.workout}") in found
    assert ("replay_differs", f"workouts/{damaged.gone}") in found


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_damaged_file_of_sqlite_is_named(damaged: Damaged) -> None:
    with closing(sqlite3.connect(make_url(damaged.url).database or "")) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        changed = "replace(sql, 'deleted_at BIGINT', 'deleted_at BIGINT NOT NULL')"
        connection.execute(f"UPDATE sqlite_master SET sql = {changed} WHERE name = 'records'")
        # Open connections read the schema again where its number moved.
        ((version,),) = connection.execute("PRAGMA schema_version")
        connection.execute(f"PRAGMA schema_version = {version + 1}")
        connection.commit()
    assert "file_damaged" in {violation.rule for violation in await audit(damaged.world)}


ODD_VALUES: list[tuple[str, str | None]] = [
    ("UPDATE spaces SET head = 'x' WHERE id = :space", None),
    ("UPDATE changes SET arrival = 'x' WHERE record_id = :set", None),
    ("UPDATE changes SET context = 5 WHERE record_id = :set", "records"),
    ("UPDATE records SET seq = 'x' WHERE id = :set", "records"),
    ("UPDATE records SET body = 5 WHERE id = :set", "records"),
]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("damage", "where"), ODD_VALUES)
async def test_a_value_that_its_column_cannot_have_hides_no_other_fault(
    damaged: Damaged, damage: str, where: str | None
) -> None:
    other = await damaged.world.add_space(damaged.world.user, "shared")
    await damaged.run(damage)
    await damaged.run("UPDATE spaces SET records = 7 WHERE id = :other", other=other)
    found = await audit(damaged.world)
    odd = [(v.space, v.record is not None) for v in found if v.rule == "row_unreadable"]
    assert odd == [(damaged.world.space, where is not None)]
    assert ("counter_differs", other) in {(v.rule, v.space) for v in found}


def test_every_rule_that_can_be_broken_is_broken_above() -> None:
    tested = {rule for rule, *_ in [*BY_SQL, *BY_BYTES, *BY_STATE, *ORPHANS]}
    assert tested | {"file_damaged", "seq_stale", "row_unreadable"} == REMEDIES.keys()


# -- in other processes ------------------------------------------------------------------------------------------


async def in_parts(world: World, url: str, monkeypatch: pytest.MonkeyPatch) -> list[Violation]:
    """As `audit`, by two other processes and three records at a time."""
    monkeypatch.setattr("sync.audit.RECORDS_PER_PART", 3)
    found: list[Violation] = []
    async with workers(url, 2) as children:
        tally = await Audit(world.database, world.engine.texts, found.append, workers=children).run()
    assert tally.violations == len(found)
    return found


async def test_other_processes_find_what_one_finds(
    damaged: Damaged, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, phone = damaged.world, damaged.phone
    await phone.push(*[phone.put("workouts", world.uuid(), title="x") for _ in range(8)])
    second = await world.add_space(world.user, "shared")
    assert await in_parts(world, database_url, monkeypatch) == []
    await damaged.run("UPDATE changes SET hlc = '0000000000000001' WHERE record_id = :set")
    await damaged.run("UPDATE spaces SET records = 7 WHERE id = :other", other=second)
    found = await audit(world)
    assert len(found) == 2
    assert set(await in_parts(world, database_url, monkeypatch)) == set(found)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_space_that_is_given_up_keeps_no_process_from_the_others(
    damaged: Damaged, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = await damaged.world.add_space(damaged.world.user, "shared")
    await damaged.run("UPDATE changes SET arrival = 'x' WHERE record_id = :set")
    await damaged.run("UPDATE spaces SET records = 7 WHERE id = :other", other=other)
    found = await in_parts(damaged.world, database_url, monkeypatch)
    assert {("row_unreadable", damaged.world.space), ("counter_differs", other)} <= {(v.rule, v.space) for v in found}


async def test_a_space_that_moves_meanwhile_is_gone_over_again_in_one_state(
    damaged: Damaged, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, phone = damaged.world, damaged.phone
    original, parts = Workers.audit, 0

    async def moving(self: Workers, part: Part) -> PartAudit:
        nonlocal parts
        parts += 1
        if parts == 1:
            await phone.push(phone.put("workouts", world.uuid(), title="meanwhile"))
        return await original(self, part)

    monkeypatch.setattr(Workers, "audit", moving)
    assert await in_parts(world, database_url, monkeypatch) == []
    assert parts >= 2


async def test_a_space_that_is_being_erased_since_it_was_listed_is_left_alone(
    damaged: Damaged, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, read = damaged.world, store.read_space_ids

    async def overtaken(tx: Transaction, after: str, most: int) -> list[str]:
        listed = await read(tx, after, most)
        await damaged.run("UPDATE spaces SET kind = 'erasing' WHERE id = :space")
        await damaged.run("DELETE FROM changes")
        return listed

    monkeypatch.setattr(store, "read_space_ids", overtaken)
    assert await audit(world) == []


async def test_a_process_that_ends_ends_the_check(
    damaged: Damaged, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sync.audit_workers.sys.executable", "/bin/true")
    with pytest.raises(StorageError, match="A process of the check ended"):
        await in_parts(damaged.world, database_url, monkeypatch)
