"""What the rig calls a loss: each rule of the comparison, by an example that breaks it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.acks import Ack, AckLog, Change
from tests.faults.verdict import Stored, Violation, compare

SET = Change.of("put", "sets", "s", {"reps": 8})
OTHER = Change.of("put", "sets", "s", {"reps": 9})
ACK = Ack(1.0, "phone", ("d", 1), SET)


def rule_of(acks: list[Ack], issued: set[Change], stored: Stored, *, renamed: bool = False) -> str | None:
    try:
        compare(acks, issued, stored, renamed=renamed)
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
    assert rule_of([ACK], {SET}, Stored({("e", 1): OTHER}, {}), renamed=True) == "lost"


def test_a_record_that_was_given_back_as_it_showed_has_the_last_value_of_each_field() -> None:
    first = Ack(1.0, "phone", ("d", 1), Change.of("put", "sets", "s", {"reps": 8, "rpe": 7, "tags": {"add": ["a"]}}))
    last = Ack(2.0, "phone", ("d", 2), OTHER)
    whole = {"reps": 9, "rpe": 7, "tags": {"add": ["a", "b"]}}
    for missing, rule in ((None, None), ("reps", "lost"), ("rpe", "lost"), ("tags", "lost")):
        put = Change.of("put", "sets", "s", {name: value for name, value in whole.items() if name != missing})
        stored = Stored({("e", 1): put}, {})
        assert rule_of([first, last], {first.change, OTHER}, stored, renamed=True) == rule, missing
        assert rule_of([first, last], {first.change, OTHER, put}, stored) == "lost"


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
