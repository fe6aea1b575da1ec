"""A session from a template, in the terminal: what is logged fulfils what is planned."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Sequence
from typing import Any

import pytest

from api.command_line.device.fulfil import fulfilled_by
from api.command_line.device.grammar import parse
from fitai_client import Client, Record
from tests.api.device.conftest import Terminal

TARGETS = {"target_reps_min": 5, "target_rpe": 8}


async def _plan(terminal: Terminal, plan: Sequence[tuple[str, str]]) -> None:
    """Put blocks into the live session, as one from a template has them: each an exercise and the kinds of its sets."""
    async with await Client.open(terminal.file, server="http://127.0.0.1:9", background=False) as client:
        (workout,) = await client.workouts.list()
        names = {one.get("name"): one.id for one in await client.exercises.list()}
        for place, (name, kinds) in enumerate(plan):
            block = await client.workout_exercises.create(
                workout=workout.id, exercise=names[name], position=f"a{place}"
            )
            for number, kind in enumerate(kinds.split()):
                await client.sets.create(workout_exercise=block.id, position=f"a{number}", kind=kind, **TARGETS)


@pytest.fixture
def planned(terminal: Terminal) -> Terminal:
    """A live session: Lift with a warm-up and two sets, Row with one, and Lift again with one."""
    for name in ("Lift", "Row"):
        terminal.does("log", name, "20kgx5", "--new")
        terminal.json("delete", "--workout", "--yes")
    terminal.does("start", "Push day")
    asyncio.run(_plan(terminal, [("Lift", "warmup normal normal"), ("Row", "normal"), ("Lift", "normal")]))
    return terminal


def blocks(terminal: Terminal) -> list[list[float | None]]:
    """The weights of the session's blocks in their order; None of what is planned."""
    (workout,) = terminal.json("today")["workouts"]
    return [
        [one["weight"]["value"] if one["completed_at"] else None for one in block["sets"]]
        for block in workout["exercises"]
    ]


def test_what_is_logged_fulfils_the_plan_in_its_order_and_more_is_added_behind(planned: Terminal) -> None:
    first = planned.json("log", "lift", "100kgx5")
    assert first["fulfilled"] == [one["id"] for one in first["sets"]] and first["planned"] == 3
    assert blocks(planned) == [[None, 100, None], [None], [None]]
    planned.does("log", "lift", "w:60kgx5", "101kgx5")
    assert blocks(planned) == [[60, 100, 101], [None], [None]]
    more = planned.json("log", "lift", "102kgx5", "103kgx5")
    assert (len(more["fulfilled"]), len(more["sets"]), more["planned"]) == (1, 2, 0)
    assert blocks(planned) == [[60, 100, 101], [None], [102, 103]]


def test_one_undo_plans_again_what_was_fulfilled_and_takes_out_what_was_added(planned: Terminal) -> None:
    before = planned.sets()
    planned.does("log", "row", "50kgx8@9", "50kgx7", "--note", "slow")
    assert blocks(planned)[1] == [50, 50]
    planned.does("undo")
    after = planned.sets()
    assert [(one["id"], one["completed_at"], one["reps"], one["rpe"], one["notes"]) for _, one in after] == [
        (one["id"], None, None, None, None) for _, one in before
    ]


def test_the_targets_of_a_set_that_is_fulfilled_stay(planned: Terminal) -> None:
    planned.does("log", "row", "50kgx8@9")

    async def of_the_done() -> dict[str, Any]:
        async with await Client.open(planned.file, server="http://127.0.0.1:9", background=False) as client:
            (one,) = [one for one in await client.sets.list() if one.get("completed_at")]
            return dict(one.values)

    done = asyncio.run(of_the_done())
    assert {name: done[name] for name in TARGETS} == TARGETS
    assert (done["reps"], done["rpe"]) == (8, 9)


def test_the_answer_says_what_was_fulfilled_and_what_is_left(planned: Terminal) -> None:
    assert "Fulfilled: planned × 5 @8; 3 more are planned." in planned.does("log", "lift", "100kgx5")
    assert "Fulfilled: planned w × 5" in planned.does("log", "lift", "w:60kgx5")
    assert "Fulfilled: planned × 5 @8." in planned.does("log", "row", "50kgx5")
    assert "plan" not in planned.does("log", "row", "50kgx5").lower()


def test_with_extra_the_sets_stand_beside_the_plan_where_one_is(planned: Terminal) -> None:
    said = planned.does("log", "lift", "100kgx5", "--extra")
    assert "Beside the plan, of which 4 sets are left." in said
    assert blocks(planned) == [[None, None, None, 100], [None], [None]]


def test_a_kind_that_is_not_planned_any_more_is_added_to_the_block_that_is_trained(planned: Terminal) -> None:
    planned.does("log", "lift", "w:60kgx5", "w:70kgx5")
    assert blocks(planned) == [[60, None, None, 70], [None], [None]]
    planned.does("log", "lift", "100kgx5x3", "d:80kgx8")
    assert blocks(planned) == [[60, 100, 100, 70], [None], [100, 80]]


def test_the_end_of_a_session_says_what_is_still_planned_and_counts_none_of_it(planned: Terminal) -> None:
    planned.does("log", "lift", "100kgx5x3")
    said = planned.does("done")
    assert "2 sets are still planned: they stay in the log as planned, and count nowhere." in said
    planned.does("undo")
    done = planned.json("done")
    assert (done["sets"], done["planned"], done["volume_kg"]) == (3, 2, 1_500)


def test_a_day_on_which_nothing_of_a_plan_was_done_is_no_training_day(planned: Terminal) -> None:
    assert planned.json("today")["week"]["days"] == 0
    planned.does("done")
    assert planned.json("today")["week"]["days"] == 0
    planned.does("log", "lift", "100kgx5")
    assert planned.json("today")["week"]["days"] == 1


def test_a_session_without_sets_that_was_completed_is_a_training_day(terminal: Terminal) -> None:
    terminal.does("start", "Yoga")
    assert terminal.json("today")["week"]["days"] == 0
    terminal.does("done", "--effort", "4")
    assert terminal.json("today")["week"]["days"] == 1


def test_what_is_remembered_after_the_session_was_done_by_its_end(planned: Terminal) -> None:
    ended = planned.json("done")["ended_at"]
    (one,) = planned.json("log", "row", "50kgx8")["sets"]
    assert one["completed_at"] == ended


def test_a_watch_tells_of_a_planned_set_that_is_done_as_of_one_that_is_logged(planned: Terminal) -> None:
    with planned.process("watch", "--for", "300", stdout=subprocess.PIPE) as watching:
        assert watching.stdout is not None
        seen = iter(watching.stdout)
        next(seen)
        planned.does("log", "lift", "100kgx5")
        line = next(text for text in seen if "Lift  100 kg × 5" in text)
        assert "changed" not in line
        watching.terminate()


@pytest.mark.parametrize(
    ("typed", "plan", "met"),
    [
        ("100kgx5", "warmup normal", [1]),
        ("100kgx5x3", "normal drop warmup", [0, 1, None]),
        ("w:60kgx5", "normal warmup", [1]),
        ("w:60kgx5", "normal", [None]),
        ("d:60kgx5", "normal drop", [1]),
        ("f:100kgx9", "warmup normal failure", [1]),
        ("f:100kgx9", "warmup drop", [None]),
        ("normal:100kgx5", "failure normal", [1]),
        ("100kgx5", "", [None]),
    ],
)
def test_a_set_fulfils_the_next_of_its_kind(typed: str, plan: str, met: list[int | None]) -> None:
    sets = [Record("sets", str(number), {"kind": kind}) for number, kind in enumerate(plan.split())]
    found = fulfilled_by(parse(typed), sets)
    assert [one and int(one.id) for one in found] == met


def test_a_set_that_has_a_result_is_not_written_over() -> None:
    sets = [Record("sets", "0", {"reps": 8}), Record("sets", "1", {"weight": {"value": 60, "unit": "kg"}})]
    assert fulfilled_by(parse("100kgx5"), sets) == [sets[1]]
