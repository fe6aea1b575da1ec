"""Records are read as the feed serves them, and what figures do not know is passed over."""

from __future__ import annotations

import msgspec
import pytest

from figures.forms import Amount, Exercise, Preferences, Set, Stored, UnreadableRecord, decode
from figures.history import History, exercises_in
from figures.spaces import Person
from storage.catalog import load
from storage.collections import COLLECTIONS
from storage.database import open_database
from storage.feed import read_after
from tests.figures.log import Log, kg
from tests.sync.harness import Device, World


def body(collection: str, values: object, **more: object) -> bytes:
    return msgspec.json.encode({"collection": collection, "id": "x", "deleted": False, "values": values, **more})


def test_a_record_is_read_with_or_without_its_seq() -> None:
    served = body("sets", {"weight": {"value": 100, "unit": "kg"}, "reps": 5.5})
    record = decode(served)
    assert record is not None
    assert (record.collection, record.id) == ("sets", "x")
    assert record.values == Set(weight=Amount(100, "kg"), reps=5.5)
    assert decode(b'{"seq":7,' + served[1:]) == record


def test_fields_and_collections_that_are_not_known_are_passed_over() -> None:
    assert decode(body("sets", {"reps": 5, "mood": {"of": ["the", "day"]}}, conflicts={}, updated_by="d")) is not None
    assert decode(body("templates", {"title": "Push"})) is None
    assert decode(body("horoscopes", 7)) is None


def test_what_nobody_wrote_and_what_is_null_are_both_none() -> None:
    absent, null = decode(body("preferences", {})), decode(body("preferences", {"weekly_target": None}))
    assert absent is not None and null is not None
    assert absent.values == null.values == Preferences()


def test_a_tombstone_has_no_values() -> None:
    record = decode(b'{"collection":"sets","id":"x","deleted":true,"updated_at":"2026","updated_by":"d"}')
    assert record is not None and record.values is None


@pytest.mark.parametrize(
    "broken", [b"", b"{", b"[]", b'{"id":"x"}', body("sets", {"reps": "five"}), body("sets", 5), b'"\xff"']
)
def test_bytes_that_are_no_record_are_refused_by_name(broken: bytes) -> None:
    with pytest.raises(UnreadableRecord, match="fitai check") as refused:
        decode(broken)
    assert refused.value.code == "unreadable_record"


def test_what_came_before_an_unreadable_record_is_taken() -> None:
    log = Log()
    log.workout("w")
    log.set(weight=kg(100), reps=5)
    log._feed.append(log._feed[0]._replace(body=b"{"))
    with pytest.raises(UnreadableRecord):
        log.catch_up()
    assert len(log.history.lifts) == 1


def test_every_field_that_figures_read_is_declared() -> None:
    forms = {
        "workouts",
        "workout_exercises",
        "participants",
        "sets",
        "exercises",
        "measurements",
        "goals",
        "preferences",
    }
    for name in forms:
        record = decode(body(name, {}))
        assert record is not None and record.values is not None
        assert set(record.values.__struct_fields__) <= set(COLLECTIONS[name].fields)


def test_the_catalog_is_read_as_it_is_served() -> None:
    catalog = exercises_in(body("exercises", one.values()).replace(b'"x"', b'"%b"' % one.id.encode()) for one in load())
    assert len(catalog) == len(load())
    known = load()[0]
    assert catalog[known.id] == Exercise(
        known.name, known.primary_muscles, known.secondary_muscles, known.load_mode, known.bodyweight_fraction
    )


async def test_a_history_follows_the_feed_of_a_real_engine(sqlite_url: str) -> None:
    """Whatever is deleted and brought back, the history that follows is that of a first reader."""
    database = await open_database(sqlite_url)
    world = await World.make(database)
    phone = await world.device()
    workout, block, lift, other = (world.uuid() for _ in range(4))
    history, seq = History(Person(world.user, world.space)), 0

    async def follow(device: Device) -> tuple[set[str], set[str]]:
        """The lifts of the history that follows, and those of one that begins now."""
        nonlocal seq
        async with database.read() as tx:
            news, everything = await read_after(tx, world.space, seq, 100), await read_after(tx, world.space, 0, 100)
        assert news is not None and everything is not None
        history.catch_up(Stored(world.space, body) for _, body in news.rows)
        seq = max((seq for seq, _ in everything.rows), default=0)
        first = History(history.person)
        first.catch_up(Stored(world.space, body) for _, body in everything.rows)
        await device.pull()
        return set(history.lifts), set(first.lifts)

    done = {"workout_exercise": block, "completed_at": "2026-11-25T10:00:00.000Z", "weight": kg(100), "reps": 5}
    await phone.push(
        phone.put("workouts", workout, status="completed"),
        phone.put("workout_exercises", block, workout=workout, exercise=world.uuid(), position="a"),
        phone.put("sets", lift, **done),
        phone.put("sets", other, **done),
    )
    assert await follow(phone) == ({lift, other}, {lift, other})
    await phone.push(phone.delete("workouts", workout))
    assert await follow(phone) == (set(), set())
    await phone.push(phone.put("workouts", workout, status="completed"))
    assert await follow(phone) == ({lift, other}, {lift, other})
    await phone.push(phone.delete("workout_exercises", block))
    await phone.push(phone.delete("sets", other))
    assert await follow(phone) == (set(), set())
    await phone.push(phone.put("sets", lift, reps=6))
    assert await follow(phone) == ({lift}, {lift})
    await world.close()
    await database.close()
