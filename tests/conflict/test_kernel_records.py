"""One record: registers, sets, counters, deletes, and the form of its state."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from conflict import (
    EMPTY,
    Change,
    CollectionRules,
    FieldRules,
    Loser,
    RecordState,
    UnknownField,
    apply,
    counts,
    decode,
    encode,
    is_deleted,
    parent_id,
    puts_at_or_below,
    raise_below,
    show,
    unread_texts,
    with_text,
)

RULES = CollectionRules(
    {
        "title": FieldRules("register"),
        "reps": FieldRules("register"),
        "best": FieldRules("register", order="largest"),
        "least": FieldRules("register", order="smallest"),
        "status": FieldRules("register", order=("planned", "active", "completed")),
        "timer": FieldRules("register", passing=True),
        "tags": FieldRules("set"),
        "likes": FieldRules("counter"),
        "notes": FieldRules("text"),
        "workout": FieldRules("register"),
    },
    ("workout", "workouts"),
)


def put(device: str, n: int, *, saw: dict[str, int] | None = None, at: int = 1, **fields: Any) -> Change:
    return Change(device, n, f"{at:012x}0000", saw or {}, "put", fields)


def delete(device: str, n: int, *, saw: dict[str, int] | None = None, at: int = 1) -> Change:
    return Change(device, n, f"{at:012x}0000", saw or {}, "delete")


def after(*changes: Change, state: RecordState = EMPTY) -> RecordState:
    for change in changes:
        state = apply(state, change, RULES)
    return state


def value(state: RecordState, name: str) -> Any:
    return show(state, RULES).values[name]


def losers(state: RecordState, name: str) -> list[Any]:
    return [loser.value for loser in show(state, RULES).conflicts.get(name, [])]


# Registers


def test_a_write_replaces_what_it_saw() -> None:
    state = after(put("a", 1, reps=8), put("b", 1, saw={"a": 1}, reps=9))
    assert (value(state, "reps"), losers(state, "reps")) == (9, [])


def test_a_device_has_always_seen_its_own_earlier_writes() -> None:
    state = after(put("a", 1, at=9, reps=8), put("a", 2, at=1, reps=9))
    assert (value(state, "reps"), losers(state, "reps")) == (9, [])


def test_of_concurrent_writes_the_latest_wins_and_the_other_stays_visible() -> None:
    state = after(put("a", 1, at=5, reps=8), put("b", 1, at=4, reps=9))
    assert value(state, "reps") == 8
    assert show(state, RULES).conflicts == {"reps": [Loser(9, "b", "0000000000040000")]}


def test_equal_stamps_are_decided_by_device() -> None:
    for order in ([put("a", 1, reps=8), put("b", 1, reps=9)], [put("b", 1, reps=9), put("a", 1, reps=8)]):
        assert value(after(*order), "reps") == 9


def test_a_write_that_saw_both_siblings_resolves_them() -> None:
    state = after(put("a", 1, reps=8), put("b", 1, reps=9), put("a", 2, saw={"b": 1}, reps=10))
    assert (value(state, "reps"), losers(state, "reps")) == (10, [])


def test_a_context_is_not_transitive() -> None:
    # c saw b's write, which had replaced a's; c does not name a, and a's is gone all the same.
    state = after(put("a", 1, reps=1), put("b", 1, saw={"a": 1}, reps=2), put("c", 1, saw={"a": 1}, reps=3))
    assert {value(state, "reps"), *losers(state, "reps")} == {2, 3}


def test_siblings_of_one_field_do_not_touch_the_others_of_their_puts() -> None:
    state = after(put("a", 1, reps=8, title="x"), put("b", 1, saw={"a": 1}, reps=9))
    assert show(state, RULES).values == {"reps": 9, "title": "x"}


def test_losers_stand_each_value_once_strongest_first_and_never_as_the_winner() -> None:
    state = after(
        put("a", 1, at=6, reps=8),
        put("b", 1, at=5, reps=True),
        put("c", 1, at=4, reps=8.0),
        put("d", 1, at=3, reps=1),
        put("e", 1, at=2, reps=1.0),
        put("f", 1, at=1, reps={"b": 1, "a": [2]}),
    )
    assert [(loser.value, loser.device) for loser in show(state, RULES).conflicts["reps"]] == [
        (True, "b"),
        (1, "d"),
        ({"a": [2], "b": 1}, "f"),
    ]


@pytest.mark.parametrize(
    ("name", "weak", "strong"),
    [
        ("best", 8, 9.5),
        ("least", 9.5, 8),
        ("status", "planned", "completed"),
        ("best", None, -5),
        ("least", None, 5),
        ("best", True, 0),
        ("status", "dropped from the declaration", "planned"),
    ],
)
def test_a_ranked_register_is_won_by_value_not_by_time(name: str, weak: Any, strong: Any) -> None:
    state = after(put("a", 1, at=9, **{name: weak}), put("b", 1, at=1, **{name: strong}))
    assert (value(state, name), losers(state, name)) == (strong, [weak])


def test_equal_ranks_are_decided_by_time() -> None:
    state = after(put("a", 1, at=2, best=8), put("b", 1, at=1, best=8.0))
    assert (repr(value(state, "best")), losers(state, "best")) == ("8", [])


def test_a_passing_register_shows_no_losers() -> None:
    state = after(put("a", 1, at=1, timer=30), put("b", 1, at=2, timer=60))
    assert show(state, RULES).values == {"timer": 60}
    assert show(state, RULES).conflicts == {}


def test_a_loser_of_a_passing_register_counts_again_where_the_winner_is_replaced_by_a_weaker_write() -> None:
    state = after(put("a", 1, at=9, timer=30), put("b", 1, at=5, timer=60), put("c", 1, saw={"a": 1}, at=1, timer=90))
    assert value(state, "timer") == 60


def test_a_cleared_register_is_there_as_null() -> None:
    state = after(put("a", 1, reps=8), put("a", 2, reps=None))
    assert show(state, RULES).values == {"reps": None}


def test_a_late_write_of_a_device_that_has_written_since_changes_no_register() -> None:
    state = after(put("a", 5, at=1, reps=5), put("a", 3, at=9, reps=3, title="late"))
    assert show(state, RULES).values == {"reps": 5, "title": "late"}


def test_a_late_write_still_replaces_what_it_saw() -> None:
    state = after(put("b", 1, at=9, reps=1), put("a", 5, at=1, reps=5), put("a", 3, saw={"b": 1}, reps=3))
    assert (value(state, "reps"), losers(state, "reps")) == (5, [])


def test_the_same_put_of_registers_twice_is_as_once() -> None:
    once = after(put("a", 1, reps=8))
    assert after(put("a", 1, reps=8), state=once) == once


def test_a_field_that_the_rules_no_longer_know_still_shows() -> None:
    state = after(put("a", 1, reps=8, title="x"), put("b", 1, at=2, reps=9))
    assert show(state, CollectionRules({}, None)).values == {"reps": 9, "title": "x"}


def test_a_field_that_the_rules_do_not_declare_is_refused() -> None:
    with pytest.raises(UnknownField, match="nonsense") as caught:
        after(put("a", 1, nonsense=1))
    assert (caught.value.code, caught.value.field) == ("unknown_field", "nonsense")


# Sets and counters


def test_an_add_wins_over_a_remove_that_had_not_seen_it() -> None:
    state = after(put("a", 1, tags={"add": ["x"]}), put("b", 1, tags={"remove": ["x"]}))
    assert value(state, "tags") == ["x"]


def test_a_remove_takes_the_adds_it_saw_and_no_later_one() -> None:
    adds = [put("a", 1, tags={"add": ["x", "y"]}), put("a", 2, tags={"add": ["y"]})]
    assert value(after(*adds, put("b", 1, saw={"a": 1}, tags={"remove": ["x", "y"]})), "tags") == ["y"]
    assert value(after(*adds, put("b", 1, saw={"a": 2}, tags={"remove": ["x", "y"]})), "tags") == []


def test_a_remove_takes_its_own_devices_earlier_adds_whatever_its_context_names() -> None:
    state = after(put("a", 1, tags={"add": ["x"]}), put("a", 2, tags={"remove": ["x"]}))
    assert value(state, "tags") == []


def test_an_element_both_added_and_removed_by_one_change_stays() -> None:
    state = after(put("a", 1, tags={"add": ["x"]}), put("a", 2, tags={"add": ["x"], "remove": ["x"]}))
    assert value(state, "tags") == ["x"]


def test_an_element_that_two_devices_added_goes_when_both_adds_were_seen() -> None:
    adds = [put("a", 1, tags={"add": ["x"]}), put("b", 1, tags={"add": ["x"]})]
    assert value(after(*adds, put("c", 1, saw={"a": 1}, tags={"remove": ["x"]})), "tags") == ["x"]
    assert value(after(*adds, put("c", 1, saw={"a": 1, "b": 1}, tags={"remove": ["x"]})), "tags") == []


def test_a_set_is_sorted_by_code_point() -> None:
    state = after(put("a", 1, tags={"add": ["é", "\U0001f600", "Z", "a", "\uffff"]}))
    assert value(state, "tags") == ["Z", "a", "é", "\uffff", "\U0001f600"]


def test_a_set_that_was_only_removed_from_is_there_as_empty() -> None:
    assert value(after(put("a", 1, tags={"remove": ["x"]})), "tags") == []


def test_a_counter_is_the_exact_sum_of_all_increments() -> None:
    state = after(put("a", 1, likes={"inc": 0.1}), put("b", 1, likes={"inc": 0.2}), put("a", 2, likes={"inc": 2}))
    assert value(state, "likes") == 2.3
    assert value(after(put("b", 2, likes={"inc": 0.7}), state=state), "likes") == 3


# Deletes


def test_a_record_is_deleted_where_a_delete_saw_all_its_puts() -> None:
    assert is_deleted(after(put("a", 1, reps=8), delete("b", 1, saw={"a": 1})))
    assert not is_deleted(after(put("a", 1, reps=8), delete("b", 1)))


def test_a_record_without_puts_is_deleted_by_any_delete() -> None:
    assert is_deleted(after(delete("a", 1)))


def test_a_delete_saw_its_own_devices_earlier_puts() -> None:
    assert is_deleted(after(put("a", 1, reps=8), delete("a", 2)))


def test_several_deletes_may_together_have_seen_every_put() -> None:
    puts = [put("a", 1, reps=8), put("b", 1, reps=9)]
    assert is_deleted(after(*puts, delete("c", 1, saw={"a": 1}), delete("d", 1, saw={"b": 1})))


def test_r4_an_edit_that_had_not_seen_the_delete_brings_the_record_back_whole() -> None:
    state = after(put("a", 1, reps=8, title="x"), delete("b", 1, saw={"a": 1}), put("a", 2, reps=9))
    assert not is_deleted(state)
    assert show(state, RULES).values == {"reps": 9, "title": "x"}


def test_an_edit_that_had_seen_the_delete_brings_the_record_back_too() -> None:
    assert not is_deleted(after(put("a", 1, reps=8), delete("a", 2), put("a", 3, reps=9)))


def test_a_put_of_passing_fields_alone_brings_no_record_back() -> None:
    assert is_deleted(after(put("a", 1, reps=8), delete("a", 2), put("b", 1, timer=60)))
    assert not is_deleted(after(put("a", 1, reps=8), delete("a", 2), put("b", 1, timer=60, reps=9)))


def test_a_put_of_no_fields_counts() -> None:
    assert counts(put("a", 1), RULES)
    assert not is_deleted(after(delete("a", 1), put("b", 1)))


def test_a_delete_does_not_count_as_a_put() -> None:
    assert not counts(delete("a", 1), RULES)


def test_an_edit_below_brings_the_record_back() -> None:
    state = after(put("a", 1, reps=8), delete("a", 2))
    assert not is_deleted(raise_below(state, {"b": 1}))


def test_what_lies_below_counts_up_to_the_top() -> None:
    child = after(put("a", 1, workout="w"), put("b", 4, reps=1))
    grandchildren = {"a": 3, "c": 9}
    assert puts_at_or_below(child) == {"a": 1, "b": 4}
    assert puts_at_or_below(raise_below(child, grandchildren)) == {"a": 3, "b": 4, "c": 9}


def test_raising_what_is_known_already_gives_the_same_state_back() -> None:
    state = raise_below(EMPTY, {"a": 3})
    assert raise_below(state, {"a": 2}) is state
    assert raise_below(state, {}) is state


def test_a_stub_of_what_lies_below_is_not_named() -> None:
    stub = raise_below(EMPTY, {"a": 3})
    assert not stub.named
    assert not is_deleted(stub)
    assert after(delete("a", 4), state=stub).named


# Parents, stamps and the form of the state


def test_the_parent_is_the_value_of_the_parents_field() -> None:
    assert parent_id(EMPTY, RULES) is None
    assert parent_id(after(put("a", 1, reps=8)), RULES) is None
    assert parent_id(after(put("a", 1, reps=8), put("a", 2, workout="w1")), RULES) == "w1"
    assert parent_id(after(put("a", 1, workout="w1"), put("b", 1, workout="w1")), RULES) == "w1"
    assert parent_id(after(put("a", 1, workout=None)), RULES) is None
    assert parent_id(after(put("a", 1, workout="w1")), CollectionRules(RULES.fields, None)) is None


def test_the_newest_change_is_the_one_of_the_largest_stamp_and_device() -> None:
    state = after(put("b", 1, at=5, reps=8), delete("a", 1, at=5), put("c", 1, at=4, reps=1))
    assert (state.at, state.by) == ("0000000000050000", "b")
    assert after(delete("c", 2, at=6), state=state).by == "c"


def test_r1_no_argument_of_apply_is_changed() -> None:
    state = after(put("a", 1, reps={"v": 1}, tags={"add": ["x"]}, likes={"inc": 1}), delete("b", 1))
    before = encode(state)
    changes = [
        put("a", 2, reps=9, title="x", tags={"remove": ["x"], "add": ["y"]}, likes={"inc": 2}),
        put("b", 2, saw={"a": 1}, reps=3),
        delete("c", 1, saw={"a": 1}),
    ]
    sent = msgspec.json.encode(changes)
    for change in changes:
        apply(state, change, RULES)
    raise_below(state, {"z": 1})
    assert encode(state) == before
    assert msgspec.json.encode(changes) == sent
    assert RecordState() == EMPTY


def test_what_is_shown_belongs_to_the_caller() -> None:
    state = after(put("a", 1, reps=8))
    show(state, RULES).values["reps"] = 0
    assert value(state, "reps") == 8


def test_fields_show_in_code_point_order_however_they_were_written() -> None:
    both = after(put("a", 1, title="x", best=1, likes={"inc": 1}, tags={"add": []}, reps=1))
    assert list(show(both, RULES).values) == ["best", "likes", "reps", "tags", "title"]
    single = after(put("a", 1, title="x", best=1, reps=1))
    assert list(show(single, RULES).values) == ["best", "reps", "title"]


def test_a_state_survives_being_stored() -> None:
    state = after(
        put("a", 1, reps={"z": 1, "a": 8.0}, tags={"add": ["x"]}, likes={"inc": 0.5}),
        put("b", 1, reps=None),
        delete("c", 1, saw={"a": 1}),
        state=raise_below(EMPTY, {"d": 4}),
    )
    assert decode(encode(state)) == state
    assert encode(decode(encode(state))) == encode(state)
    assert show(decode(encode(state)), RULES) == show(state, RULES)


def test_the_stored_form_is_compact_json_that_begins_with_its_version() -> None:
    assert encode(after(put("a", 1, reps=8))) == (
        b'[1,"0000000000010000","a",{"a":1},{},{},[["a",1,"0000000000010000",{"reps":8}]],{},{},{}]'
    )


@pytest.mark.parametrize("data", [b"", b"{}", b"[2]", b'[1,2,"a"]'])
def test_what_is_no_state_is_not_decoded(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(data)


def test_only_a_text_of_the_record_takes_a_string() -> None:
    assert unread_texts(EMPTY) == []
    with pytest.raises(UnknownField):
        with_text(EMPTY, "notes", "x")
