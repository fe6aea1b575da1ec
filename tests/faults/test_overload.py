"""The rules of overload, by counts and on a small scale; `python -m tests.faults.overload` asks for the figures."""

from __future__ import annotations

import asyncio
from collections import Counter

import asyncpg
import pytest

from api.middleware import TRAFFIC
from tests.api.harness import Answer, running, settings_for, until
from tests.faults.overload import cases
from tests.faults.overload.outcome import POOL
from tests.faults.overload.people import Device, asking
from tests.security.harness import Person, join

# The connections to Postgres of one process, and more pushes than that.
POOL_SIZE, MANY = 10, 25


async def test_an_exhausted_pool_refuses_by_name_keeps_sockets_alive_and_is_there_again_by_itself(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.postgres.STALL_S", 0.5)
    async with running(settings_for(postgres_url)) as server:
        people = [await join(server) for _ in range(MANY)]
        lock = await asyncpg.connect(postgres_url.replace("postgresql+asyncpg", "postgresql"))
        async with people[0].socket({people[0].space: None}) as line:
            async with lock.transaction():
                await lock.execute("LOCK TABLE spaces IN ACCESS EXCLUSIVE MODE")
                asked = [asyncio.create_task(_push(person)) for person in people]
                # Any of them may have got the connections.
                answers = asyncio.as_completed(asked)
                refused = [await next(answers) for _ in range(MANY - POOL_SIZE)]
                assert {(answer.status, answer.code) for answer in refused} == {(503, "unavailable")}
                assert all(int(answer.headers["Retry-After"]) == 1 for answer in refused)
                # Whoever comes now is refused at once, and what needs no database is there as ever.
                assert (await _push(people[-1])).status == 503
                assert (await server.ask("GET", "/health/live")).status == 200
                await line.say("what")
                assert (await line.hear("error"))["code"] == "unknown_message"
            await asyncio.gather(*asked)
            await until(lambda: server.app[TRAFFIC].in_flight <= 1)
            for person in people:
                assert (await _push(person)).status == 200
        await lock.close()


async def _push(person: Person) -> Answer:
    body = person.body({"n": 1, "hlc": "0" * 16, "op": "void"})
    return await person.server.ask("POST", person.at("push"), body, token=person.token)


async def test_writers_of_one_space_lose_nothing_and_are_refused_a_bounded_number_of_times(database_url: str) -> None:
    async with running(settings_for(database_url)) as server, asking(server.url) as client:
        devices = await client.devices(40, a_user=40)
        tries: Counter[str] = Counter()

        async def write(device: Device) -> None:
            for _ in range(3):
                batch = device.batch()
                for _ in range(5):
                    status, _, _ = await client.push(device, batch)
                    tries[str(status)] += 1
                    if status == 200:
                        break

        await asyncio.gather(*map(write, devices))
        digest = await client.good("GET", f"/api/sync/spaces/{devices[0].space}/digest", token=devices[0].token)
    assert tries.keys() <= {"200", "503"}
    assert digest["count"] == tries["200"] == 40 * 3


async def test_a_small_herd_comes_back_after_a_kill_and_nothing_is_lost() -> None:
    """The rig itself, with real processes: forty devices instead of five thousand."""
    outcome = await cases.CASES["herd"](0.008)
    assert outcome.findings == []
    assert outcome.figures["there"] == 40
    assert outcome.figures["db_connections"] <= POOL


def test_every_case_says_what_it_asks() -> None:
    assert all(case.__doc__ for case in cases.CASES.values())
