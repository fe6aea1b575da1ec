"""What the rig calls a loss: each rule of the comparison, by an example that breaks it."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest

from fitai_client import Client
from fitai_client.core.database import LocalDatabase
from fitai_client.core.spaces import PERSONAL
from fitai_client.core.writing import WRITTEN_ANEW, Write, write_groups
from tests.faults.acks import Ack, AckLog, Change, Made
from tests.faults.phones import Phone
from tests.faults.verdict import Stored, Violation, compare

SET = Change.of("put", "sets", "s", {"reps": 8})
OTHER = Change.of("put", "sets", "s", {"reps": 9})
ACK = Ack(1.0, "phone", ("d", 1), SET)


def rule_of(acks: list[Ack], issued: set[Change], stored: Stored, **lossy: Any) -> str | None:
    try:
        compare(acks, issued, stored, **lossy)
    except Violation as violation:
        return violation.rule
    return None


def test_what_was_acknowledged_and_is_stored_is_in_order() -> None:
    assert rule_of([ACK], {SET, OTHER}, Stored({("d", 1): SET, ("d", 2): OTHER}, {})) is None


@pytest.mark.parametrize("stored", [{}, {("d", 1): OTHER}, {("e", 1): SET}])
def test_what_was_acknowledged_and_is_not_stored_as_it_was_is_lost(stored: dict[tuple[str, int], Change]) -> None:
    assert rule_of([ACK], {SET, OTHER}, Stored(stored, {})) == "lost"


def test_a_change_may_stand_under_another_number_where_devices_took_new_ids() -> None:
    stored = Stored({("e", 1): SET}, {})
    assert rule_of([ACK], {SET}, stored, renamed=True) is None
    assert rule_of([ACK], {SET, OTHER}, Stored({("e", 1): OTHER}, {}), renamed=True) == "lost"


def test_a_record_that_was_given_back_as_it_showed_has_the_last_value_of_each_field() -> None:
    first = Ack(1.0, "phone", ("d", 1), Change.of("put", "sets", "s", {"reps": 8, "rpe": 7, "tags": {"add": ["a"]}}))
    last = Ack(2.0, "phone", ("d", 2), OTHER)
    made = [Made("phone", first.change, {}, {}), Made("phone", OTHER, {"reps": [8]}, {})]
    whole = {"reps": 9, "rpe": 7, "tags": {"add": ["a"]}}
    for missing, rule in ((None, None), ("reps", "lost"), ("rpe", "lost"), ("tags", "lost")):
        put = Change.of("put", "sets", "s", {name: value for name, value in whole.items() if name != missing})
        stored = Stored({("e", 1): put}, {})
        assert rule_of([first, last], {first.change, OTHER}, stored, renamed=True, made=made) == rule, missing
        assert rule_of([first, last], {first.change, OTHER, put}, stored) == "lost"


def reps(value: int) -> Change:
    return Change.of("put", "sets", "s", {"reps": value})


def given_back(there: list[int], made: list[Made], *, offered: list[int] | None = None) -> str | None:
    """What is said where 1 was acknowledged and `there` is stored, under other numbers."""
    stored = Stored({("e", n): reps(value) for n, value in enumerate(there, 1)}, {})
    acks = [Ack(1.0, "phone", ("d", 1), reps(1))]
    inbox = [reps(value) for value in offered or ()]
    return rule_of(acks, {one.change for one in made}, stored, renamed=True, made=made, offered=inbox)


ONE, TWO_OVER_ONE = Made("phone", reps(1), {}, {}), Made("other", reps(2), {"reps": [1]}, {})
THREE_OVER_TWO, FOUR = Made("phone", reps(3), {"reps": [2]}, {}), Made("writer", reps(4), {}, {})


def test_a_value_may_be_gone_where_who_replaced_it_had_been_shown_it() -> None:
    assert given_back([2], [ONE, TWO_OVER_ONE]) is None
    assert given_back([3], [ONE, TWO_OVER_ONE, THREE_OVER_TWO]) is None
    # What stands for it has to be there in its turn.
    assert given_back([4], [ONE, TWO_OVER_ONE, FOUR]) == "lost"


def test_a_value_that_did_not_know_of_another_does_not_stand_for_it_whenever_it_was_acknowledged() -> None:
    acks = [Ack(1.0, "phone", ("d", 1), reps(1)), Ack(2.0, "writer", ("w", 1), reps(4))]
    for there, rule in (((1, 4), None), ((1,), "lost"), ((4,), "lost")):
        stored = Stored({("e", n): reps(value) for n, value in enumerate(there, 1)}, {})
        assert rule_of(acks, {reps(1), reps(4)}, stored, renamed=True, made=[ONE, FOUR]) == rule


def test_a_value_that_an_inbox_offers_is_not_lost() -> None:
    assert given_back([4], [ONE, FOUR], offered=[1]) is None
    assert given_back([4], [ONE, TWO_OVER_ONE, FOUR], offered=[2]) is None


def test_a_value_of_nobody_is_made_up_in_whatever_record_it_stands() -> None:
    assert given_back([1, 7], [ONE]) == "made_up"


@pytest.mark.parametrize(("mark", "rule"), [(None, None), (WRITTEN_ANEW, "lost")], ids=["a person", "a recovery"])
async def test_what_a_device_writes_anew_replaces_nothing_though_it_showed_there(
    tmp_path: Path, mark: str | None, rule: str | None
) -> None:
    log = AckLog(tmp_path / "acks")
    async with await Client.open(tmp_path / "phone.db", server="http://127.0.0.1:9", background=False) as client:
        phone = Phone("phone", client, log, Random(1))
        workout = (await client.workouts.create(title="newer")).id
        await phone.note()
        older = Write("workouts", workout, {"title": "older"})

        def write(db: LocalDatabase) -> None:
            with db.write() as tx:
                write_groups(tx, PERSONAL, [[older]], mark=mark)

        await client.run(write)
        await phone.note()
    log.close()
    newer = Ack(1.0, "phone", ("d", 1), Change.of("put", "workouts", workout, {"title": "newer"}))
    stored = Stored({("e", 1): Change.of("put", "workouts", workout, older.fields)}, {})
    assert rule_of([newer], log.issued, stored, renamed=True, made=log.made.values()) == rule


DELETE = Change.of("delete", "sets", "s", None)


@pytest.mark.parametrize(
    ("author", "knew", "the_delete_knew", "rule"),
    [
        ("other", {}, {}, None),
        ("other", {}, {"o": 1}, "lost"),
        ("other", {"d": 1}, {}, "lost"),
        ("phone", {}, {}, "lost"),
    ],
    ids=["neither knew", "it was deleted", "it came after", "its own"],
)
def test_a_delete_may_be_gone_where_somebody_else_overruled_it(
    author: str, knew: dict[str, int], the_delete_knew: dict[str, int], rule: str | None
) -> None:
    acks = [Ack(1.0, "phone", ("d", 1), DELETE), Ack(1.0, author, ("o", 1), reps(2))]
    made = [Made("phone", DELETE, {}, the_delete_knew), Made(author, reps(2), {}, knew)]
    assert rule_of(acks, {DELETE, reps(2)}, Stored({("o", 1): reps(2)}, {}), renamed=True, made=made) == rule


def test_a_delete_may_be_that_of_another_device() -> None:
    acks = [Ack(1.0, "phone", ("d", 1), DELETE)]
    assert rule_of(acks, {DELETE}, Stored({("e", 4): DELETE}, {}), renamed=True) is None
    assert rule_of(acks, {DELETE}, Stored({}, {}), renamed=True) == "lost"


def test_a_change_that_nobody_made_is_made_up() -> None:
    assert rule_of([], {SET}, Stored({("d", 1): SET, ("d", 2): OTHER}, {})) == "made_up"


def test_a_change_under_two_numbers_is_stored_twice() -> None:
    assert rule_of([ACK], {SET}, Stored({("d", 1): SET, ("d", 2): SET}, {})) == "twice"


def test_a_change_that_was_refused_is_a_violation() -> None:
    assert rule_of([], {SET}, Stored({}, {("d", 1): '{"code": "out_of_range"}'})) == "refused"


def test_numbers_are_compared_as_json_means_them() -> None:
    assert Change.of("put", "sets", "s", '{"reps": 8.0, "a": [1.0, {"b": 2.5}]}') == Change.of(
        "put", "sets", "s", b'{"a": [1, {"b": 2.5}], "reps": 8}'
    )


def test_an_acknowledgement_is_in_the_file_before_the_call_returns(tmp_path: Path) -> None:
    log = AckLog(tmp_path / "acks")
    log.acknowledged("phone", ("d", 1), SET)
    log.acknowledged("phone", ("d", 1), SET)
    (line,) = (tmp_path / "acks").read_text().splitlines()
    assert '"phone"' in line and '["d", 1]' in line
    log.close()


def test_one_number_acknowledged_for_two_changes_is_a_violation(tmp_path: Path) -> None:
    log = AckLog(tmp_path / "acks")
    log.acknowledged("phone", ("d", 1), SET)
    log.acknowledged("copy", ("d", 1), OTHER)
    assert rule_of(list(log.acks.values()), log.issued, Stored({("d", 1): SET}, {})) is None
    assert [(first.change, second.change) for first, second in log.contradictions] == [(SET, OTHER)]
    log.close()


@pytest.mark.parametrize(
    ("deleter", "is_stored", "rule"), [("phone", True, None), ("other", True, "lost"), ("phone", False, "lost")]
)
def test_a_value_may_be_gone_with_a_record_that_its_own_author_deleted_afterwards(
    deleter: str, is_stored: bool, rule: str | None
) -> None:
    delete = Change.of("delete", "sets", "s", None)
    made = [Made("phone", reps(1), {}, {}), Made(deleter, delete, {}, {})]
    stored = Stored({("e", 1): delete} if is_stored else {}, {})
    acks = [Ack(1.0, "phone", ("d", 1), reps(1))]
    assert rule_of(acks, {one.change for one in made}, stored, renamed=True, made=made) == rule
