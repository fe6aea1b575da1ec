"""The simulated database keeps the port's promises, and breaks only what it was told to break."""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import AsyncIterator, Iterator
from types import ModuleType
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import insert, text

from storage.database import Database
from storage.errors import Busy, DatabaseReadOnly, DatabaseUnavailable, StorageError
from storage.prepared import Prepared
from storage.tables import meta
from tests.simulator.store import SimDatabase, SimStore, StoreFaults, migrated
from tests.storage.acceptance import (
    test_accounts,
    test_feed,
    test_places,
    test_push,
    test_retention,
    test_spaces,
    test_transactions,
)

TEMPLATE = migrated()
ADD = Prepared("INSERT INTO meta (key, value) VALUES (:key, 'x')")


def shared_tests(module: ModuleType) -> dict[str, Any]:
    """The acceptance tests that ask for a database and not for the URL of one."""
    name = module.__name__.rsplit(".", 1)[1].removeprefix("test_")
    found = {}
    for each, value in vars(module).items():
        asks = inspect.signature(value).parameters if each.startswith("test_") else {}
        if "database" in asks and "database_url" not in asks:
            found[each.replace("test_", f"test_{name}_", 1)] = value
    return found


for _module in (test_accounts, test_feed, test_places, test_push, test_retention, test_spaces, test_transactions):
    globals().update(shared_tests(_module))


@pytest.fixture
def store() -> Iterator[SimStore]:
    store = SimStore.open(TEMPLATE, random.Random(1))
    yield store
    store.close()


@pytest_asyncio.fixture
async def database(store: SimStore) -> AsyncIterator[Database]:
    yield store.database()


async def add(database: SimDatabase, key: str) -> None:
    async with database.write() as tx:
        await tx.execute(ADD, {"key": key})


def notes(store: SimStore) -> set[str]:
    return {row[0] for row in store.query("SELECT key FROM meta WHERE key LIKE 'note%'")}


async def test_a_writer_that_is_killed_is_rolled_back_and_the_next_one_has_its_turn(store: SimStore) -> None:
    victim, other = store.database("1"), store.database("2")
    async with other.read() as reading:
        with pytest.raises(DatabaseUnavailable):
            async with victim.write() as tx:
                await tx.execute(ADD, {"key": "note 1"})
                waiting = asyncio.create_task(add(other, "note 2"))
                await asyncio.sleep(0)
                victim.kill()
                await waiting
                await tx.execute(ADD, {"key": "note 3"})
        assert (await reading.execute(text("SELECT key FROM meta WHERE key LIKE 'note%'")))[0][0] == "note 2"
    with pytest.raises(DatabaseUnavailable):
        await add(victim, "note 4")
    assert notes(store) == {"note 2"}


async def test_a_worker_killed_while_it_commits_has_stored_all_or_nothing(store: SimStore) -> None:
    seen = set()
    for turns in range(12):
        database = store.database()

        async def write(database: SimDatabase, turns: int) -> None:
            async with database.write() as tx:
                await tx.execute_all((ADD, {"key": f"note {turns}a"}), (ADD, {"key": f"note {turns}b"}))

        task = asyncio.create_task(write(database, turns))
        for _ in range(turns):
            await asyncio.sleep(0)
        database.kill()
        await asyncio.wait([task])
        found = len(notes(store) & {f"note {turns}a", f"note {turns}b"})
        assert found in (0, 2)
        seen.add((found, task.exception() is None))
    assert {(0, False), (2, True)} <= seen


async def test_a_crash_fails_who_is_inside_and_who_waits_and_nobody_afterwards(store: SimStore) -> None:
    database = store.database()
    with pytest.raises(DatabaseUnavailable):
        async with database.write() as tx:
            await tx.execute(ADD, {"key": "note 1"})
            waiting = asyncio.create_task(add(database, "note 2"))
            await asyncio.sleep(0)
            store.crash()
            with pytest.raises(DatabaseUnavailable):
                await waiting
    await add(database, "note 3")
    assert notes(store) == {"note 3"}


async def test_a_writer_that_stands_still_is_given_up_for_those_who_wait(
    store: SimStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = store.database()
    monkeypatch.setattr("tests.simulator.store.IDLE_S", 0)
    with pytest.raises(DatabaseUnavailable):
        async with database.write() as tx:
            monkeypatch.undo()
            await add(store.database(), "note 1")
            await tx.execute(ADD, {"key": "note 2"})
    assert notes(store) == {"note 1"}


async def test_what_is_stopped_cannot_be_reached_until_it_is_started(store: SimStore) -> None:
    database = store.database()
    store.stop()
    with pytest.raises(DatabaseUnavailable):
        async with database.read():
            pass
    store.start()
    await add(database, "note 1")
    assert notes(store) == {"note 1"}


async def test_a_failover_loses_the_last_commits_and_no_other_and_begins_a_timeline(store: SimStore) -> None:
    database = store.database()
    numbers: list[int] = []
    store.on_commit = numbers.append
    for i in range(200):
        await add(database, f"note {i}")
    before = store.timeline
    assert store.fail_over(lose=70) == numbers[-70:]
    assert store.timeline != before
    assert notes(store) == {f"note {i}" for i in range(130)}
    await add(database, "note 130")
    assert numbers == list(range(1, 202))
    # The timeline is the file's too, and what goes over again loses only what came since.
    assert store.query("SELECT value FROM meta WHERE key = 'timeline'") == [(store.timeline,)]
    assert store.fail_over(lose=5) == [201]
    assert store.fail_over(lose=5) == []
    assert notes(store) == {f"note {i}" for i in range(130)}


async def test_a_failover_leaves_the_very_bytes_that_were_there_before_what_it_lost(store: SimStore) -> None:
    database = store.database()
    dumps = []
    for i in range(5):
        async with database.write() as tx:
            await tx.execute(insert(meta), {"key": f"note {i}", "value": "ä"})
            await tx.execute(ADD, [{"key": f"note {i} {j}"} for j in range(3)])
        dumps.append(store.query("SELECT * FROM meta WHERE key <> 'timeline' ORDER BY key"))
    store.fail_over(lose=2)
    assert store.query("SELECT * FROM meta WHERE key <> 'timeline' ORDER BY key") == dumps[2]


async def test_a_restored_snapshot_is_what_was_committed_then(store: SimStore) -> None:
    database = store.database()
    await add(database, "note 1")
    async with database.write() as tx:
        await tx.execute(ADD, {"key": "note 2"})
        snapshot = store.snapshot()
    before = store.timeline
    store.restore(snapshot)
    assert (notes(store), snapshot.number) == ({"note 1"}, 1)
    async with database.read() as tx:
        assert tx.timeline == store.timeline != before


async def test_an_ambiguous_commit_is_unavailable_and_stored_or_not(store: SimStore) -> None:
    store.faults = StoreFaults(ambiguous=1)
    for i in range(20):
        with pytest.raises(DatabaseUnavailable):
            await add(store.database(), f"note {i}")
    assert 0 < len(notes(store)) < 20


@pytest.mark.parametrize(
    ("faults", "error"),
    [
        (StoreFaults(abort=1), Busy),
        (StoreFaults(timeout=1, timeout_s=0), Busy),
        (StoreFaults(no_connection=1), Busy),
        (StoreFaults(disk_full=1), DatabaseReadOnly),
    ],
)
async def test_a_fault_is_raised_as_the_port_says_and_nothing_is_stored(
    store: SimStore, faults: StoreFaults, error: type[StorageError]
) -> None:
    store.faults = faults
    database = store.database(wait_s=0)
    for i in range(10):
        with pytest.raises(error):
            async with database.write() as tx:
                await tx.execute(ADD, {"key": f"note {i}"})
                await tx.execute(ADD, {"key": f"note {i} too"})
    store.faults = StoreFaults()
    await add(database, "note")
    assert notes(store) == {"note"}
    assert sum(store.struck.values()) == 10


async def test_a_full_disk_takes_no_writes_and_still_reads(store: SimStore) -> None:
    database = store.database()
    store.fill_disk()
    with pytest.raises(DatabaseReadOnly):
        await add(database, "note 1")
    async with database.read() as tx:
        await tx.execute(text("SELECT 1"))
    store.free_disk()
    await add(database, "note 1")
    assert notes(store) == {"note 1"}


async def test_one_seed_plays_the_same_faults_twice() -> None:
    played = []
    for _ in range(2):
        store = SimStore.open(TEMPLATE, random.Random(7), StoreFaults(abort=0.3, ambiguous=0.3, disk_full=0.1))
        results = []
        for i in range(50):
            try:
                await add(store.database(), f"note {i}")
                results.append("")
            except StorageError as error:
                results.append(error.code)
        played.append((results, notes(store), store.timeline))
        store.close()
    assert played[0] == played[1]
