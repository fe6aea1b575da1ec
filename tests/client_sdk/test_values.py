"""From Python values to changes on the wire; ids, stamps and vectors."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitai_client.core import text, vectors
from fitai_client.core.clock import hlc_ms, parse_time, rfc3339, tick
from fitai_client.core.environment import Environment, system
from fitai_client.core.ids import IdMaker, is_uuid, uuid7
from fitai_client.core.overlay import LaidPut, counts, lay_over, start
from fitai_client.core.values import Add, Increment, Remove, encode_field, plain
from fitai_client.errors import InvalidWrite

SYSTEM = system()


def encode(kind: str, value: Any, shown: Any = None) -> Any:
    return encode_field(kind, value, shown, "workouts.field", SYSTEM)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC), "2026-01-02T03:04:05.678Z"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2))), "2026-01-02T01:04:05.000Z"),
        (date(2026, 1, 2), "2026-01-02"),
        (Decimal("2.5"), 2.5),
        (Decimal("100.0"), 100),
        (UUID("0193575e-0000-7000-8000-000000000001"), "0193575e-0000-7000-8000-000000000001"),
        ({"value": 100, "unit": "kg"}, {"value": 100, "unit": "kg"}),
        ((1, [None, True]), [1, [None, True]]),
    ],
)
def test_python_values_have_json_forms(value: Any, expected: Any) -> None:
    assert plain(value, "f") == expected


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        Decimal("NaN"),
        2**60,
        "a\0b",
        "\ud800",
        {"a\0": 1},
        {1: 2},
        object(),
        datetime(2026, 1, 1),
        b"x",
    ],
)
def test_what_no_json_reader_takes_is_refused(value: Any) -> None:
    with pytest.raises(InvalidWrite) as refused:
        plain(value, "sets.reps")
    assert "sets.reps" in str(refused.value)


def test_deep_nesting_is_refused() -> None:
    value: Any = 1
    for _ in range(40):
        value = [value]
    with pytest.raises(InvalidWrite):
        plain(value, "f")


def test_a_whole_set_becomes_the_edit_that_leads_to_it() -> None:
    assert encode("set", ["b", "a"]) == {"add": ["a", "b"]}
    assert encode("set", {"b", "c"}, ["a", "b"]) == {"add": ["c"], "remove": ["a"]}
    assert encode("set", Add("x", "y")) == {"add": ["x", "y"]}
    assert encode("set", Remove("x")) == {"remove": ["x"]}
    assert encode("set", {"add": ["x"]}) == {"add": ["x"]}


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("set", "abc"),
        ("set", {"plus": []}),
        ("counter", 5),
        ("counter", Increment(True)),
        ("counter", {"inc": "1"}),
        ("text", 5),
        ("text", {"x": 1}),
    ],
)
def test_a_value_that_does_not_fit_its_kind_is_refused(kind: str, value: Any) -> None:
    with pytest.raises(InvalidWrite):
        encode(kind, value)


def test_a_counter_takes_increments() -> None:
    assert encode("counter", Increment(Decimal("1.5"))) == {"inc": 1.5}
    assert encode("counter", {"inc": -2}) == {"inc": -2}


words = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=30)


@given(old=words, new=words)
def test_a_text_edit_leads_from_what_shows_to_what_is_wanted(old: str, new: str) -> None:
    shown = text.laid_over(None, text.replaced(None, old, b"\1\2\3\4"))
    assert shown["text"] == old
    edited = text.laid_over(shown, text.replaced(shown, new, b"\5\6\7\10"))
    assert edited["text"] == new
    assert text.laid_over(None, text.whole(edited))["text"] == new


@pytest.mark.parametrize("update", ["!", "AAECAwQF", "", 7, None])
def test_what_is_no_text_update_is_refused(update: Any) -> None:
    with pytest.raises(InvalidWrite):
        text.laid_over(None, update)


def test_a_bad_text_shows_as_if_it_had_not_been_written() -> None:
    shown = start(None)
    lay_over("workouts", shown, None, LaidPut("0" * 16, {"notes": {"yjs": "AAECAwQF"}}, {}))
    assert shown["values"]["notes"]["text"] == ""


def test_stamps_rise_within_a_millisecond_and_carry_over() -> None:
    first = tick(None, 1_000)
    assert first == "0000000003e80000" and tick(first, 1_000) == "0000000003e80001"
    assert tick("0000000003e8ffff", 5) == "0000000003e90000"
    assert tick(first, 2_000) == "0000000007d00000"
    assert tick(None, 1_000, 5) == "0000000003e80005" and tick(first, 1_000, 5) == "0000000003e80006"
    assert tick("0000000003e8fffe", 5, 5) == "0000000003e90004"
    assert hlc_ms(tick(None, -5)) == 0


@given(st.lists(st.integers(-10, 10**13), min_size=1, max_size=20))
def test_stamps_always_rise(times: list[int]) -> None:
    last, seen = None, []
    for now in times:
        last = tick(last, now)
        seen.append(last)
    assert seen == sorted(set(seen))


def test_times_of_the_wire_are_read_and_written() -> None:
    assert parse_time(rfc3339(1_800_000_000_123)) == 1_800_000_000_123
    assert parse_time("yesterday") is None and parse_time("2026-01-01T00:00:00") is None
    assert rfc3339(10**17).startswith("9999-12-31")


def test_ids_sort_in_the_order_they_were_made() -> None:
    made = IdMaker(Environment(lambda: 1_800_000_000_000, SYSTEM.random_bytes))
    ids = [made() for _ in range(200)]
    assert ids == sorted(ids) and len(set(ids)) == 200
    assert all(is_uuid(id) and UUID(id).version == 7 and UUID(id).variant == "specified in RFC 4122" for id in ids)
    assert is_uuid(uuid7(SYSTEM)) and not is_uuid(uuid7(SYSTEM).upper()) and not is_uuid(None)


def test_ids_do_not_go_back_with_the_clock() -> None:
    times = iter([2_000, 1_000])
    made = IdMaker(Environment(lambda: next(times), SYSTEM.random_bytes))
    assert made() < made()


def test_vectors() -> None:
    assert vectors.merged({"a": 1, "b": 5}, {"a": 3}) == {"a": 3, "b": 5}
    assert vectors.minimum({"a": 1, "b": 5}, {"a": 3}) == {"a": 1}
    assert vectors.at_least({"a": 3}, {"a": 3}) and not vectors.at_least({"a": 3}, {"b": 1})
    assert vectors.covers({"a": 3}, "a", 3) and not vectors.covers({}, "a", 1)
    assert vectors.encode({"b": 1, "a": 2}) == '{"a":2,"b":1}' and vectors.decode('{"a":2}') == {"a": 2}


def test_a_put_of_passing_fields_alone_does_not_count_and_one_of_no_fields_does() -> None:
    assert not counts("workouts", {"rest_timer": None}) and counts("workouts", {"rest_timer": None, "title": "x"})
    assert counts("workouts", {}) and counts("unheard_of", {"x": 1})


def test_counters_add_up() -> None:
    shown = start({"values": {"n": 1}, "updated_by": "d"})
    shown["values"]["n"] = 2
    assert start({"values": {"n": 1}})["values"] == {"n": 1}
