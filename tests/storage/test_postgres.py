"""What only a real Postgres can do to a transaction: die, be promoted, refuse, deadlock."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update

from storage import feed, push_reads, records
from storage.database import Database, Transaction, open_database
from storage.errors import Busy, DatabaseReadOnly, DatabaseUnavailable, Moved
from storage.migrations import upgrade
from storage.postgres import translated
from storage.prepared import Prepared
from storage.push_reads import Opened, open_push
from storage.push_writes import write_push
from storage.spaces import lock_space
from storage.tables import meta
from tests.services.postgres import Postgres, postgres, run_statement, start
from tests.services.processes import end
from tests.storage.world import NOW, add_home, add_user, change, push, record, until_blocked, voter
from tests.storage.world import opened as look

PID = text("SELECT pg_backend_pid()")
KEY = select(meta.c.value).where(meta.c.key == "k")


@asynccontextmanager
async def opened(url: str, **more: int | float) -> AsyncIterator[Database]:
    database = await open_database(url, **more)  # type: ignore[arg-type]
    try:
        yield database
    finally:
        await database.close()


async def pid(tx: Transaction) -> int:
    return int((await tx.execute(PID))[0][0])


async def kill(url: str, victim: int) -> None:
    """End one backend, and wait until it is gone."""
    await run_statement(url, f"SELECT pg_terminate_backend({victim}, 10000)")


async def test_a_connection_that_died_in_the_pool_is_replaced_unnoticed(postgres_url: str) -> None:
    async with opened(postgres_url) as database:
        for snapshot in (False, True):
            async with database.write() as tx:
                await kill(postgres_url, await pid_of_idle(database, tx))
            async with database.write() as tx:
                await tx.execute(insert(meta), {"key": f"k{snapshot}", "value": "v"})
            async with database.read(snapshot=snapshot) as tx:
                assert await tx.execute(KEY) == []


async def pid_of_idle(database: Database, tx: Transaction) -> int:
    """The backend of a connection that lies in the pool while `tx` is under way."""
    async with database.read() as other:
        found = await pid(other)
    assert found != await pid(tx)
    return found


async def test_a_connection_that_dies_within_a_transaction_is_unavailable_and_the_next_one_works(
    postgres_url: str,
) -> None:
    async with opened(postgres_url, pool_size=1) as database:
        with pytest.raises(DatabaseUnavailable) as raised:
            async with database.write() as tx:
                await tx.execute(insert(meta), {"key": "k", "value": "v"})
                await kill(postgres_url, await pid(tx))
                await tx.execute(KEY)
        assert raised.value.retryable
        async with database.write() as tx:
            assert await tx.execute(KEY) == []


async def test_a_connection_that_dies_before_the_commit_stores_nothing(postgres_url: str) -> None:
    async with opened(postgres_url, pool_size=1) as database:
        with pytest.raises(DatabaseUnavailable):
            async with database.write() as tx:
                await tx.execute(insert(meta), {"key": "k", "value": "v"})
                await kill(postgres_url, await pid(tx))
        async with database.read() as tx:
            assert await tx.execute(KEY) == []


async def test_all_connections_may_die_at_once(postgres_url: str) -> None:
    async with opened(postgres_url, pool_size=4) as database:

        async def work() -> None:
            async with database.write() as tx:
                await tx.execute(KEY)

        await asyncio.gather(*(work() for _ in range(12)))
        await run_statement(
            postgres_url,
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        await asyncio.gather(*(work() for _ in range(12)))


async def test_a_deadlock_is_busy_for_one_and_the_other_commits(postgres_url: str) -> None:
    async with opened(postgres_url) as database:
        async with database.write() as tx:
            await tx.execute(insert(meta), [{"key": "a", "value": "0"}, {"key": "b", "value": "0"}])
        both = asyncio.Barrier(2)

        async def cross(first: str, second: str) -> None:
            async with database.write() as tx:
                await tx.execute(update(meta).where(meta.c.key == first).values(value=first))
                await both.wait()
                await tx.execute(update(meta).where(meta.c.key == second).values(value=first))

        ends = await asyncio.gather(cross("a", "b"), cross("b", "a"), return_exceptions=True)
        assert [type(each) for each in ends if each is not None] == [Busy]
        async with database.read() as tx:
            values = {row[0] for row in await tx.execute(select(meta.c.value).where(meta.c.key.in_(["a", "b"])))}
        assert len(values) == 1


async def test_a_lock_that_is_not_to_be_had_in_time_is_busy(postgres_url: str) -> None:
    async with opened(postgres_url) as database:
        async with database.write() as tx:
            await tx.execute(insert(meta), {"key": "k", "value": "0"})
        async with database.write() as holder:
            await holder.execute(update(meta).where(meta.c.key == "k").values(value="1"))
            with pytest.raises(Busy):
                async with database.write() as tx:
                    await tx.execute(text("SET LOCAL lock_timeout = '10ms'"))
                    await tx.execute(update(meta).where(meta.c.key == "k").values(value="2"))


async def test_a_statement_that_takes_too_long_is_busy(postgres_url: str) -> None:
    async with opened(postgres_url) as database:
        with pytest.raises(Busy):
            async with database.write() as tx:
                await tx.execute(text("SET LOCAL statement_timeout = '10ms'"))
                await tx.execute(text("SELECT pg_sleep(60)"))


async def test_a_snapshot_takes_no_writes(postgres_url: str) -> None:
    async with opened(postgres_url) as database:
        with pytest.raises(DatabaseReadOnly):
            async with database.read(snapshot=True) as tx:
                await tx.execute(insert(meta), {"key": "k", "value": "v"})


async def test_no_connection_comes_back_with_an_open_transaction(postgres_url: str) -> None:
    """A pool whose connections came back dirty once turned later commits into savepoints."""
    async with opened(postgres_url, pool_size=2) as database:

        async def write(turns: int) -> None:
            async with database.write() as tx:
                await tx.execute(insert(meta), {"key": f"k{turns}", "value": "v"})
                await tx.execute(KEY)

        for turns in range(60):
            task = asyncio.create_task(write(turns))
            for _ in range(turns % 30):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
        states = {"active"}
        async with asyncio.timeout(60):
            # A connection that was given up in the middle of a statement leaves a process that ends with it.
            while "active" in states:
                async with database.read() as tx:
                    rows = await tx.execute(
                        text(
                            "SELECT state FROM pg_stat_activity WHERE application_name = 'fitai' "
                            "AND datname = current_database() AND pid <> pg_backend_pid()"
                        )
                    )
                states = {row[0] for row in rows}
        assert states <= {"idle"}


async def test_who_waited_for_a_lock_reads_what_was_committed_meanwhile(postgres_url: str) -> None:
    async with opened(postgres_url) as database:
        await add_home(database)

        async def second() -> None:
            async with database.write() as tx:
                found = await open_push(
                    tx, space="home", user="ann", device="phone", after_n=1, keys=[("sets", "a")]
                )  # fmt: skip
            assert found is not None
            assert (found.space.version, found.after, found.voter) == ({"phone": 1}, change(1), voter())
            assert found.records == {("sets", "a"): record("a", 1)}

        async with database.write() as tx:
            found = await open_push(tx, space="home", user="ann", device="phone", after_n=None, keys=[])
            assert found is not None
            task = asyncio.create_task(second())
            await until_blocked(database)
            space = replace(found.space, head=1, version={"phone": 1})
            await write_push(
                tx, space=space, records=[record("a", 1)], changes=[change(1)], voter=voter(), deleted_at=NOW
            )
        await task


async def test_a_missing_server_is_told_in_one_sentence_without_the_password() -> None:
    with pytest.raises(DatabaseUnavailable) as raised:
        await open_database("postgresql+asyncpg://ann:geheim@127.0.0.1:1/fitai")
    said = str(raised.value)
    assert "ann:***@127.0.0.1:1/fitai" in said
    assert "geheim" not in said
    assert "\n" not in said


async def test_a_missing_database_is_told_by_name(postgres_url: str) -> None:
    with pytest.raises(DatabaseUnavailable, match="no_such_database"):
        await open_database(postgres_url.rpartition("/")[0] + "/no_such_database")
    with pytest.raises(DatabaseUnavailable, match="no_such_database"):
        await upgrade(postgres_url.rpartition("/")[0] + "/no_such_database")


async def test_a_database_without_tables_says_how_to_make_them(postgres_url: str) -> None:
    with pytest.raises(DatabaseUnavailable, match="fitai db upgrade"):
        await open_database(postgres_url.rpartition("/")[0] + "/postgres")


async def test_a_url_of_plain_postgres_is_understood(postgres_url: str) -> None:
    async with opened(postgres_url.replace("postgresql+asyncpg", "postgresql")) as database:
        assert database.dialect == "postgresql"


@pytest.fixture
def own_cluster() -> Iterator[Postgres]:
    """A cluster that the test may stop and start."""
    with postgres() as server:
        yield server


async def test_another_database_and_another_cluster_are_other_timelines(
    postgres_url: str, own_cluster: Postgres
) -> None:
    urls = [own_cluster.create_database("one"), own_cluster.create_database("two")]
    timelines = set()
    for url in (postgres_url, *urls):
        await upgrade(url)
        async with opened(url) as database:
            timelines.add(database.timeline)
    assert len(timelines) == 3


async def test_a_promoted_standby_is_another_timeline_and_is_noticed_by_a_running_server(own_cluster: Postgres) -> None:
    url = own_cluster.create_database("fitai")
    await upgrade(url)
    async with opened(url) as database:
        before = database.timeline
        async with database.write() as tx:
            await tx.execute(insert(meta), {"key": "k", "value": "v"})

        end(own_cluster.process, signal.SIGINT)
        (own_cluster.folder / "standby.signal").touch()
        standby = await asyncio.to_thread(start, own_cluster.folder, port=own_cluster.port)
        try:
            async with database.read(snapshot=True) as tx:
                assert [row[0] for row in await tx.execute(KEY)] == ["v"]
            assert database.timeline == before
            with pytest.raises(DatabaseReadOnly):
                async with database.write() as tx:
                    await tx.execute(insert(meta), {"key": "k2", "value": "v"})

            await run_statement(url, "SELECT pg_promote()")
            await run_statement(
                url,
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'fitai'",
            )
            async with database.write() as tx:
                await tx.execute(insert(meta), {"key": "k2", "value": "v"})
                assert tx.timeline == database.timeline != before
        finally:
            end(standby.process, signal.SIGINT)


async def test_a_server_that_is_gone_is_unavailable_and_found_again_when_it_is_back(own_cluster: Postgres) -> None:
    url = own_cluster.create_database("fitai")
    await upgrade(url)
    async with opened(url) as database:
        end(own_cluster.process, signal.SIGINT)
        for _ in range(3):
            with pytest.raises(DatabaseUnavailable):
                async with database.write() as tx:
                    await tx.execute(KEY)
            with pytest.raises(DatabaseUnavailable):
                async with database.read() as tx:
                    await tx.execute(KEY)
        again = await asyncio.to_thread(start, own_cluster.folder, port=own_cluster.port)
        try:
            async with database.write() as tx:
                assert await tx.execute(KEY) == []
        finally:
            end(again.process, signal.SIGINT)


STATEMENTS: dict[str, tuple[Prepared, dict[str, Any]]] = {
    "open": (
        push_reads._OPEN,
        {"collections": ["a"], "ids": ["b"], "space": "s", "user": "u", "device": "d", "after_n": 5},
    ),
    "lock": (push_reads._LOCK, {"space": "s"}),
    "below": (push_reads._READ_BELOW, {"collections": ["a"], "ids": ["b"], "space": "s"}),
    "changes": (push_reads._CHANGES, {"space": "s", "device": "d", "first": 1, "last": 2}),
    "after": (feed._AFTER, {"space": "s", "after": 1, "limit": 10, "enough": 1}),
    "serve after": (feed._SERVE_AFTER, {"space": "s", "user": "u", "after": 1, "limit": 10, "enough": 1}),
    "serve down": (
        feed._SERVE_DOWN,
        {"space": "s", "user": "u", "ceiling": 1, "below": 1, "limit": 10, "enough": 1},
    ),
    "ids": (feed._BY_IDS, {"space": "s", "ids": ["a"]}),
    "tree": (records._TREE, {"collections": ["a"], "ids": ["b"], "space": "s", "most": 10}),
}


async def explained(
    tx: Transaction, statement: Prepared, parameters: dict[str, Any], how: str = "EXPLAIN"
) -> Sequence[Any]:
    """The lines of the plan by which a statement is run."""
    query, arguments = statement.compiled("postgresql")
    explain = Prepared("SELECT 1")
    explain._compiled["postgresql"] = (f"{how} {query}", arguments)
    return await tx.execute(explain, parameters)


@pytest.mark.parametrize("name", STATEMENTS)
async def test_no_statement_of_push_and_pull_walks_a_history_even_before_there_are_statistics(
    postgres_url: str, name: str
) -> None:
    async with opened(postgres_url) as database, database.read() as tx:
        plan = [row[0] for row in await explained(tx, *STATEMENTS[name])]
    text_ = "\n".join(plan)
    assert "Seq Scan" not in text_, text_
    # What the key could have found is not sorted out row by row: only a page looks at the status of what it found.
    sorted_out = [line.strip() for line in plan if line.strip().startswith("Filter:")]
    assert set(sorted_out) <= {
        "Filter: (status = 0)",
        # Of one row, which its key has found already.
        "Filter: (r.status = 0)",
        "Filter: (state = 'member'::text)",
        "Filter: (name IS NOT NULL)",
        "Filter: (p.parent_id IS NOT NULL)",
        # Of the rows that a push names, which have been found already.
        "Filter: (parent_id IS NOT NULL)",
        # Of a page's own rows, which the limit has ended already.
        "Filter: ((totals.before <= '1'::bigint) OR (totals.place <= 2))",
    }
    assert text_.count("Index Cond") == len([line for line in plan if " using " in line]), text_


async def test_a_page_of_a_history_is_taken_from_its_index_and_never_sorted_out_of_the_whole(postgres_url: str) -> None:
    async with opened(postgres_url) as database:
        await add_home(database)
        async with database.write() as tx:
            # As many that the table is no longer planned for as an empty one; nobody has made statistics of them.
            await tx.execute(
                text(
                    "INSERT INTO records (space_id, collection, id, seq, status, body, state) "
                    "SELECT 'home', 'sets', CAST(n AS text), n, 0, x, x "
                    "FROM generate_series(1, 3000) AS n, CAST(repeat('x', 300) AS bytea) AS x"
                )
            )
            for name in ("after", "serve after", "serve down"):
                statement, parameters = STATEMENTS[name]
                plan = "\n".join(row[0] for row in await explained(tx, statement, parameters))
                assert "Sort" not in plan and "Bitmap" not in plan, plan


@pytest.mark.parametrize("name", ["serve after", "serve down"])
async def test_of_a_space_that_somebody_may_not_see_no_record_is_looked_at(postgres_url: str, name: str) -> None:
    async with opened(postgres_url) as database:
        await add_home(database)
        await add_user(database, "eve")
        await push(database, [record("a", 1), record("b", 2)])
        looks = {}
        for user in ("ann", "eve"):
            asked = {"space": "home", "user": user, "after": 0, "ceiling": 9, "below": 9, "limit": 10, "enough": 1_000}
            asked = {key: each for key, each in asked.items() if key in STATEMENTS[name][1]}
            async with database.read() as tx:
                plan = await explained(tx, STATEMENTS[name][0], asked, "EXPLAIN (ANALYZE, TIMING OFF)")
            looks[user] = [each for (each,) in plan if "ix_records_feed" in each and "actual rows=2 " in each]
    # How many there are would be told by how long it takes.
    assert looks["ann"] and not looks["eve"], looks["eve"]


def test_what_is_no_error_of_a_driver_is_a_defect() -> None:
    assert type(translated(ValueError("odd"))).__name__ == "StorageError"
    assert isinstance(translated(OSError("gone")), DatabaseUnavailable)
    assert translated(Busy("as it is")).args == ("as it is",)


# -- a push without a lock ---------------------------------------------------------------------------------------------


async def unlocked(tx: Transaction) -> Opened:
    found = await open_push(
        tx, space="home", user="ann", device="phone", after_n=None, keys=[("sets", "a")], lock=False
    )
    assert found is not None
    return found


async def write_on(tx: Transaction, found: Opened, name: str, n: int = 1) -> None:
    """One new set on top of what was found."""
    head = found.space.head + 1
    await write_push(
        tx,
        space=replace(found.space, head=head, version={"phone": n}),
        records=[record(name, head)],
        changes=[change(n, name)],
        voter=voter(),
        deleted_at=NOW,
        row_version=found.row_version,
    )


async def test_a_push_without_a_lock_is_two_statements_and_commits_by_itself(postgres_url: str) -> None:
    async with opened(postgres_url) as database:
        await add_home(database)
        before = database.statements
        async with database.write(single=True) as tx:
            await write_on(tx, await unlocked(tx), "a")
            # Others see it before the block ends.
            assert database.statements - before == 2
            found = await look(database, keys=[("sets", "a")])
        assert found is not None and found.records == {("sets", "a"): record("a", 1)}
        assert found.space.version == {"phone": 1}


async def test_a_push_without_a_lock_writes_nothing_at_all_where_another_was_faster(postgres_url: str) -> None:
    async with opened(postgres_url) as database:
        await add_home(database)
        async with database.write(single=True) as tx:
            found = await unlocked(tx)
            async with database.write() as faster:
                await write_on(faster, replace(found, row_version=None), "b")
            with pytest.raises(Moved):
                await write_on(tx, found, "a", n=2)
        after = await look(database, keys=[("sets", "a"), ("sets", "b")], after_n=2)
        assert after is not None
        assert (set(after.records), after.after, after.space.head) == ({("sets", "b")}, None, 1)


async def test_a_push_without_a_lock_waits_for_who_has_one_and_then_writes_nothing(postgres_url: str) -> None:
    async with opened(postgres_url) as database:
        await add_home(database)
        async with database.write(single=True) as tx:
            found = await unlocked(tx)
            async with database.write() as holder:
                # It changes nothing of the space itself: a member is being removed, say.
                await lock_space(holder, "home")
                writing = asyncio.ensure_future(write_on(tx, found, "a"))
                await until_blocked(database)
            with pytest.raises(Moved):
                await writing
        after = await look(database, keys=[("sets", "a")])
        assert after is not None and after.records == {}


async def test_a_push_without_a_lock_replaces_a_connection_that_died_in_the_pool(postgres_url: str) -> None:
    async with opened(postgres_url) as database:
        await add_home(database)
        async with database.write() as tx:
            await kill(postgres_url, await pid_of_idle(database, tx))
        async with database.write(single=True) as tx:
            await write_on(tx, await unlocked(tx), "a")
        assert (await look(database, keys=[("sets", "a")])) is not None


async def test_a_push_without_a_lock_that_is_given_up_while_it_writes_is_stored_whole(postgres_url: str) -> None:
    async with opened(postgres_url) as database:
        await add_home(database)

        async def push_it() -> None:
            async with database.write(single=True) as tx:
                await write_on(tx, await unlocked(tx), "a")

        async with database.write() as holder:
            await holder.execute(text("LOCK TABLE changes IN EXCLUSIVE MODE"))
            writing = asyncio.ensure_future(push_it())
            await until_blocked(database)
            writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        found = await look(database, keys=[("sets", "a")], after_n=1)
        assert found is not None and found.after == change(1, "a")
        assert found.records == {("sets", "a"): record("a", 1)}


async def test_what_goes_over_everything_is_never_cut_off_for_taking_long(postgres_url: str) -> None:
    database = await open_database(postgres_url, patient=True)
    async with database.read(snapshot=True) as tx:
        for setting in ("statement_timeout", "idle_in_transaction_session_timeout"):
            assert [tuple(row) for row in await tx.execute(text(f"SHOW {setting}"))] == [("0",)]
    await database.close()
