"""No step costs more for a longer history (S1)."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from figures import steps as module
from figures.analytics import analyse_in_steps
from figures.records import Records
from figures.steps import at_once, in_order, sorted_in_steps
from tests.figures.counted import counted
from tests.figures.log import Log, kg
from tests.figures.test_analytics import TODAY

RUN = module._RUN


@pytest.mark.parametrize("count", [0, 1, RUN - 1, RUN, RUN + 1, 10 * RUN])
def test_what_is_sorted_in_steps_is_sorted(count: int) -> None:
    numbers = Random(count).sample(range(10 * count + 1), count)
    assert at_once(sorted_in_steps(numbers, lambda one: -one)) == sorted(numbers, reverse=True)
    assert list(at_once(in_order(numbers, int))) == sorted(numbers)


def test_no_step_sorts_more_than_a_run() -> None:
    looked_at: list[int] = []

    def key(one: int) -> int:
        looked_at.append(one)
        return one

    steps: Any = sorted_in_steps(Random(1).sample(range(20 * RUN), 20 * RUN), key)
    longest = 0
    for _ in steps:
        longest, looked_at[:] = max(longest, len(looked_at)), []
    assert longest == RUN


@pytest.fixture
def log() -> Log:
    log = Log()
    log.workout("w")
    return log


def test_each_exercise_and_each_record_of_a_span_is_a_step(log: Log) -> None:
    def steps(exercises: int) -> int:
        for n in range(20):
            log.set(f"e{n % exercises}", weight=kg(100), reps=5)
        history, records = log.catch_up(), Records()
        records.update(history)
        with_records, _ = counted(analyse_in_steps(history, "all", TODAY, records))
        without, _ = counted(analyse_in_steps(history, "all", TODAY))
        # They are found and put in order; those at a weight are only found.
        assert with_records - without >= 2 * sum(one.kind != "max_reps_at_weight" for one in records)
        return without

    few = steps(1)
    # As many sets again, of nineteen exercises more, each of which is one and trains muscles.
    assert steps(20) - few >= 20 + 2 * 19
