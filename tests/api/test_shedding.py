"""L1 and L2 of api/shedding.py: when those who are refused come back."""

from __future__ import annotations

from collections import Counter

from api.shedding import LONGEST_S, RETURNS_PER_S, Line
from storage.errors import DatabaseUnavailable
from tests.api.harness import FrozenClock, running, settings_for


def test_no_second_is_told_to_more_than_the_server_can_take() -> None:
    told = Counter(line.retry_after_s() for line in [Line(lambda: 0)] for _ in range(20 * RETURNS_PER_S))
    assert set(told.values()) == {RETURNS_PER_S}
    assert sorted(told) == list(range(1, 21))


def test_the_line_is_as_long_as_those_who_stand_in_it() -> None:
    now = 0
    line = Line(lambda: now)
    for _ in range(5 * RETURNS_PER_S):
        line.retry_after_s()
    now += 3_000
    assert line.retry_after_s() == 3
    now += 60_000
    assert line.retry_after_s() == 1


def test_nobody_is_sent_away_for_longer_than_the_bound() -> None:
    line = Line(lambda: 0)
    assert max(line.retry_after_s() for _ in range(100 * RETURNS_PER_S)) == LONGEST_S


def test_a_clock_that_was_set_back_lengthens_no_line() -> None:
    now = 10**12
    line = Line(lambda: now)
    line.retry_after_s()
    now -= 10**9
    assert line.retry_after_s() <= LONGEST_S
    now += LONGEST_S * 1_000
    assert line.retry_after_s() <= 2


async def test_a_database_that_is_gone_sends_a_herd_away_second_by_second(sqlite_url: str) -> None:
    async with running(settings_for(sqlite_url), FrozenClock()) as server:
        reader = server.database.read

        def gone(**_: object) -> object:
            raise DatabaseUnavailable("gone")

        server.database.read = gone  # type: ignore[method-assign, assignment]
        told = []
        for _ in range(RETURNS_PER_S + 1):
            answer = await server.login("nobody@example.com")
            assert (answer.status, answer.code) == (503, "unavailable")
            told.append(int(answer.headers["Retry-After"]))
        server.database.read = reader  # type: ignore[method-assign]
    assert told == [1] * RETURNS_PER_S + [2]
