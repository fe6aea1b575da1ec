"""Queries and watches: what matches, in which order, and that an index answers where there are thousands."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitai_client import Client, InvalidWrite
from fitai_client.core.database import LocalDatabase
from fitai_client.core.device import Device
from fitai_client.core.environment import system
from fitai_client.core.query import OPERATORS, Query, matches
from fitai_client.core.reads import read_list
from fitai_client.core.schema import INDEXES
from fitai_client.core.spaces import PERSONAL
from fitai_client.core.writing import Write, write_groups
from tests.client_sdk.conftest import OpenPhone

NOWHERE = "http://127.0.0.1:9"
FIELDS = (
    "title",
    "rating",
    "tags",
    "started_at",
    "bodyweight.value",
    "bodyweight.unit",
    "notes",
    "status",
    "source.app",
)
ORDERED = tuple(name for name in FIELDS if name != "tags")
VALUES: dict[str, list[Any]] = {
    "title": ["a", "b", ""],
    "rating": [1, 3, 5, None],
    "tags": [["x"], ["x", "y"], []],
    "started_at": ["2026-01-01T00:00:00.000Z", "2026-02-01T00:00:00.000Z", None],
    "bodyweight": [{"value": 80, "unit": "kg"}, {"value": 80.5, "unit": "kg"}, {"value": 170, "unit": "lb"}, None],
    "notes": ["a", "words"],
    "status": ["active", "completed"],
    "source": [{"app": "hevy"}, None],
}
asked = [
    *[v for values in VALUES.values() for v in values if not isinstance(v, list | dict)],
    80,
    80.5,
    "kg",
    "x",
    "hevy",
]
records = st.lists(
    st.dictionaries(st.sampled_from(list(VALUES)), st.integers(0, 5)).map(
        lambda drawn: {name: VALUES[name][n % len(VALUES[name])] for name, n in drawn.items()}
    ),
    max_size=6,
)
conditions = st.one_of(
    st.tuples(st.sampled_from(FIELDS), st.sampled_from(("=", "!=")), st.sampled_from(asked)),
    st.tuples(st.sampled_from(ORDERED), st.sampled_from(OPERATORS[2:6]), st.sampled_from(asked)),
    st.tuples(st.sampled_from(FIELDS), st.just("in"), st.lists(st.sampled_from(asked), max_size=3)),
    st.tuples(st.just("tags"), st.just("has"), st.sampled_from(["x", "y", "z"])),
)


@given(written=records, where=st.lists(conditions, min_size=1, max_size=2))
def test_Q1_a_query_and_a_watch_agree_on_what_matches(
    tmp_path_factory: pytest.TempPathFactory, written: list[dict[str, Any]], where: list[tuple[str, str, Any]]
) -> None:
    db = LocalDatabase(tmp_path_factory.getbasetemp() / "queries.db", system())
    Device(db, {"name": "p", "platform": "t", "app_version": "1"})
    with db.write() as tx:
        tx.execute("DELETE FROM records")
        tx.execute("DELETE FROM log")
        ids = [f"0193575e-0000-7000-8000-0000000000{n:02d}" for n in range(len(written))]
        write_groups(tx, PERSONAL, [[Write("workouts", id, f)] for id, f in zip(ids, written, strict=True)])
    everything = read_list(db.conn, PERSONAL, "workouts", Query())
    query = Query(where=where)
    found = read_list(db.conn, PERSONAL, "workouts", query)
    db.close()
    assert [record.id for record in everything if matches(record, query)] == [record.id for record in found]


@pytest.mark.parametrize(
    "where",
    [
        ("title", "like", "x"),
        ("colour", "=", 1),
        ("title", "has", "x"),
        ("rating", "in", 5),
        ("rating", "<", [5]),
        ("tags", "<", "x"),
        ("bodyweight", ">=", 80),
        ("bodyweight.value); DROP TABLE records --", "=", 1),
    ],
)
async def test_what_cannot_be_asked_is_told_by_field(open_phone: OpenPhone, where: tuple[str, str, Any]) -> None:
    phone = await open_phone("phone", NOWHERE, background=False)
    for ask in (phone.workouts.list, phone.workouts.count):
        with pytest.raises(InvalidWrite) as refused:
            await ask(where=[where])
        assert refused.value.field == where[0]
    with pytest.raises(InvalidWrite):
        phone.workouts.watch(where=[where])


async def training(phone: Client) -> tuple[str, list[str]]:
    """One exercise, done in three workouts, heavier each time."""
    bench = await phone.exercises.create(name="Bench Press", equipment=["barbell"])
    ids = []
    for n in range(3):
        started = datetime(2026, 1, n + 1, tzinfo=UTC)
        workout = await phone.workouts.create(started_at=started, title=f"w{n}", tags=["push"] if n else [])
        press = await phone.workout_exercises.create(workout=workout.id, exercise=bench.id, position="a0")
        one = await phone.sets.create(
            workout_exercise=press.id, position="a0", weight={"value": 60 + 10 * n, "unit": "kg"}, completed_at=started
        )
        ids.append(one.id)
    return bench.id, ids


async def test_a_part_of_a_value_a_set_and_what_is_above_can_be_asked_for(open_phone: OpenPhone) -> None:
    phone = await open_phone("phone", NOWHERE, background=False)
    bench, ids = await training(phone)
    heavy = await phone.sets.list(exercise=bench, where=[("weight.value", ">=", 70)], order="-completed_at")
    assert [record.id for record in heavy] == [ids[2], ids[1]]
    assert [record.id for record in await phone.sets.list(title="w1")] == [ids[1]]
    assert await phone.workouts.count(where=[("tags", "has", "push")]) == 2
    assert await phone.exercises.count(where=[("equipment", "has", "barbell")]) == 1
    assert await phone.workouts.count(where=[("title", "in", {"w0", "w2", "w9"})]) == 2
    newest = (await phone.workouts.list(order="-started_at", limit=1))[0]
    assert newest.time("started_at") == datetime(2026, 1, 3, tzinfo=UTC) and newest.time("ended_at") is None
    assert [r.id for r in await phone.sets.list(workout=newest)] == [ids[2]]


@pytest.mark.parametrize(("collection", "fields"), [(c, f) for c, indexes in INDEXES.items() for f in indexes])
async def test_an_index_answers_where_there_are_thousands(
    tmp_path: Path, collection: str, fields: tuple[str, ...]
) -> None:
    db = LocalDatabase(tmp_path / "plan.db", system())
    plans: list[str] = []

    def explain(statement: str) -> None:
        if statement.startswith("SELECT r.id"):
            plans.append(statement)

    db.conn.set_trace_callback(explain)
    read_list(db.conn, PERSONAL, collection, Query(equals=dict.fromkeys(fields, "x")))
    equals = dict.fromkeys(fields[:-1], "x")
    read_list(db.conn, PERSONAL, collection, Query(equals=equals, order=[f"-{fields[-1]}"], limit=20))
    db.conn.set_trace_callback(None)
    index = f"records_{collection}_{'_'.join(fields)}"
    for plan in plans:
        steps = [row[3] for row in db.conn.execute(f"EXPLAIN QUERY PLAN {plan}")]
        assert any(index in step for step in steps), steps
    db.close()


async def test_a_watch_tells_when_a_record_begins_and_ceases_to_match(open_phone: OpenPhone) -> None:
    phone = await open_phone("phone", NOWHERE, background=False)
    async with phone.workouts.watch(where=[("rating", ">=", 4)]) as good:
        workout = await phone.workouts.create(title="w", rating=3)
        await phone.workouts.update(workout.id, rating=4)
        change = await anext(good)
        assert change.before is None and change.after is not None and change.after["rating"] == 4
        await phone.workouts.update(workout.id, rating=5)
        change = await anext(good)
        assert change.before is not None and (change.before["rating"], change.after["rating"]) == (4, 5)  # type: ignore[index]
        await phone.workouts.update(workout.id, rating=1)
        change = await anext(good)
        assert change.after is None


async def test_one_record_a_shared_space_or_everything_can_be_watched(open_phone: OpenPhone) -> None:
    phone = await open_phone("phone", NOWHERE, background=False)
    one, other = [await phone.workouts.create(title=t) for t in "ab"]
    async with phone.workouts.watch(id=one.id) as mine, phone.watch() as everything:
        await phone.workouts.update(other.id, title="c")
        await phone.workouts.delete(one.id)
        change = await anext(mine)
        assert (change.id, change.after) == (one.id, None)
        assert [(await anext(everything)).id for _ in range(2)] == [other.id, one.id]


async def test_a_watch_asks_for_nothing_it_could_not_tell(open_phone: OpenPhone) -> None:
    phone = await open_phone("phone", NOWHERE, background=False)
    with pytest.raises(InvalidWrite) as refused:
        phone.sets.watch(exercise=phone.new_id())
    assert refused.value.field == "exercise"
    phone.sets.watch(workout=phone.new_id()).close()
