"""When something is due that is asked for again and again. The clock is the test's."""

from __future__ import annotations

from api.training.coalescing import Coalescing


def test_what_is_asked_for_is_due_once_nobody_has_asked_for_a_moment() -> None:
    asked = Coalescing(quiet_s=1, longest_s=10)
    asked.ask("ann", 100)
    asked.ask("ann", 100.5)
    assert [asked.take(at) for at in (100, 101, 101.4, 101.5, 101.5)] == [None, None, None, "ann", None]


def test_what_is_asked_for_without_a_pause_is_due_after_the_longest_wait() -> None:
    asked = Coalescing(quiet_s=1, longest_s=10)
    taken = []
    for tick in range(48):
        asked.ask("ann", 100 + tick / 2)
        if asked.take(100 + tick / 2):
            taken.append(tick / 2)
    assert taken == [10, 20.5]


def test_each_is_due_by_its_own_askings_whoever_came_first() -> None:
    asked = Coalescing(quiet_s=1, longest_s=10)
    for name, at in (("ann", 100.0), ("bob", 100.2), ("ann", 100.9)):
        asked.ask(name, at)
    assert [asked.take(at) for at in (101.2, 101.2, 101.9)] == ["bob", None, "ann"]


def test_it_says_how_long_nothing_is_due_for_certain() -> None:
    asked = Coalescing(quiet_s=1, longest_s=10)
    assert asked.wait_s(100) is None
    asked.ask("ann", 100)
    assert asked.wait_s(100.25) == 0.75
    assert asked.wait_s(200) == 0
    asked.take(200)
    assert (asked.wait_s(200), len(asked)) == (None, 0)


def test_what_is_put_back_is_due_at_once_behind_what_is_due_already() -> None:
    asked = Coalescing(quiet_s=1, longest_s=10)
    for name, at in (("ann", 100.0), ("bob", 100.1), ("eve", 101.0)):
        asked.ask(name, at)
    assert asked.take(101.5) == "ann"
    asked.put_back("ann", 101.5)
    assert [asked.take(101.5) for _ in range(3)] == ["bob", "ann", None]
    assert asked.take(102) == "eve"


def test_who_asked_again_before_they_were_put_back_is_due_by_that_asking() -> None:
    asked = Coalescing(quiet_s=1, longest_s=10)
    asked.ask("ann", 100)
    assert asked.take(101) == "ann"
    asked.ask("ann", 101.5)
    asked.put_back("ann", 102)
    assert [asked.take(at) for at in (102, 102.5, 102.5)] == [None, "ann", None]


def test_who_rests_is_due_once_the_rest_is_over_and_holds_nobody_up() -> None:
    asked = Coalescing(quiet_s=1, longest_s=10)
    asked.rest("ann", 100, 60)
    asked.ask("ann", 101)
    asked.ask("bob", 101)
    assert [asked.take(102), asked.take(159), asked.take(160)] == ["bob", None, "ann"]
    assert asked.wait_s(160) is None
    asked.rest("bob", 161, 1)
    assert asked._rests == {"bob": 162}
