"""What refuses a batch as a whole, before any change is looked at: nothing is applied, and the sentence says why."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.errors import Malformed, TooLarge
from sync.limits import LIMITS, Limits
from sync.messages import N_MAX, After, PushRequest, decode_push

HLC = "01a1ee565e000000"


def put(n: int = 1, **more: Any) -> dict[str, Any]:
    return {"n": n, "hlc": HLC, "context": {}, "collection": "sets", "id": "x", "op": "put", "fields": {}} | more


def without(change: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in change.items() if name not in names}


def decoded(*changes: dict[str, Any], limits: Limits = LIMITS, **more: Any) -> PushRequest:
    body = {"device": "m4t7q0zd", "schema": 1, "changes": list(changes)} | more
    return decode_push(json.dumps(body).encode(), limits)


def test_the_smallest_batch_is_a_question() -> None:
    assert decode_push(b'{"device": "m4t7q0zd", "schema": 1}', LIMITS) == PushRequest("m4t7q0zd", 1)


def test_what_a_newer_device_says_beside_the_protocol_is_passed_over() -> None:
    assert decoded(put(mood="great"), battery=0.4) == decoded(put())


def test_the_numbers_of_a_batch_run_to_the_largest_that_every_reader_keeps_exact() -> None:
    request = decoded(put(N_MAX - 1), put(N_MAX), after={"n": N_MAX - 2, "hlc": HLC}, seen={"w1n8e5cb": N_MAX, "x": 0})
    assert request.after == After(N_MAX - 2, HLC)
    assert [change.n for change in request.changes] == [N_MAX - 1, N_MAX]


@given(st.lists(st.integers(1, 6), min_size=1, max_size=6))
def test_numbers_rise_by_one_or_the_batch_is_refused(numbers: list[int]) -> None:
    rising = all(later == earlier + 1 for earlier, later in itertools.pairwise(numbers))
    changes = [put(n) for n in numbers]
    if rising:
        assert [change.n for change in decoded(*changes).changes] == numbers
    else:
        with pytest.raises(Malformed, match="rise by one"):
            decoded(*changes)


def test_voids_at_the_beginning_need_no_context_and_the_first_real_change_does() -> None:
    void = {"n": 1, "hlc": HLC, "op": "void"}
    assert len(decoded(void, put(2)).changes) == 2
    with pytest.raises(Malformed, match="no context"):
        decoded(without(put(), "context"))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (put(0), "numbers run from 1"),
        (put(N_MAX + 1), "numbers run from 1"),
        (put(n="1"), "wrong shape"),
        (put(hlc="01A1EE565E000000"), "hlc of change 1"),
        (put(hlc=""), "hlc of change 1"),
        (put(op="upsert"), "wrong shape"),
        (put(context={"é": 1}), "context of change 1"),
        (put(context={"d": -1}), "context of change 1"),
        (put(context={"d" * 65: 1}), "context of change 1"),
        (put(context={"d": True}), "wrong shape"),
        (without(put(), "collection"), "names no record"),
        (without(put(), "id"), "names no record"),
        (without(put(op="delete"), "id"), "names no record"),
        (without(put(), "fields"), "put without fields"),
        (put(group="g" * 65), "more than 64 characters"),
        (put(group=1.5), "wrong shape"),
    ],
    ids=str,
)
def test_a_change_that_is_none_refuses_the_batch(change: dict[str, Any], why: str) -> None:
    with pytest.raises(Malformed, match=why):
        decoded(change)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"device": ""}, "not a device id"),
        ({"device": "a b"}, "not a device id"),
        ({"device": "a" * 65}, "not a device id"),
        ({"device": "abc\n"}, "not a device id"),
        ({"device": 7}, "wrong shape"),
        ({"schema": "1"}, "wrong shape"),
        ({"after": {"n": 0, "hlc": HLC}}, "after.n"),
        ({"after": {"n": 1, "hlc": "x"}}, "after.hlc"),
        ({"after": {"n": 1}}, "wrong shape"),
        ({"seen": {"d": 2**53}}, "seen is no version vector"),
        ({"seen": []}, "wrong shape"),
        ({"confirm_deletes": 1}, "wrong shape"),
    ],
    ids=str,
)
def test_an_envelope_that_is_none_refuses_the_batch(more: dict[str, Any], why: str) -> None:
    with pytest.raises(Malformed, match=why):
        decoded(put(), **more)


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b'{"device": "a", "device": "b", "schema": 1}', b"\xff", b"null"])
def test_what_is_no_strict_json_object_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode_push(data, LIMITS)


def test_a_batch_has_so_many_changes_and_bytes_and_no_more() -> None:
    limits = Limits(batch_changes_max=2, batch_bytes_max=1_000)
    assert len(decoded(put(1), put(2), limits=limits).changes) == 2
    with pytest.raises(TooLarge, match="at most 2"):
        decoded(put(1), put(2), put(3), limits=limits)
    with pytest.raises(TooLarge, match="at most 1000"):
        decoded(put(1), cursor="c" * 1_000, limits=limits)


def test_what_was_sent_is_not_repeated_at_length() -> None:
    with pytest.raises(Malformed) as refused:
        decoded(put(op="o" * 100_000))
    assert len(str(refused.value)) < 300
