"""What the judge makes of records of which the tombstone went."""

from __future__ import annotations

from typing import Any

from tests.shared import load_model
from tests.simulator.judge import lost_with_knowledge, schema

WORKOUT, EXERCISE, SET = ("workouts", "w"), ("workout_exercises", "e"), ("sets", "s")


def change(device: str, n: int, key: tuple[str, str], *, knows: dict[str, int] | None = None, **fields: str) -> Any:
    op = "put" if fields else "delete"
    return load_model().Change(device, n, f"{n:016x}", knows or {}, *key, op, fields)


def lost(*changes: Any) -> set[tuple[str, str]]:
    return lost_with_knowledge(changes, load_model().show(changes, schema()), {WORKOUT})


def test_what_was_written_below_a_delete_in_its_knowledge_waits_for_a_parent_once_the_tombstone_went() -> None:
    delete = change("a", 1, WORKOUT)
    assert lost(delete, change("a", 2, EXERCISE, workout="w")) == {WORKOUT}
    assert lost(delete, change("b", 1, EXERCISE, knows={"a": 1}, workout="w")) == {WORKOUT}


def test_a_tombstone_that_went_though_somebody_had_not_seen_the_delete_is_a_loss() -> None:
    delete = change("a", 1, WORKOUT)
    assert lost(delete, change("b", 1, EXERCISE, workout="w")) == set()


def test_an_edit_further_down_in_ignorance_of_the_delete_is_owed_its_workout_too() -> None:
    delete = change("a", 1, WORKOUT)
    below = change("b", 1, EXERCISE, knows={"a": 1}, workout="w")
    assert lost(delete, below, change("c", 1, SET, knows={"b": 1}, workout_exercise="e")) == set()
