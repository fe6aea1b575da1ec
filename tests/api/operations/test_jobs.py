"""Jobs are done whatever happens to the process that began them, and each step of theirs counts once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio

from api.operations.jobs import LEASE_MS, RETRY_MS_FIRST, WAITED_MS, Handler, Job, Jobs, Kind
from storage import jobs as store
from storage.database import Database
from storage.errors import DatabaseUnavailable
from storage.jobs import JobRow
from sync.tasks import end_tasks
from tests.api.due_jobs import run_due
from tests.api.harness import Clock, environment, until
from tests.api.stumbling import Stumbling

USER = "ann"
# Of the real clock, which the leases of these tests do not go by.
NEVER_S = 3_600.0


@dataclass
class Desk:
    """Two processes over one database. `steps` is what the counting job wrote, step by step."""

    database: Database
    clock: Clock = field(default_factory=Clock)
    steps: list[int] = field(default_factory=list)

    def process(self, handler: Handler | None = None, *, beat_s: float = NEVER_S, **kind: Any) -> Jobs:
        kinds = {"count": Kind(handler or self.count, **kind)}
        return Jobs(self.database, environment(self.clock), kinds, beat_s=beat_s)

    async def add(self, job: str = "j1", to: int = 3) -> None:
        async with self.database.write() as tx:
            await store.add_job(tx, job=job, kind="count", user=USER, arguments=b"%d" % to, now_ms=self.clock.now_ms())

    async def read(self, job: str = "j1") -> JobRow:
        async with self.database.read() as tx:
            found = await store.find_job(tx, job=job, user=USER)
        assert found is not None
        return found

    async def step(self, job: Job) -> None:
        async with self.database.write() as tx:
            job.done += 1
            job.total, job.memory = job.arguments, job.done
            await job.keep(tx)
        self.steps.append(job.done)

    async def count(self, job: Job) -> Any:
        while (job.memory or 0) < job.arguments:
            await self.step(job)
        return {"counted": job.done}


@pytest_asyncio.fixture
async def desk(database: Database) -> AsyncIterator[Desk]:
    yield Desk(database)


async def test_a_job_is_done_and_tells_its_result(desk: Desk) -> None:
    await desk.add()
    assert await run_due(desk.process()) == 1
    found = await desk.read()
    assert (found.state, found.result, found.done, found.total) == ("done", b'{"counted":3}', 3, 3)
    assert await run_due(desk.process()) == 0


async def test_a_running_process_takes_up_what_is_added(desk: Desk) -> None:
    process = desk.process()
    stop = process.start()
    await desk.add()
    process.wake()

    async def is_done() -> bool:
        return (await desk.read()).state == "done"

    await until(is_done)
    await stop()


async def test_a_job_that_comes_just_after_the_last_one_was_looked_for_is_taken_up(desk: Desk) -> None:
    found_at_work = asyncio.Event()

    class Late(set[str]):
        def add(self, kind: str) -> None:
            super().add(kind)
            found_at_work.set()

    process = desk.process()
    process._found_late = Late()
    claim = process._claim

    async def claim_and_be_slow(kind: str) -> JobRow | None:
        row = await claim(kind)
        if row is None and not found_at_work.is_set():
            # After the claim has looked, and before the work that it ends is over.
            await desk.add("j2")
            process.wake()
            await found_at_work.wait()
        return row

    process._claim = claim_and_be_slow  # type: ignore[method-assign]
    stop = process.start()
    await desk.add("j1")
    process.wake()

    async def is_done() -> bool:
        return (
            (await desk.read("j1")).state == "done"
            and found_at_work.is_set()
            and (await desk.read("j2")).state == "done"
        )

    await until(is_done)
    await stop()


async def test_a_job_of_a_process_that_was_killed_goes_on_behind_its_last_step(desk: Desk) -> None:
    async def die(job: Job) -> None:
        await desk.step(job)
        raise KeyboardInterrupt  # nothing is cleared up, as when a process is killed

    await desk.add()
    with pytest.raises(KeyboardInterrupt):
        await run_due(desk.process(die))
    other = desk.process()
    assert await run_due(other) == 0
    desk.clock.advance(seconds=LEASE_MS / 1_000)
    assert await run_due(other) == 1
    assert desk.steps == [1, 2, 3]


async def test_a_process_that_stops_gives_its_job_back_at_once(desk: Desk) -> None:
    begun = asyncio.Event()

    async def hang(job: Job) -> None:
        await desk.step(job)
        begun.set()
        await asyncio.Event().wait()

    await desk.add()
    process = desk.process(hang)
    stop = process.start()
    process.wake()
    await begun.wait()
    await stop()
    assert await run_due(desk.process()) == 1
    assert desk.steps == [1, 2, 3]


async def test_what_a_process_writes_for_a_job_that_it_has_lost_does_not_count(desk: Desk) -> None:
    async def sleep(job: Job) -> None:
        desk.clock.advance(seconds=LEASE_MS / 1_000)
        assert await run_due(desk.process()) == 1
        await desk.step(job)

    await desk.add()
    await run_due(desk.process(sleep))
    assert desk.steps == [1, 2, 3]
    assert (await desk.read()).state == "done"


async def test_a_job_whose_row_is_gone_ends_with_its_next_step(desk: Desk) -> None:
    async def taken_away(job: Job) -> None:
        await desk.step(job)
        async with desk.database.write() as tx:
            await store.remove_job(tx, job.id)
        await desk.step(job)

    await desk.add()
    await run_due(desk.process(taken_away))
    assert desk.steps == [1]
    assert await run_due(desk.process()) == 0


async def test_nobody_else_finds_a_job(desk: Desk) -> None:
    await desk.add()
    async with desk.database.read() as tx:
        assert await store.find_job(tx, job="j1", user="bob") is None


async def test_a_job_that_fails_is_tried_again_ever_later_and_then_has_failed(desk: Desk) -> None:
    async def fail(job: Job) -> None:
        raise ValueError("its secret reason")

    await desk.add()
    process = desk.process(fail, tries_max=3)
    wait_ms = RETRY_MS_FIRST
    for _ in range(2):
        assert await run_due(process) == 1
        assert await run_due(process) == 0
        assert (await desk.read()).state == "queued"
        desk.clock.advance(seconds=wait_ms / 1_000 + 1)
        wait_ms *= 2
    assert await run_due(process) == 1
    found = await desk.read()
    assert found.state == "failed" and "secret" not in str(found.error)


async def test_a_database_that_is_away_uses_up_no_tries(desk: Desk) -> None:
    async def away(job: Job) -> None:
        raise DatabaseUnavailable("it is away")

    await desk.add()
    process = desk.process(away, tries_max=1)
    assert await run_due(process) == 1
    assert (await desk.read()).state == "queued"


async def test_a_job_that_fails_holds_up_no_other(desk: Desk) -> None:
    async def fail_one(job: Job) -> Any:
        if job.id == "j1":
            raise ValueError
        return await desk.count(job)

    await desk.add("j1")
    await desk.add("j2")
    assert await run_due(desk.process(fail_one)) == 2
    assert ((await desk.read("j1")).state, (await desk.read("j2")).state) == ("queued", "done")


async def test_a_process_works_on_as_many_jobs_of_a_kind_at_once_as_the_kind_says_the_oldest_first(desk: Desk) -> None:
    begun: list[str] = []
    go = {f"j{number}": asyncio.Event() for number in range(5)}

    async def wait(job: Job) -> None:
        begun.append(job.id)
        await go[job.id].wait()

    for job in go:
        await desk.add(job)
    process = desk.process(wait, at_once=2)
    stop = process.start()
    process.wake()
    await until(lambda: len(begun) == 2)
    for done, following in (("j1", 3), ("j2", 4), ("j3", 5)):
        # One takes its time, and the others go on beside it.
        go[done].set()
        await until(lambda following=following: len(begun) == following)  # type: ignore[misc]
        assert len(process._working["count"]) == 2
    await stop()
    assert begun == list(go)
    assert [(await desk.read(job)).state for job in go] == ["queued", "done", "done", "done", "queued"]


async def test_a_job_that_gives_way_takes_turns_with_those_that_wait_and_goes_on_behind_its_last_step(
    desk: Desk,
) -> None:
    steps: list[tuple[str, int]] = []

    async def in_turns(job: Job) -> None:
        while (job.memory or 0) < job.arguments:
            await desk.step(job)
            steps.append((job.id, job.done))
            desk.clock.advance(seconds=WAITED_MS / 1_000)
            await job.give_way()

    for job in ("j1", "j2", "j3"):
        await desk.add(job, to=2)
    await run_due(desk.process(in_turns))
    assert steps == [("j1", 1), ("j2", 1), ("j3", 1), ("j1", 2), ("j2", 2), ("j3", 2)]
    found = [await desk.read(job) for job in ("j1", "j2", "j3")]
    assert [(each.state, each.failures) for each in found] == [("done", 0)] * 3


async def test_a_job_gives_way_to_nobody_who_has_only_just_come_and_to_no_other_kind(desk: Desk) -> None:
    async def alone(job: Job) -> None:
        if job.id == "j1":
            await desk.add("j2")
            async with desk.database.write() as tx:
                await store.add_job(tx, job="j3", kind="other", user=USER, arguments=b"1", now_ms=0)
        await job.give_way()

    await desk.add("j1")
    await run_due(desk.process(alone))
    assert [((found := await desk.read(job)).state, found.attempt) for job in ("j1", "j2")] == [("done", 1)] * 2


async def test_a_job_whose_step_takes_longer_than_a_lease_stays_with_the_process_that_lives(desk: Desk) -> None:
    async def read_slowly(job: Job) -> None:
        for _ in range(4):
            due_at = (await desk.read()).due_at
            desk.clock.advance(seconds=LEASE_MS / 2_000)

            async def is_held(due_at: int = due_at) -> bool:
                return (await desk.read()).due_at >= due_at + LEASE_MS // 2

            await until(is_held)
        assert await run_due(desk.process()) == 0

    await desk.add()
    assert await run_due(desk.process(read_slowly, beat_s=0.001)) == 1
    assert (await desk.read()).state == "done"


async def test_a_process_holds_no_job_that_it_has_given_back_or_lost(desk: Desk) -> None:
    async def hold(attempt: int) -> bool:
        async with desk.database.write() as tx:
            return await store.hold_job(tx, job="j1", attempt=attempt, until=2**50)

    await desk.add()
    async with desk.database.write() as tx:
        now_ms = desk.clock.now_ms()
        assert await store.claim_job(tx, kind="count", now_ms=now_ms, until=now_ms + LEASE_MS) is not None
    assert await hold(1) and not await hold(2)
    async with desk.database.write() as tx:
        assert await store.release_job(tx, job="j1", attempt=1, now_ms=desk.clock.now_ms())
    assert not await hold(1)
    assert await run_due(desk.process()) == 1
    assert not await hold(2)


async def test_two_processes_never_have_one_job(desk: Desk) -> None:
    for number in range(8):
        await desk.add(f"j{number}", to=1)
    done = await asyncio.gather(*(run_due(desk.process()) for _ in range(4)))
    assert sum(done) == 8
    assert desk.steps == [1] * 8


async def test_an_ended_job_is_let_go_after_its_time(desk: Desk) -> None:
    await desk.add()
    process = desk.process(kept_ms=1_000)
    await run_due(process)
    assert await process.forget() == 0
    desk.clock.advance(seconds=2)
    assert await process.forget() == 1


# -- errors of the server's own ---------------------------------------------------------------------------------


async def test_an_error_while_jobs_are_looked_for_is_logged_and_the_next_look_finds_them(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    stumbling = Stumbling(desk.database, {1})
    process = desk.process()
    process.database = stumbling  # type: ignore[assignment]
    stop = process.start()
    process.wake()
    await until(lambda: stumbling.asked > 0)
    await desk.add()
    process.wake()

    async def is_done() -> bool:
        return (await desk.read()).state == "done"

    await until(is_done)
    await stop()
    assert [line.exc_info is not None for line in caplog.records if line.levelname == "ERROR"] == [True]


async def test_a_job_is_still_held_after_an_error_while_it_was(desk: Desk) -> None:
    await desk.add()
    process = desk.process(beat_s=0.001)
    row = await process._claim("count")
    assert row is not None
    before = (await desk.read()).due_at
    desk.clock.advance(seconds=1)
    process.database = Stumbling(desk.database, {1})  # type: ignore[assignment]
    beating = asyncio.create_task(process._beat(row))

    async def is_held() -> bool:
        return (await desk.read()).due_at > before

    await until(is_held)
    await end_tasks([beating])
